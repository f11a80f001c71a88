//! What `GET /metrics` tells, and whether the alerts and the dashboard ask for nothing else.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Running, Sandbox, agent, ask, until};

/// What the metrics of a node are, by name: their kind, and the labels of their series.
#[derive(Debug, Default)]
struct Metrics {
    kinds: BTreeMap<String, String>,
    helped: BTreeSet<String>,
    series: BTreeMap<String, f64>,
}

impl Metrics {
    fn of(node: &Running) -> Metrics {
        let answer = agent().get(format!("{}/metrics", node.url)).call().unwrap();
        assert_eq!(answer.status(), 200);
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
        Metrics::read(&answer.into_body().read_to_string().unwrap())
    }

    fn read(text: &str) -> Metrics {
        let mut metrics = Metrics::default();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("every metric has a help");
                assert!(help.len() > 3 && metrics.helped.insert(name.to_owned()), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                let twice = metrics.kinds.insert(name.to_owned(), kind.to_owned());
                assert_eq!(twice, None, "{line}");
            } else {
                let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
                let twice = metrics.series.insert(series.to_owned(), value.parse().unwrap());
                assert_eq!(twice, None, "{line}");
            }
        }
        metrics
    }

    fn value(&self, series: &str) -> f64 {
        *self.series.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.series))
    }

    /// The names that series can have, with the labels that are seen on them.
    fn names(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, kind) in &self.kinds {
            let parts: &[&str] = match kind.as_str() {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            for part in parts {
                names.insert(format!("{name}{part}"), BTreeSet::new());
            }
        }
        for series in self.series.keys() {
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let known = names.get_mut(name).unwrap_or_else(|| panic!("{series} has no type"));
            for label in labels.split("\",").filter_map(|label| label.split_once('=')) {
                known.insert(label.0.trim_start_matches(',').to_owned());
            }
        }
        names
    }
}

/// Two nodes that are linked, with something of everything that is cheap to have.
fn linked(here: &Sandbox) -> (Running, Running) {
    here.ok(&["--data", "a", "put", "notes", "n", "{}"]);
    let key = here.json(&["--data", "a", "id"])["key"].as_str().unwrap().to_owned();
    let b = here.run("b", &["--peer", &key]);
    let a = here.run("a", &["--peer", &b.address()]);
    ask("PUT", &format!("{}/collections/notes/docs/n", a.url), &[], Some("{\"a\": 1}"));
    (a, b)
}

#[test]
fn a_peer_that_is_cut_off_is_seen_to_be_behind() {
    let here = Sandbox::new();
    let (a, b) = linked(&here);
    let (peer, key) = (format!("peer=\"{}\"", b.key), b.key.clone());
    let of = |name: &str| format!("littoral_{name}{{{peer},collection=\"notes\"}}");
    until("in sync", || {
        let now = Metrics::of(&a);
        now.series.get(&of("replication_lag_transactions")) == Some(&0.0)
            && now.value("littoral_sync_transactions_total{direction=\"out\"}") >= 1.0
    });
    let now = Metrics::of(&a);
    assert_eq!(now.value(&format!("littoral_peer_connected{{{peer}}}")), 1.0);
    assert_eq!(now.value("littoral_links{state=\"connected\"}"), 1.0);
    assert_eq!(now.value("littoral_documents{collection=\"notes\"}"), 1.0);
    assert_eq!(now.value("littoral_committed_transactions_total{source=\"local\"}"), 1.0);
    assert!(now.value("littoral_sync_duration_seconds_count") >= 1.0);
    assert!(now.value("littoral_commit_duration_seconds_bucket{le=\"+Inf\"}") >= 1.0);
    until("b has it", || {
        let there = Metrics::of(&b);
        there.series.get("littoral_committed_transactions_total{source=\"remote\"}") == Some(&2.0)
    });
    b.stop();
    for n in 0..3 {
        let url = format!("{}/collections/notes/docs/more{n}", a.url);
        assert_eq!(ask("PUT", &url, &[], Some("{}")).status, 200);
    }
    until("a knows that the link is down", || {
        Metrics::of(&a).value(&format!("littoral_peer_connected{{{peer}}}")) == 0.0
    });
    let now = Metrics::of(&a);
    assert_eq!(now.value(&of("replication_lag_transactions")), 3.0, "{key}");
    until("the lag grows", || Metrics::of(&a).value(&of("replication_lag_seconds")) > 0.0);
    assert_eq!(now.value(&of("sync_stalled_seconds")), 0.0, "there is no link to be stalled");
}

