//! Real stores beside the executable model of the algebra, `tests/model.py`: random schedules are
//! run by stores, written down, replayed by the model, and both must show the same.

mod common;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use common::{NOTES, Replica, Rng, each_seed, stream};
use littoral::id::Dot;
use littoral::{Field, Transaction, Value};
use serde_json::{Value as Json, json};

/// One schedule as the stores ran it, and what each showed at its end.
struct Run {
    schedule: Json,
    shown: Json,
}

fn run(seed: u64) -> Run {
    let mut rng = Rng::new(seed);
    let replicas: Vec<Replica> = (0..2 + rng.below(4) as u8).map(Replica::new).collect();
    let mut steps: Vec<Json> = Vec::new();
    let mut numbers: BTreeMap<Dot, usize> = BTreeMap::new();
    for step in 0..10 + rng.below(70) {
        let at = rng.below(replicas.len());
        let replica = &replicas[at];
        if rng.chance(55) {
            let before = common::vector(&replica.store, NOTES);
            let mut ops = Vec::new();
            replica.store.write(|txn| write(&mut rng, txn, step, &mut ops)).unwrap();
            // What changes nothing writes nothing.
            for (dot, _) in stream(&replica.store, NOTES, &before) {
                numbers.insert(dot, steps.len());
                steps.push(json!({ "at": at, "ops": ops }));
            }
        } else {
            let source = &replicas[rng.below(replicas.len())];
            let mut txns = stream(&source.store, NOTES, &common::vector(&replica.store, NOTES));
            txns.truncate(rng.below(txns.len() + 1));
            let given: Vec<usize> = txns.iter().map(|(dot, _)| numbers[dot]).collect();
            steps.push(json!({ "to": at, "steps": given }));
            let txns = txns.into_iter().map(|(_, bytes)| bytes).collect();
            replica.store.apply_remote(NOTES, txns).unwrap();
        }
    }
    let schedule = json!({ "replicas": replicas.len(), "steps": steps });
    Run { schedule, shown: replicas.iter().map(shown).collect() }
}

/// One write, or two to different documents, as the model writes them.
fn write(
    rng: &mut Rng,
    txn: &mut Transaction,
    step: usize,
    ops: &mut Vec<Json>,
) -> littoral::Result<()> {
    for id in &["d0", "d1", "d2"][rng.below(2)..][..1 + rng.below(2)] {
        let (field, tag) = (format!("f{}", rng.below(3)), format!("t{}", rng.below(3)));
        let value = format!("v{step}");
        match rng.below(8) {
            0 | 1 => {
                ops.push(json!(["put", [id, field], value]));
                txn.set(NOTES, id, field, value)?;
            }
            2 => {
                ops.push(json!(["put", [id, "tags", tag], true]));
                txn.add(NOTES, id, "tags", tag)?;
            }
            3 => {
                ops.push(json!(["remove", [id, "tags", tag], null]));
                txn.remove(NOTES, id, "tags", tag)?;
            }
            4 => {
                let field = if rng.chance(50) { field } else { "tags".to_owned() };
                ops.push(json!(["remove", [id, field], null]));
                txn.unset(NOTES, id, field)?;
            }
            5 if rng.chance(40) => {
                ops.push(json!(["remove", [id], null]));
                txn.delete(NOTES, id)?;
            }
            5 => {
                ops.push(json!(["remove", [id, "hits"], null]));
                txn.unset(NOTES, id, "hits")?;
            }
            _ => {
                let by = [-2, 1, 5][rng.below(3)];
                ops.push(json!(["add", [id, "hits"], by]));
                txn.increment(NOTES, id, "hits", by)?;
            }
        }
    }
    Ok(())
}

/// What a replica shows, in the model's words: siblings, elements that are there, sums.
fn shown(replica: &Replica) -> Json {
    let mut view: BTreeMap<Vec<String>, Json> = BTreeMap::new();
    for (id, fields) in common::snapshot(&replica.notes()) {
        for (name, field) in fields {
            let key = vec![id.clone(), name.into_string()];
            let child = |name: &str| [key.clone(), vec![name.to_owned()]].concat();
            match &field {
                Field::Value(value) => drop(view.insert(key, json!([text(value)]))),
                Field::Counter(sum) => drop(view.insert(child("+"), json!(sum))),
                Field::Set(elements) => {
                    for element in elements {
                        view.insert(child(&text(element)), json!([true]));
                    }
                }
                Field::Map(_) => panic!("no schedule writes maps"),
            }
        }
    }
    for conflict in replica.notes().conflicts().unwrap() {
        let key = [vec![conflict.id], conflict.path.names().to_vec()].concat();
        let sides = conflict.candidates.iter().map(|side| text(side.field.as_value().unwrap()));
        let mut sides: Vec<String> = sides.collect();
        sides.sort();
        view.insert(key, json!(sides));
    }
    view.into_iter().map(|(key, values)| json!([key, values])).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("only text is written").to_owned()
}

/// The model's answers; `None` without Python.
fn model(schedules: &[Json]) -> Option<Vec<Json>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/model.py");
    let (input, output) = (Stdio::piped(), Stdio::piped());
    let spawned = Command::new("python3").args([path, "-"]).stdin(input).stdout(output).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return None,
        Err(err) => panic!("python3 does not start: {err}"),
    };
    let mut input = child.stdin.take().expect("it was asked for");
    let lines: String = schedules.iter().map(|schedule| format!("{schedule}\n")).collect();
    let feeding = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap().unwrap();
    assert!(output.status.success(), "tests/model.py failed");
    let lines = String::from_utf8(output.stdout).unwrap();
    Some(lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The model keeps equal elements that were added apart side by side; readers see one.
fn without_repeats(view: &Json) -> Json {
    let one = |entry: &Json| match &entry[1] {
        Json::Array(values) if values.iter().all(|value| *value == json!(true)) => {
            json!([entry[0], [true]])
        }
        _ => entry.clone(),
    };
    view.as_array().unwrap().iter().map(one).collect()
}

#[test]
fn stores_show_what_the_executable_model_shows() {
    let runs = std::cell::RefCell::new(Vec::new());
    each_seed("model", 30, |seed| runs.borrow_mut().push((seed, run(seed))));
    let runs = runs.into_inner();
    let schedules: Vec<Json> = runs.iter().map(|(_, run)| run.schedule.clone()).collect();
    let Some(answers) = model(&schedules) else {
        eprintln!("skipped: python3 is not here, and the model is written in it");
        return;
    };
    assert_eq!(answers.len(), runs.len());
    for ((seed, run), answer) in runs.iter().zip(answers) {
        let expected: Json = answer.as_array().unwrap().iter().map(without_repeats).collect();
        assert_eq!(run.shown, expected, "LITTORAL_SEED={seed}: {}", run.schedule);
    }
}
