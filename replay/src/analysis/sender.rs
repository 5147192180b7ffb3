//! One direction's sending, as the capture shows it: what is in flight, what was sent again and why.
//!
//! Infers the sender's state from outside: RFC 5681, RFC 6298, RFC 6675, RFC 8985 and RFC 3522 say
//! what it should be doing. Knows nothing of turns.

use super::rtt::{Rtt, Sample};
use crate::flow::{Placed, Text};
use simoom_core::seq::SeqNumber;
use simoom_core::wire::TcpFlags;
use simoom_pcap::dissect::Segment;

/// Retransmissions remembered until it is known whether they were needed. Of more, the oldest count
/// as needed.
const AGAIN_MAX: usize = 4;

/// Without a round-trip time, a silence so long before a retransmission is a timer's. The least
/// RTO of common systems is 30 to 1000 ms.
const TIMER_NANOS_UNTIMED: u64 = 100_000_000;

/// Where one segment alone is outstanding, RTO and tail loss probe send the same. A probe comes
/// earlier than the least RTO of Linux.
const PROBE_NANOS_MAX: u64 = 200_000_000;

/// A segment that arrives so soon after one behind it is late, not sent again, where nothing else
/// tells.
const LATE_NANOS_MAX: u64 = 3_000_000;

/// A text segment's place in what its sender does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// For the first time.
    New,
    /// Overtaken on its way to the capture.
    OutOfOrder,
    /// Again, after duplicate acknowledgements or SACK showed the loss.
    Fast,
    /// Again, by RTO.
    Rto(RtoKind),
    /// Again, as what follows an RTO.
    AfterRto,
    /// Again, as a probe for a tail loss.
    TailProbe,
    /// Into a closed window.
    WindowProbe,
    /// To hear whether the other side is alive.
    KeepAlive,
    /// FIN alone, again.
    FinAgain,
    /// Again, and nothing tells why.
    Unclear,
}

/// Why it took an RTO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RtoKind {
    /// Nothing behind the loss arrived.
    Tail,
    /// What was lost had been sent again before.
    Again,
    /// Signs of the loss came, and too few.
    FewSigns,
}

/// What the sender repairs, up to which offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Repair {
    #[default]
    None,
    Fast(i64),
    Timer(i64),
}

/// What was counted of one direction. All zero at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendCounts {
    /// Segments with text.
    pub segments: u64,
    /// Bytes of text sent for the first time.
    pub bytes: u64,
    /// Bytes of text sent again.
    pub bytes_again: u64,
    /// Retransmissions after duplicate ACKs or SACK.
    pub fast: u32,
    /// Retransmissions by RTO.
    pub rto: u32,
    /// Of these, for a tail loss.
    pub rto_tail: u32,
    /// Retransmissions that followed an RTO.
    pub after_rto: u32,
    /// Tail loss probes.
    pub tail_probes: u32,
    /// Retransmissions that nothing explains.
    pub unclear: u32,
    /// SYNs sent again.
    pub syn: u32,
    /// FINs sent again without text.
    pub fin: u32,
    /// Retransmissions, of whatever kind above, that were not needed: by D-SACK (RFC 2883) or by
    /// timestamps (RFC 3522).
    pub spurious: u32,
    /// Window probes.
    pub window_probes: u32,
    /// Keep-alives.
    pub keep_alives: u32,
    /// Segments that were overtaken on their way to the capture.
    pub out_of_order: u32,
    /// Duplicate acknowledgements of this direction: RFC 5681 §2, but whether anything is outstanding.
    pub duplicate_acks: u32,
    /// D-SACK blocks about this direction.
    pub dsacks: u32,
    /// Acknowledgements of this direction with SACK blocks.
    pub sack_acks: u32,
    /// How often the receiver closed its window.
    pub zero_windows: u32,
    /// Acknowledgements that said so.
    pub zero_window_acks: u32,
    /// How long it was closed, in nanoseconds.
    pub zero_window_nanos: u64,
}

impl SendCounts {
    /// Segments with text, SYN or FIN that were sent again.
    pub fn again(&self) -> u64 {
        [self.fast, self.rto, self.after_rto, self.tail_probes, self.unclear, self.syn, self.fin]
            .into_iter()
            .map(u64::from)
            .sum()
    }

