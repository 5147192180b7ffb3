//! A browser on our own stack: loads pages, thinks, loads the next.
//!
//! Of each page the document comes first, then its objects over several connections at once, which are kept for
//! the pages that follow. Every body is compared with what the site says.

use super::site::Site;
use super::tcp_peer::answers::{Answers, Body, Expected};
use crate::seed::{Draws, Seed, Stream};
use simoom_core::content::NoContent;
use simoom_core::stack::app::{App, CloseReason, ConnId, Cx, OpenError, OpenRequest, Peer, Source};
use simoom_core::time::{Duration, Instant};
use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::sync::Arc;

/// How often a request is made again whose connection ended before its answer was whole.
pub const TRIES_MAX: u8 = 3;

/// Connections that cannot be opened, one after the other, before a browser stops.
pub const OPEN_FAILURES_MAX: u32 = 8;

/// What a browser does.
#[derive(Clone, Debug)]
pub struct BrowserConfig {
    /// Whom to ask.
    pub server: SocketAddrV4,
    /// What there is.
    pub site: Arc<Site>,
    /// Pages to load, one after the other, each drawn evenly from the site's.
    pub pages: u32,
    /// Connections at once at most; browsers have 6.
    pub connections: u32,
    /// From its first connection to the first request.
    pub start_after: Duration,
    /// The mean of the exponentially distributed time from the end of a page to the next.
    pub think: Duration,
    /// How long the longest of these times is; below the server's patience with idle connections.
    pub think_max: Duration,
    /// When a request that is not answered in full is given up, at the latest a quarter of this later.
    pub give_up: Duration,
}

impl BrowserConfig {
    /// So many pages of a site over 6 connections, with 5 seconds of thought and a minute of patience.
    pub fn new(server: SocketAddrV4, site: Arc<Site>, pages: u32) -> Self {
        Self {
            server,
            site,
            pages,
            connections: 6,
            start_after: Duration::ZERO,
            think: Duration::from_secs(5),
            think_max: Duration::from_secs(60),
            give_up: Duration::from_secs(60),
        }
    }
}

/// A page that was loaded, or given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLoad {
    /// Which of the site's.
    pub page: u32,
    /// When its document was asked for.
    pub started_at: Instant,
    /// When its last byte came.
    pub done_at: Instant,
    /// Files of it that did not come whole and right.
    pub failed: u32,
}

/// What a browser has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BrowserStats {
    /// Connections that were opened.
    pub connections: u64,
    /// Connections that could not be opened.
    pub open_failed: u64,
    /// Requests made, those made again among them.
    pub requests: u64,
    /// Files that came whole and right.
    pub succeeded: u64,
    /// Files that came otherwise, or not in time, or not at all.
    pub failed: u64,
    /// Of them those that came with other bytes, another length, or as no HTTP.
    pub wrong: u64,
    /// Of them given up after [`BrowserConfig::give_up`].
    pub given_up: u64,
    /// Requests made again, because their connection had ended.
    pub retried: u64,
    /// Bytes of bodies of files that came whole and right.
    pub bytes: u64,
    /// Times of thought that ended with the connection that kept them.
    pub thinks_cut: u64,
}

/// A file to fetch, and how often it was tried.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    file: u32,
    tries: u8,
}

/// One connection.
#[derive(Clone, Debug)]
struct Tab {
    id: ConnId,
    answers: Answers,
    /// Bytes that came, and those that had when the last request was made.
    read: u64,
    read_before: u64,
    /// The last request, and its offset in the stream.
    request: Vec<u8>,
    request_at: u64,
    /// What it answers, and since when.
    fetching: Option<(Wanted, Instant)>,
    /// Its deadline is the end of the thought.
    thinks: bool,
    /// It takes no more requests.
    ending: bool,
}

impl Tab {
    /// It had answered before, and nothing of the present answer has come.
    fn was_closing(&self) -> bool {
        self.request_at > 0 && self.read == self.read_before
    }
}

/// The connection's place among the browser's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TabNumber(usize);

