//! Faults written down in one run and forced on another: the same list gives the same run, a part
//! of it a run in which just that happens.

use simoom_core::client::{ExpectPatterns, FetchClient, FetchConfig};
use simoom_core::server::{Catalogue, FileInfo, FileServer, MemoryBodies, ServerConfig};
use simoom_core::time::{Duration, Instant};
use simoom_sim::endpoint::Either;
use simoom_sim::fault::{Fault, FaultKind};
use simoom_sim::hash::{EventRecord, EventTap, Fate};
use simoom_sim::link::{
    AckBunch, Aqm, CoDelConfig, Displace, Every, GilbertElliott, Jitter, LinkConfig, LoseByte, Mtu,
    MtuExceeded, Outages, Rate, Trace, Variation, WhileDown,
};
use simoom_sim::seed::{Chance, Seed, Stream, check};
use simoom_sim::stack_host::{StackHost, StackSetup};
use simoom_sim::world::{Direction, HostId, LinkId, World};
use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::sync::Arc;

type Host = Either<StackHost<FetchClient<ExpectPatterns>>, StackHost<FileServer<MemoryBodies>>>;

/// Every fault that a link has, but those that nothing below the application can notice.
fn bad() -> LinkConfig {
    LinkConfig {
        rate: Rate::mbit(50),
        queue_frames_max: 30,
        jitter: Jitter::InOrder(Variation::Uniform { max: Duration::from_micros(300) }),
        aqm: Aqm::CoDel(CoDelConfig::default()),
        loss: Chance::ppm(10_000),
        burst_loss: Some(GilbertElliott {
            to_bad: Chance::ppm(5_000),
            to_good: Chance::ppm(300_000),
            loss_good: Chance::NEVER,
            loss_bad: Chance::ppm(500_000),
        }),
        loss_every: Some(Every { nth: 97, first: 50 }),
        lose_frames: Arc::from([11, 12]),
        lose_bytes: Arc::from([LoseByte { offset: 4345, retransmission: 1 }]),
        ack_loss: Chance::ppm(10_000),
        ack_bunch: Some(AckBunch { count_max: 3, time_max: Duration::from_millis(1) }),
        reorder: Chance::ppm(10_000),
        reorder_by_max: Duration::from_millis(3),
        displace: Some(Displace {
            chance: Chance::ppm(10_000),
            frames: 2,
            time_max: Duration::from_millis(20),
        }),
        duplicate: Chance::ppm(20_000),
        corrupt: Chance::ppm(10_000),
        truncate: Chance::ppm(10_000),
        outages: Outages::new([(ms(30), ms(60))], WhileDown::Hold),
        changes: Arc::from([]),
        ..LinkConfig::default()
    }
}

fn ms(n: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(n)
}

/// What became of each frame: (way, its number, how it ended).
#[derive(Clone, Default)]
struct Fates(Vec<(u32, u64, Fate)>);

impl EventTap for Fates {
    fn on_event(&mut self, record: &EventRecord<'_>) {
        let way = u32::from(record.link) * 2 + u32::from(record.direction);
        self.0.push((way, record.number, record.fate));
    }
}

fn world(seed: Seed, link: &LinkConfig) -> (World<Host, Fates>, HostId, LinkId) {
    let mut bodies = MemoryBodies::new();
    let (path, len, file) = ("/page", 60_000, bodies.add_pattern(7, 60_000));
    let (content_type, modified, version) = ("text/plain", 0, 1);
    let mut catalogue = Catalogue::builder(0);
    catalogue.add_file(FileInfo { path, content_type, modified, version, len, file }).unwrap();
    let server = FileServer::new(catalogue.build(), bodies, ServerConfig::default());
    let fetch = FetchConfig::new("10.66.0.2:80".parse().unwrap(), vec![path.into()], 4);
    let client = FetchClient::new(fetch, ExpectPatterns(vec![(7, len)]));
    let mut world = World::with_tap(seed, Fates::default());
    let client = world.add_host(Either::Left(StackSetup::new(1).host(seed, client)));
    let server = world.add_host(Either::Right(StackSetup::new(2).host(seed, server)));
    let link = world.connect((client, 0), (server, 0), link.clone(), link.clone());
    (world, client, link)
}

