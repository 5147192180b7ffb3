//! Captures of links and NICs in pcapng, each frame of a stack of ours with the sender's true state.
//!
//! Reads what a run left behind: a [`Recording`] of its frames and the [`Probe`]s of its stacks. A
//! comment stands where Wireshark shows packet comments: why the frame was sent, then the state of
//! its connection with this frame counted as sent; and what became of a frame that did not simply
//! arrive. Times are nanoseconds.
//!
//! ```no_run
//! use simoom_sim::capture::{Sender, View, write};
//! use simoom_sim::endpoint::Host;
//! use simoom_sim::observe::{Probe, Recording};
//! use simoom_sim::world::{Direction, LinkId, World};
//! use std::fs::File;
//!
//! /// What passed the link of a server, as its own NIC saw it; `probe` is its stack's observer.
//! fn save<H: Host>(
//!     world: &World<H, Recording>,
//!     link: LinkId,
//!     probe: &Probe,
//! ) -> std::io::Result<()> {
//!     let views = [View::nic("server", (link, Direction::Forward))];
//!     let senders = [Sender { probe, way: (link, Direction::Forward) }];
//!     let start_unix_nanos = 1_767_225_600_000_000_000;
//!     write(File::create("run.pcapng")?, world.tap(), &views, &senders, start_unix_nanos)?;
//!     Ok(())
//! }
//! ```

use crate::hash::Fate;
use crate::observe::{Point, PointKind, Probe, ProbedConnection, RecordedFrame, Recording};
use crate::oracle::FlowName;
use crate::print::state_name;
use crate::world::{Direction, LinkId};
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::tcp::TcpFlags;
use simoom_core::wire::{self, Frame};
use simoom_pcap::writer::{self, Interface, Packet, Writer};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::SocketAddrV4;

/// One direction of a link.
pub type Way = (LinkId, Direction);

/// One interface of a capture: from where frames are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View<'a> {
    /// What readers show, at most [`writer::NAME_BYTES_MAX`] bytes.
    pub name: &'a str,
    /// What is watched.
    pub of: Watched,
}

/// What a [`View`] watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// Both directions of a link: each frame once, as it was sent and when it was handed to the link.
    Link(LinkId),
    /// The same of one direction.
    Way(Way),
    /// The NIC that sends into this direction: what it sent, when the last bit had left, and what
    /// it took in, as and when it arrived.
    Nic(Way),
}

impl<'a> View<'a> {
    /// Both directions of a link.
    pub const fn link(name: &'a str, link: LinkId) -> Self {
        Self { name, of: Watched::Link(link) }
    }

    /// One direction of a link.
    pub const fn way(name: &'a str, way: Way) -> Self {
        Self { name, of: Watched::Way(way) }
    }

    /// The NIC that sends into `way`.
    pub const fn nic(name: &'a str, way: Way) -> Self {
        Self { name, of: Watched::Nic(way) }
    }
}

/// A stack of ours, whose frames get its connections' state as a comment.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// Its observer.
    pub probe: &'a Probe,
    /// Where its frames go: the direction of a link that leads away from it.
    pub way: Way,
}

/// What a capture holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Frames.
    pub frames: u64,
    /// Frames with their sender's state.
    pub with_state: u64,
    /// Frames that the recording had no room for, and that are missing.
    pub unrecorded: u64,
}

