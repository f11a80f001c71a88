//! `config`: a file that says how a node runs.

use littoral::Result;
use littoral::store::Collections;
use serde_json::json;

use super::Context;
use crate::cli::{ConfigArgs, ConfigCommand, DATA, Peer};
use crate::config::{EXAMPLE, Settings};
use crate::output::table;

/// `littoral config`
pub(super) fn config(context: &Context, args: &ConfigArgs) -> Result<()> {
    match &args.command {
        ConfigCommand::Example => context.output.line(EXAMPLE.trim_end()),
        ConfigCommand::Check { file } => check(context, &Settings::of_file(file)?),
    }
}

fn check(context: &Context, settings: &Settings) -> Result<()> {
    let data = settings.data.clone().unwrap_or_else(|| DATA.into());
    let peers: Vec<String> = settings.peers.iter().map(of_peer).collect();
    let collections = match &settings.collections {
        None => None,
        Some(Collections::Only(names)) => Some(names.iter().cloned().collect::<Vec<_>>()),
        Some(_) => Some(vec!["*".to_owned()]),
    };
    if context.output.json {
        return context.output.json(&json!({
            "data": data,
            "listen": settings.listen,
            "http": settings.http,
            "peers": peers,
            "discover": settings.discover,
            "collections": collections,
            "cache_mib": settings.cache,
            "log": {
                "budget_mib": settings.log_budget,
                "days": settings.log_days,
                "change_values_mib": settings.change_values,
            },
            "checkpoints": {
                "every_s": settings.checkpoint_every,
                "keep": settings.checkpoints,
                "days": settings.checkpoint_days,
            },
        }));
    }
    let kept = |said: Option<u32>, unit: &str| match said {
        Some(said) => format!("{said}{unit}"),
        None => "as kept in the store".to_owned(),
    };
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let some = |list: &[String]| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    let mut rows = vec![
        row("data", data.display().to_string()),
        row("listen", settings.listen.to_string()),
        row("http", settings.http.to_string()),
        row("peers", some(&peers)),
        row("discover", if settings.discover { "yes" } else { "no" }.to_owned()),
    ];
    rows.push(row(
        "collections",
        collections.map_or_else(|| kept(None, ""), |some| some.join(", ")),
    ));
    rows.push(row("cache", format!("{} MiB", settings.cache)));
    rows.push(row("log budget", kept(settings.log_budget, " MiB a collection")));
    rows.push(row("log days", kept(settings.log_days, "")));
    rows.push(row("change values", kept(settings.change_values, " MiB")));
    let every = settings.checkpoint_every;
    rows.push(row(
        "checkpoints",
        match every {
            Some(seconds) => format!("every {seconds} s"),
            None => "none by schedule".to_owned(),
        },
    ));
    rows.push(row("keep", kept(settings.checkpoints, " automatic ones")));
    rows.push(row("for days", kept(settings.checkpoint_days, "")));
    context.output.line(format!("{}\n\nIt is good.", table(&rows)))
}

fn of_peer(peer: &Peer) -> String {
    match peer {
        Peer::Connect(address) => address.to_string(),
        Peer::Accept(key) => key.to_string(),
    }
}
