//! A client and a path for each connection of a capture, so that the conversation can be held again
//! in a simulated world.
//!
//! One pass over the capture, with bounded state for each connection alive. Every fitted value says
//! how many samples it rests on; what the capture does not show says why, and what stands in for it.
//! Knows no simulator: [`crate::closed`] builds the worlds.
//!
//! Read in this order: [`Fit`] (the result), [`Fitting`] (the pass), `conn` (one connection), then
//! the parts: `path`, [`losses`], [`talk`], [`windows`].

mod conn;
pub mod losses;
mod path;
mod sampler;
pub mod talk;
pub mod windows;

pub(crate) use sampler::quantile;

use crate::analysis::Vantage;
use crate::flow::{Class, Counts, Ended, FlowOptions, FlowTable};
use crate::script::Announced;
use conn::Conn;
use losses::Loss;
use simoom_pcap::dissect::Dissected;
use simoom_pcap::segments::Item;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use talk::Talk;
use windows::WindowStep;

/// Connections that are kept where nobody says how many.
pub const CONNECTIONS_DEFAULT: usize = 10_000;

/// Segments to an acknowledgement where the capture shows none: RFC 5681 §4.2.
const EVERY_DEFAULT: u32 = 2;

/// How long a lone segment's acknowledgement is held back where the capture shows none: Linux's least,
/// in nanoseconds.
const DELAY_DEFAULT: u64 = 40_000_000;

/// How long a receiver waits that acknowledges what it has put together (GRO), in nanoseconds: until
/// nothing more comes at once.
const COALESCING: u64 = 200_000;

/// Samples that a rate needs.
const RATES_MIN: usize = 4;

/// A value, and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fitted<T> {
    /// The value.
    pub value: T,
    /// Samples behind it.
    pub samples: u32,
    /// None where it was fitted; else why it could not be, and `value` is a default.
    pub stands_in: Option<&'static str>,
}

impl<T> Fitted<T> {
    const fn of(value: T, samples: u32) -> Self {
        Self { value, samples, stands_in: None }
    }

    const fn default_for(value: T, samples: u32, why: &'static str) -> Self {
        Self { value, samples, stands_in: Some(why) }
    }
}

/// Losses in bursts, as [`simoom_sim::link::GilbertElliott`] makes them: in units of one in 2³².
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bursts {
    /// How likely a frame begins a burst.
    pub to_bad: u32,
    /// How likely a frame of a burst is its last; all of a burst are lost.
    pub to_good: u32,
}

/// The path between client and server. Times are nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathFit {
    /// From the capture to the client and back, at least.
    pub to_client: Fitted<u64>,
    /// From the capture to the server and back, at least; 0 where it was made there.
    pub to_server: Fitted<u64>,
    /// How much longer a round trip is than the shortest, on average: what jitter does, where no
    /// bottleneck explains it.
    pub variation: Fitted<u64>,
    /// Bits a second on the way to the client, Ethernet header counted; none where it never showed.
    pub rate: Fitted<Option<u64>>,
    /// Segments of text that the server sent, repetitions among them.
    pub segments: u64,
    /// Those that were lost, by offset.
    pub losses: Vec<Loss>,
    /// Losses beyond [`losses::LOSSES_MAX`], as retransmissions counted: not played again.
    pub losses_unlisted: u32,
    /// Retransmissions that turned out to be for nothing.
    pub spurious: u32,
    /// SYN-ACKs that were lost.
    pub syn_acks_lost: u32,
    /// Groups of neighbours among the losses of first transmissions.
    pub loss_runs: u32,
    /// Segments that were overtaken on their way.
    pub overtaken: u32,
    /// By how many others, on average.
    pub overtaken_by: u32,
}

/// The client as TCP sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFit {
    /// What its SYN announced.
    pub syn: Announced,
    /// Segments to one acknowledgement.
    pub ack_every: Fitted<u32>,
    /// How long fewer are held back, in nanoseconds.
    pub ack_delay: Fitted<u64>,
    /// Its largest window, in bytes.
    pub window_max: Fitted<u32>,
    /// Its windows over the connection.
    pub windows: Vec<WindowStep>,
    /// Steps that found no room.
    pub windows_left_out: u32,
    /// How often it closed the window.
    pub windows_closed: u32,
}

