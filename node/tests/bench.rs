//! `bench` ends well and says all that it should; how fast anything was is not looked at.

mod common;

use std::collections::BTreeSet;

use common::Sandbox;

#[test]
fn bench_tells_every_work_with_what_it_means() {
    let here = Sandbox::new();
    let told = here.json(&["bench", "--docs", "50"]);
    assert_eq!(told["docs"], 50);
    let rows = told["rows"].as_array().unwrap();
    let works: BTreeSet<&str> = rows.iter().map(|row| row["work"].as_str().unwrap()).collect();
    assert_eq!(works, ["D1", "W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8"].into());
    for row in rows {
        assert!(row["littoral"].as_f64().unwrap() > 0.0, "{row}");
        assert!(!row["meaning"].as_str().unwrap().is_empty(), "{row}");
        assert_eq!(row["redb"].is_null(), row["ratio"].is_null(), "{row}");
    }
    let left = std::fs::read_dir(here.dir.path()).unwrap();
    let left = left.filter(|entry| {
        entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("littoral-bench")
    });
    assert_eq!(left.count(), 0, "it removes what it made");
}

#[test]
fn bench_measures_what_is_asked_for() {
    let here = Sandbox::new();
    let text = here.ok(&["bench", "--docs", "20", "--work", "W3,D1"]);
    assert!(text.contains("W3  get a random note") && text.contains("D1  disk, with the log"));
    assert!(!text.contains("W1  load"));
    assert!(here.fails(5, &["bench", "--work", "W99"]).contains("there are W1, W2"));
}
