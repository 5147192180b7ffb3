//! Faults written down in one run and forced on another: the same list gives the same run, a part
//! of it a run in which just that happens.

use simoom_core::client::{ExpectPatterns, FetchClient, FetchConfig};
use simoom_core::server::{Catalogue, FileInfo, FileServer, MemoryBodies, ServerConfig};
use simoom_core::time::Duration;
use simoom_sim::endpoint::Either;
use simoom_sim::fault::{Fault, FaultKind};
use simoom_sim::hash::{EventRecord, EventTap, Fate};
use simoom_sim::link::{LinkConfig, Rate};
use simoom_sim::seed::{Chance, Seed, check};
use simoom_sim::stack_host::{StackHost, StackSetup};
use simoom_sim::world::{Direction, HostId, LinkId, World};

type Host = Either<StackHost<FetchClient<ExpectPatterns>>, StackHost<FileServer<MemoryBodies>>>;

/// Every fault that a link has.
fn bad() -> LinkConfig {
    LinkConfig {
        rate: Rate::mbit(50),
        queue_frames_max: 30,
        loss: Chance::ppm(20_000),
        reorder: Chance::ppm(20_000),
        reorder_by_max: Duration::from_millis(3),
        duplicate: Chance::ppm(20_000),
        corrupt: Chance::ppm(10_000),
        ..LinkConfig::default()
    }
}

/// What became of each frame: (way, its number, how it ended).
#[derive(Default)]
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
    });
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
        let usual = |fate| matches!(fate, Fate::Arrived | Fate::QueueFull);
        let fates = world.tap().0.iter().copied();
        let mut odd: Vec<_> = fates.filter(|(.., fate)| !usual(*fate)).collect();
        odd.sort_by_key(|(way, number, _)| (*way, *number));
        assert_eq!(odd, [(0, 3, Fate::Lost), (1, 7, Fate::ArrivedAgain), (1, 12, Fate::Lost)]);
        let stats = world.link_stats(link, Direction::Backward);
        assert_eq!((stats.lost, stats.duplicated, stats.reordered), (1, 1, 1));
    });
}
