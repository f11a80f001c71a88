//! `GET /metrics`: the node's figures as Prometheus reads them.
//!
//! Nothing is counted here: each scrape asks the store and its network once and writes down what
//! they tell. Names begin with `littoral_`, say their unit, and end with `_total` if they only
//! grow. What the labels can be is bounded: collections and peers by [`MAX_METRIC_SERIES`] a
//! name, everything else by enums. All of them are told in `docs/HTTP.md`.

use std::collections::BTreeMap;
use std::fmt::Error as Broken;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use littoral::clock::{SystemClock, WallClock};
use littoral::durations::Measured;
use littoral::limits::MAX_METRIC_SERIES;
use littoral::net::{Joins, LinkState, LinkStatus, Offence, Standing, Traffic, Trouble};
use littoral::store::{Activity, Space, Stats};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet, prometheus_text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::failure::Answer;
use super::service::Service;
use crate::disk::{self, Room};

/// Everything that one scrape tells.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) uptime_s: u64,
    pub(super) stats: Stats,
    pub(super) activity: Activity,
    pub(super) clock_lead_ms: u64,
    pub(super) room: Option<Room>,
    /// How the state's file was used when that was last measured.
    pub(super) space: Option<Space>,
    pub(super) links: Vec<LinkStatus>,
    pub(super) standings: Vec<Standing>,
    pub(super) traffic: Traffic,
    pub(super) kept_off: BTreeMap<&'static str, u64>,
    pub(super) joins: Joins,
    /// Calls over HTTP that work on the store.
    pub(super) calls: usize,
    /// Those who follow changes.
    pub(super) followers: usize,
}

/// `GET /metrics`
pub(super) async fn metrics(State(service): State<Service>) -> Answer {
    let (network, space) = (service.network(), service.measured_space());
    let (uptime_s, calls) = (service.uptime_s(), service.calls_under_way());
    let followers = service.followers();
    service
        .call(move |local| {
            let store = local.store();
            let figures = Figures {
                uptime_s,
                stats: store.stats()?,
                activity: store.activity()?,
                clock_lead_ms: store.clock_lead_ms(),
                room: store.path().and_then(disk::room),
                space,
                links: network.links(),
                standings: network.standings(),
                traffic: network.traffic(),
                kept_off: network.kept_off().by_kind(),
                joins: network.joins(),
                calls,
                followers,
            };
            let kind = [(header::CONTENT_TYPE, prometheus_text::CONTENT_TYPE)];
            Ok((kind, text(figures)).into_response())
        })
        .await
}

/// The figures as Prometheus reads them.
fn text(figures: Figures) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(figures));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry).expect("a text takes what is written to it");
    text
}

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Broken> {
        let mut out = Out { encoder, omitted: 0 };
        self.node(&mut out)?;
        self.collections(&mut out)?;
        self.disk(&mut out)?;
        self.commits(&mut out)?;
        self.links(&mut out)?;
        self.peers(&mut out)?;
        self.strangers(&mut out)?;
        let omitted = out.omitted as f64;
        out.gauge(
            "littoral_omitted_series",
            "Series left out of this answer since there are too many",
            omitted,
        )
    }
}

impl Figures {
    fn node(&self, out: &mut Out<'_>) -> Result<(), Broken> {
        let about = vec![
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("node", self.stats.node.to_string()),
        ];
        out.gauges("littoral_build_info", "Which node this is", [(about, 1.0)])?;
        out.gauge("littoral_uptime_seconds", "Since the node was started", self.uptime_s as f64)?;
        out.gauge(
            "littoral_time_seconds",
            "Wall clock of this node, seconds since 1970",
            SystemClock.now_ms() as f64 / 1000.0,
        )?;
        out.gauge(
            "littoral_clock_lead_seconds",
            "By how much its author's clock was ahead when the last transaction came",
            self.clock_lead_ms as f64 / 1000.0,
        )?;
        out.gauge(
            "littoral_store_failed",
            "1 if the store refuses writes until it is opened again",
            f64::from(u8::from(self.stats.failure.is_some())),
        )?;
        out.gauge(
            "littoral_http_calls",
            "Requests that are at work on the store",
            self.calls as f64,
        )?;
        out.gauge(
            "littoral_http_followers",
            "Those who follow changes over HTTP",
            self.followers as f64,
        )
    }