/// Where a browser is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is open yet.
    Starting,
    /// Between two pages.
    Thinking,
    Document,
    Objects,
    /// All pages are loaded.
    Done,
}

/// The browser: an application of our stack.
#[derive(Clone, Debug)]
pub struct Browser {
    config: BrowserConfig,
    draws: Draws,
    content: NoContent,
    phase: Phase,
    tabs: Vec<Option<Tab>>,
    /// Connections asked for and not yet open.
    opening: u32,
    open_failures: u32,
    queue: VecDeque<Wanted>,
    fetching: u32,
    /// The time of the last call that knew it.
    now: Instant,
    page: PageLoad,
    loads: Vec<PageLoad>,
    stats: BrowserStats,
}

impl Browser {
    /// A browser with its own stream of draws, number `number`.
    pub fn new(config: BrowserConfig, seed: Seed, number: u32) -> Self {
        assert!(config.connections > 0 && config.pages > 0, "connections, pages: at least 1");
        let zero = Instant::ZERO;
        Self {
            draws: seed.stream(Stream::Named("Browser", number)),
            content: NoContent,
            phase: Phase::Starting,
            tabs: Vec::new(),
            opening: 0,
            open_failures: 0,
            queue: VecDeque::new(),
            fetching: 0,
            now: zero,
            page: PageLoad { page: 0, started_at: zero, done_at: zero, failed: 0 },
            loads: Vec::new(),
            stats: BrowserStats::default(),
            config,
        }
    }

    /// What was counted.
    pub fn stats(&self) -> &BrowserStats {
        &self.stats
    }

    /// The pages so far.
    pub fn loads(&self) -> &[PageLoad] {
        &self.loads
    }

