//! What a network takes from outside: sockets, and chance. Time is the runtime's.
//!
//! [`Machine`] is the machine that we run on. Tests put a network of their own under the whole
//! stack, QUIC and TLS included, on a runtime whose time they hold.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use quinn::{
    AsyncTimer, AsyncUdpSocket, Endpoint, EndpointConfig, Runtime, ServerConfig, TokioRuntime,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::task::AbortHandle;

/// Where sockets and chance come from. To be called where a runtime is entered.
pub(super) trait Outside: Send + Sync {
    /// A socket at `address` that accepts.
    fn listener(
        &self,
        address: SocketAddr,
        config: EndpointConfig,
        server: ServerConfig,
    ) -> io::Result<Endpoint>;

    /// A socket to dial from, of both families if possible.
    fn dialler(&self) -> io::Result<Endpoint>;

    /// Any number.
    fn random(&self) -> u64;

    /// Closes the sockets that were opened so far, whatever is still said on them. Their endpoints
    /// are closed by then, and nobody waits for anything from them. Returns when it is done, at
    /// the latest at the deadline; gives whether it is.
    fn hang_up(&self, deadline: Instant) -> bool;
}

/// This machine.
#[derive(Debug, Default)]
pub(super) struct Machine {
    at_work: Arc<AtWork>,
}

impl Outside for Machine {
    fn listener(
        &self,
        address: SocketAddr,
        config: EndpointConfig,
        server: ServerConfig,
    ) -> io::Result<Endpoint> {
        let socket = UdpSocket::bind(address)?;
        Endpoint::new(config, Some(server), socket, self.at_work.clone())
    }

    fn dialler(&self) -> io::Result<Endpoint> {
        let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let socket = both_families(v6).or_else(|_| UdpSocket::bind(v4))?;
        Endpoint::new(EndpointConfig::default(), None, socket, self.at_work.clone())
    }

    fn random(&self) -> u64 {
        getrandom::u64().unwrap_or_default()
    }

    fn hang_up(&self, deadline: Instant) -> bool {
        self.at_work.stop();
        while !self.at_work.is_over() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.at_work.is_over()
    }
}

/// A socket that sends to IPv4 addresses, too, where the system can.
fn both_families(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    if let Err(error) = socket.set_only_v6(false) {
        tracing::debug!(%error, "dialling IPv6 only");
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// tokio, as quinn runs on it, with what runs and what is open of it: a connection that was closed
/// keeps its socket open for a time in which late packets may come, of seconds where the peer never
/// answered. Who wants the socket closed can't wait for that.
#[derive(Debug, Default)]
struct AtWork {
    tasks: Mutex<Vec<AbortHandle>>,
    sockets: Mutex<Vec<Weak<dyn AsyncUdpSocket>>>,
}

impl AtWork {
    fn stop(&self) {
        lock(&self.tasks).drain(..).for_each(|task| task.abort());
    }

    /// Whether no socket is open.
    fn is_over(&self) -> bool {
        lock(&self.sockets).iter().all(|socket| socket.strong_count() == 0)
    }
}

impl Runtime for AtWork {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let task = tokio::spawn(future).abort_handle();
        let mut tasks = lock(&self.tasks);
        // As often as it doubles, so that it costs next to nothing and stays as long as it must.
        if tasks.len() == tasks.capacity() {
            tasks.retain(|task| !task.is_finished());
        }
        tasks.push(task);
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let socket = TokioRuntime.wrap_udp_socket(socket)?;
        let mut sockets = lock(&self.sockets);
        sockets.retain(|socket| socket.strong_count() > 0);
        sockets.push(Arc::downgrade(&socket));
        Ok(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
