//! `simoom relay`: a simulated link in real time between two real TAP devices.
//!
//! A world of two ends and one link, whose time is the real one: frames that the devices give enter
//! it when they are read, and leave it at the other device when the link says so. [`gate`] is an
//! end, [`summary`] what is said afterwards.

mod gate;
mod summary;

use crate::failure::{Failure, Kind};
use crate::human;
use crate::serve::{TapName, tap_failure};
use clap::value_parser;
use gate::Gate;
use simoom_core::port::{BATCH_MAX, Port, TxFull, TxSync, Unclaimed};
use simoom_core::time::{Duration, Instant};
use simoom_linux::clock::Clock;
use simoom_linux::stop::StopFlag;
use simoom_linux::tap::{MTU_MAX, MTU_MIN, TapConfig, TapPort};
use simoom_scenarios::LinkFile;
use simoom_sim::hash::{EventRecord, EventTap};
use simoom_sim::oracle::OracleConfig;
use simoom_sim::seed::Seed;
use simoom_sim::world::{Direction, HostId, Limits, LinkId, World};
use std::path::PathBuf;
use summary::Summary;

/// What to type, as `--help` shows it.
pub(crate) const EXAMPLE: &str = "\
Example, as root or with cap_net_admin: 20 Mb/s, 20 ms each way, 1 % loss on the way back.
  cat > dsl.toml <<END
  [link]
  rate_mbit = 20
  delay_ms = 20
  queue_packets = 100
  [link.backward]
  loss_percent = 1
  END
  simoom relay --a tap:left --b tap:right --link dsl.toml --seed 7
Then give each device to one of the two: `ip link set left netns one`, say, or make it a port of a
bridge. The seed decides which frames are lost, by their number, not when they come.

Ctrl-C or SIGTERM ends the relay and says what it did.";

/// Frames on the link, at most, those in its queues among them: some 400 MB where all are of full
/// size. What a device gives beyond that is dropped, and counted.
const UNDER_WAY_MAX: u64 = 1 << 18;

/// What `simoom relay` may be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The device at one end, as tap:NAME; it is made where there is none
    #[arg(long, value_name = "tap:NAME")]
    a: TapName,
    /// The device at the other end
    #[arg(long, value_name = "tap:NAME")]
    b: TapName,
    /// The link: a file with a table [link]; forward is from a to b
    #[arg(long, value_name = "FILE")]
    link: PathBuf,
    /// Decides what the link's chances do: 4711, or v1:4711 as it is printed
    #[arg(long, default_value = "1")]
    seed: Seed,
    /// End after so many seconds; without it, at Ctrl-C
    #[arg(long = "for", value_name = "SECONDS",
          value_parser = value_parser!(u64).range(1..=31_536_000))]
    seconds: Option<u64>,
    /// Bytes of the longest IP packet on both devices
    #[arg(long, default_value_t = 1500,
          value_parser = value_parser!(u16).range(i64::from(MTU_MIN)..=i64::from(MTU_MAX)))]
    mtu: u16,
    /// At the end, print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

/// Relays until it is told to end.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.a == args.b {
        let why = format!("--a and --b are both {}: a link has two ends", args.a);
        return Err(Failure::new(Kind::Usage, why));
    }
    let link = LinkFile::load(&args.link).map_err(|errors| {
        let unreadable = errors.problems.iter().all(|problem| problem.line == 0);
        let kind = if unreadable { Kind::File } else { Kind::Usage };
        Failure::new(kind, errors.to_string())
    })?;
    let stop = StopFlag::new()
        .and_then(|stop| stop.raise_on_interrupt().map(|()| stop))
        .map_err(|e| Failure::new(Kind::Runtime, format!("cannot wait for signals: {e}")))?;
    let open = |name: &TapName| {
        let config = TapConfig { mtu: args.mtu, ..TapConfig::new(name.as_str()) };
        TapPort::open(&config).map_err(|e| tap_failure(&e))
    };
    let mut ports = [open(&args.a)?, open(&args.b)?];
    ports[0].set_stop(Some(stop));
    // Said on stderr: stdout is for the results.
    eprintln!("relaying between {} and {}, seed {}", args.a, args.b, args.seed);

    let mut relay = Relay::new(ports, link, args.seed);
    let ended = relay.run(args.seconds.map(Duration::from_secs));
    let summary = Summary::of(&relay);
    let text = if args.json { summary.json(args) } else { summary.table(args) };
    human::print(&text)
        .map_err(|e| Failure::new(Kind::File, format!("cannot write the results: {e}")))?;
    ended
}