    /// Whether all pages are over and no connection is left.
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done && self.tabs.iter().all(Option::is_none)
    }

    /// Whether every page came whole and right.
    ///
    /// # Errors
    /// What did not.
    pub fn verdict(&self) -> Result<(), String> {
        let all = self.loads.len() == self.config.pages as usize && self.stats.failed == 0;
        if all { Ok(()) } else { Err(format!("{} pages, {:?}", self.loads.len(), self.stats)) }
    }

    fn tab(&mut self, number: TabNumber) -> &mut Tab {
        self.tabs[number.0].as_mut().expect("a connection has its place until it closes")
    }

    fn alive(&self) -> u32 {
        self.tabs.iter().flatten().filter(|tab| !tab.ending).count() as u32
    }

    fn wants_connection(&self) -> bool {
        if self.open_failures >= OPEN_FAILURES_MAX {
            return false;
        }
        let idle_browser = self.alive() + self.opening == 0;
        match self.phase {
            Phase::Done => false,
            // The thought needs a connection to keep it.
            Phase::Starting | Phase::Thinking => idle_browser,
            Phase::Document | Phase::Objects => {
                self.queue.len() > self.opening as usize
                    && self.alive() + self.opening < self.config.connections
            }
        }
    }

    fn start_page(&mut self, now: Instant) {
        let page = self.draws.below(self.config.site.pages.len() as u64) as u32;
        let document = self.config.site.pages[page as usize].document;
        self.page = PageLoad { page, started_at: now, done_at: now, failed: 0 };
        self.phase = Phase::Document;
        self.queue.push_back(Wanted { file: document, tries: 0 });
    }

    /// A file of the page is over.
    fn file_over(&mut self, now: Instant, is_right: bool) {
        if is_right {
            self.stats.succeeded += 1;
        } else {
            self.stats.failed += 1;
            self.page.failed += 1;
        }
        if self.phase == Phase::Document {
            self.phase = Phase::Objects;
            if is_right {
                let objects = self.config.site.pages[self.page.page as usize].objects.clone();
                self.queue.extend(objects.map(|file| Wanted { file, tries: 0 }));
            }
        }
        if self.queue.is_empty() && self.fetching == 0 {
            self.page.done_at = now;
            self.loads.push(self.page);
            let is_last = self.loads.len() == self.config.pages as usize;
            self.phase = if is_last { Phase::Done } else { Phase::Thinking };
        }
    }

    /// A connection ends before its answer: another one is to ask again. One that was kept, and from which
    /// nothing came any more, was being closed by the server when it was asked: that is no try.
    fn lose(&mut self, now: Instant, mut wanted: Wanted, was_closing: bool) {
        self.fetching -= 1;
        wanted.tries += u8::from(!was_closing);
        if wanted.tries < TRIES_MAX {
            self.stats.retried += 1;
            self.queue.push_front(wanted);
        } else {
            self.file_over(now, false);
        }
    }

    /// Gives waiting requests to connections that have none, this one first, opens more, and sets this one's
    /// deadline.
    fn go_on(&mut self, cx: &mut Cx<'_>, own: TabNumber) {
        self.now = cx.now();
        self.take_next(cx.now(), own);
        for n in 0..self.tabs.len() {
            if let Some(id) = self.take_next(cx.now(), TabNumber(n)) {
                cx.wake(id);
            }
        }
        while self.wants_connection() && cx.open(self.config.server, 0).is_ok() {
            self.opening += 1;
        }
        if self.phase == Phase::Done {
            for tab in self.tabs.iter().flatten() {
                cx.wake(tab.id);
            }
            cx.close();
        }
        self.set_deadline(cx, own);
    }

    /// Asks for the next file that waits, over this connection. Answers who is to be woken, if it does.
    fn take_next(&mut self, now: Instant, number: TabNumber) -> Option<ConnId> {
        let tab = self.tabs[number.0].as_mut()?;
        if tab.fetching.is_some() || tab.ending {
            return None;
        }
        let wanted = self.queue.pop_front()?;
        let file = &self.config.site.files[wanted.file as usize];
        tab.request_at += tab.request.len() as u64;
        tab.read_before = tab.read;
        tab.request =
            format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", file.path, self.config.server.ip())
                .into_bytes();
        let body = Body::Pattern { seed: file.seed, len: file.len };
        tab.answers.expect(Expected::Http(200, body));
        tab.fetching = Some((wanted, now));
        self.fetching += 1;
        self.stats.requests += 1;
        Some(tab.id)
    }

    /// A connection that fetches gives up in time; one that does not looks again whether another gave it
    /// something to fetch.
    fn set_deadline(&mut self, cx: &mut Cx<'_>, own: TabNumber) {
        let (now, give_up) = (cx.now(), self.config.give_up);
        let thinks = self.phase == Phase::Thinking
            && !self.tabs.iter().flatten().any(|tab| tab.thinks && !tab.ending);
        if thinks {
            let first = self.loads.is_empty();
            let think = match first {
                true => self.config.start_after,
                false => self.draws.exponential(self.config.think).min(self.config.think_max),
            };
            self.tab(own).thinks = true;
            return cx.set_deadline(Some(now + think));
        }
        let tab = self.tab(own);
        if !tab.thinks {
            let quarter = Duration::from_nanos((give_up.as_nanos() / 4).max(1));
            let at = tab.fetching.map_or(now + quarter, |(_, asked_at)| asked_at + give_up);
            cx.set_deadline(Some(at));
        }
    }

    /// The thought is over.
    fn stop_thinking(&mut self, now: Instant, own: TabNumber) {
        if std::mem::take(&mut self.tab(own).thinks) && self.phase == Phase::Thinking {
            self.start_page(now);
        }
    }
}

impl App for Browser {
    type Conn = TabNumber;
    type Content = NoContent;

    fn content(&mut self) -> &mut NoContent {
        &mut self.content
    }

    fn poll_open(&mut self) -> Option<OpenRequest> {
        self.wants_connection().then(|| {
            self.opening += 1;
            OpenRequest { remote: self.config.server, token: 0 }
        })
    }

