//! A store, opened.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use littoral::store::{
    ApplyOptions, BackupOptions, BundleContents, BundleOptions, Collections, Have,
};
use littoral::{NodeId, Options, ScanRange};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3_arrow::input::AnyRecordBatch;

use crate::arrow::{self, ArrowStream};
use crate::backup;
use crate::bundle;
use crate::changes::{Changes, seconds_to_duration};
use crate::error::{exception, raise};
use crate::link::{self, Link};
use crate::load;
use crate::open_store::{OpenStore, PATIENCE, detached, interruptible};
use crate::ops::{self, Door};
use crate::roster;
use crate::scan::Scan;
use crate::tape::Tape;
use crate::ticket::{self, Inviting, Ticket};
use crate::transaction::Transaction;
use crate::value;
use crate::version::Version;

/// What is said to who loads something else.
const NO_PAIR: &str = "put_many takes a mapping of ids to documents, pairs of id and document, or a \
                       table such as a DataFrame; of records: ((record['id'], record) for record in records)";

/// An open store.
#[pyclass(frozen, module = "littoral._native")]
pub(crate) struct Store {
    open: Arc<OpenStore>,
}

/// Opens the store in a directory, or makes a new one there.
#[pyfunction]
#[pyo3(signature = (path, *, create=true, network=None, cache_bytes=None, passphrase=None, ticket=None))]
pub(crate) fn open(
    py: Python<'_>,
    path: PathBuf,
    create: bool,
    network: Option<&str>,
    cache_bytes: Option<usize>,
    passphrase: Option<&str>,
    ticket: Option<&Bound<'_, Ticket>>,
) -> PyResult<Store> {
    let mut options = Options::new().create(create);
    if let Some(network) = network {
        options = options.network(network);
    }
    if let Some(bytes) = cache_bytes {
        options = options.cache_bytes(bytes);
    }
    if let Some(passphrase) = passphrase {
        options = options.passphrase(passphrase);
    }
    if let Some(ticket) = ticket {
        options = options.network_id(ticket.get().0.network);
    }
    let at = path.clone();
    let store = interruptible(py, move || options.open(&at))?;
    Ok(Store { open: OpenStore::new(store, path) })
}

impl Door for Store {
    fn node(&self) -> NodeId {
        self.open.node
    }

    fn write<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&mut littoral::Transaction) -> littoral::Result<T> + Send,
    ) -> PyResult<T> {
        self.open.begin(py, PATIENCE, |mut txn| {
            let result = call(&mut txn)?;
            txn.commit()?;
            Ok(result)
        })
    }
}

#[pymethods]
impl Store {
    /// This node's public key.
    #[getter]
    fn id(&self) -> String {
        self.open.node.to_string()
    }

    /// The directory.
    #[getter]
    fn path(&self) -> PathBuf {
        self.open.path.clone()
    }

    /// Whether the store is closed.
    #[getter]
    fn closed(&self, py: Python<'_>) -> PyResult<bool> {
        self.open.check_process(py)?;
        Ok(self.open.is_closed())
    }

