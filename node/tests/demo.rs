//! The demo ends well, also on stores that it has been run on before.

mod common;

use common::Sandbox;

#[test]
fn the_demo_converges_and_can_be_repeated() {
    let here = Sandbox::new();
    let shown = here.ok(&["demo", "--once"]);
    for promised in ["3,161", "conflict", "phone", "laptop", "hub", "17"] {
        assert!(shown.contains(promised), "{promised}: {shown}");
    }
    assert_eq!(std::fs::read_dir(here.dir.path()).unwrap().count(), 0, "it leaves nothing behind");
    let first = here.json(&["demo", "--once", "--dir", "kept"]);
    let second = here.json(&["demo", "--once", "--dir", "kept"]);
    assert_eq!(first["digest"], second["digest"]);
    let key = |told: &serde_json::Value, at: usize| told["nodes"][at]["key"].clone();
    assert!((0..3).all(|at| key(&first, at) == key(&second, at)));
    for name in ["phone", "laptop", "hub"] {
        let data = format!("kept/{name}");
        assert_eq!(here.ok(&["--data", &data, "get", "stations", "honolulu-hi", "/views"]), "17\n");
    }
}
