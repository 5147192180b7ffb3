//! Round trips, the bottleneck's rate and the receiver's way of acknowledging, from what the server
//! sent and when it was acknowledged. As seen from where the capture was made.

use super::sampler::Sampler;

/// Segments timed at once. With more in flight the rest of the flight is not timed.
const TIMED_MAX: usize = 48;

/// Acknowledgements over which a rate is taken, where there are so many in a row: single ones come as
/// they please.
const SPAN: usize = 4;

/// Acknowledgements of so many segments and more are counted together.
pub(super) const EVERY_MAX: usize = 16;

/// An acknowledgement that comes so much later than the path explains, in nanoseconds, was held back:
/// RFC 5681 §4.2 allows half a second, common systems wait 20 ms and more.
pub(super) const HELD_BACK: u64 = 15_000_000;

#[derive(Clone, Copy, Debug, Default)]
struct Timed {
    from: i64,
    upto: i64,
    at: u64,
    /// Bytes on the wire up to its end, since the connection began.
    wire: u64,
    /// It was sent more than once.
    again: bool,
    /// Nothing else was outstanding.
    alone: bool,
}

/// What an acknowledgement told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// When the receiver had it all, as seen from the capture: its acknowledgement's time, less what
    /// it was held back.
    pub(super) had_at: u64,
}

/// The way between the capture and the receiver.
#[derive(Clone, Debug, Default)]
pub(super) struct Path {
    /// At most [`TIMED_MAX`].
    timed: Vec<Timed>,
    wire: u64,
    /// When the last of what is outstanding was sent.
    tail_at: u64,
    max: i64,
    una: i64,
    /// The segments that were acknowledged last, each by itself: bytes on the wire up to its end, when
    /// it was sent, and when acknowledged. For the rate; oldest first.
    before: [(u64, u64, u64); SPAN],
    before_len: u8,
    una_at: u64,
    /// The shortest round trip; none without a sample.
    pub(super) least: Option<u64>,
    pub(super) samples: u32,
    /// Round trips that nothing held back.
    pub(super) prompt: Sampler,
    /// Round trips of single segments that were outstanding alone.
    pub(super) lone: Sampler,
    /// Bits a second between acknowledgements of segments that were sent closer together.
    pub(super) rates: Sampler,
    /// Such acknowledgements that came at once.
    pub(super) at_once: u32,
    /// Acknowledgements by the number of segments that they are of.
    pub(super) every: [u32; EVERY_MAX + 1],
    /// The same for those that left nothing outstanding and were not held back.
    pub(super) at_end: [u32; EVERY_MAX + 1],
    pub(super) held_back: u32,
    pub(super) lone_prompt: u32,
    /// Full segments that were sent, repetitions among them.
    pub(super) segments: u64,
}

impl Path {
    /// A round trip of the handshake.
    pub(super) fn on_handshake(&mut self, nanos: u64) {
        self.sample(nanos);
    }

    fn sample(&mut self, nanos: u64) {
        self.least = Some(self.least.map_or(nanos, |least| least.min(nanos)));
        self.samples = self.samples.saturating_add(1);
    }

    /// Text, or FIN, was sent.
    pub(super) fn on_sent(&mut self, from: i64, upto: i64, at: u64, wire: u64, piece: i64) {
        self.segments += ((upto - from) as u64).div_ceil(piece.max(1) as u64);
        self.wire += wire;
        let again = from < self.max;
        if again {
            for timed in &mut self.timed {
                timed.again |= timed.from < upto && from < timed.upto;
            }
        }
        if !again && self.timed.len() < TIMED_MAX {
            let alone = self.una >= self.max;
            let wire = self.wire;
            self.timed.push(Timed { from, upto, at, wire, again, alone });
        }
        self.max = self.max.max(upto);
        if upto >= self.max || again {
            self.tail_at = at;
        }
    }

    /// All below `ack` is newly acknowledged; `with_text`: by a segment with text; `repairs`: signs of a
    /// loss had come, or something was sent again.
    pub(super) fn on_acked(
        &mut self,
        ack: i64,
        at: u64,
        (with_text, repairs): (bool, bool),
        piece: i64,
    ) -> Told {
        let plain = !with_text && !repairs;
        let timed = &self.timed;
        let segments: u64 = timed
            .iter()
            .filter(|timed| timed.upto <= ack)
            .map(|timed| ((timed.upto - timed.from) as u64).div_ceil(piece.max(1) as u64))
            .sum();
        let by_bytes = ((ack - self.una).max(0) as u64).div_ceil(piece.max(1) as u64);
        let segments = if by_bytes > segments + 1 { by_bytes } else { segments };
        let last = timed.iter().rev().find(|timed| timed.upto <= ack).copied();
        let is_all = ack >= self.max;
        let base = self.least.unwrap_or(0);
        let sent_at = match last {
            Some(last) if !last.again && last.upto == ack && !repairs => last.at,
            _ if is_all => self.tail_at,
            _ => at.saturating_sub(base),
        };
        // In order, so not before what came before it.
        let soonest = sent_at.saturating_add(base).max(self.una_at).min(at);
        let is_held_back = is_all && segments <= 1 && at - soonest >= HELD_BACK;
        if let Some(last) = last.filter(|last| !last.again && last.upto == ack) {
            let nanos = at.saturating_sub(last.at);
            if !repairs {
                self.sample(nanos);
            }
            if plain {
                self.note(last, segments, nanos, is_held_back, at);
            } else {
                self.before_len = 0;
            }
        } else {
            self.before_len = 0;
        }
        self.timed.retain(|timed| timed.upto > ack);
        self.una = ack;
        self.una_at = at;
        let with_text_late = with_text && is_all && at - soonest >= HELD_BACK;
        let had_at = if is_held_back || with_text_late { soonest } else { at };
        Told { had_at }
    }

    fn note(&mut self, last: Timed, segments: u64, nanos: u64, is_held_back: bool, at: u64) {
        if last.alone && segments == 1 {
            self.lone.add(nanos);
            if is_held_back {
                self.held_back += 1;
            } else {
                self.lone_prompt += 1;
            }
        } else if is_held_back {
            self.held_back += 1;
        }
        if !is_held_back {
            let n = (segments as usize).clamp(1, EVERY_MAX);
            self.every[n] = self.every[n].saturating_add(1);
            if last.upto >= self.max {
                self.at_end[n] = self.at_end[n].saturating_add(1);
            }
            if segments >= 2 || !last.alone {
                self.prompt.add(nanos);
            }
        }
        if is_held_back {
            self.before_len = 0;
        }
        self.note_rate(last, at);
    }

    fn note_rate(&mut self, last: Timed, at: u64) {
        let known = &self.before[..usize::from(self.before_len)];
        // As far back as the flight goes: what was sent as far apart as it was acknowledged was not
        // held up.
        let sample = known.iter().find_map(|(wire, sent_at, acked_at)| {
            let (apart, sent_apart) =
                (at.saturating_sub(*acked_at), last.at.saturating_sub(*sent_at));
            (sent_apart * 2 < apart)
                .then(|| (u128::from(last.wire - wire) * 8_000_000_000 / u128::from(apart)) as u64)
        });
        match sample {
            Some(rate) => self.rates.add(rate),
            None if known.last().is_some_and(|before| before.2 == at) => {
                self.at_once = self.at_once.saturating_add(1);
            }
            None => {}
        }
        if usize::from(self.before_len) == SPAN {
            self.before.copy_within(1.., 0);
            self.before_len -= 1;
        }
        self.before[usize::from(self.before_len)] = (last.wire, last.at, at);
        self.before_len += 1;
    }
}
