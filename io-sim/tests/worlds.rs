//! The world with a modelled NIC in it and no TCP: a mirror behind the NIC sends back what an
//! endpoint throws at it. Shows that frames, forks, limits and the host's oracles are right under
//! every DMA and completion policy.

use simoom_core::port::{Buf, Port, TxSync, Unclaimed};
use simoom_core::time::{Duration, Instant};
use simoom_sim::endpoint::{Either, Endpoint, EndpointHost, HostFault};
use simoom_sim::hash::EventHash;
use simoom_sim::link::{LinkConfig, Rate};
use simoom_sim::nic::{CompletionPolicy, DmaPolicy, NicConfig, NicViolation, SimPort};
use simoom_sim::port_host::{Fork, PortHost, PortHostConfig, PortStack};
use simoom_sim::seed::{Chance, Seed, Stream, check};
use simoom_sim::world::{Direction, HostId, Limits, LinkId, Why, World};

const PORT: u32 = 3;

/// What a mirror does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Writes to the newest frame after it was submitted.
    WritesLate,
    /// Forgets a buffer once it has sent a hundred frames.
    LosesOne,
    /// Wants to be called again at once, always.
    NeverRests,
    /// Its own audit fails in its hundredth turn.
    Confesses,
}

/// Sends every frame back with its addresses exchanged. Keeps one buffer in hand.
#[derive(Debug)]
struct Mirror {
    fault: Fault,
    in_hand: Option<Buf>,
    waiting: Vec<Vec<u8>>,
    sent: u64,
    turns: u64,
}

impl Mirror {
    fn new(fault: Fault) -> Self {
        Self { fault, in_hand: None, waiting: Vec::new(), sent: 0, turns: 0 }
    }
}

impl Fork for Mirror {
    fn fork(&self) -> Self {
        let in_hand = self.in_hand.as_ref().map(|buf| Buf::mint(PORT, buf.index()));
        Self { in_hand, waiting: self.waiting.clone(), ..*self }
    }
}

impl PortStack for Mirror {
    fn turn(&mut self, now: Instant, port: &mut SimPort) -> Option<Instant> {
        self.turns += 1;
        port.reclaim(Some);
        let waiting = &mut self.waiting;
        port.receive(usize::MAX, |batch| {
            waiting.extend(batch.iter().map(|frame| frame.bytes.to_vec()));
            Unclaimed::NONE
        });
        let mut done = 0;
        for frame in &self.waiting {
            let Some(mut buf) = self.in_hand.take().or_else(|| port.take_free()) else {
                break;
            };
            if port.tx_free() == 0 {
                self.in_hand = Some(buf);
                break;
            }
            let bytes = port.bytes_mut(&mut buf);
            bytes[..frame.len()].copy_from_slice(frame);
            bytes[..6].copy_from_slice(&frame[6..12]);
            bytes[6..12].copy_from_slice(&frame[..6]);
            let index = buf.index();
            port.submit(buf, frame.len() as u16).unwrap();
            self.sent += 1;
            done += 1;
            if self.fault == Fault::WritesLate && self.sent == 100 {
                port.bytes_mut(&mut Buf::mint(PORT, index))[20] ^= 1;
            }
            if self.fault == Fault::LosesOne && self.sent == 100 {
                let _lost = port.take_free();
            }
        }
        self.waiting.drain(..done);
        if self.in_hand.is_none() {
            self.in_hand = port.take_free();
        }
        let how = if self.waiting.is_empty() { TxSync::Push } else { TxSync::PushAndReclaim };
        match port.sync_tx(how) {
            Ok(()) => {}
            Err(never) => match never {},
        }
        (self.fault == Fault::NeverRests).then_some(now)
    }

    fn buffers_held(&self) -> u32 {
        u32::from(self.in_hand.is_some())
    }

    fn audit(&self) -> Result<(), &'static str> {
        if self.fault == Fault::Confesses && self.turns >= 100 { Err("it was me") } else { Ok(()) }
    }

    fn describe(&self) -> String {
        format!("a mirror of {} frames", self.sent)
    }
}

/// Throws numbered frames in bursts and notes which come back.
#[derive(Clone, Debug)]
struct Thrower {
    thrown: u16,
    burst: u16,
    pause: Duration,
    count: u16,
    back: Vec<u16>,
    next_at: Instant,
}

fn thrown(n: u16) -> Vec<u8> {
    let mut frame = vec![0; 60 + usize::from(n) * 37 % 1400];
    frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    // An EtherType for experiments. IEEE 802.
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    frame[14..16].copy_from_slice(&n.to_be_bytes());
    frame
}

impl Endpoint for Thrower {
    fn on_frame(&mut self, _now: Instant, frame: &[u8]) {
        let n = u16::from_be_bytes([frame[14], frame[15]]);
        let mut expected = thrown(n);
        expected[..12].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
        assert_eq!(frame, expected, "frame {n} came back changed");
        self.back.push(n);
    }