/// Writes what `views` show to `sink`, in the order of time: interface `n` of the capture is view
/// `n`. `unix_nanos_at_start` is the UTC time of the world's start, in nanoseconds since 1970.
///
/// # Errors
/// What the sink answers; of kind `InvalidInput` where a view's name is too long.
pub fn write(
    sink: impl Write,
    recording: &Recording,
    views: &[View<'_>],
    senders: &[Sender<'_>],
    unix_nanos_at_start: u64,
) -> io::Result<Written> {
    let interfaces: Vec<_> = views.iter().map(|view| Interface::new(view.name)).collect();
    let mut writer = Writer::new(sink, &interfaces)?;
    let mut sights: Vec<Sight> = (0..)
        .zip(views)
        .flat_map(|(interface, view)| sights(recording, interface, view.of))
        .collect();
    // Stable: what was seen at one time stays in the order of views and of sending.
    sights.sort_by_key(|sight| sight.at);
    let states = states(recording, senders);
    let mut written = Written { unrecorded: recording.unrecorded(), ..Written::default() };
    let mut comment = String::new();
    for Sight { at, interface, frame, direction, again } in sights {
        let seen = &recording.frames()[frame];
        let inbound = direction == writer::Direction::Inbound;
        comment.clear();
        if let Some(point) = states[frame].filter(|_| !inbound) {
            describe(&mut comment, point);
            written.with_state += 1;
        }
        note_fate(&mut comment, seen, at, inbound, again);
        writer.write(&Packet {
            interface,
            at_unix_nanos: unix_nanos_at_start.saturating_add(at.as_nanos()),
            direction,
            bytes: match (inbound, again) {
                (true, true) => recording.arrived_again(seen),
                (true, false) => recording.arrived(seen),
                (false, _) => recording.sent(seen),
            },
            comment: (!comment.is_empty()).then_some(&comment),
        });
        written.frames += 1;
    }
    writer.finish()?;
    Ok(written)
}

/// A frame as one view shows it.
struct Sight {
    at: Instant,
    interface: u32,
    /// In [`Recording::frames`].
    frame: usize,
    direction: writer::Direction,
    /// The second time.
    again: bool,
}

fn sights(recording: &Recording, interface: u32, of: Watched) -> Vec<Sight> {
    use writer::Direction::{Inbound, Outbound, Unknown};
    let mut sights = Vec::new();
    for (frame, seen) in recording.frames().iter().enumerate() {
        let way = (seen.link, seen.direction);
        let mut show_which = |at, direction, again| {
            sights.push(Sight { at, interface, frame, direction, again });
        };
        let mut show = |at, direction| show_which(at, direction, false);
        match of {
            Watched::Link(link) if link == seen.link => show(seen.sent_at, Unknown),
            Watched::Way(wanted) if wanted == way => show(seen.sent_at, Unknown),
            Watched::Nic(sends) if sends == way => show(seen.sent_at, Outbound),
            Watched::Nic((link, sends)) if link == seen.link && sends != seen.direction => {
                if let Some((at, fate)) = seen.ended
                    && fate.is_arrival()
                {
                    show(at, Inbound);
                }
                if let Some(at) = seen.again_at {
                    show_which(at, Inbound, true);
                }
            }
            _ => (),
        }
    }
    sights
}

/// Sent frames of a connection that a search for a frame's state looks at, at most. There is one
/// for each frame, in the same order; a stack that could not queue a frame after all leaves one
/// behind.
const SEARCH_MAX: usize = 64;

/// The state that belongs to each frame of the recording, where a sender has it.
fn states<'a>(recording: &Recording, senders: &[Sender<'a>]) -> Vec<Option<&'a Point>> {
    let mut states = vec![None; recording.frames().len()];
    for sender in senders {
        let mut cursors: BTreeMap<(SocketAddrV4, SocketAddrV4), Cursor<'a>> = BTreeMap::new();
        for (place, seen) in recording.frames().iter().enumerate() {
            if (seen.link, seen.direction) != sender.way {
                continue;
            }
            let Ok(Frame::Tcp(frame)) = wire::parse(recording.sent(seen), false) else { continue };
            let tcp = &frame.tcp;
            // Answers without a connection, most of them; the others are not probed either.
            if tcp.flags.contains(TcpFlags::RST) {
                continue;
            }
            let (from, to) = (frame.ip.src, frame.ip.dst);
            let name = FlowName {
                from: SocketAddrV4::new(from, tcp.src_port),
                to: SocketAddrV4::new(to, tcp.dst_port),
            };
            let key = (name.from, name.to);
            if tcp.flags.contains(TcpFlags::SYN)
                && cursors.get(&key).is_none_or(|cursor| cursor.connection.isn() != tcp.seq)
            {
                let mut all = sender.probe.connections().iter();
                match all.find(|one| one.name == name && one.isn() == tcp.seq) {
                    Some(connection) => cursors.insert(key, Cursor { connection, next: 0 }),
                    None => cursors.remove(&key),
                };
            }
            if let Some(cursor) = cursors.get_mut(&key) {
                let first = if tcp.flags.contains(TcpFlags::SYN) { tcp.seq + 1 } else { tcp.seq };
                let from = first.since(cursor.connection.isn() + 1);
                states[place] = cursor.find(from, tcp.payload.len() as u64);
            }
        }
    }
    states
}

