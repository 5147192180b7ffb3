//! A world in a dozen lines: hosts, the links between them, a run, and what was seen of it.
//!
//! ```
//! use simoom_sim::lab::{Chance, Lab, LinkConfig, check};
//!
//! check(0..5, |seed| {
//!     let mut lab = Lab::new(seed);
//!     let server = lab.serve(&[("/page", 22_000)]);
//!     let client = lab.fetch(server, "/page", 10);
//!     lab.join(client, server, LinkConfig { loss: Chance::ppm(10_000), ..LinkConfig::default() });
//!     let seen = lab.run().unwrap();
//!     assert_eq!(seen[client].stats().bytes, 220_000);
//!     assert!(seen.goodput(server) > 1e6);
//! });
//! ```
//!
//! Everything has a default here. A [`Lab`] is a [`World`] of boxed hosts with a [`Probe`] in every
//! stack; whoever needs other taps, forks or a hundred thousand hosts builds the [`World`] itself,
//! from the same parts.

mod host;
mod seen;
#[cfg(feature = "smoltcp")]
mod smoltcp;
mod talker;

pub use host::{Address, AnyHost};
pub use seen::{Seen, Traffic};
pub use talker::Talker;

// What nearly every test names.
pub use crate::endpoint::Endpoint;
pub use crate::link::{LinkConfig, Rate};
pub use crate::seed::{Chance, Seed, check};
pub use simoom_core::time::{Duration, Instant};

use crate::endpoint::EndpointHost;
use crate::hash::{EventRecord, EventTap};
use crate::hosts::Switch;
use crate::observe::{Probe, ProbeConfig, Recording, RecordingConfig, Timeline, TimelineConfig};
use crate::seed::Stream;
use crate::stack_host::{StackHost, StackSetup};
use crate::world::{HostId, Limits, LinkId, RunError, World};
use simoom_core::client::{ExpectPatterns, FetchClient, FetchConfig};
use simoom_core::server::{Catalogue, FileInfo, FileServer, MemoryBodies, ServerConfig};
use simoom_core::stack::app::App;
use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Index;

/// The file server of [`Lab::serve`].
pub type Server = FileServer<MemoryBodies>;

/// The client of [`Lab::fetch`].
pub type Client = FetchClient<ExpectPatterns>;

/// A host of a [`Lab`] on which a `T` runs: an [`App`] or an [`Endpoint`]. `lab[handle]` is it.
pub struct Handle<T> {
    id: HostId,
    addr: SocketAddrV4,
    what: PhantomData<fn() -> T>,
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Handle<T> {}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.id, self.addr)
    }
}

impl<T> Handle<T> {
    fn new(id: HostId, addr: SocketAddrV4) -> Self {
        Self { id, addr, what: PhantomData }
    }

    /// The host, for what a [`World`] says of it.
    pub fn id(self) -> HostId {
        self.id
    }

    /// Where it listens: its address, and the first of its stack's ports, which is 80 unless the
    /// setup says otherwise. A switch has no address.
    pub fn addr(self) -> SocketAddrV4 {
        self.addr
    }
}

/// What sees a lab's events: nobody, a timeline, a recording, or both.
#[derive(Debug, Default)]
pub struct LabTap {
    timeline: Option<Timeline>,
    recording: Option<Recording>,
}

impl EventTap for LabTap {
    const QUEUES: bool = true;
    const ENTRIES: bool = true;

    fn on_event(&mut self, record: &EventRecord<'_>) {
        if let Some(timeline) = &mut self.timeline {
            timeline.on_event(record);
        }
        if let Some(recording) = &mut self.recording {
            recording.on_event(record);
        }
    }

    fn on_enter(&mut self, at: Instant, link: u16, direction: u8, number: u64, bytes: &[u8]) {
        if let Some(recording) = &mut self.recording {
            recording.on_enter(at, link, direction, number, bytes);
        }
    }

    fn on_queue(&mut self, at: Instant, link: u16, direction: u8, frames: u32, bytes: u64) {
        if let Some(timeline) = &mut self.timeline {
            timeline.on_queue(at, link, direction, frames, bytes);
        }
    }
}

/// Why a run of a [`Lab`] did not end well. `{}` and `{:?}` print the same: what was wrong, at which
/// event of which seed, and what every host was waiting for.
#[derive(Clone, PartialEq, Eq)]
pub enum LabError {
    /// What must never happen did, or a limit was reached.
    Run(RunError),
    /// A client did not get what it asked for.
    Fetch {
        /// The seed.
        seed: Seed,
        /// The number of the event: the first is 1.
        event: u64,
        /// Its time.
        at: Instant,
        /// Which client, and what went wrong.
        what: String,
    },
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(error) => error.fmt(f),
            Self::Fetch { seed, event, at, what } => {
                write!(f, "seed {seed}, event {event}, at {at:?}: {what}")
            }
        }
    }
}

