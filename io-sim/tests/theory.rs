//! Theory as an oracle: a long run of the stack against the formulae of `simoom_sim::theory`.
//!
//! Every tolerance stands in the table below. The sender is the file server on our stack; the
//! receiver is the ideal one of `simoom_sim::hosts`, which has no window worth speaking of and acknowledges
//! every segment at once. `SIMOOM_SEEDS=0..30` asks for thirty seeds; without it four are run, in a
//! debug build one.

use simoom_core::server::bodies::MemoryBodies;
use simoom_core::server::catalogue::{Catalogue, FileInfo};
use simoom_core::server::{FileServer, ServerConfig};
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::{self, Frame};
use simoom_sim::endpoint::{Either, EndpointHost};
use simoom_sim::hash::{EventRecord, EventTap, NoTap};
use simoom_sim::hosts::tcp_peer::answers::{Body, Request};
use simoom_sim::hosts::tcp_peer::manners::Manners;
use simoom_sim::hosts::{Receiver, ReceiverConfig};
use simoom_sim::link::{LinkConfig, Rate};
use simoom_sim::port_host::PortHostConfig;
use simoom_sim::seed::{Chance, Seed, Stream, check};
use simoom_sim::stack_host::{StackHost, StackSetup};
use simoom_sim::theory::{
    Path, first_rto, jain_index, mean_and_deviation, padhye_window, rto_sequence,
    single_flow_utilisation, slope,
};
use simoom_sim::world::{Direction, HostId, Limits, LinkId, World};
use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Range;

/// Mean window, segments sent a round trip, averaged over the seeds, against Padhye's full model:
/// relative difference at most, for each loss rate of [`LOSSES`].
const WINDOW_TOLERANCE: f64 = 0.10;
/// Slope of log W over log p, W being that mean: difference from -1/2 at most.
const SLOPE_TOLERANCE: f64 = 0.05;
/// Share of the bottleneck that one flow fills, the buffer being one BDP: at least, for each seed.
const UTILISATION_MIN: f64 = 0.98;
/// Jain's index of 2 to 16 equal flows, the seed says how many, over 300 s: at least, for each seed.
const JAIN_MIN: f64 = 0.95;
/// Difference of a retransmission's time, and of the connection's end, from RFC 6298: at most.
const RTO_TOLERANCE: Duration = Duration::ZERO;

/// Seeds where the environment names none.
const SEEDS: Range<u64> = if QUICK { 0..1 } else { 0..4 };

/// A debug build is slow: one seed, the larger losses alone, and 20 s of fairness.
const QUICK: bool = cfg!(debug_assertions);

/// Losses in parts per million, and how many mean times between two losses a run lasts.
const LOSSES: &[(u32, u32)] = if QUICK {
    &[(3_000, 100), (10_000, 400)]
} else {
    &[(300, 60), (1_000, 100), (3_000, 200), (10_000, 400)]
};

type Server = StackHost<FileServer<MemoryBodies>>;
type Net<T = NoTap> = World<Either<Server, EndpointHost<Receiver>>, T>;

const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 66, 0, 2), 80);

/// Bytes of the file: more than any run gets.
const FILE: u64 = 1 << 36;

/// Bytes of the frame of a full segment.
const FRAME: u64 = 1514;

fn server(seed: Seed, adjust: impl FnOnce(&mut StackSetup)) -> Server {
    let mut bodies = MemoryBodies::new();
    let file = bodies.add_pattern(1, FILE);
    let mut catalogue = Catalogue::builder(1);
    let info = FileInfo {
        path: "/big",
        content_type: "text/plain",
        modified: 1_700_000_000,
        version: 1,
        len: FILE,
        file,
    };
    catalogue.add_file(info).unwrap();
    let hours = Duration::from_secs(100 * 3600);
    let config = ServerConfig { stall_timeout: hours, ..ServerConfig::default() };
    let app = FileServer::new(catalogue.build(), bodies, config);
    let mut setup = StackSetup::new(2);
    // A NIC that is never the bottleneck.
    setup.nic.rate = Rate::UNLIMITED;
    setup.nic.caps.tx_slots = 1024;
    setup.nic.caps.tx_hold_max = 1024;
    setup.nic.caps.buffers = 4096;
    setup.stack.connections_max = 64;
    setup.host = PortHostConfig { audit_every: 256, ..PortHostConfig::default() };
    adjust(&mut setup);
    setup.host(seed, app)
}

/// The server on one end, a receiver of so many connections on the other.
struct Bench<T = NoTap> {
    world: Net<T>,
    server: HostId,
    receiver: HostId,
    link: LinkId,
}

