//! A client for any protocol: it opens one connection, says something, and compares what it hears.

use simoom_core::content::NoContent;
use simoom_core::stack::app::{App, CloseReason, Cx, OpenError, OpenRequest, Peer, Source};
use simoom_core::time::Instant;
use std::net::SocketAddrV4;

/// The client of [`Lab::talk`](super::Lab::talk). It says everything at once, as far as windows
/// allow, closes when it has heard as much as it expects, and does not try a second time.
#[derive(Clone, Debug)]
pub struct Talker {
    server: SocketAddrV4,
    say: Vec<u8>,
    expect: Vec<u8>,
    asked: bool,
    heard: usize,
    heard_at: Option<Instant>,
    verdict: Option<Result<(), String>>,
    content: NoContent,
}

impl Talker {
    /// A client that has said nothing yet.
    pub fn new(server: SocketAddrV4, say: Vec<u8>, expect: Vec<u8>) -> Self {
        let content = NoContent;
        Self { server, say, expect, asked: false, heard: 0, heard_at: None, verdict: None, content }
    }

    /// Bytes heard that were right.
    pub fn heard(&self) -> usize {
        self.heard
    }

    /// When the last expected byte was heard.
    pub fn heard_at(&self) -> Option<Instant> {
        self.heard_at
    }

    /// None while the connection is there; then whether everything was heard.
    pub fn verdict(&self) -> Option<&Result<(), String>> {
        self.verdict.as_ref()
    }

    fn note_heard(&mut self, cx: &mut Cx<'_>) {
        if self.heard == self.expect.len() {
            self.heard_at.get_or_insert(cx.now());
            cx.close();
        }
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

    fn on_open(&mut self, cx: &mut Cx<'_>, _peer: Peer) {
        self.note_heard(cx);
    }

    fn on_open_failed(&mut self, _token: u64, why: OpenError) {
        self.verdict = Some(Err(format!("no connection: {why:?}")));
    }

    fn on_bytes(&mut self, cx: &mut Cx<'_>, _conn: &mut (), bytes: &[u8]) -> usize {
        let expected = &self.expect[self.heard..];
        let right = bytes.iter().zip(expected).take_while(|(came, due)| came == due).count();
        self.heard += right;
        if right < bytes.len() {
            let due =
                expected.get(right).map_or(String::from("nothing"), |due| format!("{due:#04x}"));
            let (at, came) = (self.heard, bytes[right]);
            self.verdict =
                Some(Err(format!("wrong bytes: byte {at} should be {due} and is {came:#04x}")));
            cx.abort();
        } else {
            self.note_heard(cx);
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
        let (heard, all) = (self.heard, self.expect.len());
        self.verdict.get_or_insert_with(|| match why {
            CloseReason::Finished if heard == all => Ok(()),
            why => Err(format!("the connection ended ({why:?}) after {heard} of {all} bytes")),
        });
    }
}
