//! Requests and answers, each with its length before it: four bytes, big endian, then so many.

use simoom_core::content::NoContent;
use simoom_core::stack::app::{App, CloseReason, Cx, Peer, Source};

/// Bytes of a request at most: it has to be in the window whole. A longer one is answered by RST.
pub const REQUEST_MAX: usize = 8 << 10;

/// Bytes of answers that a connection may be behind with before it is asked nothing more.
const BEHIND_MAX: usize = 64 << 10;

/// A server of the function `answer`: it is given a request and appends what it answers.
#[derive(Clone, Debug)]
pub struct Rpc<F> {
    answer: F,
    /// Answers not yet acknowledged, one buffer a connection.
    answers: Vec<Vec<u8>>,
    free: Vec<usize>,
    content: NoContent,
}

/// What is kept per connection: which buffer, and the stream offset of its first byte.
#[derive(Clone, Debug)]
pub struct RpcConn {
    slot: usize,
    start: u64,
}

impl<F: FnMut(&[u8], &mut Vec<u8>)> Rpc<F> {
    /// A server that has answered nothing yet.
    pub fn new(answer: F) -> Self {
        Self { answer, answers: Vec::new(), free: Vec::new(), content: NoContent }
    }
}

impl<F: FnMut(&[u8], &mut Vec<u8>)> App for Rpc<F> {
    type Conn = RpcConn;
    type Content = NoContent;

    fn content(&mut self) -> &mut NoContent {
        &mut self.content
    }

    fn on_open(&mut self, _cx: &mut Cx<'_>, _peer: Peer) -> RpcConn {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.answers.push(Vec::new());
            self.answers.len() - 1
        });
        RpcConn { slot, start: 0 }
    }

    fn on_bytes(&mut self, cx: &mut Cx<'_>, conn: &mut RpcConn, bytes: &[u8]) -> usize {
        let out = &mut self.answers[conn.slot];
        let mut rest = bytes;
        while out.len() < BEHIND_MAX
            && let Some((len, after)) = rest.split_first_chunk::<4>()
        {
            let len = u32::from_be_bytes(*len) as usize;
            if len > REQUEST_MAX {
                cx.abort();
                return bytes.len();
            }
            let Some((request, after)) = after.split_at_checked(len) else { break };
            let at = out.len();
            out.extend_from_slice(&[0; 4]);
            (self.answer)(request, out);
            let len = (out.len() - at - 4) as u32;
            out[at..at + 4].copy_from_slice(&len.to_be_bytes());
            rest = after;
        }
        bytes.len() - rest.len()
    }

    fn source(&mut self, conn: &RpcConn, at: u64, _max: u32) -> Source<'_> {
        let bytes = &self.answers[conn.slot][(at - conn.start) as usize..];
        if bytes.is_empty() { Source::Pending } else { Source::Bytes { bytes, fin: false } }
    }

    fn on_acked(&mut self, _cx: &mut Cx<'_>, conn: &mut RpcConn, upto: u64) {
        let answers = &mut self.answers[conn.slot];
        let done = ((upto - conn.start) as usize).min(answers.len());
        answers.drain(..done);
        conn.start += done as u64;
    }

    fn on_close(&mut self, conn: RpcConn, _why: CloseReason) {
        self.answers[conn.slot].clear();
        self.free.push(conn.slot);
    }
}