impl fmt::Debug for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for LabError {}

impl From<RunError> for LabError {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

/// The world of a lab.
pub type LabWorld = World<Box<dyn AnyHost>, LabTap>;

/// Looks at a client: whether it is done, or what went wrong.
type Goal = Box<dyn Fn(&LabWorld) -> Result<bool, String>>;

/// A file of a server, as its clients expect it.
#[derive(Clone, Debug)]
struct ServedFile {
    server: SocketAddrV4,
    path: String,
    pattern: u64,
    len: u64,
}

/// Hosts on links, ready to run. Hosts get the addresses 10.66.0.1, 10.66.0.2 and so on.
pub struct Lab {
    world: LabWorld,
    hosts: u16,
    /// Of each host, the ports that have a link, and how many it has.
    ports: Vec<(usize, usize)>,
    files: Vec<ServedFile>,
    goals: Vec<Goal>,
}

impl fmt::Debug for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { world, hosts, .. } = self;
        write!(f, "a lab of seed {}, {hosts} hosts, at {:?}", world.seed(), world.now())
    }
}

impl Lab {
    /// A lab without hosts.
    pub fn new(seed: Seed) -> Self {
        Self {
            world: World::with_tap(seed, LabTap::default()),
            hosts: 0,
            ports: Vec::new(),
            files: Vec::new(),
            goals: Vec::new(),
        }
    }

    /// A file server with files of these lengths, in bytes. Their content is a pattern, a different
    /// one for each file; clients of this lab compare every byte.
    ///
    /// # Panics
    /// Where a path is no path: see [`Catalogue`].
    pub fn serve(&mut self, files: &[(&str, u64)]) -> Handle<Server> {
        self.serve_with(files, |_| {})
    }

    /// The same with a changed setup: receive window, initial congestion window, NIC, store.
    ///
    /// # Panics
    /// Where a path is no path: see [`Catalogue`].
    pub fn serve_with(
        &mut self,
        files: &[(&str, u64)],
        change: impl FnOnce(&mut StackSetup),
    ) -> Handle<Server> {
        let mut bodies = MemoryBodies::new();
        let mut catalogue = Catalogue::builder(0);
        for (pattern, (path, len)) in (1..).zip(files.iter().copied()) {
            let file = bodies.add_pattern(pattern, len);
            let (content_type, modified, version) = ("application/octet-stream", 0, pattern);
            catalogue
                .add_file(FileInfo { path, content_type, modified, version, len, file })
                .unwrap_or_else(|error| panic!("{error}"));
        }
        let server = FileServer::new(catalogue.build(), bodies, ServerConfig::default());
        let handle = self.host_with(server, change);
        self.note_files(handle.addr, files);
        handle
    }

    fn note_files(&mut self, server: SocketAddrV4, files: &[(&str, u64)]) {
        for (pattern, (path, len)) in (1..).zip(files.iter().copied()) {
            self.files.push(ServedFile { server, path: path.into(), pattern, len });
        }
    }

    /// A client that asks for a file so many times, over one connection, one request at a time, and
    /// compares every byte.
    ///
    /// # Panics
    /// Where the server is none of this lab's, or does not have the file.
    pub fn fetch<S>(&mut self, server: Handle<S>, path: &str, times: u64) -> Handle<Client> {
        self.fetch_with(server, &[path], times, |_, _| {})
    }

    /// A client that asks for these files in turn, `requests` times in all. `change` may change
    /// how: connections at once, pipelining, think time; and the client's stack.
    ///
    /// # Panics
    /// Where the server is none of this lab's, or does not have one of the files; where a bound of
    /// the configuration is broken.
    pub fn fetch_with<S>(
        &mut self,
        server: Handle<S>,
        paths: &[&str],
        requests: u64,
        change: impl FnOnce(&mut FetchConfig, &mut StackSetup),
    ) -> Handle<Client> {
        let patterns = paths.iter().map(|path| {
            let file = self.file(server.addr, path);
            (file.pattern, file.len)
        });
        let expect = ExpectPatterns(patterns.collect());
        let paths = paths.iter().map(|path| String::from(*path)).collect();
        let mut config = FetchConfig::new(server.addr, paths, requests);
        config.completions_max = requests.min(1 << 20) as usize;
        let mut setup = self.next_setup();
        change(&mut config, &mut setup);
        let client = self.add_stack(FetchClient::new(config, expect), setup);
        self.goals.push(Box::new(move |world| {
            let client = inside::<Client>(world, client.id);
            match client.stats() {
                stats if stats.failed > 0 => Err(format!("a client's request failed: {stats:?}")),
                _ => Ok(client.is_done()),
            }
        }));
        client
    }

