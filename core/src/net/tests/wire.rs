//! A wire in memory, on a runtime whose time stands still: packets that are late, lost, doubled
//! and overtaken, by a seed.
//!
//! Each way from one node to another has chance of its own, so what happens on it does not
//! depend on how the others are used. No two ways are equally long.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Endpoint, EndpointConfig, ServerConfig, TokioRuntime, UdpPoller};
use rand_pcg::Pcg64;
use rand_pcg::rand_core::Rng;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::net::outside::Outside;

/// Where nodes listen.
pub(super) const PORT: u16 = 4433;
/// Where they dial from.
const DIALLER: u16 = 50_000;
/// Longer packets are lost.
const MTU: usize = 1400;

/// Packets of one way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) sent: u64,
    pub(super) bytes: u64,
    pub(super) lost: u64,
    pub(super) cut: u64,
    pub(super) doubled: u64,
}

/// How bad the wire is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    pub(super) lost_percent: u64,
    pub(super) doubled_percent: u64,
    /// A packet takes up to so much longer than the one before it.
    pub(super) jitter_us: u64,
}

/// The wire. Clones are the same wire.
#[derive(Clone)]
pub(super) struct Wire(Arc<Mutex<State>>);

struct State {
    seed: u64,
    weather: Weather,
    ways: BTreeMap<(IpAddr, IpAddr), Way>,
    cut: BTreeSet<(IpAddr, IpAddr)>,
    boxes: BTreeMap<SocketAddr, Arc<Mutex<Letterbox>>>,
}

struct Way {
    chance: Pcg64,
    traffic: Traffic,
}

/// What is on its way to a socket.
#[derive(Default)]
struct Letterbox {
    number: u64,
    late: BinaryHeap<Reverse<(Instant, u64)>>,
    packets: BTreeMap<u64, (SocketAddr, Vec<u8>)>,
    alarm: Option<Pin<Box<Sleep>>>,
    waker: Option<Waker>,
}

/// The address of a node.
pub(super) fn ip(node: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, node).into()
}

impl Wire {
    pub(super) fn new(seed: u64, weather: Weather) -> Wire {
        let (ways, cut, boxes) = Default::default();
        Wire(Arc::new(Mutex::new(State { seed, weather, ways, cut, boxes })))
    }

    /// The outside of a node.
    pub(super) fn of(&self, node: u8) -> Arc<dyn Outside> {
        let stream = 1000 + u128::from(node);
        let chance = Mutex::new(Pcg64::new(self.state().seed.into(), stream));
        Arc::new(Plug { wire: self.clone(), ip: ip(node), chance })
    }

    /// Lets nothing pass one way, or everything again.
    pub(super) fn cut(&self, from: u8, to: u8, is_cut: bool) {
        let way = (ip(from), ip(to));
        let cut = &mut self.state().cut;
        match is_cut {
            true => cut.insert(way),
            false => cut.remove(&way),
        };
    }

    /// What has passed, by way.
    pub(super) fn traffic(&self) -> BTreeMap<(IpAddr, IpAddr), Traffic> {
        self.state().ways.iter().map(|(way, at)| (*way, at.traffic)).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn send(&self, from: SocketAddr, to: SocketAddr, packet: &[u8]) {
        let mut state = self.state();
        let delays = state.delays((from.ip(), to.ip()), packet.len());
        let Some(letterbox) = state.boxes.get(&to).cloned() else { return };
        drop(state);
        delays.into_iter().flatten().for_each(|delay| {
            letterbox.lock().unwrap().post(Instant::now() + delay, from, packet.to_vec());
        });
    }
}

impl State {
    /// After what times a packet arrives: never, once or twice.
    fn delays(&mut self, way: (IpAddr, IpAddr), len: usize) -> [Option<Duration>; 2] {
        let (weather, is_cut) = (self.weather, self.cut.contains(&way));
        let number = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => u64::from(ip.octets()[3]),
            IpAddr::V6(_) => unreachable!("this wire has no IPv6"),
        };
        let stream = number(way.0) * 256 + number(way.1);
        let fresh = || Way {
            chance: Pcg64::new(self.seed.into(), stream.into()),
            traffic: Traffic::default(),
        };
        let Way { chance, traffic } = self.ways.entry(way).or_insert_with(fresh);
        traffic.sent += 1;
        traffic.bytes += len as u64;
        let mut percent = |percent| chance.next_u64() % 100 < percent;
        let (lost, doubled) = (percent(weather.lost_percent), percent(weather.doubled_percent));
        let mut delay = || {
            let base_us = 10_000 + 137 * (stream % 97);
            Some(Duration::from_micros(base_us + chance.next_u64() % (weather.jitter_us + 1)))
        };
        let (one, other) = (delay(), delay());
        if is_cut {
            traffic.cut += 1;
            return [None, None];
        }
        if lost || len > MTU {
            traffic.lost += 1;
            return [None, None];
        }
        traffic.doubled += u64::from(doubled);
        [one, other.filter(|_| doubled)]
    }
}