/// Two devices and the world between them.
struct Relay {
    ports: [TapPort; 2],
    clock: Clock,
    world: World<Gate, Ends>,
    gates: [HostId; 2],
    link: LinkId,
    /// Of frames from each device.
    crossings: [Crossing; 2],
}

/// What became of the frames from one device, besides what the link says.
#[derive(Clone, Copy, Debug, Default)]
struct Crossing {
    /// Given by the device.
    read: u64,
    read_bytes: u64,
    /// Dropped since [`UNDER_WAY_MAX`] were on the link.
    refused: u64,
    /// Given to the other device.
    written: u64,
    written_bytes: u64,
    /// Longer than the other device takes: with an 802.1Q tag and full size.
    too_long: u64,
    /// How much later than the link says frames were given to the other device: in all, and at most.
    late: Duration,
    late_max: Duration,
}

/// Frames whose way has ended, those that came a second time among them.
#[derive(Clone, Copy, Debug, Default)]
struct Ends(u64);

impl EventTap for Ends {
    fn on_event(&mut self, _record: &EventRecord<'_>) {
        self.0 += 1;
    }
}

impl Relay {
    fn new(ports: [TapPort; 2], link: LinkFile, seed: Seed) -> Self {
        let mut world = World::with_tap(seed, Ends::default());
        world.set_limits(Limits {
            events_max: u64::MAX,
            time_max: Instant::FAR_FUTURE,
            ..Limits::default()
        });
        // The hosts are elsewhere, and whatever they do is theirs.
        world.set_oracles(OracleConfig { enabled: false, ..OracleConfig::default() });
        let gates = [(); 2].map(|()| world.add_lawless_host(Gate::default()));
        let link = world.connect((gates[0], 0), (gates[1], 0), link.forward, link.backward);
        let crossings = [Crossing::default(); 2];
        Self { ports, clock: Clock::start(), world, gates, link, crossings }
    }

    fn run(&mut self, time: Option<Duration>) -> Result<(), Failure> {
        let end = time.map(|time| self.clock.now() + time);
        let mut now = self.clock.now();
        while end.is_none_or(|end| now < end) {
            self.step(now)?;
            let wake_at = self.world.next_at().into_iter().chain(end).min();
            match TapPort::advance_two(&mut self.ports, self.clock, wake_at) {
                Some(at) => now = at,
                None => break,
            }
        }
        let dead = self.ports.iter().find_map(TapPort::fatal);
        dead.map_or(Ok(()), |error| Err(tap_failure(error)))
    }

    /// Brings the world up to `now`: what was due leaves, what came enters.
    fn step(&mut self, now: Instant) -> Result<(), Failure> {
        self.advance_world(now)?;
        for (from, crossing) in self.crossings.iter_mut().enumerate() {
            let under_way = under_way(&self.world, self.link);
            let mut room = UNDER_WAY_MAX.saturating_sub(under_way);
            let gate = self.world.host_mut(self.gates[from]);
            self.ports[from].receive(BATCH_MAX, |frames| {
                for frame in frames {
                    crossing.read += 1;
                    crossing.read_bytes += frame.bytes.len() as u64;
                    match room.checked_sub(1) {
                        Some(left) => {
                            room = left;
                            gate.enter(frame.bytes);
                        }
                        None => crossing.refused += 1,
                    }
                }
                Unclaimed::NONE
            });
        }
        self.advance_world(now)?;
        for to in 0..2 {
            // As long as the kernel takes what the device's ring had no room for.
            while self.leave(to) {
                self.ports[to].sync_tx(TxSync::Push).map_err(|e| tap_failure(&e))?;
            }
        }
        // Taking frames from the gates has woken them: nothing is to come of it.
        self.advance_world(now)
    }

