//! What one direction of a link is like: plain data, in units that its types carry.

use super::jitter::Jitter;
use super::outages::Outages;
use super::trace::Trace;
use crate::seed::Chance;
use simoom_core::time::{Duration, Instant};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// How fast bits pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(u64);

impl Rate {
    /// A frame takes no time.
    pub const UNLIMITED: Self = Self(0);

    /// `n` bits in a second, not zero.
    pub const fn bits_per_second(n: u64) -> Self {
        assert!(n > 0, "a rate of zero passes nothing: take the link down instead");
        Self(n)
    }

    /// `n` million bits in a second, not zero.
    pub const fn mbit(n: u64) -> Self {
        Self::bits_per_second(n * 1_000_000)
    }

    /// `n` thousand million bits in a second, not zero.
    pub const fn gbit(n: u64) -> Self {
        Self::bits_per_second(n * 1_000_000_000)
    }

    /// How long `bytes` take, rounded up.
    #[inline]
    pub const fn time_of(self, bytes: u64) -> Duration {
        if self.0 == 0 {
            return Duration::ZERO;
        }
        // Up to 18 MB at once fit 64 bits, which spares frames the wide division.
        match bytes.checked_mul(8_000_000_000) {
            Some(scaled) if scaled < u64::MAX - self.0 => {
                Duration::from_nanos(scaled.div_ceil(self.0))
            }
            _ => {
                let nanos = (bytes as u128 * 8_000_000_000).div_ceil(self.0 as u128);
                Duration::from_nanos(if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 })
            }
        }
    }
}

/// What one direction of a link is like. Everything that can go wrong is off in
/// [`LinkConfig::default`], and what is off draws nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// Bits a second. Not looked at where there is a `trace`.
    pub rate: Rate,
    /// Bytes that a frame takes on the wire beyond its own (Ethernet: 24 for preamble, FCS and gap).
    pub overhead_bytes: u16,
    /// Propagation delay.
    pub delay: Duration,
    /// What varies the delay.
    pub jitter: Jitter,
    /// Bytes that wait at most, the frame being sent not counted; a longer queue drops its tail.
    pub queue_bytes_max: u64,
    /// Frames that wait at most, the one being sent not counted.
    pub queue_frames_max: u32,
    /// What the queue does before it is full.
    pub aqm: Aqm,
    /// When the link sends, instead of at `rate`.
    pub trace: Option<Trace>,
    /// How likely a frame is lost, each on its own.
    pub loss: Chance,
    /// Losses that come in bursts.
    pub burst_loss: Option<GilbertElliott>,
    /// Losses that come at regular distances.
    pub loss_every: Option<Every>,
    /// Which frames are lost, ascending: the first that is offered to the direction is 1.
    pub lose_frames: Arc<[u64]>,
    /// Which bytes of TCP streams are lost, and when.
    pub lose_bytes: Arc<[LoseByte]>,
    /// How likely a pure ACK is lost: a TCP segment without text, SYN, FIN or RST.
    pub ack_loss: Chance,
    /// Pure ACKs that are held up and sent together.
    pub ack_bunch: Option<AckBunch>,
    /// How likely a frame is delayed beyond `delay`, so that later ones pass it.
    pub reorder: Chance,
    /// By how much at most; at least 1 ns.
    pub reorder_by_max: Duration,
    /// Frames that are held until later ones have passed them.
    pub displace: Option<Displace>,
    /// How likely a frame arrives twice.
    pub duplicate: Chance,
    /// How likely a frame is damaged: some bits of one byte flip and the checksum is not repaired.
    /// That is a burst of at most eight bits, which the Internet checksum always finds. The byte
    /// lies behind the Ethernet header of an IPv4 packet; other frames, which have no checksum to
    /// show it, stay whole: Ethernet's own FCS is for them.
    pub corrupt: Chance,
    /// How likely a frame is damaged so that TCP cannot notice: some bits of one byte of a TCP
    /// segment's text flip, and the checksums are made right. What is delivered then is wrong, and
    /// only who knows the content can tell; the frame ends as
    /// [`ArrivedForged`](crate::hash::Fate::ArrivedForged).
    pub corrupt_repaired: Chance,
    /// How likely only the first bytes of an IPv4 packet arrive: the Ethernet header and any number
    /// of bytes short of the whole.
    pub truncate: Chance,
    /// How long a packet may be.
    pub mtu: Option<Mtu>,
    /// When nothing passes.
    pub outages: Outages,
    /// What the direction is like from a time on, ascending by time: a path that becomes narrower
    /// in the middle of a transfer. Each replaces everything but this list; theirs are not looked
    /// at. What waits in the queue then is sent at the new rate.
    pub changes: Arc<[(Instant, LinkConfig)]>,
}