/// All that is known of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Its number: the order of first frames.
    pub serial: u64,
    /// The client.
    pub client: SocketAddr,
    /// The server.
    pub server: SocketAddr,
    /// What the capture holds of it.
    pub class: Class,
    /// When its first SYN came, in nanoseconds since 1970.
    pub opened_at: u64,
    /// Where the capture was made.
    pub vantage: Vantage,
    /// What the server announced.
    pub syn_ack: Announced,
    /// The largest window that the server offered, in bytes.
    pub server_window: u32,
    /// The path.
    pub path: PathFit,
    /// The client.
    pub client_side: ClientFit,
    /// What they said.
    pub talk: Talk,
}

impl Fit {
    /// The shortest round trip between client and server, in nanoseconds.
    pub fn round_trip(&self) -> u64 {
        self.path.to_client.value.saturating_add(self.path.to_server.value)
    }

    /// Nanoseconds that its turns took, all together.
    pub fn took(&self) -> u64 {
        self.talk.turns.iter().fold(0, |sum, turn| sum.saturating_add(turn.took))
    }

    /// The most text in one segment of the server, by what both announced.
    pub fn segment_text_max(&self) -> u32 {
        let (syn, answer) = (&self.client_side.syn, &self.syn_ack);
        let mss = syn.mss.unwrap_or(536).min(answer.mss.unwrap_or(u16::MAX)).max(64);
        let stamps = syn.timestamps.is_some() && answer.timestamps.is_some();
        u32::from(mss - if stamps { 12 } else { 0 })
    }
}

/// Which connections are kept where there are more than are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// As if by lot, the same ones each time.
    #[default]
    Spread,
    /// Those whose turns took longest.
    Slowest,
}

/// What the pass is told.
#[derive(Clone, Copy, Debug)]
pub struct FitOptions {
    /// How connections are told apart, and which are wanted.
    pub flows: FlowOptions,
    /// Connections kept at most.
    pub connections_max: usize,
    /// Which.
    pub choice: Choice,
}

impl Default for FitOptions {
    fn default() -> Self {
        let flows = FlowOptions::default();
        Self { flows, connections_max: CONNECTIONS_DEFAULT, choice: Choice::Spread }
    }
}

/// Why a connection that was wanted is not fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// The capture does not hold enough of it.
    Class(Class),
    /// No answer of the server arrived whole.
    NoTurn,
}

/// What the pass found.
#[derive(Clone, Debug)]
pub struct Fits {
    /// Where every frame went.
    pub counts: Counts,
    /// The connections kept, by number.
    pub fits: Vec<Fit>,
    /// Connections that could be fitted, kept or not.
    pub fitted: u64,
    /// Wanted connections that could not, by why.
    pub left_out: BTreeMap<LeftOut, u64>,
    /// Losses and segments of all that were fitted, kept or not: (segments, losses, runs).
    pub pooled: (u64, u64, u64),
}

/// The pass.
#[derive(Debug)]
pub struct Fitting {
    options: FitOptions,
    table: FlowTable,
    /// By slot.
    conns: Vec<Option<Box<Conn>>>,
    /// The first are kept.
    kept: BTreeMap<(u64, u64), Fit>,
    fitted: u64,
    left_out: BTreeMap<LeftOut, u64>,
    pooled: (u64, u64, u64),
}

impl Fitting {
    /// A pass that has seen nothing.
    pub fn new(options: FitOptions) -> Self {
        Self {
            options,
            table: FlowTable::new(options.flows),
            conns: Vec::new(),
            kept: BTreeMap::new(),
            fitted: 0,
            left_out: BTreeMap::new(),
            pooled: (0, 0, 0),
        }
    }

    /// Takes in one frame of the capture.
    pub fn on_item(&mut self, item: &Item<'_>) {
        let Dissected::Segment(segment) = &item.what else {
            self.table.on_item(item);
            return;
        };
        let Some(placed) = self.table.on_segment(&item.frame, segment) else { return };
        self.end_those_over();
        if placed.is_copy || placed.is_damaged || !placed.is_wanted {
            return;
        }
        if self.conns.len() <= placed.slot {
            self.conns.resize_with(placed.slot + 1, || None);
        }
        let conn = self.conns[placed.slot].get_or_insert_default();
        if placed.is_turned_round {
            conn.turn_round();
        }
        conn.on_segment(&item.frame, &placed, segment, self.table.flow(placed.slot));
    }

