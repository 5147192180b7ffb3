//! An HTTP/1.1 server over smoltcp: GET of what it was given, keep-alive. A yardstick, and the
//! other end of tests of the simulator itself.

use super::{Identity, Net};
use crate::endpoint::Endpoint;
use simoom_core::time::Instant;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a server does.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The TCP port.
    pub port: u16,
    /// Connections at once, at most.
    pub connections: usize,
    /// What there is to fetch, by request target.
    pub objects: BTreeMap<String, Arc<[u8]>>,
}

/// The server.
#[derive(Debug)]
pub struct HttpServer {
    net: Net,
    config: ServerConfig,
    slots: Vec<Slot>,
    requests: u64,
}

#[derive(Debug)]
struct Slot {
    handle: SocketHandle,
    /// What came and was not yet answered.
    received: Vec<u8>,
    /// What is to be sent: the head, then the body, each from an offset.
    head: Vec<u8>,
    body: Option<(Arc<[u8]>, usize)>,
    /// Close after what is to be sent.
    close: bool,
}

impl HttpServer {
    /// A server that listens when the world begins.
    pub fn new(identity: Identity, config: ServerConfig) -> Self {
        let mut net = Net::new(identity);
        let slots = (0..config.connections)
            .map(|_| Slot {
                handle: net.add_socket(),
                received: Vec::new(),
                head: Vec::new(),
                body: None,
                close: false,
            })
            .collect();
        Self { net, config, slots, requests: 0 }
    }

    /// Requests answered.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Does what can be done for one connection. True where that gives smoltcp something to do.
    fn serve(&mut self, n: usize) -> bool {
        let slot = &mut self.slots[n];
        let socket = self.net.socket(slot.handle);
        if socket.state() == State::Closed {
            slot.received.clear();
            slot.head.clear();
            slot.body = None;
            slot.close = false;
            return socket.listen(self.config.port).is_ok();
        }
        let mut moved = false;
        while socket.can_recv() {
            let taken = socket.recv(|data| {
                slot.received.extend_from_slice(data);
                (data.len(), ())
            });
            moved |= taken.is_ok();
        }
        if slot.head.is_empty() && slot.body.is_none() && !slot.close {
            moved |= slot.answer(&self.config.objects, &mut self.requests);
        }
        if socket.can_send() && !slot.head.is_empty() {
            let taken = socket.send_slice(&slot.head).unwrap_or(0);
            slot.head.drain(..taken);
            moved |= taken > 0;
        }
        if socket.can_send()
            && slot.head.is_empty()
            && let Some((body, at)) = &mut slot.body
        {
            let taken = socket.send_slice(&body[*at..]).unwrap_or(0);
            *at += taken;
            moved |= taken > 0;
            if *at == body.len() {
                slot.body = None;
                moved = true;
            }
        }
        let sent_all = slot.head.is_empty() && slot.body.is_none();
        let over = slot.close || (socket.state() == State::CloseWait && slot.received.is_empty());
        if sent_all && over && socket.may_send() {
            socket.close();
            moved = true;
        }
        moved
    }
}

impl Slot {
    /// Prepares the answer to the next request, if a whole one has come.
    fn answer(&mut self, objects: &BTreeMap<String, Arc<[u8]>>, requests: &mut u64) -> bool {
        let Some(end) = self.received.windows(4).position(|w| w == b"\r\n\r\n") else {
            return false;
        };
        let request = String::from_utf8_lossy(&self.received[..end]).into_owned();
        self.received.drain(..end + 4);
        let path = request.split(' ').nth(1).unwrap_or_default();
        let (status, body) = match objects.get(path) {
            Some(body) => ("200 OK", Arc::clone(body)),
            None => ("404 Not Found", Arc::from([])),
        };
        self.head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len()).into();
        self.body = (!body.is_empty()).then_some((body, 0));
        self.close = request.contains("Connection: close");
        *requests += 1;
        true
    }
}

impl Endpoint for HttpServer {
    fn on_frame(&mut self, _now: Instant, frame: &[u8]) {
        self.net.on_frame(frame);
    }

    fn poll(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        loop {
            self.net.poll(now);
            let mut moved = false;
            for n in 0..self.slots.len() {
                moved |= self.serve(n);
            }
            if !moved {
                return self.net.finish(now, out);
            }
        }
    }

    fn describe(&self) -> String {
        format!("a smoltcp server that has answered {} requests", self.requests)
    }
}
