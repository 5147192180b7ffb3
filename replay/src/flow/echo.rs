//! Frames that were captured twice: on several interfaces, in front of and behind a router.
//!
//! A copy shows the same segment again. That a stack sent the same segment again must not look like
//! it, so a copy also has to come over another interface, or carry the identification of its IP
//! datagram from a host that numbers its datagrams, and come soon.

use super::key::mix;
use simoom_core::wire::Timestamps;
use simoom_pcap::dissect::Segment;
use simoom_pcap::read::FrameInfo;

/// Frames of one direction that a copy is compared with: a burst between two reads of a device.
const REMEMBERED: usize = 4;

/// A copy comes within this time.
const COPY_NANOS_MAX: u64 = 10_000_000;

/// The latest frames of one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Echo {
    /// What each showed, in the upper bits, and over which interface, in the lowest 8.
    marks: [u64; REMEMBERED],
    next: u8,
    numbers_datagrams: bool,
    ip_id: u16,
    at: u64,
}

impl Echo {
    /// Whether the frame is a copy of one before; if not, it is remembered.
    pub(super) fn is_copy(&mut self, frame: &FrameInfo, segment: &Segment<'_>) -> bool {
        let interface = u64::from(frame.interface ^ frame.input.rotate_left(5)) & 0xff;
        let mark = fingerprint(segment) & !0xff | interface;
        if frame.at_unix_nanos.abs_diff(self.at) <= COPY_NANOS_MAX {
            let is_numbered = self.numbers_datagrams && segment.ip_id != 0;
            for known in self.marks {
                let differs = known ^ mark;
                if differs & !0xff == 0 && (differs != 0 || is_numbered) {
                    return true;
                }
            }
        } else {
            self.marks = [0; REMEMBERED];
        }
        if self.ip_id != 0 && segment.ip_id != self.ip_id {
            self.numbers_datagrams = true;
        }
        self.ip_id = segment.ip_id;
        self.at = frame.at_unix_nanos;
        self.marks[usize::from(self.next)] = mark;
        self.next = (self.next + 1) % REMEMBERED as u8;
        false
    }
}

fn fingerprint(segment: &Segment<'_>) -> u64 {
    let Timestamps { val, ecr } = segment.options.timestamps.unwrap_or_default();
    let (seq, ack) = (u64::from(segment.seq.0), u64::from(segment.ack.0));
    let mut state = mix(seq << 32 | ack, u64::from(val) << 32 | u64::from(ecr));
    let rest = u64::from(segment.payload_len) << 32 | u64::from(segment.ip_id) << 16;
    state = mix(state, rest ^ u64::from(segment.window) ^ u64::from(segment.flags.0) << 56);
    if let Some((left, right)) = segment.options.sack.as_slice().first() {
        state = mix(state, u64::from(left.0) << 32 | u64::from(right.0));
    }
    // Zero stands for no frame.
    state | 1 << 63
}
