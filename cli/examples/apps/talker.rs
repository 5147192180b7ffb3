//! A client for tests: opens one connection, says something, and compares what it hears.

use simoom_core::content::NoContent;
use simoom_core::stack::app::{App, CloseReason, Cx, OpenError, OpenRequest, Peer, Source};
use std::net::SocketAddrV4;

/// The client.
#[derive(Clone, Debug)]
pub struct Talker {
    server: SocketAddrV4,
    say: Vec<u8>,
    expect: Vec<u8>,
    asked: bool,
    heard: usize,
    verdict: Option<Result<(), String>>,
    content: NoContent,
}

impl Talker {
    /// A client that has said nothing yet.
    pub fn new(server: SocketAddrV4, say: Vec<u8>, expect: Vec<u8>) -> Self {
        Self { server, say, expect, asked: false, heard: 0, verdict: None, content: NoContent }
    }

    /// None while the connection is there; then whether everything was heard, and right.
    pub fn verdict(&self) -> Option<Result<(), String>> {
        self.verdict.clone()
    }
}

impl App for Talker {
    type Conn = ();
    type Content = NoContent;

    fn content(&mut self) -> &mut NoContent {
        &mut self.content
    }

    fn poll_open(&mut self) -> Option<OpenRequest> {
        let first = !std::mem::replace(&mut self.asked, true);
        first.then_some(OpenRequest { remote: self.server, token: 1 })
    }

    fn on_open(&mut self, _cx: &mut Cx<'_>, _peer: Peer) {}

    fn on_open_failed(&mut self, _token: u64, why: OpenError) {
        self.verdict = Some(Err(format!("no connection: {why:?}")));
    }

    fn on_bytes(&mut self, cx: &mut Cx<'_>, _conn: &mut (), bytes: &[u8]) -> usize {
        if self.expect.get(self.heard..self.heard + bytes.len()) != Some(bytes) {
            self.verdict = Some(Err(format!("wrong bytes after {} right ones", self.heard)));
            cx.abort();
        }
        self.heard += bytes.len();
        if self.heard == self.expect.len() {
            cx.close();
        }
        bytes.len()
    }

    fn source(&mut self, _conn: &(), at: u64, _max: u32) -> Source<'_> {
        match self.say.get(at as usize..) {
            Some(bytes) if !bytes.is_empty() => Source::Bytes { bytes, fin: false },
            _ => Source::Pending,
        }
    }

    fn on_acked(&mut self, _cx: &mut Cx<'_>, _conn: &mut (), _upto: u64) {}

    fn on_close(&mut self, _conn: (), why: CloseReason) {
        let whole = self.heard == self.expect.len() && why == CloseReason::Finished;
        self.verdict.get_or_insert_with(|| match whole {
            true => Ok(()),
            false => Err(format!(
                "the connection ended ({why:?}) after {} of {} bytes",
                self.heard,
                self.expect.len()
            )),
        });
    }
}