    fn end_those_over(&mut self) {
        while let Some(ended) = self.table.poll_ended() {
            let conn = self.conns.get_mut(ended.slot).and_then(Option::take);
            if ended.is_wanted {
                self.end(&ended, conn);
            }
        }
    }

    fn end(&mut self, ended: &Ended, conn: Option<Box<Conn>>) {
        let class = ended.verdict.class;
        let can = matches!(class, Class::Complete | Class::EndsInTheMiddle);
        let Some(conn) = conn.filter(|_| can) else {
            *self.left_out.entry(LeftOut::Class(class)).or_default() += 1;
            return;
        };
        let flow = self.table.flow(ended.slot);
        let (serial, [client, server], class) = (ended.flow.0, flow.ends, class);
        let Some(fit) = fit(*conn, serial, client, server, class) else {
            *self.left_out.entry(LeftOut::NoTurn).or_default() += 1;
            return;
        };
        self.fitted += 1;
        self.pooled.0 += fit.path.segments;
        self.pooled.1 += fit.path.losses.len() as u64;
        self.pooled.2 += u64::from(fit.path.loss_runs);
        let key = match self.options.choice {
            Choice::Spread => spread(serial),
            Choice::Slowest => u64::MAX - fit.took(),
        };
        self.kept.insert((key, serial), fit);
        if self.kept.len() > self.options.connections_max {
            self.kept.pop_last();
        }
    }

    /// The capture is over.
    pub fn finish(mut self) -> Fits {
        self.table.finish();
        self.end_those_over();
        let mut fits: Vec<Fit> = self.kept.into_values().collect();
        fits.sort_by_key(|fit| fit.serial);
        Fits {
            counts: self.table.counts().clone(),
            fits,
            fitted: self.fitted,
            left_out: self.left_out,
            pooled: self.pooled,
        }
    }
}