    /// Writes everything out and ends the use of the store.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.open.close(py)
    }

    /// The names of the collections, in order.
    fn collections(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.open.run(py, |store| Ok(store.collections()))
    }

    /// Checks the name of a collection; with `must_exist`, also that it is there.
    fn check_collection(&self, py: Python<'_>, collection: &str, must_exist: bool) -> PyResult<()> {
        self.open.run(py, |store| match must_exist {
            true => store.existing_collection(collection).map(drop),
            false => store.collection(collection).map(drop),
        })
    }

    /// Makes everything written so far durable.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.open.run_long(py, |store| store.flush())
    }

    /// Sets how much of a collection's history the log keeps; without figures, the default.
    #[pyo3(signature = (collection, *, bytes=None, ms=None))]
    fn set_log_budget(
        &self,
        py: Python<'_>,
        collection: &str,
        bytes: Option<u64>,
        ms: Option<u64>,
    ) -> PyResult<()> {
        let usual = littoral::store::LogBudget::default();
        let budget = (bytes.is_some() || ms.is_some()).then(|| littoral::store::LogBudget {
            bytes: bytes.unwrap_or(usual.bytes),
            age_ms: ms.unwrap_or(usual.age_ms),
        });
        self.open.run(py, |store| store.set_log_budget(collection, budget))
    }

    /// Removes what the log holds beyond its budget; gives the bytes.
    fn prune(&self, py: Python<'_>) -> PyResult<u64> {
        self.open.run_long(py, |store| store.prune().map(|pruned| pruned.bytes))
    }

    /// Figures, as nested dicts.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.open.run(py, |store| store.stats())?;
        let collections = PyDict::new(py);
        for found in &stats.collections {
            let one = PyDict::new(py);
            one.set_item("documents", found.documents)?;
            one.set_item("conflicts", found.conflicts)?;
            one.set_item("transactions", found.transactions)?;
            one.set_item("origins", found.origins)?;
            one.set_item("exported", found.exported)?;
            one.set_item("pruned", found.pruned)?;
            one.set_item("log_bytes", found.log_bytes)?;
            one.set_item("log_budget_bytes", found.log_budget.bytes)?;
            one.set_item("log_budget_ms", found.log_budget.age_ms)?;
            collections.set_item(&found.name, one)?;
        }
        let all = PyDict::new(py);
        all.set_item("id", stats.node.to_string())?;
        all.set_item("collections", collections)?;
        all.set_item("state_bytes", stats.state_bytes)?;
        all.set_item("log_bytes", stats.log_bytes)?;
        all.set_item("log_budget_bytes", stats.log_budget_bytes)?;
        all.set_item("log_start", stats.log_start.0)?;
        all.set_item("log_held", stats.log_held)?;
        all.set_item("log_pins_expired", stats.log_pins_expired)?;
        all.set_item("log_syncs", stats.log_syncs)?;
        all.set_item("position", stats.position.0)?;
        all.set_item("failure", stats.failure)?;
        let network = self.open.started_network(py)?;
        all.set_item("kept_off", network.as_ref().map(|network| network.kept_off().by_kind()))?;
        let joins = network.map(|network| network.joins());
        all.set_item("joins", joins.map(|joins| (joins.joined, joins.refused)))?;
        Ok(all)
    }

    /// What verifying the store finds, as JSON.
    #[pyo3(signature = (quick=false))]
    fn verify(&self, py: Python<'_>, quick: bool) -> PyResult<String> {
        let how = littoral::store::VerifyOptions { quick, ..Default::default() };
        self.open.run_long(py, move |store| store.verify(&how).map(|verified| verified.to_json()))
    }

    /// The two digests of a collection, in hexadecimal: shown, cells.
    fn digests(&self, py: Python<'_>, collection: String) -> PyResult<(String, String)> {
        let digests = self.open.run_long(py, move |store| store.digests(&collection))?;
        Ok(digests_to_hex(&digests))
    }

    /// All conflicts, or those of one collection.
    #[pyo3(signature = (collection=None))]
    fn conflicts<'py>(
        &self,
        py: Python<'py>,
        collection: Option<String>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let found = self.open.run_long(py, move |store| match collection {
            Some(name) => store.collection(&name)?.conflicts(),
            None => store.conflicts(),
        })?;
        ops::conflicts_to_py(py, found)
    }

    /// The changes after a position; None is from now on, 0 from the oldest in the log. A loop over
    /// them ends after `timeout` seconds without any.
    #[pyo3(signature = (since=None, timeout=None, values=false))]
    fn changes(
        &self,
        py: Python<'_>,
        since: Option<u64>,
        timeout: Option<f64>,
        values: bool,
    ) -> PyResult<Changes> {
        Changes::new(py, &self.open, since, timeout, values)
    }

    /// Keeps what documents held around changes, up to so many bytes; None: no more.
    #[pyo3(signature = (bytes))]
    fn set_change_values(&self, py: Python<'_>, bytes: Option<u64>) -> PyResult<()> {
        self.open.run(py, move |store| store.set_change_values(bytes))
    }

    /// The position of this moment.
    #[getter]
    fn position(&self, py: Python<'_>) -> PyResult<u64> {
        self.open.run(py, |store| Ok(store.position().0))
    }

    /// Opens a transaction; waits up to `timeout` seconds for another one that is open.
    fn begin(&self, py: Python<'_>, timeout: f64) -> PyResult<Transaction> {
        Transaction::begin(py, &self.open, seconds_to_duration(py, timeout)?)
    }

    /// How many documents a collection has.
    fn len(&self, py: Python<'_>, collection: &str) -> PyResult<u64> {
        self.open.run(py, |store| Ok(store.collection(collection)?.len()))
    }

    fn get<'py>(
        &self,
        py: Python<'py>,
        collection: &str,
        id: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let id = value::id_of(id)?;
        let found = self.open.run(py, |store| store.collection(collection)?.get(&id))?;
        found
            .map(|document| ops::hand_out(py, self.open.node, collection, document, None))
            .transpose()
    }

    fn contains(&self, py: Python<'_>, collection: &str, id: &Bound<'_, PyAny>) -> PyResult<bool> {
        let id = value::id_of(id)?;
        self.open.run(py, |store| store.collection(collection)?.contains(&id))
    }

    /// The documents of a range in the order of their ids, or only the ids.
    #[pyo3(signature = (collection, *, prefix="", start=None, after=None, end=None, limit=None, reverse=false, ids_only=false))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn scan(
        &self,
        py: Python<'_>,
        collection: &str,
        prefix: &str,
        start: Option<String>,
        after: Option<String>,
        end: Option<String>,
        limit: Option<usize>,
        reverse: bool,
        ids_only: bool,
    ) -> PyResult<Scan> {
        let range = ScanRange { prefix: prefix.to_owned(), start, after, end, limit, reverse };
        let scan = self.open.run(py, |store| store.collection(collection)?.scan(&range))?;
        Ok(Scan::new(self.open.clone(), collection, scan, ids_only, false))
    }

    #[pyo3(signature = (collection, id, fields, version=None))]
    fn put(
        &self,
        py: Python<'_>,
        collection: &str,
        id: &Bound<'_, PyAny>,
        fields: &Bound<'_, PyAny>,
        version: Option<&Bound<'_, Version>>,
    ) -> PyResult<()> {
        ops::put(self, py, collection, id, fields, version)
    }

    /// The documents of a range as a stream of Arrow batches, in the columns of `schema`, or in
    /// those that all of them have in common. Their ids are in the column `id_column`.
    #[pyo3(signature = (collection, *, schema=None, id_column="_id", prefix="", start=None, after=None, end=None, limit=None, reverse=false))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn arrow(
        &self,
        py: Python<'_>,
        collection: &str,
        schema: Option<pyo3_arrow::PySchema>,
        id_column: &str,
        prefix: &str,
        start: Option<String>,
        after: Option<String>,
        end: Option<String>,
        limit: Option<usize>,
        reverse: bool,
    ) -> PyResult<ArrowStream> {
        let range = ScanRange { prefix: prefix.to_owned(), start, after, end, limit, reverse };
        let scans = self.open.run(py, |store| store.collection(collection)?.scan_twice(&range))?;
        arrow::stream(py, &self.open, scans, schema, id_column)
    }

    /// Puts the rows of what has the Arrow C stream interface, `batch` at a time; tells `told`
    /// after each how many there were, and gives how many there were in all.
    #[pyo3(signature = (collection, source, *, id_column="_id", batch=1000, told=None))]
    fn put_arrow<'py>(
        &self,
        py: Python<'py>,
        collection: &str,
        source: AnyRecordBatch,
        id_column: &str,
        batch: usize,
        told: Option<Bound<'py, PyAny>>,
    ) -> PyResult<u64> {
        let mut incoming = arrow::Incoming::new(py, source, id_column)?;
        let slice = batch.clamp(1, arrow::SLICE);
        load::load(py, &self.open, collection, batch, told, |loader| {
            while let Some(rows) = detached(py, || incoming.next())? {
                for from in (0..rows.num_rows()).step_by(slice) {
                    let rows = rows.slice(from, slice.min(rows.num_rows() - from));
                    for (id, fields) in detached(py, || incoming.documents(&rows))? {
                        loader.add(id, fields)?;
                    }
                }
            }
            Ok(())
        })
    }

    /// Puts pairs of id and fields, `batch` at a time; tells `told` after each how many there were,
    /// and gives how many there were in all.
    #[pyo3(signature = (collection, pairs, batch, told=None))]
    fn put_many<'py>(
        &self,
        py: Python<'py>,
        collection: &str,
        pairs: &Bound<'py, PyAny>,
        batch: usize,
        told: Option<Bound<'py, PyAny>>,
    ) -> PyResult<u64> {
        load::load(py, &self.open, collection, batch, told, |loader| {
            for pair in pairs.try_iter()? {
                let pair = pair?;
                let (id, fields): (Bound<'_, PyAny>, Bound<'_, PyAny>) =
                    pair.extract().map_err(|_| exception(py, "FieldTypeError", NO_PAIR))?;
                let id = value::id_of(&id)?;
                let fields = value::fields_of(&fields).map_err(|bad| bad.raise_in(py, &id))?;
                loader.add(id, fields)?;
            }
            Ok(())
        })
    }

    fn merge(
        &self,
        py: Python<'_>,
        collection: &str,
        id: &Bound<'_, PyAny>,
        fields: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        ops::merge(self, py, collection, id, fields)
    }

    #[pyo3(signature = (collection, id, version=None))]
    fn delete(
        &self,
        py: Python<'_>,
        collection: &str,
        id: &Bound<'_, PyAny>,
        version: Option<&Bound<'_, Version>>,
    ) -> PyResult<bool> {
        ops::delete(self, py, collection, id, version)
    }

    fn set(
        &self,
        py: Python<'_>,
        collection: &str,
        id: &Bound<'_, PyAny>,
        path: &Bound<'_, PyAny>,
        field: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        ops::set(self, py, collection, id, path, field)
    }

    fn unset(
        &self,
        py: Python<'_>,
        collection: &str,
        id: &Bound<'_, PyAny>,
        path: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        ops::unset(self, py, collection, id, path)
    }

    /// The field at a path, in a tuple; None if it is not there.
    fn get_field<'py>(
        &self,
        py: Python<'py>,
        collection: &str,
        id: &Bound<'py, PyAny>,
        path: &Bound<'py, PyAny>,
    ) -> PyResult<Option<(Bound<'py, PyAny>,)>> {
        let (id, path) = (value::id_of(id)?, value::path_of(path)?);
        let read = |store: &littoral::Store| store.collection(collection)?.get_field(&id, &path);
        let found = self.open.run(py, read)?;
        found.map(|field| Ok((value::field_to_py(py, &field)?,))).transpose()
    }

    /// Whether the set at a path has an element.
    fn has(
        &self,
        py: Python<'_>,
        collection: &str,
        id: &Bound<'_, PyAny>,
        path: &Bound<'_, PyAny>,
        element: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let (id, path) = (value::id_of(id)?, value::path_of(path)?);
        let element = value::element_of(element).map_err(|bad| bad.raise_at(py, &path))?;
        self.open.run(py, |store| store.collection(collection)?.has(&id, &path, element))
    }

    fn add(
        &self,
        py: Python<'_>,
        collection: &str,
        id: &Bound<'_, PyAny>,
        path: &Bound<'_, PyAny>,
        element: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        ops::add(self, py, collection, id, path, element)
    }

    fn remove(
        &self,
        py: Python<'_>,
        collection: &str,
        id: &Bound<'_, PyAny>,
        path: &Bound<'_, PyAny>,
        element: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        ops::remove(self, py, collection, id, path, element)
    }

    fn increment(
        &self,
        py: Python<'_>,
        collection: &str,
        id: &Bound<'_, PyAny>,
        path: &Bound<'_, PyAny>,
        by: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        ops::increment(self, py, collection, id, path, by)
    }

    fn resolve(
        &self,
        py: Python<'_>,
        collection: &str,
        id: &Bound<'_, PyAny>,
        path: &Bound<'_, PyAny>,
        choice: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        ops::resolve(self, py, collection, id, path, choice)
    }

    /// Its checkpoints, and what goes back to them.
    fn tape(&self) -> Tape {
        Tape::of(&self.open)
    }

    /// Writes all that the store holds to a file; gives what is in it, as `littoral.Backup` takes.
    #[pyo3(signature = (path, *, peers=true))]
    fn backup<'py>(
        &self,
        py: Python<'py>,
        path: PathBuf,
        peers: bool,
    ) -> PyResult<Bound<'py, PyDict>> {
        let options = BackupOptions { peers };
        let report = self.open.run_long(py, move |store| store.backup(&path, &options))?;
        backup::report_to_py(py, &report)
    }

    /// Trusts a peer from now on.
    fn trust(&self, py: Python<'_>, key: &str) -> PyResult<()> {
        let node: NodeId = key.parse().map_err(|err: littoral::Error| raise(py, err.into()))?;
        let network = self.open.started_network(py)?;
        self.open.run(py, |store| {
            store.trust(node)?;
            if let Some(network) = network {
                network.trust(node);
            }
            Ok(())
        })
    }

    /// Trusts a peer no longer; gives whether it was trusted.
    fn distrust(&self, py: Python<'_>, key: &str) -> PyResult<bool> {
        let node: NodeId = key.parse().map_err(|err: littoral::Error| raise(py, err.into()))?;
        let network = self.open.started_network(py)?;
        self.open.run(py, |store| {
            let there = store.distrust(node)?;
            if let Some(network) = network {
                network.distrust(node);
            }
            Ok(there)
        })
    }

    /// The keys of the peers that are trusted.
    fn trusted(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let peers = self.open.run(py, |store| store.trusted())?;
        Ok(peers.into_iter().map(|peer| peer.node.to_string()).collect())
    }

    /// Founds a roster, of which this node is the founder.
    fn found_roster(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        self.open.run(py, |store| store.found_roster(name))
    }

    /// Belongs to the roster that a node founded.
    fn join_roster(&self, py: Python<'_>, founder: &str) -> PyResult<()> {
        let node = roster::key(py, founder)?;
        self.open.run(py, |store| store.join_roster(node))
    }

    /// The key of the node that founded the roster.
    #[getter]
    fn founder(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.open.run(py, |store| Ok(store.founder().map(|node| node.to_string())))
    }

    /// All members, each as keywords of `littoral.Member`.
    fn members<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        roster::members(py, &self.open)
    }

    /// Says what a member may do from now on, in words by collection.
    #[pyo3(signature = (member, rights, name=None))]
    fn grant(
        &self,
        py: Python<'_>,
        member: &str,
        rights: BTreeMap<String, String>,
        name: Option<&str>,
    ) -> PyResult<()> {
        roster::grant(py, &self.open, member, &rights, name)
    }

    /// Takes all rights from a member.
    fn revoke(&self, py: Python<'_>, member: &str) -> PyResult<()> {
        let node = roster::key(py, member)?;
        self.open.run(py, |store| store.revoke(node))
    }

    /// Makes a ticket, with rights in words by collection.
    #[pyo3(signature = (rights, *, lives_ms, uses, name, addresses, own_name))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn invite(
        &self,
        py: Python<'_>,
        rights: BTreeMap<String, String>,
        lives_ms: u64,
        uses: u32,
        name: String,
        addresses: Vec<String>,
        own_name: String,
    ) -> PyResult<Ticket> {
        let asked = Inviting { rights, lives_ms, uses, name, addresses, own_name };
        ticket::invite(py, &self.open, asked)
    }

    /// All invitations, each as keywords of `littoral.Invite`.
    fn invites<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        ticket::invites(py, &self.open)
    }

    /// Lets nobody join with a ticket any more; gives whether somebody could have.
    fn revoke_invite(&self, py: Python<'_>, id: &str) -> PyResult<bool> {
        ticket::revoke(py, &self.open, id)
    }

    /// Becomes a member with a ticket, and keeps up a link to whoever made it.
    fn join(
        &self,
        py: Python<'_>,
        ticket: &Bound<'_, Ticket>,
        name: &str,
        timeout: f64,
    ) -> PyResult<Link> {
        ticket::join(py, &self.open, ticket.get(), name, timeout)
    }

    /// Which collections to exchange with peers, or with one; `None` is all.
    #[pyo3(signature = (collections, peer=None))]
    fn want(
        &self,
        py: Python<'_>,
        collections: Option<Vec<String>>,
        peer: Option<&str>,
    ) -> PyResult<()> {
        let parsed = || -> littoral::Result<_> {
            let wanted = match collections {
                Some(names) => Collections::only(names)?,
                None => Collections::All,
            };
            Ok((wanted, peer.map(str::parse::<NodeId>).transpose()?))
        };
        let (wanted, peer) = parsed().map_err(|err| raise(py, err.into()))?;
        self.open.run(py, |store| match peer {
            Some(node) => store.want_of(node, wanted),
            None => store.want(wanted),
        })
    }

    /// Writes to a file what this store has.
    fn bundle_have(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        self.open.run_long(py, move |store| store.bundle_have(&path).map(drop))
    }

    /// Makes a bundle in a file; gives what is in it, as keywords of `littoral.Bundle`.
    #[pyo3(signature = (path, *, since=None, collections=None, snapshots=true))]
    fn bundle_create<'py>(
        &self,
        py: Python<'py>,
        path: PathBuf,
        since: Option<PathBuf>,
        collections: Option<BTreeSet<String>>,
        snapshots: bool,
    ) -> PyResult<Bound<'py, PyDict>> {
        let contents = self.open.run_long(py, move |store| {
            let since = since.map(Have::open).transpose()?;
            store.bundle_create(&path, &BundleOptions { since, collections, snapshots })
        })?;
        bundle::contents_to_py(py, &contents, None)
    }

    /// Applies the bundle in a file; gives of each collection the keywords of `littoral.Applied`.
    #[pyo3(signature = (path, *, maker=None, collections=None))]
    fn bundle_apply<'py>(
        &self,
        py: Python<'py>,
        path: PathBuf,
        maker: Option<&str>,
        collections: Option<BTreeSet<String>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let from = maker.map(str::parse::<NodeId>).transpose();
        let from = from.map_err(|err| raise(py, err.into()))?;
        let options = ApplyOptions { collections, from };
        let applied = self.open.run_long(py, move |store| store.bundle_apply(&path, &options))?;
        bundle::applied_to_py(py, &applied)
    }

    /// Says what is in the bundle in a file, and what of it is new.
    fn bundle_inspect<'py>(&self, py: Python<'py>, path: PathBuf) -> PyResult<Bound<'py, PyDict>> {
        let (contents, have) = self.open.run_long(py, move |store| {
            let contents = BundleContents::open(&path)?;
            let have = store.have_for(&contents)?;
            Ok((contents, have))
        })?;
        bundle::contents_to_py(py, &contents, Some(&have))
    }

    /// Accepts links of trusted peers at `host:port`; gives `host:port#KEY` for them.
    fn listen(&self, py: Python<'_>, address: &str) -> PyResult<String> {
        link::listen(py, &self.open, address)
    }

    /// Keeps up a link to the peer at `host:port#KEY`, and trusts it.
    fn connect(&self, py: Python<'_>, address: &str) -> PyResult<Link> {
        link::connect(py, &self.open, address)
    }

    /// Keeps up a link to each peer whose address is known and that is not dialled yet.
    fn connect_known(&self, py: Python<'_>) -> PyResult<Vec<Link>> {
        link::connect_known(py, &self.open)
    }

    /// Finds peers on the LAN from now on, and is found by them.
    fn discover(&self, py: Python<'_>) -> PyResult<()> {
        let network = self.open.network(py)?;
        interruptible(py, move || network.discover())
    }

    /// How far each peer is behind, by peer and collection, as keywords of `littoral.Standing`.
    fn standings<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        self.open.get(py)?;
        let found = match self.open.started_network(py)? {
            Some(network) => py.detach(|| network.standings()),
            None => Vec::new(),
        };
        found.iter().map(|standing| link::standing_to_py(py, standing)).collect()
    }

    /// Cuts all links and makes none, or goes back to what it was.
    fn set_online(&self, py: Python<'_>, online: bool) -> PyResult<()> {
        let network = self.open.network(py)?;
        interruptible(py, move || {
            network.set_online(online);
            Ok(())
        })
    }

    /// Whether it links with its peers.
    fn is_online(&self, py: Python<'_>) -> PyResult<bool> {
        self.open.get(py)?;
        Ok(self.open.started_network(py)?.is_none_or(|network| network.is_online()))
    }

    /// How all links stand, each as keywords of `littoral.LinkStatus`.
    fn links<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        self.open.get(py)?;
        let Some(network) = self.open.started_network(py)? else { return Ok(Vec::new()) };
        let (links, standings) = py.detach(|| (network.links(), network.standings()));
        links.iter().map(|status| link::status_to_py(py, status, &standings)).collect()
    }

    /// Waits until this store and its peers hold the same.
    fn wait_synced(&self, py: Python<'_>, timeout: f64) -> PyResult<()> {
        let timeout = seconds_to_duration(py, timeout)?;
        let network = self.open.network(py)?;
        interruptible(py, move || network.wait_synced(timeout))
    }
}

/// Two digests in hexadecimal: shown, cells.
pub(crate) fn digests_to_hex(digests: &littoral::store::Digests) -> (String, String) {
    (hash_to_hex(digests.shown), hash_to_hex(digests.cells))
}

/// A digest in hexadecimal.
pub(crate) fn hash_to_hex(hash: littoral::id::Hash) -> String {
    hash.0.iter().map(|b| format!("{b:02x}")).collect()
}
