//! smoltcp as a server of the same bytes: one socket a connection, heads and bodies in memory.
//!
//! What it is given where there was a choice: it is told which connections the script talks to, so
//! that its application polls no others; the congestion window has no limit (its default without
//! a controller); its answer to a request is one slice, found by the digits of the path.

use crate::client::{CLIENT_MAC, SERVER_IP, SERVER_MAC, client_ip, object_of_request};
use crate::memory_port::{HEADERS, STRIDE, TX_SLOTS};
use crate::rx::RxQueue;
use crate::subject::Subject;
use smoltcp::iface::{
    self, Interface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet,
};
use smoltcp::phy::{self, Checksum, ChecksumCapabilities, DeviceCapabilities, Medium};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Address};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The clock of TSval, in milliseconds: smoltcp takes a function without a state.
static CLOCK_MS: AtomicU32 = AtomicU32::new(0);

/// The server.
pub struct Smol {
    device: Device,
    interface: Interface,
    sockets: SocketSet<'static>,
    /// In the order of opening: a SYN goes to the first socket that still listens.
    handles: Vec<SocketHandle>,
    /// Whole answers.
    responses: Vec<Vec<u8>>,
}

impl Smol {
    /// A server of `responses` with as many sockets as there may be connections.
    pub fn new(responses: Vec<Vec<u8>>, connections: u32, checksums: bool) -> Self {
        let mut device = Device::new(checksums);
        let config = iface::Config::new(EthernetAddress(SERVER_MAC.0).into());
        let mut interface = Interface::new(config, &mut device, Instant::ZERO);
        interface.update_ip_addrs(|addrs| {
            let ip = Ipv4Address::from(SERVER_IP.octets());
            addrs.push(IpCidr::new(ip.into(), 8)).expect("room for one address");
        });
        let longest = responses.iter().map(Vec::len).max().unwrap_or(0);
        // The tail of the answer before may still be unacknowledged.
        let tx_bytes = (longest + 4_096).next_power_of_two();
        let mut sockets = SocketSet::new(Vec::with_capacity(connections as usize));
        let handles: Vec<SocketHandle> = (0..connections)
            .map(|_| {
                let rx = tcp::SocketBuffer::new(vec![0; 4_096]);
                let tx = tcp::SocketBuffer::new(vec![0; tx_bytes]);
                let mut socket = tcp::Socket::new(rx, tx);
                // As it is by default where no other package asks for its controllers.
                socket.set_congestion_control(tcp::CongestionControl::None);
                socket.set_nagle_enabled(false);
                socket.set_tsval_generator(Some(|| CLOCK_MS.load(Relaxed)));
                socket.listen(80).expect("the socket is closed");
                sockets.add(socket)
            })
            .collect();
        let mut smol = Self { device, interface, sockets, handles, responses };
        smol.learn_neighbours();
        smol
    }

    /// smoltcp answers nobody whose hardware address it has not heard by ARP.
    fn learn_neighbours(&mut self) {
        self.device.rx.clear();
        self.device.rx.push(&arp_request());
        self.device.rx.release(1);
        self.turn(0, &[]);
    }

    fn serve(&mut self, handle: SocketHandle) {
        let socket = self.sockets.get_mut::<tcp::Socket>(handle);
        while socket.can_recv() {
            // Copied, because a head may lie across the end of the ring.
            let mut head = [0; 512];
            let len = socket.peek_slice(&mut head).unwrap_or(0);
            let Some(end) = head[..len].windows(4).position(|w| w == b"\r\n\r\n") else { break };
            let Some(object) = object_of_request(&head[..end]) else { break };
            let taken = socket.recv_slice(&mut head[..end + 4]);
            assert_eq!(taken, Ok(end + 4));
            let response = &self.responses[object as usize];
            let sent = socket.send_slice(response);
            assert_eq!(sent, Ok(response.len()), "the socket's buffer is big enough");
        }
        if socket.state() == tcp::State::CloseWait {
            socket.close();
        } else if socket.state() == tcp::State::Closed {
            socket.listen(80).expect("the socket is closed");
        }
    }
}

impl Subject for Smol {
    fn rx(&mut self) -> &mut RxQueue {
        &mut self.device.rx
    }