/// SplitMix64's finish: neighbours lie far apart.
fn spread(serial: u64) -> u64 {
    let mut z = serial.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// What is known of a connection that is over; none without an answer that arrived.
fn fit(
    conn: Conn,
    serial: u64,
    client: SocketAddr,
    server: SocketAddr,
    class: Class,
) -> Option<Fit> {
    let vantage = conn.vantage();
    let path = fit_path(&conn, vantage);
    let client_side = fit_client(&conn, path.to_client.value, path.rate.value);
    let (syn_ack, opened_at) = (conn.syn_ack, conn.opened_at);
    let server_window = conn.server_window.max(u32::from(syn_ack.window));
    let talk = conn.talk.finish();
    if talk.turns.is_empty() {
        return None;
    }
    Some(Fit {
        serial,
        client,
        server,
        class,
        opened_at,
        vantage,
        syn_ack,
        server_window,
        path,
        client_side,
        talk,
    })
}

fn fit_path(conn: &Conn, vantage: Vantage) -> PathFit {
    let to_client = match conn.path.least {
        Some(least) => Fitted::of(least, conn.path.samples),
        None => Fitted::default_for(0, 0, "no round trip was seen whole"),
    };
    let to_server = match conn.to_server {
        Some(_) => Fitted::of(conn.distance(), conn.to_server_samples),
        None => Fitted::default_for(0, 0, "the SYN was sent again: its answer's way is not known"),
    };
    let losses = conn.losses.finish();
    let first: Vec<&Loss> = losses.iter().filter(|loss| loss.retransmission == 0).collect();
    let joined = first.windows(2).filter(|pair| pair[0].upto == pair[1].offset).count();
    let rate = fit_rate(conn, vantage);
    let least = to_client.value;
    PathFit {
        variation: fit_variation(conn, least, rate.value),
        to_client,
        to_server,
        rate,
        segments: conn.path.segments,
        loss_runs: (first.len() - joined) as u32,
        losses,
        losses_unlisted: conn.losses.unlisted,
        spurious: conn.spurious,
        syn_acks_lost: conn.syn_acks.saturating_sub(1).min(8),
        overtaken: conn.overtaken,
        overtaken_by: conn.overtaken_by / conn.overtaken.max(1),
    }
}

fn fit_rate(conn: &Conn, vantage: Vantage) -> Fitted<Option<u64>> {
    if vantage == Vantage::Client {
        return Fitted::default_for(None, 0, "seen from the client: acknowledgements show no rate");
    }
    let rates = conn.path.rates.sorted();
    let seen = conn.path.rates.seen();
    if rates.len() < RATES_MIN {
        return Fitted::default_for(None, seen, "too few acknowledgements of what left together");
    }
    if conn.path.at_once >= seen {
        return Fitted::default_for(None, seen, "acknowledgements come together: not limited");
    }
    let (low, high) = (quantile(&rates, 250), quantile(&rates, 750));
    let (Some(low), Some(high), Some(middle)) = (low, high, quantile(&rates, 500)) else {
        return Fitted::default_for(None, seen, "too few acknowledgements of what left together");
    };
    if high > low.saturating_mul(3) {
        return Fitted::default_for(None, seen, "acknowledgements are spaced without a pattern");
    }
    Fitted::of(Some(middle.max(1)), seen)
}

fn fit_variation(conn: &Conn, least: u64, rate: Option<u64>) -> Fitted<u64> {
    if rate.is_some() {
        return Fitted::default_for(0, 0, "a bottleneck is fitted: its queue makes the difference");
    }
    // A lone segment's acknowledgement may have been held back; what was not shows the path.
    let held_back = |nanos: &u64| nanos.saturating_sub(least) >= path::HELD_BACK;
    let lone = conn.path.lone.sorted().into_iter().filter(|nanos| !held_back(nanos));
    let times: Vec<u64> = conn.path.prompt.sorted().into_iter().chain(lone).collect();
    if times.is_empty() {
        return Fitted::default_for(0, 0, "no round trip that nothing held back");
    }
    // Clocks of captures leap.
    let over =
        times.iter().fold(0u64, |sum, nanos| sum.saturating_add(nanos.saturating_sub(least)));
    Fitted::of(over / times.len() as u64, times.len() as u32)
}

fn fit_client(conn: &Conn, least: u64, rate: Option<u64>) -> ClientFit {
    let path = &conn.path;
    let every = path.every.iter().enumerate().max_by_key(|(n, count)| (**count, usize::MAX - n));
    let ack_every = match every {
        Some((_, 0)) | None => {
            Fitted::default_for(EVERY_DEFAULT, 0, "no acknowledgement came that was not held back")
        }
        Some((1, count)) if path.held_back > path.lone_prompt && path.held_back > 1 => {
            Fitted::of(EVERY_DEFAULT, path.held_back + *count)
        }
        Some((n, count)) => Fitted::of(n as u32, *count),
    };
    // What a lone segment took beyond the path, its own time at the bottleneck counted as the path's.
    let frame = (u64::from(conn.text_max()) + 66) * 8;
    let own = rate.map_or(0, |rate| frame * 1_000_000_000 / rate.max(1));
    let held = path.lone.sorted().into_iter().map(|nanos| nanos.saturating_sub(least));
    let held: Vec<u64> = held.filter(|nanos| *nanos >= path::HELD_BACK).collect();
    let every = ack_every.value as usize;
    let early: u32 = path.at_end.iter().take(every).sum();
    let ack_delay = match quantile(&held, 500) {
        // A receiver that puts segments together as they come has no more to wait for than the next.
        _ if early > path.held_back => Fitted::of(COALESCING, early),
        Some(nanos) => Fitted::of(nanos.saturating_sub(own), held.len() as u32),
        None => Fitted::default_for(DELAY_DEFAULT, 0, "no acknowledgement was held back"),
    };
    let windows = &conn.windows;
    ClientFit {
        syn: conn.syn,
        ack_every,
        ack_delay,
        window_max: Fitted::of(windows.most, windows.samples),
        windows: windows.steps.clone(),
        windows_left_out: windows.left_out,
        windows_closed: windows.closed,
    }
}

/// Losses in bursts that so many of so many segments in so many runs make.
pub fn bursts(segments: u64, losses: u64, runs: u64) -> Bursts {
    if losses == 0 || segments == 0 {
        return Bursts::default();
    }
    let runs = runs.clamp(1, losses);
    let part = |n: u64, of: u64| {
        let scaled = (u128::from(n) << 32) / u128::from(of.max(1));
        u32::try_from(scaled).unwrap_or(u32::MAX)
    };
    Bursts {
        to_bad: part(runs, segments.saturating_sub(losses).max(runs)),
        to_good: part(runs, losses),
    }
}