/// Runs until every byte has come.
fn run(world: &mut World<Host, Fates>, client: HostId) {
    let ended = world.run_until(|world| {
        let stats = world.host(client).left().unwrap().stack.app().stats();
        assert_eq!((stats.failed, stats.wrong_bytes), (0, 0));
        stats.succeeded == 4
    });
    ended.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn forcing_all_that_happened_gives_the_same_run() {
    let kinds = RefCell::new([0; 6]);
    check(0..60, |seed| {
        let (mut free, client, _) = world(seed, &bad());
        free.record_faults();
        run(&mut free, client);
        let faults = free.faults();
        assert_eq!(free.faults_left_out(), 0);
        assert!(faults.len() > 4, "{faults:?}");
        let (mut forced, client, _) = world(seed, &bad());
        forced.force_faults(faults.clone());
        forced.record_faults();
        run(&mut forced, client);
        assert_eq!((forced.hash(), forced.events()), (free.hash(), free.events()));
        assert_eq!(forced.faults(), faults);
        assert_eq!(forced.tap().0, free.tap().0);
        for fault in faults {
            let kind = match fault.kind {
                FaultKind::Lost => 0,
                FaultKind::Delayed(_) => 1,
                FaultKind::Duplicated => 2,
                FaultKind::Corrupted { .. } => 3,
                FaultKind::Truncated { .. } => 4,
                FaultKind::Displaced { .. } => 5,
            };
            kinds.borrow_mut()[kind] += 1;
        }
    });
    // One seed alone may lack a kind.
    let chosen = std::env::var_os("SIMOOM_SEED").is_some();
    assert!(chosen || kinds.borrow().iter().all(|count| *count > 20), "{kinds:?}");
}

#[test]
fn recording_changes_nothing() {
    let hash = |recorded| {
        let (mut world, client, _) = world(Seed(3), &bad());
        if recorded {
            world.record_faults();
        }
        run(&mut world, client);
        (world.hash(), world.faults().is_empty())
    };
    let ((plain, none), (recorded, still_none)) = (hash(false), hash(true));
    assert_eq!((plain, none, still_none), (recorded, true, false));
}

#[test]
fn exactly_the_listed_faults_happen() {
    check(0..10, |seed| {
        let (mut world, client, link) = world(seed, &bad());
        let lost = |way, frame| Fault { way, frame, kind: FaultKind::Lost };
        let list = vec![
            lost(1, 12),
            lost(0, 3),
            Fault { way: 1, frame: 7, kind: FaultKind::Duplicated },
            Fault { way: 1, frame: 20, kind: FaultKind::Delayed(Duration::from_millis(2)) },
            lost(1, 1_000_000),
        ];
        world.force_faults(list);
        run(&mut world, client);
        let usual = |fate| matches!(fate, Fate::Arrived | Fate::QueueFull | Fate::QueueManaged);
        let fates = world.tap().0.iter().copied();
        let mut odd: Vec<_> = fates.filter(|(.., fate)| !usual(*fate)).collect();
        odd.sort_by_key(|(way, number, _)| (*way, *number));
        assert_eq!(odd, [(0, 3, Fate::Lost), (1, 7, Fate::ArrivedAgain), (1, 12, Fate::Lost)]);
        let stats = world.link_stats(link, Direction::Backward);
        assert_eq!((stats.lost, stats.duplicated, stats.reordered), (1, 1, 1));
    });
}

#[test]
fn a_fork_of_a_world_with_frames_in_every_corner_goes_on_to_the_same_hash() {
    check(0..10, |seed| {
        let (mut one, client, _) = world(seed, &bad());
        let at = seed.stream(Stream::Named("Fork", 0)).below(1500);
        while one.events() < at && one.step().unwrap() {}
        let mut fork = one.clone();
        run(&mut one, client);
        run(&mut fork, client);
        assert_eq!((one.hash(), one.events()), (fork.hash(), fork.events()));
    });
}

/// The oracles are not fooled and accuse nobody: what arrived is what was sent but for a byte that
/// no checksum shows, and only the application can tell.
#[test]
fn bytes_that_are_wrong_under_right_checksums_reach_the_application_and_no_oracle_complains() {
    let run = |seed, chance| {
        let (mut world, client, link) = world(seed, &LinkConfig::default());
        let config = LinkConfig { corrupt_repaired: chance, ..LinkConfig::default() };
        world.set_link(link, Direction::Backward, config);
        world.run_for(Duration::from_secs(20)).unwrap_or_else(|error| panic!("{error}"));
        let forged = world.tap().0.iter().filter(|fate| fate.2 == Fate::ArrivedForged).count();
        assert_eq!(world.link_stats(link, Direction::Backward).forged, forged as u64);
        let app = world.host(client).left().unwrap().stack.app().stats();
        (forged, app.wrong_bytes, app.failed)
    };
    assert_eq!(run(Seed(0), Chance::NEVER), (0, 0, 0));
    let mut all_wrong = 0;
    for seed in 0..10 {
        let (forged, wrong, failed) = run(Seed(seed), Chance::ppm(10_000));
        // A byte of a response's head is not a wrong byte of the body, but may end the request.
        assert!(forged > 0 || (wrong, failed) == (0, 0), "seed {seed}");
        assert!(wrong <= forged as u64, "one byte of a segment");
        all_wrong += wrong;
    }
    assert!(all_wrong > 0);
}

/// Either way the transfer stands; the answers reach the server, and a link that heals lets it end.
#[test]
fn a_narrow_path_answers_or_not_and_healing_ends_it() {
    for exceeded in [MtuExceeded::Silent, MtuExceeded::Icmp { from: Ipv4Addr::new(10, 9, 9, 9) }] {
        let (mut world, client, link) = world(Seed(1), &LinkConfig::default());
        let narrow =
            LinkConfig { mtu: Some(Mtu { bytes: 1000, exceeded }), ..LinkConfig::default() };
        world.set_link(link, Direction::Backward, narrow);
        world.run_for(Duration::from_secs(5)).unwrap();
        let stats = *world.link_stats(link, Direction::Backward);
        assert!(stats.too_long > 2, "{stats:?}");
        let answered = if exceeded == MtuExceeded::Silent { 0 } else { stats.too_long };
        assert_eq!(stats.too_long_answered, answered);
        // They came by the other direction: more was offered there than the client sent.
        let client_sent = world.host(client).left().unwrap().port.stats().tx;
        let forward = world.link_stats(link, Direction::Forward);
        assert_eq!(forward.offered, client_sent + answered);
        world.heal();
        run(&mut world, client);
    }
}

/// A recording of 12 Mb/s carries a transfer at no more than that.
#[test]
fn a_transfer_over_a_trace_and_an_endless_outage_that_heals() {
    let trace = Some(Trace::from_millis([1]).unwrap());
    let config = LinkConfig { trace, ..LinkConfig::default() };
    let (mut world, client, link) = world(Seed(5), &config);
    let down = Outages::new([(ms(50), Instant::FAR_FUTURE)], WhileDown::Hold);
    world.set_link(link, Direction::Backward, LinkConfig { outages: down, ..config });
    world.run_for(Duration::from_secs(3)).unwrap();
    assert!(world.link_queue(link, Direction::Backward).0 > 0);
    assert!(world.host(client).left().unwrap().stack.app().stats().succeeded < 4);
    world.heal();
    run(&mut world, client);
    let took = world.now().saturating_since(ms(3_000));
    let bytes = world.link_stats(link, Direction::Backward).offered_bytes;
    assert!(took.as_nanos() < 10_000_000_000 && bytes > 240_000);
}
