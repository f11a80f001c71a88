//! `littoral`: a store's command line, and the node that serves it over QUIC and HTTP.
//!
//! [`cli`] says what can be typed, [`command`] does it over a [`target`], which is a store on
//! this disk or a node elsewhere. [`node`] is a running node, [`http`] its service, [`demo`]
//! three of them in one process, [`bench`](mod@bench) how fast all of it is here. Architecture invariant:
//! nothing here decides what a write does or what is sent to a peer; that is the core's.
#![forbid(unsafe_code)]

mod bench;
mod cli;
mod command;
mod config;
mod conflict_log;
mod demo;
mod disk;
mod events;
mod feed;
mod here;
mod http;
mod invites;
mod kinds;
mod links;
mod members;
mod node;
mod node_file;
mod ops;
mod output;
mod passphrase;
mod service;
mod shape;
mod signals;
mod tape;
mod target;
mod tokens;
mod trace;
mod transfer;
mod watch;

use std::process::ExitCode;

use clap::Parser;
use littoral::Error;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use cli::Cli;
use trace::Traces;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let traces = trace::wanted(&cli).map(|to| Traces::start(&to));
    log(traces.as_ref());
    let json = cli.json;
    let done = command::run(cli);
    drop(traces);
    match done {
        Ok(code) => ExitCode::from(code),
        Err(err) => {
            report(&err, json);
            ExitCode::from(kinds::exit_code(err.kind()))
        }
    }
}

/// What the layers below have to say goes to standard error; `LITTORAL_LOG` says how much, and
/// `LITTORAL_LOG_FORMAT=json` as what. Spans go to who takes traces, and to nobody else.
fn log(traces: Option<&Traces>) {
    let filter =
        EnvFilter::try_from_env("LITTORAL_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    let filter = filter.add_directive(trace::NOT_LOGGED.parse().expect("a directive"));
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let log = match std::env::var("LITTORAL_LOG_FORMAT").as_deref() {
        Ok("json") => log.json().flatten_event(true).with_filter(filter).boxed(),
        _ => log.with_filter(filter).boxed(),
    };
    tracing_subscriber::registry().with(log).with(traces.map(Traces::layer)).init();
}

fn report(err: &Error, json: bool) {
    if json {
        let (code, message) = (kinds::code(err.kind()).to_owned(), err.message().to_owned());
        let failure =
            shape::Failure { error: shape::ErrorShape { code, message, request_id: None } };
        eprintln!("{}", serde_json::to_string(&failure).expect("a shape is JSON"));
    } else {
        eprintln!("littoral: {}", output::plain(err.message()));
    }
}
