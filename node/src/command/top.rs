//! `top`: what a node does, live in the terminal: links, lag, throughput, conflicts, disk.
//!
//! On a terminal it is drawn anew each moment on a screen of its own, until Ctrl-C. Elsewhere it
//! looks twice, a moment apart, and prints that once.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

use console::Term;
use littoral::{Error, ErrorKind, Result};
use serde_json::json;

use super::Context;
use super::standing::Names;
use crate::cli::TopArgs;
use crate::output::{bytes, cut, number, plain, short, table, write_failed};
use crate::shape::{LinkShape, Running, Status};
use crate::signals::Signals;
use crate::target::{Target, Wanted};

/// How often names are asked for.
const NAMES_EVERY: Duration = Duration::from_secs(10);
/// A screen of its own without a cursor, and back to the one before.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// `littoral top`
pub(super) fn top(context: &Context, args: &TopArgs) -> Result<()> {
    let target = context.target(Wanted::Existing)?;
    let mut view = View::new(&*target)?;
    let every = Duration::from_secs_f64(args.every.0);
    let signals = Signals::catch(false)?;
    if context.output.json || !stdout().is_terminal() {
        signals.wait_for_ring(0, every)?;
        view.look(&*target)?;
        return match context.output.json {
            true => context.output.json(&view.shape()),
            false => context.output.line(plain(&view.lines().join("\n"))),
        };
    }
    let _screen = Screen::enter()?;
    loop {
        draw(&view, every)?;
        if signals.wait_for_ring(0, every).is_err() {
            return Ok(());
        }
        // A node that is down may come back.
        view.trouble = view.look(&*target).err().map(|err| err.message().to_owned());
    }
}

/// The screen of its own, for as long as this lives.
struct Screen;

impl Screen {
    fn enter() -> Result<Screen> {
        write(ENTER)?;
        Ok(Screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // If the terminal has gone, there is nothing to put right.
        let _ = write(LEAVE);
    }
}

fn write(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|err| write_failed(&err))
}

fn draw(view: &View, every: Duration) -> Result<()> {
    let (rows, columns) = Term::stdout().size();
    let mut lines = view.lines();
    lines.insert(0, format!("littoral top, every {} s; Ctrl-C ends it", every.as_secs_f64()));
    lines.truncate(usize::from(rows).saturating_sub(1));
    let lines: Vec<String> =
        lines.iter().map(|line| cut(&plain(line), usize::from(columns)) + "\x1b[K\r\n").collect();
    // From the upper left corner, and what is left below goes.
    write(&format!("\x1b[H{}\x1b[J", lines.concat()))
}

/// What was seen last, and how fast it went.
struct View {
    status: Status,
    seen: Instant,
    names: Names,
    named: Instant,
    rates: Rates,
    trouble: Option<String>,
}

/// How much of what a second brought.
#[derive(Debug, Default, PartialEq)]
struct Rates {
    transactions: f64,
    received: f64,
    sent: f64,
    /// Transactions by collection.
    collections: BTreeMap<String, f64>,
}

impl View {
    fn new(target: &dyn Target) -> Result<View> {
        let status = running(target.status()?)?;
        let now = Instant::now();
        let (names, rates) = (Names::of(target)?, Rates::default());
        Ok(View { status, seen: now, names, named: now, rates, trouble: None })
    }

    /// Looks again.
    fn look(&mut self, target: &dyn Target) -> Result<()> {
        let status = running(target.status()?)?;
        let now = Instant::now();
        self.rates = Rates::between(&self.status, &status, now - self.seen);
        (self.status, self.seen) = (status, now);
        if now - self.named > NAMES_EVERY {
            (self.names, self.named) = (Names::of(target)?, now);
        }
        Ok(())
    }

    fn name<'a>(&'a self, key: &'a str) -> &'a str {
        self.names.name(key)
    }

    fn running(&self) -> &Running {
        self.status.running.as_ref().expect("a node runs: it was asked for")
    }

    fn lines(&self) -> Vec<String> {
        let parts = [self.about(), self.links(), self.collections()];
        let mut lines: Vec<String> = parts.join("\n\n").lines().map(str::to_owned).collect();
        lines.extend(self.trouble.iter().map(|why| format!("no answer: {why}")));
        lines
    }