    fn collections(&self, out: &mut Out<'_>) -> Result<(), Broken> {
        let each = |figure: fn(&littoral::store::CollectionStats) -> u64| {
            let all = self.stats.collections.iter();
            all.map(move |of| (vec![("collection", of.name.clone())], figure(of) as f64))
        };
        out.gauges("littoral_documents", "Documents", each(|of| of.documents))?;
        out.gauges("littoral_conflicts", "Documents in conflict", each(|of| of.conflicts))?;
        out.gauges("littoral_transactions", "Transactions applied", each(|of| of.transactions))?;
        out.gauges("littoral_origins", "Authors, by their incarnations", each(|of| of.origins))?;
        out.gauges(
            "littoral_log_transactions",
            "Transactions that the log still holds: how far a peer can be behind without a snapshot",
            each(|of| of.transactions.saturating_sub(of.pruned)),
        )?;
        out.gauges(
            "littoral_collection_log_bytes",
            "Bytes of a collection's transactions in the log",
            each(|of| of.log_bytes),
        )?;
        out.gauges(
            "littoral_collection_log_budget_bytes",
            "Bytes of its transactions that the log keeps",
            each(|of| of.log_budget.bytes),
        )
    }

    fn disk(&self, out: &mut Out<'_>) -> Result<(), Broken> {
        let stats = &self.stats;
        out.gauge("littoral_state_bytes", "The state's file", stats.state_bytes as f64)?;
        if let Some(space) = &self.space {
            out.gauge(
                "littoral_state_dead_bytes",
                "Bytes of the state's file that were not in use when that was last measured",
                space.file_bytes.saturating_sub(space.live_bytes) as f64,
            )?;
        }
        out.gauge("littoral_log_bytes", "Transactions in the log", stats.log_bytes as f64)?;
        out.gauge(
            "littoral_log_budget_bytes",
            "What the budgets of all collections allow the log together",
            stats.log_budget_bytes as f64,
        )?;
        out.gauge(
            "littoral_log_held",
            "1 if something keeps the log from being pruned to its budget",
            f64::from(u8::from(stats.log_held.is_some())),
        )?;
        out.gauge("littoral_log_pins", "Who holds the log", stats.log_pins.len() as f64)?;
        out.counter(
            "littoral_log_pins_expired",
            "Pins that held too much of the log and have expired",
            stats.log_pins_expired,
        )?;
        if let Some(room) = &self.room {
            out.gauge("littoral_disk_free_bytes", "Free on the disk", room.free_bytes as f64)?;
            out.gauge("littoral_disk_size_bytes", "The whole disk", room.size_bytes as f64)?;
        }
        Ok(())
    }

    fn commits(&self, out: &mut Out<'_>) -> Result<(), Broken> {
        let done = &self.activity;
        let sources = [("local", done.local), ("remote", done.remote)];
        let by = |source: &str| vec![("source", source.to_owned())];
        out.counters(
            "littoral_committed_transactions",
            "Transactions committed, written here or come from elsewhere",
            sources.map(|(source, flow)| (by(source), flow.txns)),
        )?;
        out.counters(
            "littoral_committed_bytes",
            "Bytes of them",
            sources.map(|(source, flow)| (by(source), flow.bytes)),
        )?;
        out.counter(
            "littoral_duplicate_transactions",
            "Transactions that came and were here already",
            done.duplicates,
        )?;
        out.counter(
            "littoral_conflicts_arisen",
            "How often a document came to be in conflict",
            done.conflicts_arisen,
        )?;
        out.counter(
            "littoral_conflicts_ended",
            "How often one ceased to be",
            done.conflicts_ended,
        )?;
        out.counter(
            "littoral_log_appended_bytes",
            "Bytes appended to the log",
            done.log_appended_bytes,
        )?;
        out.counter("littoral_log_syncs", "Syncs of the log", self.stats.log_syncs)?;
        out.histogram("littoral_log_sync_duration_seconds", "Syncs of the log", &done.syncs)?;
        out.histogram(
            "littoral_commit_duration_seconds",
            "Commits, each of all that was queued",
            &done.commits,
        )?;
        out.gauge(
            "littoral_commit_queue_length",
            "Entries that wait to be committed",
            done.queued as f64,
        )?;
        let cache = &done.cache;
        out.counter("littoral_cache_hits", "Pages of the state found in memory", cache.hits)?;
        out.counter("littoral_cache_misses", "Pages read from the file", cache.misses)?;
        out.counter("littoral_cache_evictions", "Pages that made room", cache.evictions)?;
        out.gauge("littoral_cache_bytes", "Pages in memory", cache.bytes as f64)
    }

