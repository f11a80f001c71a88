//! The fuzz targets of `fuzz/`, over their corpus and over mutations of it: the same on every run.
//!
//! `LITTORAL_FUZZ=20` tries twenty times as many mutations. A failure prints the input in
//! hexadecimal and writes it to a file: it belongs into the corpus, under a name that says what
//! it found, together with what mends it. `LITTORAL_UPDATE=1` writes the seeds anew.

#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

mod common;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use common::Rng;
use data_encoding::HEXLOWER;

fn corpus(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

/// The inputs of a target, in the order of their names.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = corpus(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|_| panic!("no {}", folder.display()));
    let mut inputs: Vec<(String, Vec<u8>)> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

/// Runs one target over its corpus and over mutations of it.
fn run(name: &str) {
    let (_, target, mutations) = fuzz::TARGETS.into_iter().find(|target| target.0 == name).unwrap();
    let factor = std::env::var("LITTORAL_FUZZ").ok().and_then(|n| n.parse::<usize>().ok());
    let inputs = inputs(name);
    assert!(!inputs.is_empty(), "{name} has no corpus");
    let try_one = |what: &str, input: &[u8]| {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
            let file = std::env::temp_dir().join(format!("littoral-fuzz-{name}"));
            let kept =
                fs::write(&file, input).map_or(String::new(), |()| file.display().to_string());
            eprintln!(
                "{name}: {what} failed; {kept}\n{}",
                HEXLOWER.encode(&input[..input.len().min(2000)])
            );
            std::panic::resume_unwind(panic);
        }
    };
    for (at, (file, input)) in inputs.iter().enumerate() {
        try_one(file, input);
        let mut rng = Rng::new(at as u64);
        for round in 0..mutations * factor.unwrap_or(1) {
            let mutated = mutate(&mut rng, input, &inputs);
            try_one(&format!("mutation {round} of {file}"), &mutated);
        }
    }
}

/// A few changes to an input: what flips, goes, comes, or is from elsewhere.
fn mutate(rng: &mut Rng, input: &[u8], all: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..1 + rng.below(4) {
        let at = rng.below(out.len() + 1);
        let len = 1 + rng.below(8);
        let end = (at + len).min(out.len());
        match rng.below(8) {
            0 if at < out.len() => out[at] ^= 1 << rng.below(8),
            1 if at < out.len() => out[at] = *rng.pick(&[0, 1, 2, 0x0f, 0x7f, 0x80, 0xfe, 0xff]),
            2 => drop(out.drain(at..end)),
            3 => drop(out.splice(at..at, std::iter::repeat_n(rng.next() as u8, len))),
            4 => {
                let again = out[at..end].to_vec();
                out.splice(at..at, again);
            }
            5 => {
                let other = &rng.pick(all).1;
                let from = rng.below(other.len() + 1);
                let part = &other[from..(from + 4 * len).min(other.len())];
                out.splice(at..end, part.iter().copied());
            }
            6 => out.truncate(at),
            _ if at < out.len() => out[at] = out[at].wrapping_add(*rng.pick(&[1, 255, 16])),
            _ => {}
        }
    }
    out
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        /// Each target is run, and its corpus is there.
        #[test]
        fn all_targets_are_run() {
            let run = [$(stringify!($name)),*];
            assert_eq!(run.to_vec(), fuzz::TARGETS.map(|target| target.0).to_vec());
            let mut total = 0;
            for name in run {
                let bin = corpus(name).join(format!("../../fuzz_targets/{name}.rs"));
                assert!(bin.exists(), "no {}", bin.display());
                total += inputs(name).iter().map(|(_, input)| input.len()).sum::<usize>();
            }
            assert!(total < 1 << 20, "the corpus has {total} bytes; keep it small");
        }
    };
}

targets! {
    transaction message session head document join log recover apply row value json msgpack text
    version state statement ticket carried
}

/// The seeds are what today's code writes: who changes a format writes them anew.
#[test]
fn seeds_are_up_to_date() {
    let update = std::env::var_os("LITTORAL_UPDATE").is_some();
    for (target, seeds) in fuzz::seeds::all() {
        let folder = corpus(target);
        if update {
            fs::create_dir_all(&folder).unwrap();
        }
        for (n, seed) in seeds.into_iter().enumerate() {
            let file = folder.join(format!("seed-{n:02}"));
            if update {
                fs::write(&file, &seed).unwrap();
            }
            let there = fs::read(&file).unwrap_or_default();
            let remedy = "LITTORAL_UPDATE=1 cargo test -p littoral --test fuzz_corpus seeds";
            assert!(there == seed, "{} is not what is written today: {remedy}", file.display());
        }
    }
}