impl<T: EventTap> Bench<T> {
    fn new(
        mut world: Net<T>,
        server: Server,
        receiver: ReceiverConfig,
        forward: LinkConfig,
        backward: LinkConfig,
    ) -> Self {
        world.set_limits(Limits {
            events_max: u64::MAX,
            time_max: Instant::ZERO + Duration::from_secs(100 * 3600),
            ..Limits::default()
        });
        let receiver = Receiver::numbered(1, receiver, world.seed());
        let server = world.add_host(Either::Left(server));
        let receiver = world.add_host(Either::Right(EndpointHost::new(receiver)));
        let link = world.connect((server, 0), (receiver, 0), forward, backward);
        Self { world, server, receiver, link }
    }

    fn receiver(&self) -> &Receiver {
        &self.world.host(self.receiver).right().unwrap().endpoint
    }

    fn run_for(&mut self, time: Duration) {
        self.world.run_for(time).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Frames that the server has given to the link.
    fn sent(&self) -> u64 {
        self.world.link_stats(self.link, Direction::Forward).offered
    }

    fn assert_nothing_wrong(&self) {
        let wrongs = self.receiver().wrongs();
        assert!(wrongs.is_none(), "{wrongs:?}");
    }
}

fn receiver() -> ReceiverConfig {
    let request = Request::get("/big", Body::Pattern { seed: 1, len: FILE });
    let manners = Manners { verify_one_in: 16, ..Manners::default() };
    ReceiverConfig { manners, ..ReceiverConfig::new(SERVER, vec![request]) }
}

fn link(rate: Rate, delay: Duration) -> LinkConfig {
    LinkConfig { rate, delay, queue_frames_max: u32::MAX, ..LinkConfig::default() }
}

/// Runs `body` under every seed and collects what it answers.
fn over_seeds<R>(seeds: Range<u64>, body: impl Fn(Seed) -> R) -> Vec<R> {
    let results = RefCell::new(Vec::new());
    check(seeds, |seed| {
        let result = body(seed);
        results.borrow_mut().push(result);
    });
    results.into_inner()
}

/// Segments sent in a round trip, on a path of 100 ms without a queue where segments, and not their
/// acknowledgements, are lost independently of each other. The model takes losses of one round to
/// come together and counts them as one, and so does a sender that halves its window once a round.
fn mean_window(seed: Seed, ppm: u32, losses: u32) -> f64 {
    let path = link(Rate::UNLIMITED, Duration::from_millis(50));
    let lossy = LinkConfig { loss: Chance::ppm(ppm), ..path.clone() };
    let mut bench = Bench::new(World::new(seed), server(seed, |_| {}), receiver(), lossy, path);
    // Past slow start: a hundred round trips and as many losses as a window has.
    bench.run_for(Duration::from_secs(60));
    let before = bench.sent();
    let window = padhye_window(&model(ppm));
    let rounds = f64::from(losses) / (f64::from(ppm) * 1e-6) / window;
    let time = Duration::from_millis(rounds as u64 * 100);
    bench.run_for(time);
    bench.assert_nothing_wrong();
    (bench.sent() - before) as f64 / (rounds as u64) as f64
}

fn model(ppm: u32) -> Path {
    // The least timeout is twice the round-trip time, and that does not vary.
    Path::lossy(f64::from(ppm) * 1e-6, 0.1, 0.2)
}

#[test]
fn the_mean_window_is_what_padhye_predicts_and_falls_with_the_root_of_loss() {
    let mut points = Vec::new();
    for &(ppm, losses) in LOSSES {
        let windows = over_seeds(SEEDS, |seed| mean_window(seed, ppm, losses));
        let (mean, deviation) = mean_and_deviation(&windows);
        let expected = padhye_window(&model(ppm));
        let ratio = mean / expected;
        println!("p = {ppm} ppm: W = {mean:.2} ± {deviation:.2}, Padhye {expected:.2}: {ratio:.3}");
        assert!((ratio - 1.0).abs() <= WINDOW_TOLERANCE, "p = {ppm} ppm: {mean} for {expected}");
        points.push((libm::log(f64::from(ppm)), libm::log(mean)));
    }
    let slope = slope(&points);
    println!("slope {slope:.3}");
    assert!(QUICK || (slope + 0.5).abs() <= SLOPE_TOLERANCE, "{slope}");
}

/// One flow over a bottleneck whose rate and distance the seed chooses, with a drop-tail buffer. The
/// BDP is at least twenty segments: the model knows no whole segments.
fn utilisation(seed: Seed, buffer_bdp: f64) -> f64 {
    let mut draws = seed.stream(Stream::Choice);
    let mbit = 8 + draws.below(13);
    let rtt = Duration::from_millis(30 + draws.below(31));
    let rate = Rate::mbit(mbit);
    let bdp = mbit * 1_000_000 / 8 * rtt.as_millis() / 1000;
    let delay = Duration::from_nanos(rtt.as_nanos() / 2);
    let bottleneck = LinkConfig {
        // At least a frame: the one being sent is not counted.
        queue_bytes_max: ((bdp as f64 * buffer_bdp) as u64).max(FRAME),
        ..link(rate, delay)
    };
    let back = link(Rate::UNLIMITED, delay);
    let mut bench =
        Bench::new(World::new(seed), server(seed, |_| {}), receiver(), bottleneck, back);
    // Slow start overshoots, and without SACK each loss takes a round trip to repair: as many
    // rounds as the path and its buffer hold segments, and some cycles.
    let segments = 2 * bdp / FRAME + 100;
    bench.run_for(Duration::from_nanos(rtt.as_nanos() * 4 * segments));
    let delivered = |bench: &Bench| {
        let stats = bench.world.link_stats(bench.link, Direction::Forward);
        stats.offered - stats.queue_full
    };
    let before = delivered(&bench);
    // Each cycle lasts about half as many (longer) rounds as there are segments.
    let time = Duration::from_nanos(rtt.as_nanos() * 10 * segments);
    bench.run_for(time);
    bench.assert_nothing_wrong();
    let bits = (delivered(&bench) - before) * FRAME * 8;
    let share = bits as f64 / (mbit as f64 * 1e6 * time.as_nanos() as f64 * 1e-9);
    println!("{seed}: {mbit} Mb/s, {rtt:?}, {buffer_bdp} BDP: {share:.4}");
    share
}

#[test]
fn one_flow_fills_a_bottleneck_with_a_buffer_of_one_bdp() {
    for share in over_seeds(SEEDS, |seed| utilisation(seed, 1.0)) {
        assert!(share >= UTILISATION_MIN, "{share}");
        assert!(share <= 1.001, "more than the link carries: {share}");
    }
}

/// The index of equal flows over 300 s, through a bottleneck with a drop-tail buffer of one BDP. They
/// begin within a round trip of each other, as the seed says; nothing else is random, and the phase
/// effects of a deterministic queue are left in.
fn fairness(seed: Seed) -> f64 {
    let flows = 16 - (seed.0 % 15) as u32;
    let (mbit, delay) = (20, Duration::from_millis(50));
    let bdp = mbit * 1_000_000 / 8 / 10;
    let bottleneck = LinkConfig { queue_bytes_max: bdp, ..link(Rate::mbit(mbit), delay) };
    let within = Duration::from_nanos(delay.as_nanos() / u64::from(flows));
    let stagger = seed.stream(Stream::Choice).duration_upto(within);
    let config = ReceiverConfig { connections: flows, stagger, ..receiver() };
    let back = link(Rate::UNLIMITED, delay);
    let mut bench = Bench::new(World::new(seed), server(seed, |_| {}), config, bottleneck, back);
    bench.run_for(Duration::from_secs(10));
    let shares = |bench: &Bench| -> Vec<f64> {
        (0..flows).map(|n| bench.receiver().bytes_of(n) as f64).collect()
    };
    let before = shares(&bench);
    let seconds = if QUICK { 20 } else { 300 };
    bench.run_for(Duration::from_secs(seconds));
    bench.assert_nothing_wrong();
    let shares: Vec<_> = shares(&bench).iter().zip(&before).map(|(a, b)| a - b).collect();
    let index = jain_index(&shares);
    let goodput = shares.iter().sum::<f64>() * 8e-6 / seconds as f64;
    println!("{flows} flows, {goodput:.2} of {mbit} Mb/s of goodput: Jain {index:.4}");
    index
}

#[test]
fn equal_flows_get_equal_shares() {
    for index in over_seeds(SEEDS, fairness) {
        assert!(index >= JAIN_MIN, "{index}");
    }
}

/// When each segment of the server with text or SYN was given to the link.
#[derive(Clone, Debug, Default)]
struct Sendings(Vec<(Instant, u32)>);

impl EventTap for Sendings {
    fn on_event(&mut self, record: &EventRecord<'_>) {
        if let Ok(Frame::Tcp(frame)) = wire::parse(record.bytes, false)
            && record.direction == 0
            && frame.tcp.seg_len() > 0
        {
            self.0.push((record.sent_at, frame.tcp.seq.0));
        }
    }
}

/// A path and timeouts that the seed chooses, with all sendings of the server.
fn silent(seed: Seed) -> (Bench<Sendings>, Timeouts) {
    let mut draws = seed.stream(Stream::Choice);
    let timeouts = Timeouts {
        rtt: Duration::from_millis(2 * (1 + draws.below(500))),
        min: Duration::from_millis(*draws.one_of(&[1, 200, 1_000])),
        max: Duration::from_secs(*draws.one_of(&[5, 60])),
        retries: 3 + draws.below(13) as u8,
        syn_retries: 1 + draws.below(8) as u8,
    };
    let Timeouts { rtt, min, max, retries, syn_retries } = timeouts;
    let path = link(Rate::UNLIMITED, Duration::from_nanos(rtt.as_nanos() / 2));
    let server = server(seed, |setup| {
        let tcp = &mut setup.stack.tcp;
        (tcp.min_rto, tcp.max_rto) = (min, max);
        (tcp.retries_max, tcp.syn_retries_max) = (retries, syn_retries);
    });
    // The receiver must not ask again by itself.
    let manners = Manners { rto: Duration::from_secs(1_000_000), ..Manners::default() };
    let config = ReceiverConfig { manners, ..receiver() };
    let world = World::with_tap(seed, Sendings::default());
    (Bench::new(world, server, config, path.clone(), path), timeouts)
}

#[derive(Clone, Copy, Debug)]
struct Timeouts {
    rtt: Duration,
    min: Duration,
    max: Duration,
    retries: u8,
    syn_retries: u8,
}

impl Bench<Sendings> {
    /// Nothing reaches the receiver but the first so many frames.
    fn silence_after(&mut self, frames: u64) {
        while self.sent() < frames {
            assert!(self.world.step().unwrap());
        }
        let way = Direction::Forward;
        let config = self.world.link_config(self.link, way).clone();
        self.world.set_link(self.link, way, LinkConfig { loss: Chance::ALWAYS, ..config });
    }

