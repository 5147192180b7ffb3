//! smoltcp as an independent peer: an HTTP client that checks every byte, and a server.
//!
//! Written against what HTTP and TCP promise, not against our stack: it shares no code with it.
//! smoltcp's sockets cannot be cloned, so a world with one of these forks by running its seed
//! again.

use simoom_core::time::Instant;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Cidr};
use std::collections::VecDeque;
use std::fmt;
use std::net::Ipv4Addr;

mod client;
mod server;

pub use client::{ClientConfig, ClientStats, Failure, Fetch, HttpClient};
pub use server::{HttpServer, ServerConfig};

/// Who a smoltcp host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Hardware address.
    pub mac: [u8; 6],
    /// Address.
    pub ip: Ipv4Addr,
    /// Bits of the subnet.
    pub prefix_len: u8,
    /// Where packets to other subnets go.
    pub gateway: Option<Ipv4Addr>,
    /// What its initial sequence numbers come from.
    pub random_seed: u64,
    /// Bytes of each socket's receive buffer: the largest window.
    pub receive_buffer: usize,
    /// Bytes of each socket's send buffer.
    pub send_buffer: usize,
    /// Bytes of the longest IP packet.
    pub ip_mtu: usize,
    /// Whether its sockets have Reno's congestion control. smoltcp has none by default.
    pub reno: bool,
}

impl Identity {
    /// Host `number` (not 0) of 10.66.0.0/16: address 10.66.x.y, 64 KiB buffers, MTU 1500, no
    /// congestion control.
    pub fn new(number: u16, random_seed: u64) -> Self {
        let [high, low] = number.to_be_bytes();
        Self {
            mac: [2, 0x66, 0, 0, high, low],
            ip: Ipv4Addr::new(10, 66, high, low),
            prefix_len: 16,
            gateway: None,
            random_seed,
            receive_buffer: 1 << 16,
            send_buffer: 1 << 16,
            ip_mtu: 1500,
            reno: false,
        }
    }
}

/// An interface, its sockets, and the frames on their way in and out.
struct Net {
    identity: Identity,
    device: Queues,
    iface: Interface,
    sockets: SocketSet<'static>,
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Net {
    fn new(identity: Identity) -> Self {
        let mut device = Queues { ip_mtu: identity.ip_mtu, ..Queues::default() };
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(identity.mac)));
        config.random_seed = identity.random_seed;
        let mut iface = Interface::new(config, &mut device, smoltcp::time::Instant::ZERO);
        iface.update_ip_addrs(|addrs| {
            let cidr = IpCidr::Ipv4(Ipv4Cidr::new(identity.ip, identity.prefix_len));
            addrs.push(cidr).expect("room for one address");
        });
        if let Some(gateway) = identity.gateway {
            iface.routes_mut().add_default_ipv4_route(gateway).expect("room for one route");
        }
        Self { identity, device, iface, sockets: SocketSet::new(Vec::new()) }
    }

    fn add_socket(&mut self) -> SocketHandle {
        let receive = SocketBuffer::new(vec![0; self.identity.receive_buffer]);
        let send = SocketBuffer::new(vec![0; self.identity.send_buffer]);
        let mut socket = Socket::new(receive, send);
        let control =
            if self.identity.reno { CongestionControl::Reno } else { CongestionControl::None };
        socket.set_congestion_control(control);
        self.sockets.add(socket)
    }

    fn socket(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle)
    }

    fn on_frame(&mut self, frame: &[u8]) {
        let mut bytes = self.device.spare.pop().unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(frame);
        self.device.rx.push_back(bytes);
    }

    /// Lets smoltcp work on everything that came and everything due.
    fn poll(&mut self, now: Instant) {
        let now = smoltcp::time::Instant::from_micros(micros(now));
        self.iface.poll(now, &mut self.device, &mut self.sockets);
    }

    /// Hands out what was sent and says when smoltcp wants to be polled again.
    fn finish(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        for bytes in self.device.tx.drain(..) {
            out(&bytes);
            self.device.spare.push(bytes);
        }
        let asked = smoltcp::time::Instant::from_micros(micros(now));
        let at = self.iface.poll_at(asked, &self.sockets)?;
        // smoltcp counts microseconds; what it asks for at once comes with its next one.
        let at = at.total_micros().max(micros(now) + 1);
        Some(Instant::from_nanos(at as u64 * 1000))
    }
}

fn micros(at: Instant) -> i64 {
    (at.as_nanos() / 1000) as i64
}

/// A device of two queues, whose frames are recycled.
#[derive(Debug, Default)]
struct Queues {
    rx: VecDeque<Vec<u8>>,
    tx: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
    ip_mtu: usize,
}

struct RxToken<'a> {
    bytes: Vec<u8>,
    spare: &'a mut Vec<Vec<u8>>,
}

struct TxToken<'a> {
    tx: &'a mut VecDeque<Vec<u8>>,
    bytes: Vec<u8>,
}

impl Device for Queues {
    type RxToken<'a> = RxToken<'a>;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _now: smoltcp::time::Instant) -> Option<(RxToken<'_>, TxToken<'_>)> {
        let bytes = self.rx.pop_front()?;
        let spare = self.spare.pop().unwrap_or_default();
        Some((
            RxToken { bytes, spare: &mut self.spare },
            TxToken { tx: &mut self.tx, bytes: spare },
        ))
    }

    fn transmit(&mut self, _now: smoltcp::time::Instant) -> Option<TxToken<'_>> {
        let bytes = self.spare.pop().unwrap_or_default();
        Some(TxToken { tx: &mut self.tx, bytes })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.ip_mtu + 14;
        capabilities
    }
}

impl phy::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let result = f(&self.bytes);
        self.spare.push(self.bytes);
        result
    }
}

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, len: usize, f: F) -> R {
        self.bytes.clear();
        self.bytes.resize(len, 0);
        let result = f(&mut self.bytes);
        self.tx.push_back(self.bytes);
        result
    }
}
