//! An echo server: what a peer says comes back, in order, until it ends.

use simoom_core::content::NoContent;
use simoom_core::stack::app::{App, CloseReason, Cx, Peer, Source};

/// Bytes of a connection that are sent and not acknowledged, at most. A peer that says more and
/// does not listen finds the window closed.
const KEPT_MAX: usize = 64 << 10;

/// The server. Keeps what is under way, one buffer a connection; buffers are used again.
#[derive(Clone, Debug, Default)]
pub struct Echo {
    kept: Vec<Vec<u8>>,
    free: Vec<usize>,
    content: NoContent,
}

/// What is kept per connection.
#[derive(Clone, Debug)]
pub struct EchoConn {
    /// Which buffer.
    slot: usize,
    /// Stream offset of the buffer's first byte.
    start: u64,
    /// The peer has ended.
    ended: bool,
}

impl App for Echo {
    type Conn = EchoConn;
    type Content = NoContent;

    fn content(&mut self) -> &mut NoContent {
        &mut self.content
    }

    fn on_open(&mut self, _cx: &mut Cx<'_>, _peer: Peer) -> EchoConn {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.kept.push(Vec::with_capacity(KEPT_MAX));
            self.kept.len() - 1
        });
        EchoConn { slot, start: 0, ended: false }
    }

    fn on_bytes(&mut self, cx: &mut Cx<'_>, conn: &mut EchoConn, bytes: &[u8]) -> usize {
        let kept = &mut self.kept[conn.slot];
        let taken = bytes.len().min(KEPT_MAX - kept.len());
        kept.extend_from_slice(&bytes[..taken]);
        if conn.ended && taken == bytes.len() {
            cx.close();
        }
        taken
    }

    fn source(&mut self, conn: &EchoConn, at: u64, _max: u32) -> Source<'_> {
        let bytes = &self.kept[conn.slot][(at - conn.start) as usize..];
        if bytes.is_empty() { Source::Pending } else { Source::Bytes { bytes, fin: false } }
    }

    fn on_acked(&mut self, _cx: &mut Cx<'_>, conn: &mut EchoConn, upto: u64) {
        let kept = &mut self.kept[conn.slot];
        // The acknowledgement of our FIN is one beyond the last byte at most.
        let done = ((upto - conn.start) as usize).min(kept.len());
        kept.drain(..done);
        conn.start += done as u64;
    }

    fn on_fin(&mut self, cx: &mut Cx<'_>, conn: &mut EchoConn) {
        conn.ended = true;
        if self.kept[conn.slot].len() < KEPT_MAX {
            // Everything was taken. Else `on_bytes` is called again with the rest.
            cx.close();
        }
    }

    fn on_close(&mut self, conn: EchoConn, _why: CloseReason) {
        self.kept[conn.slot].clear();
        self.free.push(conn.slot);
    }
}
