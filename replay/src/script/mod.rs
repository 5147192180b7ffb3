//! A connection as a script: what its client asked and when, and what its server wrote and when,
//! whatever the bytes say. TLS, HTTP/2 and any other protocol over TCP are the same here.
//!
//! [`build::Builder`] makes one from the segments of a connection, [`store`] keeps them on a spool
//! until the second pass wants them. A script holds no text: [`crate::content`] makes it.

pub mod build;
mod code;
pub mod store;

use crate::content::Kept;
use crate::tape::FlowRef;
use simoom_core::seq::SeqNumber;
use std::net::SocketAddr;

/// Writes that one script holds, at most: some 200 KB. Where a connection has more, its script ends
/// there, and so does what its replay means ([`Script::cut`]).
pub const WRITES_MAX: usize = 4_096;

/// What is nearer to the server than this, in nanoseconds to there and back, is beside it: a kernel
/// answers a SYN within some ten microseconds.
const DISTANCE_MIN: u64 = 500_000;

/// What a SYN, or a SYN-ACK, announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Announced {
    /// The most text in one segment.
    pub mss: Option<u16>,
    /// Window shift.
    pub window_scale: Option<u8>,
    /// SACK permitted.
    pub sack_permitted: bool,
    /// The clock of its timestamps option.
    pub timestamps: Option<u32>,
    /// The window field.
    pub window: u16,
}

/// How the server's direction ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// It did not while the capture ran.
    #[default]
    Open,
    /// With a FIN, sent first at this time.
    Fin {
        /// Nanoseconds since 1970.
        at: u64,
        /// When the client's last segment before it came.
        told_at: u64,
        /// That was the client's FIN.
        after_fin: bool,
        /// The FIN came with the last octets: the server had closed when it sent them.
        with_text: bool,
    },
    /// With a RST of the server's own accord.
    Reset {
        /// Nanoseconds since 1970.
        at: u64,
        /// When the client's last segment before it came.
        told_at: u64,
    },
}

/// Something that the server's application wrote in one piece, as far as the wire shows it: what ends
/// with a segment shorter than the MSS that carries PSH, or before the client's next request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteOp {
    /// Stream offset of its first octet. It ends where the next begins.
    pub start: u64,
    /// When its first octet was sent first: the application had it then. Nanoseconds since 1970.
    pub at: u64,
    /// Octets of the client that had come by then.
    pub request_upto: u64,
    /// When the last of those came; the write was thought over from then on.
    pub request_at: u64,
    /// When the client's last segment before it came that can have set it off: one with text, where
    /// there was one since the last octet of the server, else any.
    pub told_at: u64,
    /// When the client had acknowledged all of it; 0 where it never did.
    pub acked_at: u64,
    /// Only a PSH on a full segment tells it from what came before. Servers that set PSH at the end
    /// of each write alone have one there; others set it more often.
    pub soft: bool,
}

/// A turn of the conversation: the client says something, the server thinks, and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Octets from the client since the last turn.
    pub request_bytes: u64,
    /// When the last of them came.
    pub request_at: u64,
    /// From there to the first octet of the answer, in nanoseconds.
    pub think: u64,
    /// Octets of the answer.
    pub response_bytes: u64,
    /// When its first octet was sent.
    pub response_first_at: u64,
    /// When the client had acknowledged all of it; 0 where it never did.
    pub response_last_acked_at: u64,
}