impl Default for LinkConfig {
    /// A gigabit of 1 ms with a queue of 1,000 frames, without faults.
    fn default() -> Self {
        Self {
            rate: Rate::gbit(1),
            overhead_bytes: 0,
            delay: Duration::from_millis(1),
            jitter: Jitter::None,
            queue_bytes_max: u64::MAX,
            queue_frames_max: 1000,
            aqm: Aqm::DropTail,
            trace: None,
            loss: Chance::NEVER,
            burst_loss: None,
            loss_every: None,
            lose_frames: Arc::default(),
            lose_bytes: Arc::default(),
            ack_loss: Chance::NEVER,
            ack_bunch: None,
            reorder: Chance::NEVER,
            reorder_by_max: Duration::from_millis(1),
            displace: None,
            duplicate: Chance::NEVER,
            corrupt: Chance::NEVER,
            corrupt_repaired: Chance::NEVER,
            truncate: Chance::NEVER,
            mtu: None,
            outages: Outages::default(),
            changes: Arc::default(),
        }
    }
}

impl LinkConfig {
    /// The same link when nothing goes wrong any more: rate or trace, delay, jitter and queue stay,
    /// and so do changes to come, healed; losses of every kind, bunches, reordering, doubling,
    /// damage, the bound on the length of packets and outages end.
    #[must_use]
    pub fn healed(&self) -> Self {
        let healed = |(at, config): &(Instant, Self)| (*at, config.healed());
        Self {
            rate: self.rate,
            overhead_bytes: self.overhead_bytes,
            delay: self.delay,
            jitter: self.jitter,
            queue_bytes_max: self.queue_bytes_max,
            queue_frames_max: self.queue_frames_max,
            aqm: self.aqm,
            trace: self.trace.clone(),
            reorder_by_max: self.reorder_by_max,
            changes: self.changes.iter().map(healed).collect(),
            ..Self::default()
        }
    }

    /// Whether the time at which a frame leaves is known when it is offered, and nothing but the
    /// four plain chances can happen to it: what [`Link::offer`](super::Link::offer) does quickly.
    pub(super) fn is_plain(&self) -> bool {
        !self.is_served()
            && self.jitter == Jitter::None
            && self.burst_loss.is_none()
            && self.loss_every.is_none()
            && self.lose_frames.is_empty()
            && self.lose_bytes.is_empty()
            && self.ack_loss.is_never()
            && self.ack_bunch.is_none()
            && self.displace.is_none()
            && self.corrupt_repaired.is_never()
            && self.truncate.is_never()
            && self.mtu.is_none()
            && self.outages.is_none()
    }

    /// Whether frames wait in a queue until they are sent: when that is can change, or it is
    /// decided then what becomes of them.
    pub(super) fn is_served(&self) -> bool {
        self.aqm != Aqm::DropTail
            || self.trace.is_some()
            || self.outages.holds()
            || !self.changes.is_empty()
    }

    /// Panics where a number has no meaning: the caller's fault.
    pub(super) fn assert_meaningful(&self) {
        assert!(self.lose_frames.is_sorted(), "lose_frames is ascending");
        assert!(self.changes.is_sorted_by_key(|(at, _)| *at), "changes are ascending by time");
        assert!(self.loss_every.is_none_or(|every| every.nth > 0), "loss_every.nth is not zero");
        if let Aqm::CoDel(codel) = self.aqm {
            assert!(codel.interval > Duration::ZERO, "CoDel's interval is not zero");
        }
        for (_, change) in self.changes.iter() {
            change.assert_meaningful();
        }
    }
}

