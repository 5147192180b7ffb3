//! The browser, on our stack, against our server.

use super::*;
use simoom_sim::hosts::site::{Site, SiteConfig, Sizes};
use simoom_sim::hosts::{Browser, BrowserConfig};
use simoom_sim::link::Rate;
use simoom_sim::seed::{Chance, check};
use std::sync::Arc;

type Hosts = Either<Server, StackHost<Browser>>;

fn small_site(seed: Seed) -> Arc<Site> {
    let config = SiteConfig {
        pages: 5,
        object: Sizes { low: 200, high: 100_000, shape_thousandths: 1100 },
        ..SiteConfig::default()
    };
    Arc::new(Site::new(seed, 0, config))
}

fn browser_world(
    seed: Seed,
    config: BrowserConfig,
    server: ServerConfig,
    link: LinkConfig,
) -> (World<Hosts>, HostId, HostId) {
    let mut bodies = MemoryBodies::new();
    let mut catalogue = Catalogue::builder(1);
    config.site.add_to(&mut catalogue, &mut bodies).unwrap();
    let app = FileServer::new(catalogue.build(), bodies, server);
    let mut world: World<Hosts> = World::new(seed);
    let server = world.add_host(Either::Left(server_setup().host(seed, app)));
    let app = Browser::new(config, seed, 2);
    let browser = world.add_host(Either::Right(StackSetup::new(2).host(seed, app)));
    world.connect((server, 0), (browser, 0), link.clone(), link);
    (world, server, browser)
}

fn app(world: &World<Hosts>, browser: HostId) -> &Browser {
    world.host(browser).right().unwrap().stack.app()
}

fn lossy() -> LinkConfig {
    LinkConfig {
        rate: Rate::mbit(20),
        delay: Duration::from_millis(15),
        loss: Chance::ppm(10_000),
        ..LinkConfig::default()
    }
}

fn run(mut world: World<Hosts>, browser: HostId) -> World<Hosts> {
    world
        .run_until(|world| app(world, browser).is_done())
        .unwrap_or_else(|error| panic!("{error}"));
    world
}

#[test]
fn every_page_comes_whole_over_a_few_connections_that_are_kept() {
    check(0..10, |seed| {
        let site = small_site(seed);
        let config = BrowserConfig::new(SERVER, site.clone(), 8);
        let (world, server, browser) =
            browser_world(seed, config, ServerConfig::default(), lossy());
        let world = run(world, browser);
        let browser = app(&world, browser);
        browser.verdict().unwrap();
        let bytes: u64 = browser.loads().iter().map(|load| site.page_bytes(load.page)).sum();
        let (stats, loads) = (browser.stats(), browser.loads());
        assert_eq!((stats.bytes, loads.len(), stats.requests), (bytes, 8, stats.succeeded));
        assert!(stats.connections <= 12, "{stats:?}");
        let served = world.host(server).left().unwrap().stack.app().stats();
        assert_eq!(served.requests, stats.requests);
        for pair in loads.windows(2) {
            assert!(pair[0].started_at < pair[0].done_at && pair[0].done_at <= pair[1].started_at);
        }
        // Not faster than the link carries the bytes of all pages.
        let loading: u64 = loads
            .iter()
            .map(|load| load.done_at.saturating_since(load.started_at).as_nanos())
            .sum();
        assert!(loading as f64 * 20e6 / 8e9 > bytes as f64);
    });
}

#[test]
fn thought_lasts_its_mean() {
    let config = SiteConfig {
        pages: 1,
        objects_min: 0,
        objects_max: 0,
        document: Sizes { low: 1, high: 1, shape_thousandths: 1 },
        ..SiteConfig::default()
    };
    let site = Arc::new(Site::new(Seed(1), 0, config));
    let mut config = BrowserConfig::new(SERVER, site, 400);
    config.start_after = Duration::from_secs(3);
    config.think = Duration::from_secs(2);
    let (world, _, browser) =
        browser_world(Seed(1), config, ServerConfig::default(), LinkConfig::default());
    let world = run(world, browser);
    let loads = app(&world, browser).loads();
    let first = loads[0].started_at.as_millis();
    assert!((3000..3100).contains(&first), "{first} ms");
    let thought = loads[399].started_at.as_millis() as f64 - first as f64;
    // Five standard deviations of the mean of 399: a quarter.
    assert!((0.75..1.25).contains(&(thought / 399.0 / 2000.0)), "{thought} ms");
}

