//! A running node: a store, its links, its HTTP service, and `node.json` that tells where.
//!
//! `run` has one of these, the demo three. Order of the end: HTTP finishes what it is
//! answering, links say goodbye, the store is written out, `node.json` goes.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use littoral::net::{Link, Network, NetworkOptions, PeerAddress};
use littoral::{Error, ErrorKind, NodeId, Result, Store};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use crate::http::{Exposure, Facts, Guard, Service, router};
use crate::node_file::{NodeFile, Written};
use crate::tokens::{Secret, Tokens};
use crate::watch;

/// Threads that serve HTTP. Store calls have threads of their own.
const WORKERS: usize = 2;
/// How many may wait to be heard.
#[cfg(unix)]
const HTTP_BACKLOG: i32 = 4096;
/// How long HTTP may take to finish what it is answering.
const HTTP_GOODBYE: Duration = Duration::from_secs(10);

/// How to start a node.
#[derive(Debug, Clone)]
pub(crate) struct NodeOptions {
    /// The store's directory.
    pub(crate) data: PathBuf,
    /// Where to accept links; port 0 takes any.
    pub(crate) listen: SocketAddr,
    /// Where to answer HTTP; port 0 takes any.
    pub(crate) http: SocketAddr,
    /// Whether to find peers on the LAN, and be found.
    pub(crate) discover: bool,
    /// How often to make a checkpoint, if something has changed.
    pub(crate) checkpoint_every: Option<Duration>,
}

/// A node that runs. Dropping it without [`Node::stop`] ends it less politely.
pub(crate) struct Node {
    store: Store,
    network: Arc<Network>,
    listen: SocketAddr,
    url: String,
    stop: Sender<bool>,
    http: JoinHandle<()>,
    runtime: Runtime,
    _file: Written,
}

impl Node {
    /// Starts a node on `store`, which is in the directory that the options name.
    pub(crate) fn start(store: Store, options: &NodeOptions) -> Result<Node> {
        let socket = bind_http(options.http)?;
        let http_address = socket.local_addr().map_err(|err| no_http(options.http, &err))?;
        let network = Arc::new(Network::start(&store, NetworkOptions::default())?);
        let listen = network.listen(options.listen).map_err(|err| {
            Error::new(err.kind(), format!("{err}; --listen names another address"))
        })?;
        if options.discover {
            network.discover()?;
        }
        let (stop, stopping) = channel(false);
        let token = Secret::draw()?;
        let facts = Facts {
            network: Arc::clone(&network),
            listen: Some(listen.to_string()),
            guard: Arc::new(Guard {
                exposure: Exposure::of(options.http),
                tokens: Tokens::of(&options.data),
                own: token.clone(),
            }),
            stopping: stopping.clone(),
        };
        let runtime = runtime()?;
        if let Some(every) = options.checkpoint_every {
            runtime.spawn(mark_by_schedule(store.clone(), every, stopping.clone()));
        }
        store.note_started(env!("CARGO_PKG_VERSION"))?;
        runtime.spawn(watch::watch(store.clone(), Arc::clone(&network), stopping.clone()));
        let http = serve(&runtime, socket, Service::new(store.clone(), facts), stopping)?;
        let url = format!("http://{http_address}");
        let file = write_file(&options.data, &store, listen, &url, token)?;
        Ok(Node { store, network, listen, url, stop, http, runtime, _file: file })
    }

    /// The store.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Where it answers HTTP.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Where it accepts links.
    pub(crate) fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Its own address and key, for peers on this machine.
    pub(crate) fn address(&self) -> Result<PeerAddress> {
        PeerAddress::new(self.listen.ip().to_string(), self.listen.port(), self.store.node_id())
    }

    /// Keeps up a link to a peer.
    pub(crate) fn connect(&self, peer: &PeerAddress) -> Result<Link> {
        self.store.trust(peer.key())?;
        self.network.connect(peer.clone())
    }

    /// Dials the peers whose addresses the store knows, as of those whom it has joined, but for
    /// those that are dialled already. Gives how many.
    pub(crate) fn connect_known(&self) -> Result<usize> {
        Ok(self.network.connect_known()?.len())
    }

    /// Accepts the links of a peer.
    pub(crate) fn accept(&self, peer: NodeId) -> Result<()> {
        self.store.trust(peer)
    }

    /// Cuts the links with a peer and makes none, or makes them again.
    pub(crate) fn set_enabled(&self, peer: NodeId, enabled: bool) {
        self.network.set_enabled(peer, enabled);
    }

    /// Ends it: loses nothing that was acknowledged.
    pub(crate) fn stop(self) -> Result<()> {
        // If nobody listens any more, there is nobody to tell.
        let _ = self.stop.send(true);
        let http = self.http;
        let served =
            self.runtime.block_on(async { tokio::time::timeout(HTTP_GOODBYE, http).await });
        if served.is_err() {
            tracing::warn!("some HTTP requests were cut off");
        }
        self.network.close();
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        // Whoever comes next learns that the end was no crash, if it was none.
        let noted = self.store.note_stopped();
        self.store.close().and(noted)
    }
}

fn serve(
    runtime: &Runtime,
    socket: TcpListener,
    service: Service,
    mut stopping: Receiver<bool>,
) -> Result<JoinHandle<()>> {
    let _entered = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(socket)
        .map_err(|err| Error::new(ErrorKind::Network, format!("could not serve HTTP: {err}")))?;
    let stop = async move {
        // An error means that the node is gone, which is a reason to stop as well.
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    Ok(runtime.spawn(async move {
        let served = axum::serve(listener, router(service)).with_graceful_shutdown(stop).await;
        if let Err(err) = served {
            tracing::error!(%err, "HTTP ended");
        }
    }))
}

fn bind_http(address: SocketAddr) -> Result<TcpListener> {
    let bind = || {
        let socket = TcpListener::bind(address)?;
        // Std lets 128 wait; who comes beyond that is refused.
        #[cfg(unix)]
        rustix::net::listen(&socket, HTTP_BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    bind().map_err(|err| no_http(address, &err))
}

fn no_http(address: SocketAddr, err: &std::io::Error) -> Error {
    let sentence =
        format!("could not answer HTTP at {address}: {err}; --http names another address");
    Error::new(ErrorKind::Network, sentence)
}

/// Makes a checkpoint now and then, until the node stops.
async fn mark_by_schedule(store: Store, every: Duration, mut stopping: Receiver<bool>) {
    loop {
        tokio::select! {
            _ = tokio::time::sleep(every) => {}
            _ = stopping.changed() => return,
        }
        let store = store.clone();
        let made = move || store.automatic_checkpoint("by schedule");
        if let Ok(Err(err)) = tokio::task::spawn_blocking(made).await {
            tracing::warn!(reason = err.message(), "no checkpoint is made by schedule");
        }
    }
}

fn runtime() -> Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("littoral-http")
        .enable_all()
        .build()
        .map_err(|err| Error::new(ErrorKind::Io, format!("could not start threads: {err}")))
}

fn write_file(
    data: &Path,
    store: &Store,
    listen: SocketAddr,
    url: &str,
    token: Secret,
) -> Result<Written> {
    let file = NodeFile {
        pid: std::process::id(),
        http: url.to_owned(),
        listen: Some(listen.to_string()),
        key: store.node_id().to_string(),
        token,
    };
    file.write(data)
}
