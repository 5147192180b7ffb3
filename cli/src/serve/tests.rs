//! Shards in threads, as they serve, over the model of a NIC with several rings: it puts frames on rings
//! by the hash, and a client of ours compares every byte.

use super::live::StopKernel;
use super::plan::lay_out;
use super::rings::{Expected, Key, Split};
use super::*;
use crate::testdir::TestDir;
use clap::Parser;
use simoom_core::client::{Expect, FetchClient, FetchConfig};
use simoom_core::port::{Advance, Port};
use simoom_core::time::Instant;
use simoom_core::wire::rss::{SYMMETRIC_KEY, Shard, Spread};
use simoom_core::wire::{self, Frame};
use simoom_netmap::kernel::{Kernel, Ready, Wait};
use simoom_netmap::model::{Model, ModelConfig, ModelKernel};
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddrV4;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 2);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 9);
const LENS: [usize; 4] = [0, 700, 22_000, 90_000];
const EXTRA: u32 = 300;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

/// What the threads of a test wait with, instead of a clock and a wire of their own: so nobody runs
/// while there is nothing to do, and time passes when nothing else happens.
#[derive(Clone)]
struct Hub(Arc<(Mutex<Rounds>, Condvar)>);

struct Rounds {
    nanos: u64,
    rings: Vec<Waiting>,
}

#[derive(Clone, Copy, Default)]
struct Waiting {
    /// Somebody has the ring.
    open: bool,
    /// It waits, until then at most.
    until: Option<u64>,
    /// Frames have come.
    news: bool,
    /// The ring's interface is gone.
    gone: bool,
    /// The end was asked for.
    stop: bool,
}

impl Rounds {
    fn has_reason(&self, ring: usize) -> bool {
        let Waiting { until, news, gone, stop, .. } = self.rings[ring];
        news || gone || stop || until.is_some_and(|at| at <= self.nanos)
    }
}

impl Hub {
    fn new(rings: usize) -> Self {
        let rings = vec![Waiting::default(); rings];
        Self(Arc::new((Mutex::new(Rounds { nanos: 0, rings }), Condvar::new())))
    }

    /// Changes something and wakes whom it may concern.
    fn change<T>(&self, change: impl FnOnce(&mut Rounds) -> T) -> T {
        let (rounds, bell) = &*self.0;
        let changed = change(&mut rounds.lock().unwrap_or_else(PoisonError::into_inner));
        bell.notify_all();
        changed
    }

