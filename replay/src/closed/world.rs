//! One connection in a world of its own: the fitted client, the fitted path, our stack.

use super::app::TalkApp;
use super::client::Client;
use super::model::Model;
use simoom_core::stack::Config;
use simoom_core::tcp;
use simoom_core::time::{Duration, Instant};
use simoom_sim::endpoint::{Either, EndpointHost};
use simoom_sim::hash::EventTap;
use simoom_sim::hosts::tcp_peer::Station;
use simoom_sim::lab::Rate;
use simoom_sim::nic::NicConfig;
use simoom_sim::seed::{Seed, Stream};
use simoom_sim::stack_host::{StackHost, StackSetup};
use simoom_sim::world::{HostId, Limits, RunError, Why, World};
use std::net::SocketAddrV4;
use std::sync::Arc;

/// Events of one world, at most.
pub const EVENTS_MAX: u64 = 20_000_000;

/// Simulated time of one world, at most.
pub const TIME_MAX: Duration = Duration::from_secs(24 * 3600);

const SERVER: u16 = 1;
const CLIENT: u16 = 2;

/// A host of such a world.
pub(super) type OneHost = Either<StackHost<TalkApp>, EndpointHost<Client>>;

/// What a run gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Run {
    /// Nanoseconds of each turn. Fewer than there are, and why, where the connection ended before.
    Took(Vec<u64>, Option<&'static str>),
    /// A rule was broken: a fault of the stack, or of this program.
    Broken(String),
}

/// The world, ready to run, and its client.
pub(super) fn build<T: EventTap>(
    model: &Arc<Model>,
    tcp: &tcp::Config,
    seed: Seed,
    tap: T,
) -> (World<OneHost, T>, HostId) {
    let mut world = World::with_tap(seed, tap);
    let mut setup = StackSetup::new(SERVER);
    setup.stack = Config {
        connections_max: 4,
        half_open_max: 4,
        neighbours_max: 4,
        receive_buffers: 2,
        tcp: tcp.clone(),
        ..setup.stack
    };
    setup.nic = NicConfig { rate: Rate::UNLIMITED, ..NicConfig::default() };
    let server_at = SocketAddrV4::new(setup.stack.ip, 80);
    let server_mac = setup.stack.mac;
    let server = setup.host(seed, TalkApp::new(Arc::clone(model)));
    let station = Station::numbered(CLIENT).knows_number(SERVER);
    let iss = seed.stream(Stream::Host(u32::from(CLIENT))).word() as u32;
    let client = Client::new(station, server_at, server_mac, iss, Arc::clone(model));
    let server = world.add_host(Either::Left(server));
    let client = world.add_host(Either::Right(EndpointHost::new(client)));
    world.connect((server, 0), (client, 0), model.to_client.clone(), model.to_server.clone());
    let time_max = Instant::ZERO + TIME_MAX;
    world.set_limits(Limits { events_max: EVENTS_MAX, time_max, ..Limits::default() });
    (world, client)
}

/// Lets it run until the client has had everything.
pub(super) fn run(model: &Arc<Model>, tcp: &tcp::Config, seed: Seed) -> Run {
    let (mut world, client) = build(model, tcp, seed, simoom_sim::hash::NoTap);
    let ended = run_world(&mut world, client);
    let client = client_of(&world, client);
    let took = client.took.iter().map(|took| took.as_nanos()).collect();
    match ended {
        Ok(()) => Run::Took(took, client.failure()),
        Err(error) => match error.why {
            Why::NothingLeft => Run::Took(took, Some("nothing went on")),
            Why::TimeMax(_) => Run::Took(took, Some("the bound on simulated time")),
            Why::EventsMax(_) => Run::Took(took, Some("the bound on events")),
            _ => Run::Broken(error.to_string()),
        },
    }
}

/// The same for a world that was built.
pub(super) fn run_world<T: EventTap>(
    world: &mut World<OneHost, T>,
    client: HostId,
) -> Result<(), RunError> {
    world.run_until(|world| client_of(world, client).is_done())
}

fn client_of<T: EventTap>(world: &World<OneHost, T>, id: HostId) -> &Client {
    match world.host(id) {
        Either::Right(host) => &host.endpoint,
        Either::Left(_) => unreachable!("the client is no stack"),
    }
}