/// A connection whose beginning was captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Which connection.
    pub flow: FlowRef,
    /// The client's address.
    pub client: SocketAddr,
    /// The server's address.
    pub server: SocketAddr,
    /// When the first SYN came. Nanoseconds since 1970.
    pub opened_at: u64,
    /// When the first SYN-ACK was sent.
    pub accepted_at: u64,
    /// When the SYN before it came.
    pub asked_at: u64,
    /// When the client's first segment after it came; 0 where none did.
    pub established_at: u64,
    /// The client's initial sequence number.
    pub client_isn: SeqNumber,
    /// The server's initial sequence number.
    pub server_isn: SeqNumber,
    /// What the client announced.
    pub syn: Announced,
    /// What the server announced.
    pub syn_ack: Announced,
    /// Ticks of the server's timestamp clock in a second, as measured; 1,000 where it cannot be.
    pub ts_per_second: u32,
    /// The largest window that the server announced, in bytes.
    pub window_max: u32,
    /// What the server wrote, in the order of the stream.
    pub writes: Vec<WriteOp>,
    /// Octets of the client's stream seen.
    pub client_bytes: u64,
    /// Octets of the server's stream seen.
    pub server_bytes: u64,
    /// How the server's direction ended.
    pub end: End,
    /// The capture ends within a write of the server, or of what it wrote before: it goes on behind
    /// `server_bytes`.
    pub goes_on: bool,
    /// From this stream offset on, what the server wrote is not in the script: it had no room.
    pub cut: Option<u64>,
    /// The client's octets are all there and begin as a request in HTTP/1.
    pub reads_as_http: bool,
    /// Where the server's captured text is, where it was kept.
    pub kept: Option<Kept>,
}

impl Script {
    /// The most text that the server could put in one segment, by what both announced.
    pub fn segment_text_max(&self) -> u32 {
        text_max(&self.syn, &self.syn_ack)
    }

    /// Whether both ends use timestamps.
    pub fn uses_timestamps(&self) -> bool {
        self.syn.timestamps.is_some() && self.syn_ack.timestamps.is_some()
    }

    /// How long the way is from where it was captured to the server and back, in nanoseconds: from a
    /// SYN to its answer, which needs no thought. Zero where it is that short that the capture must have
    /// been made beside the server.
    pub fn distance(&self) -> u64 {
        if self.way() < DISTANCE_MIN { 0 } else { self.way() }
    }

    /// The same, however short: what the server's device takes, at least.
    pub fn way(&self) -> u64 {
        self.accepted_at.saturating_sub(self.asked_at)
    }

    /// The server's window shift, as agreed on.
    pub fn server_shift(&self) -> u8 {
        agreed(self.syn_ack.window_scale, self.syn.window_scale)
    }

    /// The client's window shift, as agreed on.
    pub fn client_shift(&self) -> u8 {
        agreed(self.syn.window_scale, self.syn_ack.window_scale)
    }

    /// The conversation in turns: writes with no octet of the client between them are one answer.
    pub fn turns(&self) -> Vec<Turn> {
        let mut turns: Vec<Turn> = Vec::new();
        let mut asked = 0;
        let ends = self.writes.iter().skip(1).map(|next| next.start);
        let ends = ends.chain([self.cut.unwrap_or(self.server_bytes)]);
        for (write, end) in self.writes.iter().zip(ends) {
            let bytes = end.saturating_sub(write.start);
            match turns.last_mut() {
                Some(turn) if write.request_upto == asked => {
                    turn.response_bytes += bytes;
                    turn.response_last_acked_at = write.acked_at;
                }
                _ => turns.push(Turn {
                    request_bytes: write.request_upto - asked,
                    request_at: write.request_at,
                    think: write.at.saturating_sub(write.request_at),
                    response_bytes: bytes,
                    response_first_at: write.at,
                    response_last_acked_at: write.acked_at,
                }),
            }
            asked = write.request_upto;
        }
        if self.client_bytes > asked {
            turns.push(Turn {
                request_bytes: self.client_bytes - asked,
                request_at: 0,
                think: 0,
                response_bytes: 0,
                response_first_at: 0,
                response_last_acked_at: 0,
            });
        }
        turns
    }
}

fn agreed(of: Option<u8>, other: Option<u8>) -> u8 {
    if other.is_some() { of.unwrap_or(0).min(14) } else { 0 }
}

/// The MSS of a peer that does not say. RFC 9293 MUST-15.
const MSS_DEFAULT: u16 = 536;

/// Octets that timestamps take from every segment.
const TIMESTAMPS_LEN: u16 = 12;

fn text_max(syn: &Announced, syn_ack: &Announced) -> u32 {
    let mss = syn.mss.unwrap_or(MSS_DEFAULT).min(syn_ack.mss.unwrap_or(u16::MAX)).max(64);
    let options = syn.timestamps.is_some() && syn_ack.timestamps.is_some();
    u32::from(mss - if options { TIMESTAMPS_LEN } else { 0 })
}
