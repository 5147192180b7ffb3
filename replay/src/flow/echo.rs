//! Frames that were captured twice: on several interfaces, in front of and behind a router.
//!
//! A copy shows the same segment again. That a stack sent the same segment again must not look like
//! it, so a copy comes soon, and over another interface, or with another time to live, or with the
//! identification of its IP datagram from a host that numbers its datagrams.

use super::key::mix;
use simoom_core::wire::Timestamps;
use simoom_pcap::dissect::Segment;
use simoom_pcap::read::FrameInfo;

/// Frames remembered, of all connections: what a device gathers between two reads of it, several
/// times over. A frame whose place another one took has no copies.
const REMEMBERED: usize = 1 << 14;

/// A copy has a time so close to the first one's.
const COPY_NANOS_MAX: u64 = 10_000_000;

/// The latest frames.
#[derive(Clone, Debug)]
pub(super) struct Echoes {
    frames: Vec<Mark>,
}

/// What a frame showed: 32 bytes would hold all of it, and 64 bits tell as well.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    print: u64,
    at: u64,
    interface: u32,
    ttl: u8,
}

/// Whether a host numbers its datagrams, as far as one direction of a connection shows it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbering {
    ip_id: u16,
    is_seen: bool,
    varies: bool,
}

impl Numbering {
    fn take(&mut self, ip_id: u16) {
        self.varies |= self.is_seen && ip_id != self.ip_id && ip_id != 0 && self.ip_id != 0;
        (self.ip_id, self.is_seen) = (ip_id, true);
    }
}

impl Default for Echoes {
    fn default() -> Self {
        Self { frames: vec![Mark::default(); REMEMBERED] }
    }
}

impl Echoes {
    /// Whether the frame is a copy of one before; if not, it is remembered. `way` tells connection
    /// and direction.
    pub(super) fn is_copy(
        &mut self,
        way: u64,
        numbering: &mut Numbering,
        frame: &FrameInfo,
        segment: &Segment<'_>,
    ) -> bool {
        let print = fingerprint(way, segment);
        let interface = frame.interface ^ frame.input.rotate_left(16);
        let known = &mut self.frames[print as usize % REMEMBERED];
        let at = frame.at_unix_nanos;
        let is_same = known.print == print && at.abs_diff(known.at) <= COPY_NANOS_MAX;
        let is_elsewhere = known.interface != interface || known.ttl != segment.ttl;
        if is_same && (is_elsewhere || numbering.varies && segment.ip_id != 0) {
            return true;
        }
        numbering.take(segment.ip_id);
        *known = Mark { print, at, interface, ttl: segment.ttl };
        false
    }
}

fn fingerprint(way: u64, segment: &Segment<'_>) -> u64 {
    let Timestamps { val, ecr } = segment.options.timestamps.unwrap_or_default();
    let (seq, ack) = (u64::from(segment.seq.0), u64::from(segment.ack.0));
    let mut state = mix(way ^ (seq << 32 | ack), u64::from(val) << 32 | u64::from(ecr));
    let rest = u64::from(segment.payload_len) << 32 | u64::from(segment.ip_id) << 16;
    state = mix(state, rest ^ u64::from(segment.window) ^ u64::from(segment.flags.0) << 56);
    if let Some((left, right)) = segment.options.sack.as_slice().first() {
        state = mix(state, u64::from(left.0) << 32 | u64::from(right.0));
    }
    // Zero stands for no frame.
    state | 1 << 63
}