/// The server closes what is idle: the browser opens anew, at once, and loses nothing.
#[test]
fn connections_that_the_server_closes_are_opened_again() {
    let server = ServerConfig { idle_timeout: Duration::from_secs(2), ..ServerConfig::default() };
    check(0..5, |seed| {
        let mut config = BrowserConfig::new(SERVER, small_site(seed), 10);
        config.think = Duration::from_secs(4);
        let (world, _, browser) = browser_world(seed, config, server, lossy());
        let world = run(world, browser);
        let browser = app(&world, browser);
        browser.verdict().unwrap();
        assert!(browser.stats().thinks_cut > 0 && browser.stats().connections > 6);
    });
}

/// The server resets connections that stall for a second, which heavy loss makes many do.
#[test]
fn requests_whose_connection_breaks_are_made_again() {
    // The clock of an answer is looked at when that of an idle connection would have run out.
    let server = ServerConfig {
        stall_timeout: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(1),
        ..ServerConfig::default()
    };
    let mut retried = 0;
    for n in 0..5 {
        let config = BrowserConfig::new(SERVER, small_site(Seed(n)), 5);
        let link = LinkConfig { loss: Chance::ppm(200_000), ..lossy() };
        let (world, _, browser) = browser_world(Seed(n), config, server, link);
        let world = run(world, browser);
        let browser = app(&world, browser);
        assert_eq!(browser.loads().len(), 5);
        let stats = browser.stats();
        assert_eq!(stats.requests, stats.succeeded + stats.failed + stats.retried);
        retried += stats.retried;
    }
    assert!(retried > 10, "{retried}");
}

#[test]
fn a_request_that_takes_too_long_is_given_up() {
    let site = Arc::new(Site::new(Seed(1), 0, SiteConfig::default()));
    let mut config = BrowserConfig::new(SERVER, site, 3);
    config.give_up = Duration::from_secs(1);
    config.think = Duration::from_millis(10);
    let link = LinkConfig { rate: Rate::bits_per_second(200_000), ..lossy() };
    let (world, _, browser) = browser_world(Seed(1), config, ServerConfig::default(), link);
    let world = run(world, browser);
    let browser = app(&world, browser);
    let stats = browser.stats();
    assert!(stats.given_up > 0 && stats.given_up == stats.failed, "{stats:?}");
    assert_eq!(browser.loads().len(), 3);
    let failed: u32 = browser.loads().iter().map(|load| load.failed).sum();
    assert_eq!(u64::from(failed), stats.failed);
}

#[test]
fn same_twice_and_forked_at_any_event() {
    check(0..4, |seed| {
        let make = || {
            let mut config = BrowserConfig::new(SERVER, small_site(seed), 5);
            config.think = Duration::from_secs(1);
            browser_world(seed, config, ServerConfig::default(), lossy()).0
        };
        same_twice_and_forked(make, Duration::from_secs(10));
    });
}

#[test]
fn sites_are_heavy_tailed_and_the_same_for_a_seed() {
    let config = SiteConfig { pages: 200, ..SiteConfig::default() };
    let site = Site::new(Seed(1), 0, config);
    assert_eq!(site, Site::new(Seed(1), 0, config));
    assert_ne!(site, Site::new(Seed(1), 1, config));
    let mut sizes: Vec<u64> = site
        .pages
        .iter()
        .flat_map(|p| p.objects.clone())
        .map(|f| site.files[f as usize].len)
        .collect();
    sizes.sort_unstable();
    let (median, all) = (sizes[sizes.len() / 2], sizes.iter().sum::<u64>());
    let tenth: u64 = sizes[sizes.len() * 9 / 10..].iter().sum();
    assert!((800..1000).contains(&median), "{median}");
    assert!(tenth * 10 > all * 6, "the largest tenth has {tenth} of {all} bytes");
}