    /// Adds those of another direction.
    pub fn add(&mut self, other: &Self) {
        self.segments += other.segments;
        self.bytes += other.bytes;
        self.bytes_again += other.bytes_again;
        self.zero_window_nanos = self.zero_window_nanos.saturating_add(other.zero_window_nanos);
        let ours = [
            (&mut self.fast, other.fast),
            (&mut self.rto, other.rto),
            (&mut self.rto_tail, other.rto_tail),
            (&mut self.after_rto, other.after_rto),
            (&mut self.tail_probes, other.tail_probes),
            (&mut self.unclear, other.unclear),
            (&mut self.syn, other.syn),
            (&mut self.fin, other.fin),
            (&mut self.spurious, other.spurious),
            (&mut self.window_probes, other.window_probes),
            (&mut self.keep_alives, other.keep_alives),
            (&mut self.out_of_order, other.out_of_order),
            (&mut self.duplicate_acks, other.duplicate_acks),
            (&mut self.dsacks, other.dsacks),
            (&mut self.sack_acks, other.sack_acks),
            (&mut self.zero_windows, other.zero_windows),
            (&mut self.zero_window_acks, other.zero_window_acks),
        ];
        for (sum, more) in ours {
            *sum = sum.saturating_add(more);
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Again {
    from: i64,
    upto: i64,
    tsval: Option<u32>,
}

/// What a text segment was, and how things stood before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) kind: Kind,
    pub(super) len: u32,
    /// One beyond the highest byte sent before.
    pub(super) max_before: i64,
    /// Whether bytes in front of it were never seen.
    pub(super) is_behind_gap: bool,
    /// Whether the segment before was no whole number of full ones: there was no more to send.
    pub(super) was_short: bool,
    pub(super) repair: Repair,
}

/// One direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Sender {
    /// One beyond the highest byte sent, FIN among them.
    pub(super) max: i64,
    /// One beyond the highest byte of text.
    pub(super) text_end: i64,
    /// All below is acknowledged.
    pub(super) una: i64,
    /// When that grew.
    pub(super) una_at: u64,
    sent_at: u64,
    last_len: u32,
    /// Bytes of text in a full segment.
    pub(super) mss: u32,
    /// The receiver's window, scaled; none while its scale is not known.
    pub(super) wnd: Option<u32>,
    raw_window: u16,
    dup_acks: u32,
    sacked: i64,
    repair: Repair,
    tsval: Option<u32>,
    again: [Again; AGAIN_MAX],
    again_next: u8,
    closed_since: Option<u64>,
    fin_sent: bool,
    pub(super) rtt: Rtt,
    pub(super) counts: SendCounts,
}

/// What the acknowledgement did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Acked {
    pub(super) is_new: bool,
    pub(super) sample: Sample,
}

impl Sender {
    pub(super) fn is_closed(&self) -> bool {
        self.closed_since.is_some()
    }

    /// A segment of this direction, past SYN. `round_trip` is a whole one, in nanoseconds, 0 where
    /// not known; `lag` the part of it behind the capture as seen from the receiver.
    pub(super) fn on_segment(
        &mut self,
        now: u64,
        placed: &Placed,
        segment: &Segment<'_>,
        round_trip: u64,
        lag: u64,
    ) -> Option<Sent> {
        let is_syn = segment.flags.contains(TcpFlags::SYN);
        let from = placed.seq + i64::from(is_syn);
        let len = segment.payload_len;
        let is_fin = segment.flags.contains(TcpFlags::FIN);
        let upto = from + i64::from(len) + i64::from(is_fin);
        let tsval = segment.options.timestamps.map(|timestamps| timestamps.val);
        let kind = match placed.text {
            Text::Outside => return None,
            Text::None if !is_syn && from == self.max - 1 && self.max > 0 => self.below(len),
            Text::None => return None,
            _ if len <= 1 && !is_fin && from == self.max - 1 && self.una >= self.max => {
                self.below(len)
            }
            Text::New if from >= self.max => match self.is_closed() && len == 1 {
                true => Kind::WindowProbe,
                false => Kind::New,
            },
            Text::Filling if self.is_late(now, tsval, upto, round_trip) => Kind::OutOfOrder,
            _ if len == 0 && is_fin && self.fin_sent => Kind::FinAgain,
            _ => self.again_kind(now, from, upto, round_trip, lag),
        };
        let sent = Sent {
            kind,
            len,
            max_before: self.max,
            is_behind_gap: from > self.max,
            was_short: self.last_len == 0 || !self.last_len.is_multiple_of(self.mss.max(1)),
            repair: self.repair,
        };
        self.count(kind, len, from);
        if matches!(kind, Kind::KeepAlive) || upto == from {
            return Some(sent);
        }
        let is_again = !matches!(kind, Kind::New | Kind::OutOfOrder | Kind::WindowProbe);
        if is_again {
            let slot = usize::from(self.again_next) % AGAIN_MAX;
            self.again[slot] = Again { from, upto, tsval };
            self.again_next = self.again_next.wrapping_add(1);
        }
        match kind {
            Kind::Fast if self.repair == Repair::None => self.repair = Repair::Fast(self.max),
            Kind::Rto(_) => self.repair = Repair::Timer(self.max),
            _ => {}
        }
        self.rtt.on_sent(upto, now, tsval, is_again);
        if kind != Kind::OutOfOrder {
            self.sent_at = now;
            self.last_len = len;
            self.tsval = tsval;
        }
        self.fin_sent |= is_fin;
        self.max = self.max.max(upto);
        if len > 0 {
            self.text_end = self.text_end.max(upto - i64::from(is_fin));
        }
        Some(sent)
    }