/// Where the frames of a connection have come to.
struct Cursor<'a> {
    connection: &'a ProbedConnection,
    next: usize,
}

impl<'a> Cursor<'a> {
    /// The next point of a frame with `len` bytes of text from `from` on, the lower half of its
    /// stream offset.
    fn find(&mut self, from: u32, len: u64) -> Option<&'a Point> {
        let points = &self.connection.points;
        let (at, point) = (self.next..)
            .zip(points.get(self.next..)?)
            .filter(|(_, point)| matches!(point.kind, PointKind::Sent(_)))
            .take(SEARCH_MAX)
            .find(|(_, point)| point.from as u32 == from && point.upto - point.from == len)?;
        self.next = at + 1;
        Some(point)
    }
}

/// Why, and the state then.
fn describe(to: &mut String, point: &Point) {
    if let PointKind::Sent(why) = point.kind {
        let _ = write!(to, "{why}; ");
    }
    let _ = write!(to, "{}, cwnd {}, ssthresh ", state_name(point.state), point.cwnd);
    let _ = match point.ssthresh {
        u32::MAX => write!(to, "none"),
        ssthresh => write!(to, "{ssthresh}"),
    };
    let _ = write!(to, ", flight {}, window {}", point.flight, point.snd_wnd);
    if point.srtt > Duration::ZERO {
        let (srtt, rttvar) = (Millis(point.srtt), Millis(point.rttvar));
        let _ = write!(to, ", srtt {srtt}, rttvar {rttvar}");
    }
    let _ = write!(to, ", rto {}", Millis(point.rto));
    if point.in_recovery {
        to.push_str(", in fast recovery");
    }
}

/// What became of a frame that did not simply arrive.
fn note_fate(to: &mut String, seen: &RecordedFrame, at: Instant, inbound: bool, again: bool) {
    let fate = if again { Some(seen.again_fate) } else { seen.ended.map(|(_, fate)| fate) };
    let note = match fate {
        None => "under way when the run ended",
        Some(Fate::Arrived | Fate::ArrivedAgain) => match seen.again_at {
            Some(_) => "it arrived twice",
            None => return,
        },
        Some(Fate::ArrivedDamaged) => "damaged on the way",
        Some(Fate::ArrivedForged) => "damaged on the way, with checksums that are right",
        Some(Fate::Lost) => "lost: on the link",
        Some(Fate::QueueFull) => "lost: the link's queue was full",
        Some(Fate::QueueManaged) => "lost: dropped by the management of the link's queue",
        Some(Fate::LinkDown) => "lost: the link was down",
        Some(Fate::TooLong) => "lost: too long for the link",
        Some(Fate::RingFull) => "lost: the receive ring was full",
    };
    if !to.is_empty() {
        to.push_str("; ");
    }
    to.push_str(note);
    if let Some((end, fate)) = seen.ended
        && fate.is_arrival()
        && !inbound
    {
        let _ = write!(to, ", after {}", Millis(end - at));
    }
}

/// Milliseconds and microseconds.
struct Millis(Duration);

impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = self.0.as_nanos() / 1_000;
        write!(f, "{}.{:03} ms", micros / 1_000, micros % 1_000)
    }
}