    fn about(&self) -> String {
        let (status, running, rates) = (&self.status, self.running(), &self.rates);
        let up = indicatif::HumanDuration(Duration::from_secs(running.uptime_s));
        let conflicts = status.collections.iter().map(|one| one.conflicts).sum();
        let state = match (&status.failure, running.offline) {
            (Some(failure), _) => format!("refuses writes: {failure}"),
            (None, true) => "offline: all links are cut for now".to_owned(),
            (None, false) => format!("runs for {up}"),
        };
        let rows = [
            ["node".to_owned(), format!("{} ({})", self.name(&status.node), short(&status.node))],
            ["state".to_owned(), state],
            [
                "each s".to_owned(),
                format!(
                    "{:.1} transactions applied, {} received, {} sent",
                    rates.transactions,
                    bytes(rates.received as u64),
                    bytes(rates.sent as u64)
                ),
            ],
            ["conflicts".to_owned(), format!("in {} documents", number(conflicts))],
            [
                "disk".to_owned(),
                format!(
                    "state {}, log {} of {}",
                    bytes(status.state_bytes),
                    bytes(status.log_bytes),
                    bytes(status.log_budget_bytes)
                ),
            ],
        ];
        table(&rows.map(|row| row.to_vec()))
    }

    fn links(&self) -> String {
        let running = self.running();
        let mut peers: BTreeMap<&str, Option<&LinkShape>> =
            running.standings.iter().map(|one| (one.peer.as_str(), None)).collect();
        for link in &running.links {
            let kept = peers.entry(&link.peer).or_default();
            if kept.is_none_or(|kept| kept.state != "connected") {
                *kept = Some(link);
            }
        }
        if peers.is_empty() {
            return "no links".to_owned();
        }
        let head = ["peer", "state", "behind", "for", "round trip", "received", "sent"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for (peer, link) in peers {
            let of = || running.standings.iter().filter(|one| one.peer == peer);
            let lag: u64 = of().map(|one| one.lag_transactions).sum();
            let since = of().filter(|one| one.lag_transactions > 0).map(|one| one.lag_s);
            let since = since.fold(0.0, f64::max);
            let dash = || "-".to_owned();
            rows.push(vec![
                self.name(peer).to_owned(),
                link.map_or("away", |link| &link.state).to_owned(),
                number(lag),
                if lag == 0 { dash() } else { format!("{since:.0} s") },
                link.and_then(|link| link.rtt_ms).map_or_else(dash, |ms| format!("{ms:.1} ms")),
                link.map_or_else(dash, |link| bytes(link.received_bytes)),
                link.map_or_else(dash, |link| bytes(link.sent_bytes)),
            ]);
        }
        table(&rows)
    }

    fn collections(&self) -> String {
        let head = ["collection", "documents", "conflicts", "transactions", "each s", "log"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for one in &self.status.collections {
            let rate = self.rates.collections.get(&one.name).copied().unwrap_or_default();
            rows.push(vec![
                one.name.clone(),
                number(one.documents),
                number(one.conflicts),
                number(one.transactions),
                format!("{rate:.1}"),
                bytes(one.log_bytes),
            ]);
        }
        if rows.len() == 1 { "no documents yet".to_owned() } else { table(&rows) }
    }

    /// For programs: the status, and the rates.
    fn shape(&self) -> serde_json::Value {
        let Rates { transactions, received, sent, collections } = &self.rates;
        json!({
            "status": self.status,
            "per_second": {
                "transactions": transactions,
                "received_bytes": received,
                "sent_bytes": sent,
                "collections": collections,
            },
        })
    }
}

impl Rates {
    fn between(before: &Status, after: &Status, time: Duration) -> Rates {
        let seconds = time.as_secs_f64().max(0.001);
        let rate = |then: u64, now: u64| now.saturating_sub(then) as f64 / seconds;
        let then = |name: &str| before.collections.iter().find(|one| one.name == name);
        let collections: BTreeMap<String, f64> = after
            .collections
            .iter()
            .map(|one| {
                let then = then(&one.name).map_or(0, |then| then.transactions);
                (one.name.clone(), rate(then, one.transactions))
            })
            .collect();
        let moved = |count: fn(&LinkShape) -> u64| {
            let of = |status: &Status, link: &LinkShape| {
                let links = status.running.iter().flat_map(|running| &running.links);
                let same = |one: &&LinkShape| one.peer == link.peer && one.address == link.address;
                links.filter(same).map(count).max().unwrap_or(0)
            };
            let links = after.running.iter().flat_map(|running| &running.links);
            links.map(|link| rate(of(before, link), count(link))).sum()
        };
        Rates {
            transactions: collections.values().sum(),
            received: moved(|link| link.received_bytes),
            sent: moved(|link| link.sent_bytes),
            collections,
        }
    }
}

fn running(status: Status) -> Result<Status> {
    match status.running {
        Some(_) => Ok(status),
        None => Err(Error::new(
            ErrorKind::NotFound,
            "no node runs on this store: `littoral run` starts one; `littoral status` shows the store",
        )),
    }
}