    fn on_open(&mut self, cx: &mut Cx<'_>, peer: Peer) -> TabNumber {
        self.opening -= 1;
        self.open_failures = 0;
        self.stats.connections += 1;
        let tab = Tab {
            id: peer.id,
            answers: Answers::new(1),
            read: 0,
            read_before: 0,
            request: Vec::new(),
            request_at: 0,
            fetching: None,
            thinks: false,
            ending: false,
        };
        let free = self.tabs.iter().position(Option::is_none);
        let number = TabNumber(free.unwrap_or(self.tabs.len()));
        match free {
            Some(free) => self.tabs[free] = Some(tab),
            None => self.tabs.push(Some(tab)),
        }
        if self.phase == Phase::Starting {
            self.phase = Phase::Thinking;
        }
        self.go_on(cx, number);
        number
    }

    fn on_open_failed(&mut self, _token: u64, _why: OpenError) {
        self.opening -= 1;
        self.open_failures += 1;
        self.stats.open_failed += 1;
    }

    fn on_bytes(&mut self, cx: &mut Cx<'_>, conn: &mut TabNumber, bytes: &[u8]) -> usize {
        self.now = cx.now();
        let tab = self.tab(*conn);
        tab.answers.read(bytes);
        tab.read += bytes.len() as u64;
        if tab.answers.wrongs.malformed > 0 {
            tab.ending = true;
            self.stats.wrong += 1;
            cx.abort();
            return bytes.len();
        }
        if let Some(is_right) = tab.answers.take_finished(tab.read)
            && let Some((wanted, _)) = tab.fetching.take()
        {
            self.fetching -= 1;
            if is_right {
                self.stats.bytes += self.config.site.files[wanted.file as usize].len;
            } else {
                self.stats.wrong += 1;
            }
            self.file_over(cx.now(), is_right);
            self.go_on(cx, *conn);
        }
        bytes.len()
    }

    fn source(&mut self, conn: &TabNumber, at: u64, _max: u32) -> Source<'_> {
        let is_done = self.phase == Phase::Done;
        let Some(Some(tab)) = self.tabs.get(conn.0) else { return Source::End };
        let from = at.saturating_sub(tab.request_at) as usize;
        match tab.request.get(from..).filter(|bytes| !bytes.is_empty()) {
            Some(bytes) => Source::Bytes { bytes, fin: false },
            None if is_done || tab.ending => Source::End,
            None => Source::Pending,
        }
    }

    fn on_acked(&mut self, _cx: &mut Cx<'_>, _conn: &mut TabNumber, _upto: u64) {}

    fn on_deadline(&mut self, cx: &mut Cx<'_>, conn: &mut TabNumber) {
        let (now, give_up) = (cx.now(), self.config.give_up);
        self.stop_thinking(now, *conn);
        let tab = self.tab(*conn);
        if let Some((_, asked_at)) = tab.fetching
            && asked_at + give_up <= now
        {
            tab.fetching = None;
            tab.ending = true;
            self.fetching -= 1;
            self.stats.given_up += 1;
            self.file_over(now, false);
            cx.abort();
        }
        self.go_on(cx, *conn);
    }

    fn on_fin(&mut self, cx: &mut Cx<'_>, conn: &mut TabNumber) {
        cx.close();
        let tab = self.tab(*conn);
        tab.ending = true;
        let thinks = tab.thinks;
        let was_closing = tab.was_closing();
        if let Some((wanted, _)) = tab.fetching.take() {
            self.lose(cx.now(), wanted, was_closing);
        }
        if thinks && self.phase == Phase::Thinking {
            self.stats.thinks_cut += 1;
        }
        self.stop_thinking(cx.now(), *conn);
        self.go_on(cx, *conn);
    }

    fn on_close(&mut self, conn: TabNumber, _why: CloseReason) {
        let Some(tab) = self.tabs[conn.0].take() else { return };
        if let Some((wanted, _)) = tab.fetching {
            // Another connection is opened in this turn: see `poll_open`.
            self.lose(self.now, wanted, tab.was_closing());
        }
        self.stats.thinks_cut += u64::from(tab.thinks && self.phase == Phase::Thinking);
    }
}