    fn file(&self, server: SocketAddrV4, path: &str) -> &ServedFile {
        let is_it = |file: &&ServedFile| file.server == server && file.path == path;
        self.files
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("{server} is no server of this lab that has {path:?}"))
    }

    /// A client for a server of your own: it opens a connection, says `say`, and compares what it
    /// hears with `expect`.
    pub fn talk<S>(
        &mut self,
        server: Handle<S>,
        say: impl Into<Vec<u8>>,
        expect: impl Into<Vec<u8>>,
    ) -> Handle<Talker> {
        let talker = self.host(Talker::new(server.addr, say.into(), expect.into()));
        self.goals.push(Box::new(move |world| {
            let verdict = inside::<Talker>(world, talker.id).verdict();
            verdict.cloned().map_or(Ok(false), |verdict| verdict.map(|()| true))
        }));
        talker
    }

    /// A host with our stack that runs an application of your own. It listens on port 80.
    pub fn host<A: App + 'static>(&mut self, app: A) -> Handle<A> {
        self.host_with(app, |_| {})
    }

    /// The same with a changed setup: ports to listen on, windows, timers, NIC.
    pub fn host_with<A: App + 'static>(
        &mut self,
        app: A,
        change: impl FnOnce(&mut StackSetup),
    ) -> Handle<A> {
        let mut setup = self.next_setup();
        change(&mut setup);
        self.add_stack(app, setup)
    }

    /// A host that is a stack of your own: frames in, frames out, a deadline. `make` is told which
    /// address the lab has for it.
    pub fn endpoint<E: Endpoint + 'static>(
        &mut self,
        make: impl FnOnce(Address) -> E,
    ) -> Handle<E> {
        let address = Address::new(self.next_number());
        let id = self.world.add_host(Box::new(EndpointHost::new(make(address))));
        self.ports.push((0, 1));
        Handle::new(id, SocketAddrV4::new(address.ip, 80))
    }

    /// The same for a host that may do what it likes: no oracle holds it to anything.
    pub fn lawless_endpoint<E: Endpoint + 'static>(
        &mut self,
        make: impl FnOnce(Address) -> E,
    ) -> Handle<E> {
        let address = Address::new(self.next_number());
        let id = self.world.add_lawless_host(Box::new(EndpointHost::new(make(address))));
        self.ports.push((0, 1));
        Handle::new(id, SocketAddrV4::new(address.ip, 80))
    }

    /// A host of any other kind, with so many ports, at an address that [`Seen::sent_by`] and clients
    /// know it by. `T` is the type of what its [`AnyHost::inside`] shows.
    pub fn add<T: 'static>(
        &mut self,
        host: impl AnyHost + 'static,
        addr: SocketAddrV4,
        ports: usize,
    ) -> Handle<T> {
        assert!(host.inside().is::<T>(), "something else is inside of this host");
        let id = self.world.add_host(Box::new(host));
        self.ports.push((0, ports));
        Handle::new(id, addr)
    }

    /// A switch with so many ports, to join hosts to: each link takes the next one. It delays nothing
    /// and loses nothing; its links do.
    pub fn switch(&mut self, ports: usize) -> Handle<Switch> {
        let id = self.world.add_forwarder(Box::new(Switch::new(ports)));
        self.ports.push((0, ports));
        Handle::new(id, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0))
    }

    fn next_number(&mut self) -> u16 {
        self.hosts += 1;
        self.hosts
    }

    fn next_setup(&mut self) -> StackSetup {
        StackSetup::new(self.next_number())
    }

    fn add_stack<A: App + 'static>(&mut self, app: A, setup: StackSetup) -> Handle<A> {
        let port = setup.stack.listen.first().copied().unwrap_or(0);
        let addr = SocketAddrV4::new(setup.stack.ip, port);
        let probe = Probe::new(ProbeConfig::default());
        let host: StackHost<A, Probe> = setup.host_with(self.world.seed(), app, probe);
        let id = self.world.add_host(Box::new(host));
        self.ports.push((0, 1));
        Handle::new(id, addr)
    }

    /// Joins two hosts by a link that is the same in both directions.
    ///
    /// # Panics
    /// Where a host has no port left: a stack and an endpoint have one, a switch as many as it was
    /// made with.
    pub fn join<A, B>(&mut self, one: Handle<A>, other: Handle<B>, link: LinkConfig) -> LinkId {
        self.join_with(one, other, link.clone(), link)
    }

    /// Joins two hosts by a link with a configuration for each direction: from the one named first,
    /// and towards it.
    ///
    /// # Panics
    /// Where a host has no port left: a stack and an endpoint have one, a switch as many as it was
    /// made with.
    pub fn join_with<A, B>(
        &mut self,
        one: Handle<A>,
        other: Handle<B>,
        forward: LinkConfig,
        backward: LinkConfig,
    ) -> LinkId {
        let (one, other) = (self.take_port(one), self.take_port(other));
        self.world.connect(one, other, forward, backward)
    }

    fn take_port<T>(&mut self, host: Handle<T>) -> (HostId, usize) {
        let (used, all) = &mut self.ports[host.id.index()];
        assert!(*used < *all, "{host:?} has {all} port(s), and a link on each");
        *used += 1;
        (host.id, *used - 1)
    }

    /// Records every segment and every queue from now on, within bounds: [`Seen::timeline`].
    pub fn record_timeline(&mut self, config: TimelineConfig) {
        self.world.tap_mut().timeline = Some(Timeline::new(config));
    }

    /// Records every frame with its bytes from now on, within bounds: [`Seen::recording`], and with
    /// the feature `pcap` `Seen::write_capture`.
    pub fn record_frames(&mut self, config: RecordingConfig) {
        self.world.tap_mut().recording = Some(Recording::new(config));
    }

    /// Other limits than those of [`Limits::default`].
    pub fn set_limits(&mut self, limits: Limits) {
        self.world.set_limits(limits);
    }

    /// Runs until every client of [`Lab::fetch`] and [`Lab::talk`] has all its answers and has
    /// closed; in a lab without one, until nothing more is to come.
    ///
    /// # Errors
    /// What must never happen and did; an answer that was wrong; a limit that was reached.
    pub fn run(&mut self) -> Result<Seen<'_>, LabError> {
        if self.goals.is_empty() {
            self.world.run_to_end()?;
            return Ok(Seen::new(&self.world));
        }
        // A goal once reached stays so: only the first that is not is asked.
        let mut reached = 0;
        let mut failed = None;
        let goals = &self.goals;
        self.world.run_until(|world| {
            while let Some(goal) = goals.get(reached) {
                match goal(world) {
                    Ok(true) => reached += 1,
                    Ok(false) => return false,
                    Err(what) => {
                        failed = Some(what);
                        return true;
                    }
                }
            }
            true
        })?;
        // One that was done may have failed since; and those behind a failure were not asked.
        let mut results = self.goals.iter().map(|goal| goal(&self.world));
        match failed.or_else(|| results.find_map(Result::err)) {
            Some(what) => Err(self.fetch_failed(what)),
            None => Ok(Seen::new(&self.world)),
        }
    }

    /// Runs until `done`, which is asked after every event.
    ///
    /// # Errors
    /// What must never happen and did; a limit that was reached; nothing is to come and it is not
    /// done.
    pub fn run_until(
        &mut self,
        mut done: impl FnMut(Seen<'_>) -> bool,
    ) -> Result<Seen<'_>, LabError> {
        self.world.run_until(|world| done(Seen::new(world)))?;
        Ok(Seen::new(&self.world))
    }

    /// Runs for a time, or until nothing is to come; the time has passed then in either case.
    ///
    /// # Errors
    /// What must never happen and did; a limit that was reached.
    pub fn run_for(&mut self, time: Duration) -> Result<Seen<'_>, LabError> {
        self.world.run_for(time)?;
        Ok(Seen::new(&self.world))
    }

    #[cold]
    fn fetch_failed(&self, what: String) -> LabError {
        let world = &self.world;
        LabError::Fetch { seed: world.seed(), event: world.events(), at: world.now(), what }
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen<'_> {
        Seen::new(&self.world)
    }

    /// An application or an endpoint, to change. Its host is called again at the present time.
    pub fn get_mut<T: 'static>(&mut self, handle: Handle<T>) -> &mut T {
        let host: &mut dyn AnyHost = &mut **self.world.host_mut(handle.id);
        host.inside_mut().downcast_mut().expect(OTHER_LAB)
    }

    /// The seed.
    pub fn seed(&self) -> Seed {
        self.world.seed()
    }

    /// Draws of your own, that move no other: a name of at most 16 bytes with a capital, a number.
    pub fn draws(&self, name: &'static str, number: u32) -> crate::seed::Draws {
        self.seed().stream(Stream::Named(name, number))
    }

    /// The world underneath.
    pub fn world(&self) -> &LabWorld {
        &self.world
    }

    /// The world underneath: to change a link between two events, to force faults.
    pub fn world_mut(&mut self) -> &mut LabWorld {
        &mut self.world
    }
}

const OTHER_LAB: &str = "a handle of another lab";

/// What runs on a host.
fn inside<T: 'static>(world: &LabWorld, id: HostId) -> &T {
    let host: &dyn AnyHost = &**world.host(id);
    let inside: &dyn Any = host.inside();
    inside.downcast_ref().expect(OTHER_LAB)
}

impl<T: 'static> Index<Handle<T>> for Lab {
    type Output = T;

    fn index(&self, handle: Handle<T>) -> &T {
        inside(&self.world, handle.id)
    }
}

/// 10.66.x.y.
fn ip_of(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 66, high, low)
}

#[cfg(test)]
mod tests;
