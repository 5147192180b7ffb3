//! TCP as a state machine: segments, deadlines and requests in; plans of segments out.
//!
//! Never sees a port, a buffer or a frame: a [`SegmentPlan`] says which sequence numbers and which
//! bytes of the stream, and the stack makes the frame. Input never sends; [`Tcb::poll_output`]
//! does. Read `tcb` (what a connection remembers), then `input` (RFC 9293 §3.10.7 in its order),
//! then `output`.

pub mod congestion;
mod input;
mod isn;
mod output;
mod reassembly;
mod recovery;
mod rto;
mod state;
mod straight;
mod tcb;
mod timers;
mod why;
mod window;

#[cfg(test)]
mod tests;

pub use isn::initial_sequence;
pub use output::{Burst, Output, SegmentPlan};
pub use reassembly::{RANGES_MAX, Reassembly};
pub use state::{Arrival, Drop, Ended, Events, State};
pub use tcb::{Info, Tcb};
pub use timers::{Deadline, TimerKind};
pub(crate) use why::Motive;
pub use why::Why;

use crate::time::Duration;
use crate::wire::tcp::{TcpFlags, TcpSegment};

/// What all connections of a stack have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The MSS that we announce: the port's MTU less 40 bytes. RFC 9293 §3.7.1.
    pub mss: u16,
    /// Bytes that a connection may be ahead of the application: the capacity of a receive buffer
    /// and the largest window announced.
    pub receive_window: u32,
    /// Whether to offer and accept timestamps. RFC 7323 §3.
    pub timestamps: bool,
    /// Whether to offer and accept window scaling. RFC 7323 §2.
    pub window_scaling: bool,
    /// The smallest shift that is offered, 14 at most, where the receive window would need less.
    pub window_shift_min: u8,
    /// Initial congestion window, in segments. RFC 6928 allows 10.
    pub initial_window_segments: u16,
    /// The shortest retransmission timeout. RFC 6298 (2.4) says one second; Linux and others use
    /// 200 ms, and so does the default.
    pub min_rto: Duration,
    /// The timeout before the first sample. RFC 6298 (2.1).
    pub initial_rto: Duration,
    /// The longest timeout. RFC 6298 (2.5).
    pub max_rto: Duration,
    /// How long an acknowledgement may wait for text to ride on; zero: not at all. At most 500 ms by
    /// RFC 9293 §3.8.6.3.
    pub delayed_ack: Duration,
    /// How long TIME-WAIT lasts: twice the maximum segment lifetime. RFC 9293 §3.4.2.
    pub time_wait: Duration,
    /// How long FIN-WAIT-2 waits for a peer that sends nothing, once the application closed.
    pub fin_wait_2: Duration,
    /// Timeouts in a row before a connection is given up: R2 of RFC 9293 §3.8.3.
    pub retries_max: u8,
    /// Timeouts in a row before a SYN is given up.
    pub syn_retries_max: u8,
    /// Whether short segments wait for the acknowledgement of what is in flight. RFC 9293 §3.7.4.
    pub nagle: bool,
    /// The shortest time between two challenge ACKs of a connection. RFC 5961 §7.
    pub challenge_ack_interval: Duration,
    /// How the congestion window moves.
    pub congestion: congestion::Algorithm,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mss: 1_460,
            receive_window: 16_384,
            timestamps: true,
            window_scaling: true,
            window_shift_min: 0,
            initial_window_segments: 10,
            min_rto: Duration::from_millis(200),
            initial_rto: Duration::from_secs(1),
            max_rto: Duration::from_secs(60),
            delayed_ack: Duration::from_millis(40),
            time_wait: Duration::from_secs(60),
            fin_wait_2: Duration::from_secs(60),
            retries_max: 15,
            syn_retries_max: 6,
            nagle: false,
            challenge_ack_interval: Duration::from_millis(200),
            congestion: congestion::Algorithm::NewReno,
        }
    }
}

/// Where in-order and out-of-order text goes: the stack's buffers and its application.
pub trait TextSink {
    /// Text within the window, trimmed to it, that starts `offset` bytes after RCV.NXT (0: in
    /// order). The sink keeps it, shows it to the application, or refuses it.
    fn on_text(&mut self, offset: u32, bytes: &[u8]) -> Taken;
}

/// What a [`TextSink`] did with text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Bytes by which RCV.NXT advances: more than were given where a hole closed, fewer where the
    /// sink had no room, zero for text out of order.
    pub advance: u32,
    /// Bytes accepted in order that the application has not taken: they shrink the window.
    pub unread: u32,
    /// This text filled all or part of a gap: text had come beyond a hole before. RFC 5681 §4.2.
    pub fills_gap: bool,
}

/// The answer to a segment that belongs to no connection; None for RST. RFC 9293 §3.10.7.1.
pub fn reset_for(segment: &TcpSegment<'_>) -> Option<SegmentPlan> {
    if segment.flags.contains(TcpFlags::RST) {
        return None;
    }
    Some(if segment.flags.contains(TcpFlags::ACK) {
        SegmentPlan { seq: segment.ack, flags: TcpFlags::RST, ..SegmentPlan::default() }
    } else {
        SegmentPlan {
            ack: segment.seq + segment.seg_len(),
            flags: TcpFlags::RST | TcpFlags::ACK,
            ..SegmentPlan::default()
        }
    })
}