    fn wait_while(&self, wait: impl FnMut(&mut Rounds) -> bool) {
        let (rounds, bell) = &*self.0;
        let rounds = rounds.lock().unwrap_or_else(PoisonError::into_inner);
        drop(bell.wait_while(rounds, wait).unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until every shard waits and has no reason to go on.
    fn settle(&self) {
        self.wait_while(|rounds| {
            (0..rounds.rings.len()).any(|ring| {
                let Waiting { open, until, .. } = rounds.rings[ring];
                open && (until.is_none() || rounds.has_reason(ring))
            })
        });
    }
}

/// One ring of the model as a live kernel is: waiting ends by frames, by a deadline, because the end was
/// asked for or because the ring is gone.
struct Ring {
    model: ModelKernel,
    hub: Hub,
    /// Its number in the hub; None for the client, who never waits.
    ring: Option<usize>,
}

impl Ring {
    fn enter(&mut self) -> io::Result<()> {
        let Some(ring) = self.ring else { return Ok(()) };
        if self.hub.change(|rounds| rounds.rings[ring].gone) {
            return Err(io::Error::from_raw_os_error(6)); // ENXIO
        }
        Ok(())
    }
}

impl Kernel for Ring {
    fn tx_sync(&mut self) -> io::Result<()> {
        self.enter()?;
        self.model.tx_sync()
    }

    fn rx_sync(&mut self) -> io::Result<()> {
        self.enter()?;
        self.model.rx_sync()
    }

    fn host_sync(&mut self) -> io::Result<()> {
        self.enter()?;
        self.model.host_sync()
    }

    fn poll(&mut self, wait: Wait) -> io::Result<Ready> {
        let mut ready = self.model.poll(Wait { timeout: Some(Duration::ZERO), ..wait })?;
        let Some(ring) = self.ring else { return Ok(ready) };
        self.hub.change(|rounds| {
            let span = wait.timeout.map_or(u64::MAX, |span| span.as_nanos());
            rounds.rings[ring].until = Some(rounds.nanos.saturating_add(span));
        });
        self.hub.wait_while(|rounds| !rounds.has_reason(ring));
        let now = self.hub.change(|rounds| {
            let was = rounds.rings[ring];
            (rounds.rings[ring].until, rounds.rings[ring].news) = (None, false);
            was
        });
        if now.news && !now.gone {
            ready = self.model.poll(Wait { timeout: Some(Duration::ZERO), ..wait })?;
        }
        Ok(Ready { failed: ready.failed || now.gone, ended: now.stop })
    }

    fn now_nanos(&self) -> u64 {
        self.hub.change(|rounds| rounds.nanos)
    }

    fn pause(&mut self, span: Duration) {
        self.model.pause(span);
    }
}

impl StopKernel for Ring {
    fn ignore_stop(&mut self) {
        if let Some(ring) = self.ring {
            self.hub.change(|rounds| rounds.rings[ring].stop = false);
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if let Some(ring) = self.ring {
            self.hub.change(|rounds| rounds.rings[ring].open = false);
        }
    }
}

fn open(model: &Model, at: u16, hub: &Hub, ring: Option<usize>) -> NetmapPort<Ring> {
    let bound = model.bind(at, EXTRA).expect("it is free");
    if let Some(ring) = ring {
        hub.change(|rounds| rounds.rings[ring].open = true);
    }
    let attachment = bound.map_kernel(|model| Ring { model, hub: hub.clone(), ring });
    NetmapPort::over(attachment, &NetmapConfig::default()).expect("it is right")
}

/// The files that are served.
struct Files(Vec<Vec<u8>>);

impl Expect for Files {
    fn len(&self, path_index: u32) -> u64 {
        self.0[path_index as usize].len() as u64
    }

    fn check(&mut self, path_index: u32, offset: u64, bytes: &[u8]) -> bool {
        let at = offset as usize;
        self.0[path_index as usize].get(at..at + bytes.len()) == Some(bytes)
    }
}

/// A server of several shards, its NIC, and the wire to a client.
struct World {
    spread: Spread,
    /// Whether the NIC does as it says: else it takes the next ring for each connection.
    fits: bool,
    nic: Model,
    files: Vec<Vec<u8>>,
    hub: Hub,
    stop: StopFlag,
    said: Arc<Mutex<String>>,
    crew: Option<JoinHandle<Result<(), Failure>>>,
    /// Local ports of the connections that were opened, by ring.
    opened: Vec<BTreeSet<u16>>,
    _dir: TestDir,
}

impl World {
    fn new(name: &str, rings: u8, fits: bool) -> Self {
        let dir = TestDir::new(name);
        let files: Vec<Vec<u8>> = LENS
            .iter()
            .map(|&len| (0..len).map(|i| ((i * 31) ^ (i >> 8) ^ len) as u8).collect())
            .collect();
        for bytes in &files {
            std::fs::write(dir.path().join(format!("{}.bin", bytes.len())), bytes).unwrap();
        }
        let spread = Spread::in_turn(SYMMETRIC_KEY, rings);
        let slots = u32::from(rings) * (128 + 256);
        let nic = Model::nic(ModelConfig {
            rings: rings.into(),
            tx_slots: 128,
            rx_slots: 256,
            buffers: slots + u32::from(rings) * EXTRA,
            ..ModelConfig::default()
        });
        let stop = StopFlag::new().unwrap();
        let hub = Hub::new(rings.into());
        let line = ["serve", dir.path().to_str().unwrap(), "--port", "netmap:model0"];
        let line = line.iter().copied().chain(["--addr", "10.66.0.2/24", "--buffers", "300"]);
        let args = Arc::new(Line::try_parse_from(line).unwrap().args);
        let site = Arc::new(Site::scan(dir.path()).unwrap());
        let plan = plan(&args).unwrap().remove(0);
        let ring_name = |ring| format!("netmap:model0-{ring}").parse().unwrap();
        let split = Split {
            names: (0..rings).map(ring_name).collect(),
            spread: Some(Expected { spread: spread.clone(), key: Key::Said }),
            remarks: Vec::new(),
        };
        let cpus = simoom_linux::cpu::allowed().unwrap();
        let shards = lay_out(vec![(split, None, plan)], &cpus);
        let members = shards.into_iter().enumerate().map(|(ring, shard)| {
            let (nic, hub) = (nic.clone(), hub.clone());
            let (args, site) = (Arc::clone(&args), Arc::clone(&site));
            Member {
                name: shard.label.clone(),
                port: shard.plan.port.to_string(),
                core: shard.core,
                open: Box::new(move |post| {
                    let port = open(&nic, ring as u16, &hub, Some(ring));
                    start(&args, &shard, &site, port, post)
                }),
            }
        });
        let crew = Crew::open(members.collect(), &stop).unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let hear = Arc::clone(&said);
        let crew = thread::spawn(move || {
            crew.serve(&mut |text| {
                hear.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
            })
        });
        let opened = vec![BTreeSet::new(); rings.into()];
        let crew = Some(crew);
        Self { spread, fits, nic, files, hub, stop, said, crew, opened, _dir: dir }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the NIC does with a frame from the wire: all that is not TCP goes to ring 0.
    fn steer(&mut self, frame: &[u8]) {
        let mut ring = 0;
        if let Ok(Frame::Tcp(frame)) = wire::parse(frame, true) {
            let src = SocketAddrV4::new(frame.ip.src, frame.tcp.src_port);
            let dst = SocketAddrV4::new(frame.ip.dst, frame.tcp.dst_port);
            let rings = self.opened.len() as u8;
            ring = (self.spread.ring_of_tcp(src, dst) + u8::from(!self.fits)) % rings;
            self.opened[usize::from(ring)].insert(src.port());
        }
        // Where the ring is full, or its shard gone, the frame is lost.
        self.nic.inject(ring.into(), frame);
        self.hub.change(|rounds| rounds.rings[usize::from(ring)].news = true);
    }

    /// Carries frames both ways, lets the NIC work, the shards take their turns and time pass.
    fn round(&mut self, client: &Model) {
        let mut frames = Vec::new();
        client.work();
        client.take_wire(0, |frame| frames.push(frame.to_vec()));
        let mut moved = !frames.is_empty();
        frames.iter().for_each(|frame| self.steer(frame));
        self.hub.settle();
        self.nic.work();
        for ring in 0..self.opened.len() as u16 {
            self.nic.take_wire(ring, |frame| {
                moved = true;
                client.inject(0, frame);
            });
        }
        self.hub.change(|rounds| rounds.nanos += if moved { 20_000 } else { 1_000_000 });
    }

    /// Asks for so many files, by connections of which each goes to the ring named, or to any.
    fn fetch(&mut self, requests: u64, connections: u32, ring: Option<u8>) {
        let model = Model::nic(ModelConfig {
            tx_slots: 256,
            rx_slots: 1_024,
            buffers: 256 + 1_024 + EXTRA,
            ..ModelConfig::default()
        });
        let mut port = open(&model, 0, &self.hub, None);
        let mut config = Config::new(MacAddr([2, 0, 0, 0, 0, 9]), CLIENT, 24);
        config.listen.clear();
        // With this key an answer has the hash of what it answers.
        config.shard = ring.map(|ring| Shard { spread: self.spread.clone(), ring });
        let fetch = FetchConfig {
            connections,
            requests_per_connection: 8,
            ..FetchConfig::new(
                SocketAddrV4::new(SERVER, 80),
                LENS.iter().map(|len| format!("/{len}.bin")).collect(),
                requests,
            )
        };
        let app = FetchClient::new(fetch, Files(self.files.clone()));
        let mut stack = Stack::new(config, secrets().unwrap(), port.caps(), app);
        while !stack.app().is_done() {
            let now = port.advance(Some(Instant::ZERO)).expect("nobody ends it");
            stack.turn(now, &mut port).unwrap();
            self.round(&model);
        }
        let seen = stack.app().stats();
        assert_eq!((seen.succeeded, seen.failed, seen.wrong_bytes), (requests, 0, 0), "{seen:?}");
        port.close().unwrap();
        assert_eq!((model.violations(), model.buffers_lost()), (vec![], 0));
    }

    /// Ends it as a signal does, once the wire is quiet; what was said, and what came of it.
    fn end(mut self) -> (String, Result<(), Failure>) {
        self.stop.raise();
        self.hub.change(|rounds| rounds.rings.iter_mut().for_each(|ring| ring.stop = true));
        let crew = self.crew.take().expect("it serves");
        let nobody = Model::nic(ModelConfig::default());
        while !crew.is_finished() {
            self.round(&nobody);
        }
        let done = crew.join().expect("no panic");
        assert_eq!((self.nic.violations(), self.nic.buffers_lost()), (vec![], 0), "all is back");
        for (ring, ports) in self.opened.iter().enumerate() {
            let said = self.said();
            let of_shard = said.split("netmap:model0-").find(|part| {
                part.starts_with(&format!("{ring} (core ")) && part.contains(" turns")
            });
            let of_shard = of_shard.unwrap_or_else(|| panic!("nothing of {ring} in {said}"));
            let wanted = format!(" on {} connections,", ports.len());
            assert!(of_shard.contains(&wanted), "{wanted} in {of_shard}");
        }
        (self.said(), done)
    }
}

#[test]
fn every_answer_of_two_and_eight_shards_is_right_and_the_skew_is_counted() {
    for rings in [2, 8] {
        let mut world = World::new(&format!("shards-{rings}"), rings, true);
        world.fetch(320, 12, None);
        assert!(world.opened.iter().all(|ports| !ports.is_empty()), "every ring was used");
        let (said, done) = world.end();
        assert!(done.is_ok(), "{said}");
        assert!(said.contains("netmap:model0: 320 requests, "), "{said}");
        assert!(said.contains(&format!("by {rings} shards")), "{said}");
        assert!(said.contains("largest over mean: "), "{said}");
        assert!(!said.contains("does not choose"), "{said}");
    }
}

#[test]
fn ring_that_disappears_ends_its_shard_alone() {
    for rings in [2, 8] {
        let mut world = World::new(&format!("gone-{rings}"), rings, true);
        world.fetch(64, 8, None);
        world.hub.change(|rounds| rounds.rings[1].gone = true);
        while !world.said().contains("serves no more") {
            assert!(!world.crew.as_ref().unwrap().is_finished(), "{}", world.said());
            thread::yield_now();
        }
        let said = world.said();
        assert!(said.starts_with("simoom: netmap:model0-1 serves no more, "), "{said}");
        assert!(said.contains("model:1 is gone: the interface was removed"), "{said}");
        for ring in (0..rings).filter(|&ring| ring != 1) {
            world.fetch(16, 4, Some(ring));
        }
        assert!(!world.crew.as_ref().unwrap().is_finished(), "the others serve");
        let (said, done) = world.end();
        let failure = done.unwrap_err();
        assert_eq!(failure.kind(), Kind::Runtime);
        assert_eq!(
            failure.to_string(),
            format!("1 of {rings} shards ended by a failure, said above")
        );
        assert_eq!(said.matches("serves no more").count(), 1, "{said}");
    }
}

#[test]
fn rings_that_do_not_fit_the_hash_serve_right_and_are_said_once_with_numbers() {
    let mut world = World::new("misfit", 2, false);
    world.fetch(8 * 120, 12, None);
    let (said, done) = world.end();
    assert!(done.is_ok(), "{said}");
    assert_eq!(said.matches("of 32 new connections 32 came on this ring").count(), 1, "{said}");
    assert!(said.contains("look at `ethtool -x model0`"), "{said}");
    assert_eq!(said.matches("on a ring that the hash does not choose").count(), 2, "{said}");
}