    /// A segment at the last byte, or the one before the next: nothing new is in it.
    fn below(&self, len: u32) -> Kind {
        if self.is_closed() || len == 1 && self.una < self.max {
            Kind::WindowProbe
        } else {
            Kind::KeepAlive
        }
    }

    /// Whether text that fills a gap was overtaken, rather than sent again.
    fn is_late(&self, now: u64, tsval: Option<u32>, upto: i64, round_trip: u64) -> bool {
        if let (Some(tsval), Some(latest)) = (tsval, self.tsval)
            && tsval != latest
        {
            return SeqNumber(tsval).lt(SeqNumber(latest));
        }
        let soon = match round_trip {
            0 => LATE_NANOS_MAX,
            time => LATE_NANOS_MAX.min(time / 2).max(100_000),
        };
        now.saturating_sub(self.sent_at) <= soon && (self.dup_acks < 3 && self.sacked < upto)
    }

    fn again_kind(&self, now: u64, from: i64, upto: i64, round_trip: u64, lag: u64) -> Kind {
        let active_at = self.sent_at.max(self.una_at.saturating_add(lag));
        let quiet = now.saturating_sub(active_at);
        let timer = match round_trip {
            0 => TIMER_NANOS_UNTIMED,
            time => time.saturating_add(time / 2).saturating_add(1_000_000),
        };
        let is_timer = quiet >= timer;
        let is_first = from <= self.una;
        if self.wnd == Some(0) && is_first {
            return Kind::WindowProbe;
        }
        let has_signs = self.dup_acks >= 3 || self.sacked > upto;
        let was_again =
            self.again.iter().any(|a| a.upto > a.from && a.from <= from && from < a.upto);
        match self.repair {
            Repair::Timer(point) if from < point => {
                return match is_timer && is_first {
                    true => Kind::Rto(RtoKind::Again),
                    false => Kind::AfterRto,
                };
            }
            Repair::Fast(point) if from < point => {
                return match is_timer && is_first && was_again {
                    true => Kind::Rto(RtoKind::Again),
                    false => Kind::Fast,
                };
            }
            _ => {}
        }
        if has_signs && !(is_timer && was_again) {
            return Kind::Fast;
        }
        if !is_timer {
            return match self.dup_acks > 0 || self.sacked > self.una {
                true => Kind::Fast,
                false => Kind::Unclear,
            };
        }
        let is_last = upto >= self.max;
        if is_last && !is_first || is_last && !was_again && quiet < PROBE_NANOS_MAX {
            return Kind::TailProbe;
        }
        if !is_first {
            return Kind::Unclear;
        }
        Kind::Rto(if has_signs || self.dup_acks > 0 || self.sacked > self.una {
            if was_again { RtoKind::Again } else { RtoKind::FewSigns }
        } else {
            RtoKind::Tail
        })
    }

    fn count(&mut self, kind: Kind, len: u32, from: i64) {
        let counts = &mut self.counts;
        counts.segments += u64::from(len > 0);
        let upto = from + i64::from(len);
        match kind {
            Kind::New => counts.bytes += u64::from(len),
            Kind::OutOfOrder => {
                counts.bytes += u64::from(len);
                counts.out_of_order += 1;
            }
            Kind::WindowProbe => {
                counts.window_probes += 1;
                counts.bytes += u64::try_from(upto - self.max.max(from)).unwrap_or(0);
            }
            Kind::KeepAlive => counts.keep_alives += 1,
            Kind::FinAgain => counts.fin += 1,
            _ => {
                // A retransmission may carry new text behind the old.
                let new = u64::try_from(upto - self.max.max(from)).unwrap_or(0);
                counts.bytes += new;
                counts.bytes_again += u64::from(len) - new;
                match kind {
                    Kind::Fast => counts.fast += 1,
                    Kind::Rto(kind) => {
                        counts.rto += 1;
                        counts.rto_tail += u32::from(kind == RtoKind::Tail);
                    }
                    Kind::AfterRto => counts.after_rto += 1,
                    Kind::TailProbe => counts.tail_probes += 1,
                    _ => counts.unclear += 1,
                }
            }
        }
    }