#[test]
fn names_keep_to_the_conventions() {
    let here = Sandbox::new();
    let (a, _b) = linked(&here);
    let metrics = Metrics::of(&a);
    assert!(metrics.kinds.len() > 50, "{}", metrics.kinds.len());
    for (name, kind) in &metrics.kinds {
        assert!(name.starts_with("littoral_"), "{name}");
        assert!(metrics.helped.contains(name), "{name} has no help");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        assert!(kind != "histogram" || name.ends_with("_seconds"), "{name} has no unit");
        for unit in ["_ms", "_kb", "_mib", "_millis", "_percent"] {
            assert!(!name.contains(unit), "{name}: base units only");
        }
    }
}

#[test]
fn a_reader_may_scrape_and_a_stranger_may_not() {
    let here = Sandbox::new();
    let node = here.run("a", &["--http", "0.0.0.0:0"]);
    let url = format!("{}/metrics", node.url.replace("0.0.0.0", "127.0.0.1"));
    assert_eq!(ask("GET", &url, &[], None).status, 401);
    let made = here.json(&["--data", "a", "token", "create", "--name", "prometheus"]);
    let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
    let answer = agent().get(&url).header("authorization", &bearer).call().unwrap();
    assert_eq!(answer.status(), 200);
}

#[test]
fn alerts_and_dashboard_ask_for_what_is_there() {
    let here = Sandbox::new();
    let (a, _b) = linked(&here);
    until("a standing", || {
        Metrics::of(&a).series.keys().any(|name| name.contains("lag_transactions{"))
            && Metrics::of(&a).series.keys().any(|name| name.contains("round_trip"))
    });
    let names = Metrics::of(&a).names();
    let ops = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("ops");
    let alerts = std::fs::read_to_string(ops.join("alerts.yml")).unwrap();
    let exprs: Vec<&str> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert_eq!(exprs.len(), alerts.matches("- alert:").count());
    let dashboard = std::fs::read_to_string(ops.join("dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let mut targets = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let of = panel["targets"].as_array();
        targets.extend(of.into_iter().flatten().map(|t| t["expr"].as_str().unwrap()));
    }
    assert!(targets.len() > 40);
    let mut asked = BTreeSet::new();
    for expr in exprs.into_iter().chain(targets) {
        let used = used(expr);
        assert!(!used.is_empty(), "{expr} asks for nothing");
        for (name, labels) in used {
            let known = names.get(&name).unwrap_or_else(|| panic!("{name} is not there: {expr}"));
            for label in labels {
                let ours = known.contains(&label);
                // Series that are there only in trouble can't be seen here.
                let of_trouble = name == "littoral_sync_trouble"
                    && ["kind", "peer", "collection"].contains(&label.as_str());
                assert!(ours || of_trouble || label == "instance", "{label} of {name}: {expr}");
            }
            asked.insert(name);
        }
    }
    // What nobody looks at need not be told.
    let unasked: Vec<_> = names
        .keys()
        .filter(|name| !name.ends_with("_sum") && !name.ends_with("_count"))
        .filter(|name| !asked.contains(*name))
        .collect();
    println!("not on the dashboard: {unasked:?}");
}

/// The metrics that an expression asks for, each with the labels that it selects them by.
fn used(expr: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut rest = expr;
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '"') {
        rest = &rest[at..];
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = &quoted[quoted.find('"').expect("a quote ends") + 1..];
            continue;
        }
        let word = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, after) = rest.split_at(word.unwrap_or(rest.len()));
        rest = after;
        if !name.starts_with("littoral_") {
            continue;
        }
        let mut labels = Vec::new();
        if let Some(inside) = rest.strip_prefix('{') {
            let (matchers, after) = inside.split_once('}').expect("matchers end");
            for matcher in matchers.split(',') {
                let end = matcher.find(['=', '!']).expect("a matcher compares");
                labels.push(matcher[..end].trim().to_owned());
            }
            rest = after;
        }
        found.push((name.to_owned(), labels));
    }
    found
}

#[test]
fn expressions_are_taken_apart() {
    let expr =
        "sum by (le) (rate(littoral_a_bucket{x=~\"littoral_no\",y!=\"z\"}[5m])) / littoral_b";
    let labels = vec!["x".to_owned(), "y".to_owned()];
    let wanted = vec![("littoral_a_bucket".to_owned(), labels), ("littoral_b".to_owned(), vec![])];
    assert_eq!(used(expr), wanted);
}