    /// Runs until the connection is given up, and compares the times of the sendings of the segment
    /// that was not answered, and that of the end, with what they must be.
    fn assert_sequence(mut self, expected: &[Duration], what: &str) {
        let given_up = |world: &Net<Sendings>| {
            world.host(self.server).left().unwrap().stack.stats().timed_out == 1
        };
        self.world.run_until(given_up).unwrap_or_else(|error| panic!("{what}: {error}"));
        let end = self.world.now();
        let sendings = &self.world.tap().0;
        let (_, unanswered) = *sendings.last().expect("something was sent");
        let times = sendings.iter().filter(|(_, seq)| *seq == unanswered).map(|(at, _)| *at);
        let times: Vec<_> = times.chain([end]).collect();
        let found: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(found.len(), expected.len(), "{what}: {found:?} for {expected:?}");
        for (found, expected) in found.iter().zip(expected) {
            let difference = found.as_nanos().abs_diff(expected.as_nanos());
            let exact = difference <= RTO_TOLERANCE.as_nanos();
            assert!(exact, "{what}: {found:?} for {expected:?}");
        }
    }
}

#[test]
fn text_that_nobody_acknowledges_is_sent_again_exactly_as_rfc_6298_says() {
    check(0..30, |seed| {
        let (mut bench, timeouts) = silent(seed);
        // The answer to the ARP request and the SYN-ACK: those arrive.
        bench.silence_after(2);
        // One sample, of the handshake. The clock ticks in nanoseconds, a turn in microseconds.
        let Timeouts { rtt, min, max, retries, .. } = timeouts;
        let first = first_rto(rtt, Duration::from_micros(1), min, max);
        let expected = rto_sequence(first, max, u32::from(retries));
        bench.assert_sequence(&expected, &format!("{seed}, {timeouts:?}"));
    });
}

#[test]
fn a_syn_that_nobody_acknowledges_is_sent_again_exactly_as_rfc_6298_says() {
    check(0..30, |seed| {
        let (mut bench, timeouts) = silent(seed);
        // The answer to the ARP request: that arrives.
        bench.silence_after(1);
        let first = Duration::from_secs(1).min(timeouts.max);
        let expected = rto_sequence(first, timeouts.max, u32::from(timeouts.syn_retries));
        bench.assert_sequence(&expected, &format!("{seed}, {timeouts:?}"));
    });
}

/// A tenth of a BDP is not enough, and the fluid model says how much it is: the oracle of
/// utilisation can fail.
#[test]
fn a_short_buffer_leaves_the_bottleneck_idle() {
    for share in over_seeds(SEEDS, |seed| utilisation(seed, 0.1)) {
        assert!(share < UTILISATION_MIN && share < single_flow_utilisation(0.1) + 0.02, "{share}");
    }
}