    fn links(&self, out: &mut Out<'_>) -> Result<(), Broken> {
        let mut states = STATES.map(|state| (state, 0_u32));
        for link in &self.links {
            let word = state(&link.state);
            states.iter_mut().filter(|(of, _)| *of == word).for_each(|(_, count)| *count += 1);
        }
        let states = states.map(|(of, count)| (vec![("state", of.to_owned())], f64::from(count)));
        out.gauges("littoral_links", "Links, by how they stand", states)?;
        let went = &self.traffic;
        let ways = |sent: u64, received: u64| {
            [("out", sent), ("in", received)]
                .map(|(way, count)| (vec![("direction", way.to_owned())], count))
        };
        out.counters(
            "littoral_sync_transactions",
            "Transactions sent to peers and received from them",
            ways(went.sent_txns, went.received_txns),
        )?;
        out.counters(
            "littoral_sync_transaction_bytes",
            "Bytes of them, before they are packed",
            ways(went.sent_txn_bytes, went.received_txn_bytes),
        )?;
        out.counters(
            "littoral_network_bytes",
            "UDP bytes of all links",
            ways(went.sent_bytes, went.received_bytes),
        )?;
        out.counter(
            "littoral_snapshot_documents",
            "Documents received in snapshots",
            went.snapshot_documents,
        )?;
        out.counter("littoral_snapshot_bytes", "Bytes of them", went.snapshot_bytes)?;
        out.counter("littoral_links_connected", "Links that came to be connected", went.connected)?;
        out.counter(
            "littoral_partitions",
            "Links that were connected and then lost without a goodbye",
            went.lost,
        )?;
        out.histogram(
            "littoral_sync_duration_seconds",
            "From when a link had something to do to when it was in sync",
            &went.syncs,
        )?;
        out.gauge(
            "littoral_link_held_bytes",
            "What all links hold of what is to be applied or sent",
            went.held_bytes as f64,
        )
    }

    fn peers(&self, out: &mut Out<'_>) -> Result<(), Broken> {
        let mut peers: BTreeMap<String, (bool, Option<f64>)> = BTreeMap::new();
        let mut parts = BTreeMap::new();
        let mut troubles = Vec::new();
        for link in self.links.iter().filter(|link| link.state != LinkState::Closed) {
            let (connected, rtt) = peers.entry(link.peer.to_string()).or_default();
            *connected |= link.state == LinkState::Connected;
            *rtt = [*rtt, link.rtt_ms].into_iter().flatten().reduce(f64::min);
            for (name, of) in &link.collections {
                let at = (link.peer.to_string(), name.clone());
                let (unacked, unapplied) = parts.entry(at.clone()).or_insert((0, 0));
                *unacked += of.progress.unacked_bytes;
                *unapplied += of.progress.unapplied_bytes;
                troubles.extend(of.trouble.map(|trouble| {
                    let mut labels = place(&at.0, &at.1);
                    labels.push(("kind", kind(trouble).to_owned()));
                    (labels, 1.0)
                }));
            }
        }
        // A peer that dialled and has gone has no link any more.
        for standing in &self.standings {
            peers.entry(standing.peer.to_string()).or_default();
        }
        let peer = |key: &String| vec![("peer", key.clone())];
        out.gauges(
            "littoral_peer_connected",
            "1 if a link with the peer is connected",
            peers.iter().map(|(key, (up, _))| (peer(key), f64::from(u8::from(*up)))),
        )?;
        out.gauges(
            "littoral_peer_round_trip_seconds",
            "A round trip to the peer",
            peers.iter().filter_map(|(key, (_, rtt))| Some((peer(key), (*rtt)? / 1000.0))),
        )?;
        out.gauges(
            "littoral_sync_unacked_bytes",
            "Bytes sent to the peer that it has yet to acknowledge",
            parts.iter().map(|((key, name), (bytes, _))| (place(key, name), *bytes as f64)),
        )?;
        out.gauges(
            "littoral_sync_unapplied_bytes",
            "Bytes received from the peer that are yet to be applied",
            parts.iter().map(|((key, name), (_, bytes))| (place(key, name), *bytes as f64)),
        )?;
        out.gauges("littoral_sync_trouble", "1 while something keeps it from going on", troubles)?;
        self.standings(out)
    }