    fn advance_world(&mut self, now: Instant) -> Result<(), Failure> {
        let past = now - self.world.now();
        self.world.run_for(past).map_err(|e| Failure::new(Kind::Runtime, e.to_string()))
    }

    /// Gives a device what waits for it, as far as it takes it; whether it took anything.
    fn leave(&mut self, to: usize) -> bool {
        let port = &mut self.ports[to];
        port.reclaim(Some);
        let crossing = &mut self.crossings[1 - to];
        let before = crossing.written;
        while port.tx_free() > 0
            && let Some((due, frame)) = self.world.host(self.gates[to]).first()
        {
            let len = frame.len();
            if len <= usize::from(port.caps().frame_max) {
                let Some(mut buf) = port.take_free() else { break };
                port.bytes_mut(&mut buf)[..len].copy_from_slice(frame);
                if let Err(TxFull(buf)) = port.submit(buf, len as u16) {
                    port.give_back(buf);
                    break;
                }
                let late = self.clock.now() - due;
                crossing.written += 1;
                crossing.written_bytes += len as u64;
                crossing.late = crossing.late + late;
                crossing.late_max = crossing.late_max.max(late);
            } else {
                crossing.too_long += 1;
            }
            self.world.host_mut(self.gates[to]).remove_first();
        }
        crossing.written > before
    }
}

/// Frames on the link, both ways, those in its queues among them.
fn under_way(world: &World<Gate, Ends>, link: LinkId) -> u64 {
    let begun = |direction| {
        let stats = world.link_stats(link, direction);
        stats.offered + stats.duplicated
    };
    (begun(Direction::Forward) + begun(Direction::Backward)).saturating_sub(world.tap().0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;
    use std::path::Path;

    /// Frames in the ring of each device.
    const SLOTS: u32 = 8;

    fn device() -> (TapPort, UnixDatagram) {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let config = TapConfig { buffers: 64, tx_slots: SLOTS, ..TapConfig::new("pair") };
        (TapPort::over(ours.into(), &config).unwrap(), theirs)
    }

    #[test]
    fn what_a_full_device_leaves_goes_as_soon_as_it_has_room_and_without_another_event() {
        const FRAMES: u16 = 1_000;
        let text = "[link]\nrate_mbit = 1_000_000\ndelay_ms = 0\nqueue_packets = 100_000\n";
        let link = LinkFile::parse(Path::new("x.toml"), text).unwrap();
        let ((a, left), (b, right)) = (device(), device());
        let mut relay = Relay::new([a, b], link, Seed(1));
        let stop = StopFlag::new().unwrap();
        relay.ports[0].set_stop(Some(stop.clone()));
        std::thread::scope(|scope| {
            // The two hosts: one sends all it has, which is more than the other device takes at once;
            // the other looks when nothing is to come any more.
            scope.spawn(|| {
                for n in 0..FRAMES {
                    let mut bytes = [0; 60];
                    bytes[58..].copy_from_slice(&n.to_be_bytes());
                    while left.send(&bytes).is_err() {
                        std::thread::yield_now();
                    }
                }
                let mut seen = Vec::new();
                let mut frame = [0; 2048];
                while seen.len() < usize::from(FRAMES) {
                    match right.recv(&mut frame) {
                        Ok(60) => seen.push(u16::from_be_bytes([frame[58], frame[59]])),
                        _ => std::thread::yield_now(),
                    }
                }
                assert_eq!(seen, (0..FRAMES).collect::<Vec<_>>());
                stop.raise();
            });
            relay.run(Some(Duration::from_secs(60))).unwrap();
        });
        assert_eq!(relay.crossings[0].written, u64::from(FRAMES));
        assert!(relay.ports[1].stats().tx_would_block > 0, "the device was meant to be full");
        assert!(relay.clock.now() < Instant::ZERO + Duration::from_secs(50), "it had to be told");
    }
}
