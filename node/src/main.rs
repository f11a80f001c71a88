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
mod transfer;
mod watch;

use std::process::ExitCode;

use clap::Parser;
use littoral::Error;
use tracing_subscriber::EnvFilter;

use cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log();
    let json = cli.json;
    match command::run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(err) => {
            report(&err, json);
            ExitCode::from(kinds::exit_code(err.kind()))
        }
    }
}

/// What the layers below have to say goes to standard error; `LITTORAL_LOG` says how much, and
/// `LITTORAL_LOG_FORMAT=json` as what.
fn log() {
    let filter =
        EnvFilter::try_from_env("LITTORAL_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match std::env::var("LITTORAL_LOG_FORMAT").as_deref() {
        Ok("json") => log.json().flatten_event(true).init(),
        _ => log.init(),
    }
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
