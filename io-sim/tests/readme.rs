//! The simulation that the README shows, as it stands there.

// The README shows what follows.
use simoom_core::client::{ExpectPatterns, FetchClient, FetchConfig};
use simoom_core::server::{Catalogue, FileInfo, FileServer, MemoryBodies, ServerConfig};
use simoom_sim::endpoint::Either;
use simoom_sim::link::LinkConfig;
use simoom_sim::seed::{Chance, check};
use simoom_sim::stack_host::StackSetup;
use simoom_sim::world::World;

#[test]
fn every_byte_arrives_over_a_lossy_link() {
    check(0..20, |seed| {
        let mut bodies = MemoryBodies::new();
        let (path, len, file) = ("/page", 22_000, bodies.add_pattern(7, 22_000));
        let (content_type, modified, version) = ("text/plain", 0, 1);
        let mut catalogue = Catalogue::builder(0);
        catalogue.add_file(FileInfo { path, content_type, modified, version, len, file }).unwrap();
        let server = FileServer::new(catalogue.build(), bodies, ServerConfig::default());
        let fetch = FetchConfig::new("10.66.0.2:80".parse().unwrap(), vec![path.into()], 50);
        let client = FetchClient::new(fetch, ExpectPatterns(vec![(7, len)]));

        let mut world = World::new(seed);
        let client = world.add_host(Either::Left(StackSetup::new(1).host(seed, client)));
        let server = world.add_host(Either::Right(StackSetup::new(2).host(seed, server)));
        let lossy = LinkConfig { loss: Chance::ppm(10_000), ..LinkConfig::default() };
        world.connect((client, 0), (server, 0), lossy.clone(), lossy);
        let ended = world.run_until(|world| {
            let stats = world.host(client).left().unwrap().stack.app().stats();
            assert_eq!((stats.failed, stats.wrong_bytes), (0, 0));
            stats.succeeded == 50
        });
        ended.unwrap_or_else(|error| panic!("{error}"));
    });
}
// The README shows this much.

#[test]
fn the_readme_shows_this_simulation() {
    let (from, to) = ("// The README shows what follows.\n", "// The README shows this much.\n");
    let source = include_str!("readme.rs");
    let shown = source.split_once(from).and_then(|(_, rest)| rest.split_once(to)).unwrap().0;
    let block = format!("```rust\n{shown}```\n");
    assert!(include_str!("../../README.md").contains(&block), "the README shows another test");
}