    fn turn(&mut self, now: u64, active: &[u32]) -> bool {
        CLOCK_MS.store((now / 1_000_000) as u32, Relaxed);
        let now = Instant::from_micros((now / 1_000) as i64);
        // What the last turn sent is done: its slots are written again while they are in cache.
        self.device.sent.clear();
        self.device.next = 0;
        let Self { interface, device, sockets, .. } = self;
        interface.poll_maintenance(now);
        while interface.poll_ingress_single(now, device, sockets) != PollIngressSingleResult::None {
        }
        for &connection in active {
            self.serve(self.handles[connection as usize % self.handles.len()]);
        }
        let Self { interface, device, sockets, .. } = self;
        while interface.poll_egress(now, device, sockets) != PollResult::None {}
        false
    }

    fn last_frames(&self, show: &mut dyn FnMut(&[u8])) {
        self.device.last_frames().for_each(show);
    }

    fn sent(&self) -> (u64, u64) {
        (self.device.frames_out, self.device.text_out)
    }

    fn response_len(&self, object: u32) -> u64 {
        self.responses[object as usize].len() as u64
    }

    fn diagnosis(&self) -> String {
        let mut states = std::collections::BTreeMap::new();
        for &handle in &self.handles {
            let state = self.sockets.get::<tcp::Socket>(handle).state();
            *states.entry(state.to_string()).or_insert(0u32) += 1;
        }
        format!("{states:?}")
    }
}

/// The wire: frames are written to slots one after the other, as a ring would have it.
struct Device {
    rx: RxQueue,
    slots: Vec<u8>,
    next: usize,
    /// Slot and length of what the last turn sent.
    sent: Vec<(u32, u16)>,
    frames_out: u64,
    text_out: u64,
    checksums: bool,
}

impl Device {
    fn new(checksums: bool) -> Self {
        Self {
            rx: RxQueue::default(),
            slots: vec![0; TX_SLOTS as usize * STRIDE],
            next: 0,
            sent: Vec::with_capacity(TX_SLOTS as usize),
            frames_out: 0,
            text_out: 0,
            checksums,
        }
    }

    fn last_frames(&self) -> impl Iterator<Item = &[u8]> {
        let bytes = |slot: u32| &self.slots[slot as usize * STRIDE..];
        self.sent.iter().map(move |&(slot, len)| &bytes(slot)[..usize::from(len)])
    }
}

struct Received<'a>(&'a [u8]);

impl phy::RxToken for Received<'_> {
    #[inline]
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

struct Slot<'a> {
    slots: &'a mut [u8],
    next: &'a mut usize,
    sent: &'a mut Vec<(u32, u16)>,
    frames_out: &'a mut u64,
    text_out: &'a mut u64,
}

impl phy::TxToken for Slot<'_> {
    #[inline]
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let slot = *self.next;
        *self.next = (slot + 1) % TX_SLOTS as usize;
        *self.frames_out += 1;
        *self.text_out += (len as u64).saturating_sub(HEADERS);
        self.sent.push((slot as u32, len as u16));
        f(&mut self.slots[slot * STRIDE..][..len])
    }
}

impl phy::Device for Device {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Slot<'a>;

    #[inline]
    fn receive(&mut self, _timestamp: Instant) -> Option<(Received<'_>, Slot<'_>)> {
        let Self { rx, slots, next, sent, frames_out, text_out, .. } = self;
        if sent.len() == TX_SLOTS as usize {
            return None;
        }
        let frame = rx.pop()?;
        Some((Received(frame), Slot { slots, next, sent, frames_out, text_out }))
    }

    #[inline]
    fn transmit(&mut self, _timestamp: Instant) -> Option<Slot<'_>> {
        let Self { slots, next, sent, frames_out, text_out, .. } = self;
        if sent.len() == TX_SLOTS as usize {
            return None;
        }
        Some(Slot { slots, next, sent, frames_out, text_out })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ethernet;
        caps.max_transmission_unit = 1_514;
        caps.checksum = ChecksumCapabilities::default();
        if !self.checksums {
            caps.checksum.ipv4 = Checksum::None;
            caps.checksum.tcp = Checksum::None;
        }
        caps
    }
}

/// Asks for the server's address, in the name of the clients.
fn arp_request() -> Vec<u8> {
    let mut frame = Vec::with_capacity(42);
    frame.extend_from_slice(&[0xff; 6]);
    frame.extend_from_slice(&CLIENT_MAC.0);
    frame.extend_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend_from_slice(&CLIENT_MAC.0);
    frame.extend_from_slice(&client_ip(0).octets());
    frame.extend_from_slice(&[0; 6]);
    frame.extend_from_slice(&SERVER_IP.octets());
    frame
}
