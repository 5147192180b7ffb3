//! An application whose retransmissions show another second than the first transmission did.

use simoom_core::content::Pin;
use simoom_core::server::{FileServer, MemoryBodies, ServerConn};
use simoom_core::stack::app::{App, CloseReason, Cx, Peer, Source};
use std::cell::Cell;

/// The file server, but for its dates.
pub(crate) struct NewerDate {
    server: FileServer<MemoryBodies>,
    /// The date of a retransmission.
    date: Vec<u8>,
}

impl NewerDate {
    pub(crate) fn new(server: FileServer<MemoryBodies>) -> Self {
        Self { server, date: Vec::new() }
    }
}

/// A connection, and the highest offset asked for so far.
pub(crate) struct Conn {
    server: ServerConn,
    highest: Cell<u64>,
}

impl App for NewerDate {
    type Conn = Conn;
    type Content = <FileServer<MemoryBodies> as App>::Content;

    fn content(&mut self) -> &mut Self::Content {
        self.server.content()
    }

    fn on_open(&mut self, cx: &mut Cx<'_>, peer: Peer) -> Conn {
        Conn { server: self.server.on_open(cx, peer), highest: Cell::new(0) }
    }

    fn on_bytes(&mut self, cx: &mut Cx<'_>, conn: &mut Conn, bytes: &[u8]) -> usize {
        self.server.on_bytes(cx, &mut conn.server, bytes)
    }

    fn source(&mut self, conn: &Conn, at: u64, max: u32) -> Source<'_> {
        let Self { server, date } = self;
        let again = at < conn.highest.get();
        conn.highest.set(conn.highest.get().max(at));
        match server.source(&conn.server, at, max) {
            Source::Prepared { object, offset, len, pins: [Some(pin), other], fin } if again => {
                // `Sun, 06 Nov 1994 08:49:37 GMT`: the second's last digit.
                date.clear();
                date.extend_from_slice(pin.bytes);
                let digit = date.len() - 5;
                date[digit] = b'0' + (date[digit] - b'0' + 1) % 10;
                let pins = [Some(Pin { offset: pin.offset, bytes: date }), other];
                Source::Prepared { object, offset, len, pins, fin }
            }
            other => other,
        }
    }

    fn on_acked(&mut self, cx: &mut Cx<'_>, conn: &mut Conn, upto: u64) {
        self.server.on_acked(cx, &mut conn.server, upto);
    }

    fn on_deadline(&mut self, cx: &mut Cx<'_>, conn: &mut Conn) {
        self.server.on_deadline(cx, &mut conn.server);
    }

    fn on_fin(&mut self, cx: &mut Cx<'_>, conn: &mut Conn) {
        self.server.on_fin(cx, &mut conn.server);
    }

    fn on_close(&mut self, conn: Conn, why: CloseReason) {
        self.server.on_close(conn.server, why);
    }
}