    /// An acknowledgement of this direction. `wnd` is its window, scaled, where that is known.
    pub(super) fn on_ack(
        &mut self,
        now: u64,
        ack: i64,
        wnd: Option<u32>,
        segment: &Segment<'_>,
        unwrap: impl Fn(SeqNumber) -> i64,
    ) -> Acked {
        let mut acked = Acked::default();
        if segment.flags.intersects(TcpFlags(TcpFlags::RST.0)) {
            return acked;
        }
        self.take_sack(ack, segment, unwrap);
        if ack > self.una {
            acked.is_new = true;
            acked.sample = self.rtt.on_acked(ack, now, segment.options.timestamps);
            self.judge_again(ack, segment);
            self.una = ack;
            self.una_at = now;
            self.max = self.max.max(ack);
            self.dup_acks = 0;
            match self.repair {
                Repair::Fast(point) | Repair::Timer(point) if ack >= point => {
                    self.repair = Repair::None;
                }
                _ => {}
            }
        } else if ack == self.una
            && segment.payload_len == 0
            && !segment.flags.intersects(TcpFlags(TcpFlags::SYN.0 | TcpFlags::FIN.0))
            && segment.window == self.raw_window
            && segment.window != 0
        {
            self.dup_acks = self.dup_acks.saturating_add(1);
            self.counts.duplicate_acks += u32::from(self.max > self.una);
        }
        self.raw_window = segment.window;
        self.take_window(now, wnd, segment);
        acked
    }

    fn take_window(&mut self, now: u64, wnd: Option<u32>, segment: &Segment<'_>) {
        self.wnd = wnd;
        // Zero is zero, however it is scaled.
        let is_closed = segment.window == 0;
        self.counts.zero_window_acks += u32::from(is_closed);
        match (is_closed, self.closed_since) {
            (true, None) => {
                self.closed_since = Some(now);
                self.counts.zero_windows += 1;
            }
            (false, Some(since)) => {
                let closed = now.saturating_sub(since);
                let sum = &mut self.counts.zero_window_nanos;
                *sum = sum.saturating_add(closed);
                self.closed_since = None;
            }
            _ => {}
        }
    }

    /// SACK blocks: D-SACK first (RFC 2883 §4), then how far the receiver holds text.
    fn take_sack(&mut self, ack: i64, segment: &Segment<'_>, unwrap: impl Fn(SeqNumber) -> i64) {
        let blocks = segment.options.sack.as_slice();
        let Some((left, right)) = blocks.first() else { return };
        self.counts.sack_acks += 1;
        let (left, right) = (unwrap(*left), unwrap(*right));
        let within = blocks
            .get(1)
            .is_some_and(|second| unwrap(second.0) <= left && right <= unwrap(second.1));
        let is_dsack = left < right && (right <= ack || within);
        if is_dsack {
            self.counts.dsacks += 1;
            let entry = self.again.iter_mut().find(|a| a.from < right && left < a.upto);
            if let Some(entry) = entry {
                *entry = Again::default();
                self.counts.spurious += 1;
            }
        }
        for block in &blocks[usize::from(is_dsack)..] {
            let right = unwrap(block.1);
            if right <= self.max {
                self.sacked = self.sacked.max(right);
            }
        }
    }

    /// Whether what was sent again had arrived the first time: the acknowledgement echoes a clock
    /// from before. RFC 3522 §3.2.
    fn judge_again(&mut self, ack: i64, segment: &Segment<'_>) {
        let echo = segment.options.timestamps.map(|timestamps| SeqNumber(timestamps.ecr));
        for entry in &mut self.again {
            if entry.upto == entry.from || ack <= entry.from {
                continue;
            }
            if let (Some(echo), Some(tsval)) = (echo, entry.tsval)
                && echo.lt(SeqNumber(tsval))
            {
                self.counts.spurious += 1;
                *entry = Again::default();
            } else if entry.tsval.is_some() {
                // Its own echo came: it was needed, unless D-SACK says otherwise.
                entry.tsval = None;
            }
        }
    }

    /// The connection is over: a window that is still closed was so until now.
    pub(super) fn finish(&mut self, now: u64) {
        if let Some(since) = self.closed_since.take() {
            let sum = &mut self.counts.zero_window_nanos;
            *sum = sum.saturating_add(now.saturating_sub(since));
        }
    }
}
