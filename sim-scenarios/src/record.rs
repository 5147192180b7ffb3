//! What one of our stacks sends, counted as it sends it.

use simoom_core::seq::SeqNumber;
use simoom_core::tcp::Info;
use simoom_core::time::Instant;
use simoom_core::trace::Trace;
use simoom_core::wire::{self, Frame};

/// Counts the segments of a stack.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Recorder {
    /// With text, SYN or FIN.
    pub(crate) segments: u64,
    /// Of these, sent again.
    pub(crate) retransmitted: u64,
    /// Of these, because the timer expired.
    pub(crate) timeouts: u64,
}

impl Trace for Recorder {
    fn on_sent(&mut self, _now: Instant, frame: &[u8], sender: Option<&Info>) {
        let (Some(info), Ok(Frame::Tcp(frame))) = (sender, wire::parse(frame, false)) else {
            return;
        };
        if frame.tcp.seg_len() == 0 {
            return;
        }
        self.segments += 1;
        let seq: SeqNumber = frame.tcp.seq;
        if seq.lt(info.snd_max) {
            self.retransmitted += 1;
            // The first of what is outstanding, and the peer has been silent since the timer.
            self.timeouts += u64::from(seq == info.snd_una && info.retries > 0);
        }
    }
}
