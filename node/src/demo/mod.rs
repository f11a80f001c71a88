//! `demo`: three nodes, real data, a cut link, a conflict, convergence.
//!
//! Everything shown is measured or read at that moment from the three stores; nothing here
//! knows how merging comes out.

mod cluster;
mod edits;
mod farewell;
mod notes;
mod show;
mod stations;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use littoral::{Error, ErrorKind, Result};
use tempfile::TempDir;

use crate::cli::DemoArgs;
use crate::command::{Context, describe};
use crate::output::{cut, number};
use crate::shape::ConflictShape;
use crate::signals::Signals;
use crate::target::{Choice, Target};
use cluster::{Cluster, Member};
use edits::{EDITS, Edit, TITLED};
use show::Show;

/// The collection that the demo fills.
const COLLECTION: &str = "stations";

/// Characters that are shown of what was there before.
const BEFORE_WIDTH: usize = 24;

/// `littoral demo`
pub(crate) fn demo(context: &Context, args: &DemoArgs) -> Result<()> {
    let signals = Signals::catch(false)?;
    let home = Home::new(args.dir.as_deref())?;
    let cluster = Cluster::start(home.path(), &signals)?;
    let mut show = Show::new(context.output);
    let shown = play(&cluster, &mut show, home.path());
    let told = shown
        .and_then(|()| if args.once { Ok(()) } else { serve(&cluster) })
        .and_then(|()| farewell::tell(&cluster, context.output, args.once));
    if told.is_ok() && !args.once {
        signals.wait();
        show.say("\nstopping")?;
    }
    told.and(cluster.stop())
}

/// Gives the pages something to show, on all three.
fn serve(cluster: &Cluster) -> Result<()> {
    notes::write(cluster.phone.store())?;
    cluster.converge(&cluster.members(), || ()).map(drop)
}

/// Where the three stores are.
enum Home {
    /// Removed at the end.
    Temporary(TempDir),
    /// Kept.
    Kept(PathBuf),
}

impl Home {
    fn new(dir: Option<&Path>) -> Result<Home> {
        let failed = |err| Error::new(ErrorKind::Io, format!("could not make a directory: {err}"));
        match dir {
            Some(dir) => std::fs::create_dir_all(dir).map(|()| Home::Kept(dir.to_owned())),
            None => {
                tempfile::Builder::new().prefix("littoral-demo-").tempdir().map(Home::Temporary)
            }
        }
        .map_err(failed)
    }

    fn path(&self) -> &Path {
        match self {
            Home::Temporary(dir) => dir.path(),
            Home::Kept(dir) => dir,
        }
    }
}

fn play(cluster: &Cluster, show: &mut Show, home: &Path) -> Result<()> {
    show.say(
        "Three nodes, each with its own store, key and QUIC endpoint:  phone ── hub ── laptop",
    )?;
    show.say(format!("Their stores are in {}", home.display()))?;
    import(cluster, show)?;
    first_sync(cluster, show)?;
    show.step("The link between phone and hub is cut, and both sides edit the same documents")?;
    cluster.cut();
    edit(cluster, show)?;
    show.step("The link is healed")?;
    cluster.heal();
    let after = cluster.converge(&cluster.members(), || ())?;
    show.digests(&cluster.members())?;
    show.converged(after, "healing")?;
    outcome(cluster, show)?;
    conflict(cluster, show)
}

fn import(cluster: &Cluster, show: &mut Show) -> Result<()> {
    show.step(&format!("{} tide stations are imported into the phone", number(stations::count())))?;
    let bar = show.bar(stations::count(), "importing");
    let started = Instant::now();
    stations::import(&cluster.phone.local, |count| bar.set_position(count))?;
    edits::count_views(cluster.phone.store())?;
    bar.finish_and_clear();
    let time = started.elapsed().as_secs_f64() * 1000.0;
    show.text(format!(
        "in {time:.0} ms, signed and durable. Data: NOAA (public domain); not for navigation."
    ))
}

fn first_sync(cluster: &Cluster, show: &mut Show) -> Result<()> {
    show.step("They reach the laptop by way of the hub")?;
    let bar = show.bar(stations::count(), "syncing");
    let laptop = &cluster.laptop;
    let after =
        cluster.converge(&cluster.members(), || bar.set_position(laptop.documents(COLLECTION)))?;
    bar.finish_and_clear();
    show.digests(&cluster.members())?;
    show.converged(after, "the import ended")
}

fn edit(cluster: &Cluster, show: &Show) -> Result<()> {
    let (phone, laptop) = (cluster.phone.store(), cluster.laptop.store());
    let mut rows = Vec::new();
    for edit in &EDITS {
        let before = edit.look(phone)?;
        edit.phone.carry_out(phone, edit.id)?;
        edit.laptop.carry_out(laptop, edit.id)?;
        rows.push([
            edit.id.to_owned(),
            cut(&before, BEFORE_WIDTH),
            edit.phone.describe(),
            edit.laptop.describe(),
        ]);
    }
    show.rows(["document", "before", "the phone", "the laptop"], rows)?;
    cluster.converge(&[&cluster.hub, &cluster.laptop], || ())?;
    show.text("")?;
    show.digests(&cluster.members())
}

fn outcome(cluster: &Cluster, show: &Show) -> Result<()> {
    let row = |edit: &Edit| -> Result<[String; 3]> {
        let looks = cluster.members().map(|member| edit.look(member.store()));
        let looks = looks.into_iter().collect::<Result<BTreeSet<_>>>()?;
        let now = looks.into_iter().collect::<Vec<_>>().join(" OR ");
        Ok([edit.id.to_owned(), edit.case.to_owned(), now])
    };
    let rows = EDITS.iter().map(row).collect::<Result<Vec<_>>>()?;
    show.text("")?;
    show.rows(["document", "edited", "now, on all three"], rows)
}

fn conflict(cluster: &Cluster, show: &mut Show) -> Result<()> {
    show.step("Nothing was lost: the title that lost is still there, as a conflict")?;
    let found = conflict_at(&cluster.laptop)?;
    show.text(describe(&found, |key| cluster.name(key)))?;
    show.step("The laptop settles it for the phone's title")?;
    let phone = cluster.phone.store().node_id().to_string();
    let at = found.candidates.iter().position(|side| side.author == phone).unwrap_or(0);
    let path = littoral::Path::from("title");
    cluster.laptop.local.resolve(COLLECTION, TITLED, &path, &Choice::Take(at + 1))?;
    let after = cluster.converge(&cluster.members(), || ())?;
    show.digests(&cluster.members())?;
    show.converged(after, "that")?;
    show.text(format!("conflicts left: {}", cluster.phone.local.conflicts(None, None)?.len()))
}

fn conflict_at(member: &Member) -> Result<ConflictShape> {
    let found = member.local.conflicts(Some(COLLECTION), Some(TITLED))?;
    found.into_iter().find(|conflict| conflict.path == "/title").ok_or_else(|| {
        Error::new(ErrorKind::Internal, "the two titles are not in conflict; please report it")
    })
}
