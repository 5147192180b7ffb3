//! The simulation that the README shows, as it stands there.

// The README shows what follows.
use simoom_sim::lab::{Chance, Lab, LinkConfig, check};

#[test]
fn every_byte_arrives_over_a_lossy_link() {
    check(0..20, |seed| {
        let mut lab = Lab::new(seed);
        let server = lab.serve(&[("/page", 22_000)]);
        let client = lab.fetch(server, "/page", 50);
        lab.join(client, server, LinkConfig { loss: Chance::ppm(10_000), ..LinkConfig::default() });
        let seen = lab.run().unwrap();
        assert_eq!(seen[client].stats().succeeded, 50);
        assert!(seen.goodput(server) > 1e6, "a megabit a second");
        assert!(seen.retransmissions(server) < 40, "of about 800 segments");
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