/// Active queue management: what a queue does before it is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aqm {
    /// Nothing: what does not fit is dropped.
    #[default]
    DropTail,
    /// Controlled delay. RFC 8289.
    CoDel(CoDelConfig),
}

/// The numbers of CoDel. RFC 8289 §4.3, §4.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoDelConfig {
    /// The standing delay that is acceptable. RFC 8289 §4.4 asks for 5 to 10 % of `interval`.
    pub target: Duration,
    /// How long the delay has to stand above it before something is done; a worst round trip of the
    /// connections through this queue. RFC 8289 §4.3. Not zero.
    pub interval: Duration,
    /// Whether packets of ECN-capable transports (ECT) are marked (CE) instead of dropped (RFC
    /// 3168 §5); others are dropped as without it.
    pub ecn: bool,
}

impl Default for CoDelConfig {
    /// 5 ms and 100 ms, the values of RFC 8289 for the Internet, without ECN.
    fn default() -> Self {
        Self { target: Duration::from_millis(5), interval: Duration::from_millis(100), ecn: false }
    }
}

/// Loss that depends on a state that lasts: Gilbert 1960 (`loss_good` zero), Elliott 1963.
///
/// A frame is lost with the chance of the state in which it finds the link; then the state changes
/// or not. It begins good. In the long run the state is bad for `to_bad / (to_bad + to_good)` of the
/// frames, `1 / to_good` of them in a row on average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GilbertElliott {
    /// How likely the state changes from good to bad after a frame.
    pub to_bad: Chance,
    /// How likely it changes back.
    pub to_good: Chance,
    /// How likely a frame is lost in the good state.
    pub loss_good: Chance,
    /// How likely in the bad one.
    pub loss_bad: Chance,
}

/// One frame in so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Every {
    /// The distance from one to the next; not zero.
    pub nth: u64,
    /// Which is the first: the first that is offered to the direction is 1.
    pub first: u64,
}

impl Every {
    /// Whether frame `number` is one of them.
    pub(super) fn hits(self, number: u64) -> bool {
        number >= self.first && (number - self.first).is_multiple_of(self.nth)
    }
}

/// A byte of a TCP stream that is lost at a certain time of sending, with the segment it is in. In
/// each connection whose SYN passed in this direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoseByte {
    /// Which byte: the first of the stream is 0.
    pub offset: u64,
    /// Which time: 0 when it is first sent, 3 for its third retransmission.
    pub retransmission: u32,
}

/// Pure ACKs that wait for each other, as behind the request and grant of a cable or radio uplink.
/// Another frame does not pass them: they are sent before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckBunch {
    /// They are sent when so many are there; 0 and 1 hold none.
    pub count_max: u32,
    /// They are sent when the first has waited so long.
    pub time_max: Duration,
}

/// Frames that are held until later ones have passed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Displace {
    /// How likely a frame is held.
    pub chance: Chance,
    /// By how many it is passed: it arrives with the last of them, behind it. At least 1.
    pub frames: u32,
    /// How long it is held at most, counted from when it would have arrived.
    pub time_max: Duration,
}

/// How long a packet may be, and what becomes of a longer one. It is dropped either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mtu {
    /// Bytes of a packet at most: the frame without its Ethernet header.
    pub bytes: u16,
    /// What the sender hears of it.
    pub exceeded: MtuExceeded,
}

/// What a sender hears of a packet that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MtuExceeded {
    /// Nothing: a black hole. RFC 2923 §2.1.
    Silent,
    /// An ICMP message «fragmentation needed and DF set» with the MTU in it (RFC 792, RFC 1191 §4)
    /// from this address, which comes by the link's other direction as if the receiver had sent it.
    /// Packets without DF, fragments and ICMP errors are not answered (RFC 1122 §3.2.2).
    Icmp {
        /// The router's.
        from: Ipv4Addr,
    },
}