    fn standings(&self, out: &mut Out<'_>) -> Result<(), Broken> {
        let each = |figure: fn(&Standing) -> f64| {
            let place = |of: &Standing| place(&of.peer.to_string(), &of.collection);
            self.standings.iter().map(move |of| (place(of), figure(of)))
        };
        out.gauges(
            "littoral_replication_lag_transactions",
            "Transactions that are applied here and not at the peer",
            each(|of| of.lag_txns as f64),
        )?;
        out.gauges(
            "littoral_replication_lag_seconds",
            "For how long the peer has always lacked something",
            each(|of| of.lag.as_secs_f64()),
        )?;
        out.gauges(
            "littoral_sync_stalled_seconds",
            "For how long nothing has moved on a link although there is something to do",
            each(|of| of.stalled.as_secs_f64()),
        )
    }

    fn strangers(&self, out: &mut Out<'_>) -> Result<(), Broken> {
        let kinds = self.kept_off.iter();
        out.counters(
            "littoral_kept_off",
            "How often somebody was kept off, by kind",
            kinds.map(|(kind, count)| (vec![("kind", (*kind).to_owned())], *count)),
        )?;
        out.counter("littoral_joined", "Nodes that joined with a ticket", self.joins.joined)?;
        let refused = self.joins.refused.iter();
        out.counters(
            "littoral_joins_refused",
            "Nodes that wanted to join and were refused",
            refused.map(|(why, count)| (vec![("reason", (*why).to_owned())], *count)),
        )
    }
}

type Labels = Vec<(&'static str, String)>;

fn place(peer: &str, collection: &str) -> Labels {
    vec![("peer", peer.to_owned()), ("collection", collection.to_owned())]
}

/// Where figures are written to.
struct Out<'a> {
    encoder: DescriptorEncoder<'a>,
    omitted: usize,
}

impl Out<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: f64) -> Result<(), Broken> {
        let gauge = MetricType::Gauge;
        ConstGauge::new(value).encode(self.encoder.encode_descriptor(name, help, None, gauge)?)
    }

    fn counter(&mut self, name: &str, help: &str, count: u64) -> Result<(), Broken> {
        let counter = MetricType::Counter;
        ConstCounter::new(count).encode(self.encoder.encode_descriptor(name, help, None, counter)?)
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels, f64)>,
    ) -> Result<(), Broken> {
        self.family(name, help, MetricType::Gauge, series, |value, into| {
            ConstGauge::new(value).encode(into)
        })
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels, u64)>,
    ) -> Result<(), Broken> {
        self.family(name, help, MetricType::Counter, series, |count, into| {
            ConstCounter::new(count).encode(into)
        })
    }

    fn family<T>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        series: impl IntoIterator<Item = (Labels, T)>,
        encode: impl Fn(T, MetricEncoder<'_>) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        let mut series = series.into_iter();
        let mut family = self.encoder.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in series.by_ref().take(MAX_METRIC_SERIES) {
            encode(value, family.encode_family(&labels)?)?;
        }
        self.omitted += series.count();
        Ok(())
    }

    fn histogram(&mut self, name: &str, help: &str, measured: &Measured) -> Result<(), Broken> {
        let seconds = |us: u64| us as f64 / 1e6;
        let buckets: Vec<(f64, u64)> = measured
            .buckets
            .iter()
            .map(|(end, count)| (end.map_or(f64::INFINITY, seconds), *count))
            .collect();
        let histogram = MetricType::Histogram;
        let mut into = self.encoder.encode_descriptor(name, help, None, histogram)?;
        let sum = seconds(measured.sum_us);
        into.encode_histogram::<NoLabelSet>(sum, measured.count(), &buckets, None)
    }
}

const STATES: [&str; 6] = ["connecting", "connected", "waiting", "refused", "standby", "paused"];

/// How a link stands, in one of the words of `STATES`; a closed one is not counted.
fn state(state: &LinkState) -> &'static str {
    match state {
        LinkState::Connecting => "connecting",
        LinkState::Connected => "connected",
        LinkState::Waiting => "waiting",
        LinkState::Refused(_) => "refused",
        LinkState::Standby => "standby",
        LinkState::Paused => "paused",
        _ => "closed",
    }
}

fn kind(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Diverged => "diverged",
        Trouble::Halted(Offence::Invalid) => "invalid",
        Trouble::Halted(Offence::Forked) => "forked",
        Trouble::Halted(Offence::TooNew) => "too_new",
        Trouble::Halted(Offence::Forbidden) => "forbidden",
        Trouble::Halted(Offence::TooMuch) => "too_much",
        Trouble::Behind => "behind",
        Trouble::PeerBehind => "peer_behind",
        Trouble::Stuck => "stuck",
        _ => "other",
    }
}