impl Letterbox {
    fn post(&mut self, due: Instant, from: SocketAddr, packet: Vec<u8>) {
        self.number += 1;
        self.late.push(Reverse((due, self.number)));
        self.packets.insert(self.number, (from, packet));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The next packet that is due; whoever asks is woken when there may be one.
    fn take(&mut self, cx: &mut Context<'_>) -> Poll<(SocketAddr, Vec<u8>)> {
        loop {
            let Some(&Reverse((due, number))) = self.late.peek() else {
                self.waker = Some(cx.waker().clone());
                return Poll::Pending;
            };
            if due <= Instant::now() {
                self.late.pop();
                return Poll::Ready(self.packets.remove(&number).expect("it was posted"));
            }
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
            alarm.as_mut().reset(due);
            if alarm.as_mut().poll(cx).is_pending() {
                self.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
    }
}

/// A node's outside on this wire.
struct Plug {
    wire: Wire,
    ip: IpAddr,
    chance: Mutex<Pcg64>,
}

impl Plug {
    fn endpoint(
        &self,
        port: u16,
        mut config: EndpointConfig,
        server: Option<ServerConfig>,
    ) -> io::Result<Endpoint> {
        let mut seed = [0; 32];
        self.chance.lock().unwrap().fill_bytes(&mut seed);
        config.rng_seed(Some(seed));
        let at = SocketAddr::new(self.ip, port);
        let letterbox = Arc::default();
        self.wire.state().boxes.insert(at, Arc::clone(&letterbox));
        let socket = Arc::new(Socket { wire: self.wire.clone(), at, letterbox });
        Endpoint::new_with_abstract_socket(config, server, socket, Arc::new(TokioRuntime))
    }
}

impl Outside for Plug {
    fn listener(
        &self,
        address: SocketAddr,
        config: EndpointConfig,
        server: ServerConfig,
    ) -> io::Result<Endpoint> {
        self.endpoint(address.port(), config, Some(server))
    }

    fn dialler(&self) -> io::Result<Endpoint> {
        self.endpoint(DIALLER, EndpointConfig::default(), None)
    }

    fn random(&self) -> u64 {
        self.chance.lock().unwrap().next_u64()
    }

    /// They go with their endpoints.
    fn hang_up(&self, _: std::time::Instant) -> bool {
        true
    }
}

struct Socket {
    wire: Wire,
    at: SocketAddr,
    letterbox: Arc<Mutex<Letterbox>>,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({})", self.at)
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.wire.send(self.at, transmit.destination, transmit.contents);
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let Poll::Ready((addr, packet)) = self.letterbox.lock().unwrap().take(cx) else {
            return Poll::Pending;
        };
        let len = packet.len();
        bufs[0][..len].copy_from_slice(&packet);
        meta[0] = RecvMeta { addr, len, stride: len, ecn: None, dst_ip: Some(self.at.ip()) };
        Poll::Ready(Ok(1))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.at)
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