    fn poll(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        if now >= self.next_at && self.thrown < self.count {
            for _ in 0..self.burst.min(self.count - self.thrown) {
                out(&thrown(self.thrown));
                self.thrown += 1;
            }
            self.next_at = now + self.pause;
        }
        (self.thrown < self.count).then_some(self.next_at)
    }
}

type Host = Either<EndpointHost<Thrower>, PortHost<Mirror>>;

struct Setup {
    world: World<Host>,
    thrower: HostId,
    mirror: HostId,
    link: LinkId,
}

fn setup(seed: Seed, nic: NicConfig, link: LinkConfig, fault: Fault) -> Setup {
    let mut world = World::new(seed);
    let mut draws = seed.stream(Stream::Choice);
    let thrower = Thrower {
        thrown: 0,
        burst: 1 + draws.below(40) as u16,
        pause: Duration::from_micros(draws.below(300)),
        count: 400,
        back: Vec::new(),
        next_at: Instant::ZERO,
    };
    let port = SimPort::new(nic, PORT, seed.stream(Stream::Dma(PORT)));
    let config = PortHostConfig {
        rx_coalesce: Duration::from_micros(draws.below(20)),
        ..PortHostConfig::default()
    };
    let mirror = PortHost::new(Mirror::new(fault), port, config);
    let thrower = world.add_host(Either::Left(EndpointHost::new(thrower)));
    let mirror = world.add_host(Either::Right(mirror));
    let link = world.connect((thrower, 0), (mirror, 0), link.clone(), link);
    Setup { world, thrower, mirror, link }
}

fn nic(dma: DmaPolicy, completion: CompletionPolicy) -> NicConfig {
    let mut nic = NicConfig { dma, completion, rx_slots: 1024, ..NicConfig::default() };
    nic.caps.tx_slots = 16;
    nic.caps.tx_hold_max = 16;
    nic.caps.buffers = 24;
    nic.caps.tx_hold_idle = 1;
    nic
}

fn back(setup: &Setup) -> &[u16] {
    &setup.world.host(setup.thrower).left().unwrap().endpoint.back
}

#[test]
fn everything_comes_back_whole_and_in_order_under_every_policy() {
    for dma in DmaPolicy::ALL {
        for completion in CompletionPolicy::ALL {
            check(0..10, |seed| {
                let link = LinkConfig::default();
                let mut setup = setup(seed, nic(dma, completion), link, Fault::None);
                setup.world.run_to_end().unwrap_or_else(|error| panic!("{error}"));
                assert!(back(&setup).iter().copied().eq(0..400), "{dma:?} {completion:?}");
                let port = &setup.world.host(setup.mirror).right().unwrap().port;
                assert_eq!(port.stats().tx, 400);
                // The device keeps one, the mirror has one in hand; the rest may wait for a turn.
                assert!(port.census().device >= 1 && port.census().caller == 1);
            });
        }
    }
}

#[test]
fn a_fork_at_any_event_goes_on_to_the_same_hash() {
    check(0..20, |seed| {
        let link = LinkConfig {
            loss: Chance::ppm(50_000),
            reorder: Chance::ppm(50_000),
            duplicate: Chance::ppm(50_000),
            ..LinkConfig::default()
        };
        let mut setup =
            setup(seed, nic(DmaPolicy::Random, CompletionPolicy::HalfRing), link, Fault::None);
        let at = seed.stream(Stream::Named("Fork", 0)).below(1000);
        while setup.world.events() < at && setup.world.step().unwrap() {}
        let mut fork = setup.world.clone();
        setup.world.run_to_end().unwrap();
        let end = |world: &World<Host>| (world.hash(), world.events(), world.now());
        assert_ne!(end(&fork), end(&setup.world));
        fork.run_to_end().unwrap();
        assert_eq!(end(&fork), end(&setup.world));
    });
}

/// Pinned: whatever changes it changes what every seed means, and raises the seed's version.
#[test]
fn the_hash_of_a_seed_has_a_golden_value() {
    let link = LinkConfig { loss: Chance::ppm(50_000), ..LinkConfig::default() };
    let nic = nic(DmaPolicy::Random, CompletionPolicy::AtSent);
    let mut setup = setup(Seed(4711), nic, link, Fault::None);
    setup.world.run_to_end().unwrap();
    assert_eq!(setup.world.hash().to_string(), "2586e16554e9619b226f57f1d32cbec6");
}

