//! A world of which everything is known, recorded at one of its ends: a server that answers after
//! given times, the simulator's own client, a link.

use simoom_core::content::NoContent;
use simoom_core::stack::app::{App, CloseReason, Cx, Peer, Source};
use simoom_core::time::{Duration, Instant};
use simoom_pcap::read::{Capture, Input};
use simoom_pcap::segments::Segments;
use simoom_replay::fit::{Fit, FitOptions, Fits, Fitting};
use simoom_sim::capture::View;
use simoom_sim::hosts::tcp_peer::{Body, Expected, Manners, Request, Station};
use simoom_sim::hosts::{Receiver, ReceiverConfig};
use simoom_sim::lab::{Lab, LinkConfig, Seed};
use simoom_sim::observe::RecordingConfig;
use simoom_sim::stack_host::StackSetup;
use std::io::Cursor;

/// 2026-01-01 00:00:00 UTC.
pub(crate) const START: u64 = 1_767_225_600_000_000_000;

/// Where a capture is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Server,
    Client,
}

/// One exchange: bytes of the request, how long the server thinks, bytes of the answer.
pub(crate) type Exchange = (usize, Duration, usize);

/// What is known.
pub(crate) struct Known {
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) manners: Manners,
    pub(crate) to_client: LinkConfig,
    pub(crate) to_server: LinkConfig,
    pub(crate) at: At,
    pub(crate) change: fn(&mut StackSetup),
}

/// When each answer was asked for, and when it was there.
pub(crate) struct Recorded {
    pub(crate) capture: Vec<u8>,
    pub(crate) took: Vec<u64>,
}

impl Known {
    /// One direction as the other, half of the round trip each, no bottleneck.
    pub(crate) fn new(round_trip: Duration, exchanges: &[Exchange]) -> Self {
        let link = LinkConfig {
            rate: simoom_sim::lab::Rate::UNLIMITED,
            delay: Duration::from_nanos(round_trip.as_nanos() / 2),
            queue_frames_max: u32::MAX,
            ..LinkConfig::default()
        };
        Self {
            exchanges: exchanges.to_vec(),
            manners: Manners::default().with_window(1 << 20),
            to_client: link.clone(),
            to_server: link,
            at: At::Server,
            change: |_| {},
        }
    }

    pub(crate) fn run(&self) -> Recorded {
        let seed = Seed(1);
        let mut lab = Lab::new(seed);
        let app = Thinker::new(&self.exchanges);
        let server = lab.host_with(app, |setup| {
            setup.nic.rate = simoom_sim::lab::Rate::UNLIMITED;
            (self.change)(setup);
        });
        let request = |(asks, _, answers): &Exchange| Request {
            bytes: vec![b'q'; *asks].into(),
            expected: Expected::Stream(Body::Any(Some(*answers as u64))),
        };
        let requests = self.exchanges.iter().map(request).collect();
        let client = lab.endpoint(|address| {
            let mut config = ReceiverConfig::new(server.addr(), requests);
            config.manners = self.manners;
            let station = Station::new(simoom_core::wire::MacAddr(address.mac), address.ip);
            Receiver::new(station.knows_number(1), config, seed, 2)
        });
        lab.join_with(server, client, self.to_client.clone(), self.to_server.clone());
        lab.record_frames(RecordingConfig::default());
        lab.run_until(|seen| seen[client].is_done()).unwrap();
        lab.run_for(Duration::from_secs(2)).unwrap();
        lab[client].verdict().unwrap();
        let seen = lab.seen();
        let way = match self.at {
            At::Server => seen.way_of(server, 0).unwrap(),
            At::Client => seen.way_of(client, 0).unwrap(),
        };
        let mut capture = Vec::new();
        seen.write_capture(&mut capture, &[View::nic("here", way)], START).unwrap();
        let took = lab[client].completions().iter();
        let took = took.map(|one| (one.done_at - one.asked_at).as_nanos()).collect();
        Recorded { capture, took }
    }

    /// The fit of its only connection.
    pub(crate) fn fit(&self) -> (Recorded, Fit) {
        let recorded = self.run();
        let mut fits = fits(&recorded.capture);
        assert_eq!(fits.fits.len(), 1, "{:?}", fits.left_out);
        (recorded, fits.fits.remove(0))
    }
}

/// The fits of a capture; every frame has to be accounted for.
pub(crate) fn fits(capture: &[u8]) -> Fits {
    let input = Input::new("test", Cursor::new(capture.to_vec()));
    let mut segments = Segments::new(Capture::new(vec![input]).unwrap());
    let mut fitting = Fitting::new(FitOptions::default());
    while let Some(item) = segments.next() {
        fitting.on_item(&item.unwrap());
    }
    let fits = fitting.finish();
    assert_eq!(fits.counts.accounted(), segments.read_stats().frames);
    fits
}

/// Answers each request after its time.
struct Thinker {
    /// Offsets of the client's stream behind each request, thoughts, offsets behind each answer.
    exchanges: Vec<(u64, Duration, u64)>,
    heard: u64,
    asked_at: Vec<Instant>,
    due: usize,
    text: Vec<u8>,
    content: NoContent,
}

impl Thinker {
    fn new(exchanges: &[Exchange]) -> Self {
        let (mut asked, mut answered) = (0, 0);
        let sums = exchanges.iter().map(|(asks, think, answers)| {
            asked += *asks as u64;
            answered += *answers as u64;
            (asked, *think, answered)
        });
        let exchanges: Vec<_> = sums.collect();
        let text = (0..answered as usize).map(|n| (n * 7 % 251) as u8).collect();
        Self { exchanges, heard: 0, asked_at: Vec::new(), due: 0, text, content: NoContent }
    }

    fn advance(&mut self, cx: &mut Cx<'_>) {
        while let Some((upto, ..)) = self.exchanges.get(self.asked_at.len())
            && *upto <= self.heard
        {
            self.asked_at.push(cx.now());
        }
        let mut next = None;
        while let Some(asked_at) = self.asked_at.get(self.due) {
            let at = *asked_at + self.exchanges[self.due].1;
            if at > cx.now() {
                next = Some(at);
                break;
            }
            self.due += 1;
        }
        cx.set_deadline(next);
    }
}

impl App for Thinker {
    type Conn = ();
    type Content = NoContent;

    fn content(&mut self) -> &mut NoContent {
        &mut self.content
    }

    fn on_open(&mut self, _cx: &mut Cx<'_>, _peer: Peer) {}

    fn on_bytes(&mut self, cx: &mut Cx<'_>, _conn: &mut (), bytes: &[u8]) -> usize {
        self.heard += bytes.len() as u64;
        self.advance(cx);
        bytes.len()
    }

    fn source(&mut self, _conn: &(), at: u64, _max: u32) -> Source<'_> {
        let upto = self.due.checked_sub(1).map_or(0, |last| self.exchanges[last].2);
        if at >= upto {
            return Source::Pending;
        }
        Source::Bytes { bytes: &self.text[at as usize..upto as usize], fin: false }
    }

    fn on_acked(&mut self, _cx: &mut Cx<'_>, _conn: &mut (), _upto: u64) {}

    fn on_deadline(&mut self, cx: &mut Cx<'_>, _conn: &mut ()) {
        self.advance(cx);
    }

    fn on_close(&mut self, _conn: (), _why: CloseReason) {}
}
