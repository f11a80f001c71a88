//! A relay of UDP on loopback that notes the size of each datagram: what a connection costs on
//! the wire, told from outside.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Result;

/// Size that QUIC starts with; what is larger than all before is a probe of the path.
const FIRST_MTU: usize = 1200;

/// Relays between one dialler and one listener.
pub(crate) struct Relay {
    /// Where to dial.
    pub(crate) address: SocketAddr,
    sizes: Arc<[Mutex<Vec<usize>>; 2]>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What crossed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Crossed {
    pub(crate) datagrams: usize,
    pub(crate) bytes: usize,
    /// Bytes of probes for the path's largest datagram, in `bytes` too.
    pub(crate) probes: usize,
}

impl Relay {
    pub(crate) fn to(target: SocketAddr) -> Result<Relay> {
        let front = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let back = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        back.connect(target)?;
        for socket in [&front, &back] {
            socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        }
        let (sizes, over) =
            (Arc::<[Mutex<Vec<usize>>; 2]>::default(), Arc::<AtomicBool>::default());
        let address = front.local_addr()?;
        let dialler = Arc::new(Mutex::new(None));
        let relay = |from: UdpSocket, to: UdpSocket, way: usize| {
            let (sizes, over, dialler) = (sizes.clone(), over.clone(), Arc::clone(&dialler));
            std::thread::spawn(move || {
                let mut datagram = [0; 65536];
                while !over.load(Ordering::Relaxed) {
                    let Ok((length, sender)) = from.recv_from(&mut datagram) else { continue };
                    sizes[way].lock().expect("no panic").push(length);
                    // What a socket does not take is lost, as on any network.
                    let _ = match way {
                        0 => {
                            *dialler.lock().expect("no panic") = Some(sender);
                            to.send(&datagram[..length])
                        }
                        _ => match *dialler.lock().expect("no panic") {
                            Some(dialler) => to.send_to(&datagram[..length], dialler),
                            None => Ok(0),
                        },
                    };
                }
            })
        };
        let there = relay(front.try_clone()?, back.try_clone()?, 0);
        let threads = vec![there, relay(back, front, 1)];
        Ok(Relay { address, sizes, over, threads })
    }

    /// What crossed so far, in both directions.
    pub(crate) fn crossed(&self) -> Crossed {
        let mut crossed = Crossed::default();
        for sizes in &*self.sizes {
            let mut largest = FIRST_MTU;
            for size in sizes.lock().expect("no panic").iter().copied() {
                crossed.datagrams += 1;
                crossed.bytes += size;
                if size > largest {
                    (largest, crossed.probes) = (size, crossed.probes + size);
                }
            }
        }
        crossed
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}