#[test]
fn the_same_seed_gives_the_same_hash_and_another_seed_another() {
    let hash = |seed| -> EventHash {
        let nic = nic(DmaPolicy::NextTurn, CompletionPolicy::AtRead);
        let link = LinkConfig { loss: Chance::ppm(50_000), ..LinkConfig::default() };
        let mut setup = setup(Seed(seed), nic, link, Fault::None);
        setup.world.run_to_end().unwrap();
        setup.world.hash()
    };
    assert_eq!(hash(1), hash(1));
    assert_ne!(hash(1), hash(2));
}

fn error_of(fault: Fault) -> Why {
    let nic = nic(DmaPolicy::NextTurn, CompletionPolicy::AtRead);
    let mut setup = setup(Seed(1), nic, LinkConfig::default(), fault);
    let limits = Limits { events_at_once_max: 10_000, ..Limits::default() };
    setup.world.set_limits(limits);
    let error = setup.world.run_to_end().unwrap_err();
    assert!(error.to_string().starts_with("seed v1:1, event "), "{error}");
    assert_eq!(error.hosts.len(), 2);
    error.why
}

#[test]
fn each_fault_of_a_host_ends_the_run_and_is_named() {
    let mirror = |why: Why| match why {
        Why::Host(_, fault) => fault,
        other => panic!("{other:?}"),
    };
    let late = mirror(error_of(Fault::WritesLate));
    assert!(matches!(late, HostFault::Nic(NicViolation::WrittenWithoutRight { .. })), "{late:?}");
    assert_eq!(mirror(error_of(Fault::LosesOne)), HostFault::BuffersLost { held: 1, given: 2 });
    assert_eq!(mirror(error_of(Fault::Confesses)), HostFault::Audit("it was me"));
    assert_eq!(error_of(Fault::NeverRests), Why::TimeStandsStill(10_001));
}

#[test]
fn a_run_is_stopped_by_its_limits_and_by_having_nothing_to_do() {
    let nic = nic(DmaPolicy::AtOnce, CompletionPolicy::AtRead);
    let mut setup = setup(Seed(1), nic, LinkConfig::default(), Fault::None);
    setup.world.set_limits(Limits { events_max: 50, ..Limits::default() });
    let mut limited = setup.world.clone();
    let error = limited.run_to_end().unwrap_err();
    assert_eq!((error.event, error.why), (51, Why::EventsMax(50)));
    setup.world.set_limits(Limits::default());
    let error = setup.world.run_until(|_| false).unwrap_err();
    assert_eq!(error.why, Why::NothingLeft);
    assert_eq!(back(&setup).len(), 400);
    // Given something to do, it goes on.
    let Either::Left(host) = setup.world.host_mut(setup.thrower) else { panic!() };
    host.endpoint.count += 1;
    setup.world.run_to_end().unwrap();
    assert_eq!(back(&setup).len(), 401);
}

#[test]
fn a_full_receive_ring_drops_and_counts() {
    let mut nic = nic(DmaPolicy::AtOnce, CompletionPolicy::AtRead);
    nic.rx_slots = 2;
    let fast = LinkConfig { rate: Rate::UNLIMITED, ..LinkConfig::default() };
    // Seed 1 throws bursts and lets frames gather.
    let mut setup = setup(Seed(1), nic, fast, Fault::None);
    setup.world.run_to_end().unwrap();
    let dropped = setup.world.stats().ring_full;
    assert!(dropped > 0);
    assert_eq!(back(&setup).len() as u64 + dropped, 400);
    let port = &setup.world.host(setup.mirror).right().unwrap().port;
    assert_eq!(port.stats().rx + dropped, 400);
}

#[test]
fn healing_ends_every_fault_and_keeps_the_rest() {
    let nic = nic(DmaPolicy::AtOnce, CompletionPolicy::AtRead);
    let dead = LinkConfig { loss: Chance::ALWAYS, ..LinkConfig::default() };
    let mut setup = setup(Seed(3), nic, dead, Fault::None);
    setup
        .world
        .run_until(|world| world.link_stats(setup.link, Direction::Forward).lost >= 100)
        .unwrap();
    setup.world.heal();
    assert_eq!(*setup.world.link_config(setup.link, Direction::Backward), LinkConfig::default());
    let before = setup.world.link_stats(setup.link, Direction::Forward).lost;
    setup.world.run_to_end().unwrap();
    assert_eq!(back(&setup).len() as u64, 400 - before);
}

#[test]
fn running_for_a_time_lets_exactly_that_pass() {
    let nic = nic(DmaPolicy::AtOnce, CompletionPolicy::AtRead);
    let mut setup = setup(Seed(3), nic, LinkConfig::default(), Fault::None);
    setup.world.run_for(Duration::from_nanos(1_999_999)).unwrap();
    assert_eq!(setup.world.now(), Instant::from_nanos(1_999_999));
    assert!(back(&setup).is_empty(), "a round trip takes 2 ms");
    setup.world.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(setup.world.now(), Instant::from_nanos(1_001_999_999));
    assert_eq!(back(&setup).len(), 400);
}
