//! The connections that are alive, found by their addresses.

use super::class::{Class, Ending, Reason, Side, Verdict};
use super::echo::Numbering;
use super::key::FlowKey;
use super::stream::Stream;
use simoom_core::wire::{TcpFlags, Timestamps};
use simoom_pcap::dissect::Segment;
use simoom_pcap::read::FrameInfo;
use std::net::SocketAddr;

/// A connection's number: from 0 on, in the order of first frames. Of a capture without oddities it
/// is Wireshark's `tcp.stream`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(pub u64);

/// What tells which end is the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Found {
    /// It was asked for.
    Asked,
    /// A SYN was sent to it.
    Syn,
    /// It sent a SYN-ACK.
    SynAck,
    /// Other connections were opened to the same address and port before.
    Known,
    /// Its port is below 1024, the other's is not.
    WellKnownPort,
    /// Its port is the lower one.
    LowerPort,
    /// It sent more, with ports that say little.
    MoreBytes,
    /// It sent the first frame; nothing else tells.
    FirstFrame,
}

impl Found {
    /// Every way, in the order of the type.
    pub const ALL: [Self; 8] = [
        Self::Asked,
        Self::Syn,
        Self::SynAck,
        Self::Known,
        Self::WellKnownPort,
        Self::LowerPort,
        Self::MoreBytes,
        Self::FirstFrame,
    ];

    /// Lower case, underscores: for JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Syn => "syn",
            Self::SynAck => "syn_ack",
            Self::Known => "known",
            Self::WellKnownPort => "well_known_port",
            Self::LowerPort => "lower_port",
            Self::MoreBytes => "more_bytes",
            Self::FirstFrame => "first_frame",
        }
    }

    /// Whether later frames may tell otherwise.
    pub(super) const fn is_guess(self) -> bool {
        matches!(self, Self::Known | Self::WellKnownPort | Self::LowerPort | Self::FirstFrame)
    }

    /// Whether a handshake told.
    pub const fn is_handshake(self) -> bool {
        matches!(self, Self::Syn | Self::SynAck)
    }
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// SYN was seen.
    SynSent,
    /// SYN-ACK was seen.
    SynReceived,
    /// Anything after.
    Open,
    /// It is over; frames may follow.
    Over(Ending),
}

/// A SYN or SYN-ACK: the first one of its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SynSeen {
    /// When, in nanoseconds since 1970.
    pub at_unix_nanos: u64,
    /// When it was sent for the last time, as far as captured.
    pub latest_at_unix_nanos: u64,
    /// In which frame.
    pub frame: u64,
    /// How often it was sent, as far as captured.
    pub count: u32,
    /// Its window field, which is never scaled.
    pub window: u16,
    /// Control bits: ECE and CWR ask for ECN.
    pub flags: TcpFlags,
    /// Maximum segment size.
    pub mss: Option<u16>,
    /// Window scale shift, at most 14 (RFC 7323 §2.3).
    pub window_scale: Option<u8>,
    /// SACK permitted.
    pub sack_permitted: bool,
    /// Timestamps.
    pub timestamps: Option<Timestamps>,
}

impl SynSeen {
    pub(super) fn of(frame: &FrameInfo, segment: &Segment<'_>) -> Self {
        Self {
            at_unix_nanos: frame.at_unix_nanos,
            latest_at_unix_nanos: frame.at_unix_nanos,
            frame: frame.number,
            count: 1,
            window: segment.window,
            flags: segment.flags,
            mss: segment.options.mss,
            window_scale: segment.options.window_scale.map(|shift| shift.min(14)),
            sack_permitted: segment.options.sack_permitted,
            timestamps: segment.options.timestamps,
        }
    }
}

/// One connection. Arrays of two hold the client's first, by [`Side::index`].
#[derive(Clone, Debug)]
pub struct Flow {
    /// Its number.
    pub id: FlowId,
    /// Client and server.
    pub ends: [SocketAddr; 2],
    /// What tells which is which.
    pub found: Found,
    /// Whether the filters that can be judged already want it.
    pub is_wanted: bool,
    /// Whether neither end is the server that was asked for.
    pub is_foreign: bool,
    /// How far it is.
    pub stage: Stage,
    /// When its first frame came, in nanoseconds since 1970.
    pub opened_at: u64,
    /// When its latest frame came.
    pub last_at: u64,
    /// Number of its first frame.
    pub first_frame: u64,
    /// Number of its latest frame.
    pub last_frame: u64,
    /// Frames that each side sent, copies and damaged ones among them.
    pub frames: [u64; 2],
    /// Bytes on the wire that each side sent.
    pub wire_bytes: [u64; 2],
    /// Bytes of text that each side sent, repetitions among them.
    pub text_bytes: [u64; 2],
    /// Frames captured again.
    pub copies: u64,
    /// Segments with a wrong checksum, which no receiver took.
    pub damaged: u64,
    /// Segments, or acknowledgements, outside of every window.
    pub outside: u64,
    /// What each side sent.
    pub streams: [Stream; 2],
    /// The SYN of each side.
    pub syns: [Option<SynSeen>; 2],
    /// Whether the client answered the SYN-ACK, or anything else came after the SYNs.
    pub was_open: bool,
    pub(super) numbering: [Numbering; 2],
    /// Whether the higher end of the key is the server.
    pub(super) server_is_high: bool,
    /// Whether it is over and out of the table.
    pub(super) is_out: bool,
    pub(super) hash: u64,
}

impl Flow {
    /// The client's address and port.
    pub const fn client(&self) -> SocketAddr {
        self.ends[0]
    }

    /// The server's address and port.
    pub const fn server(&self) -> SocketAddr {
        self.ends[1]
    }

    pub(super) fn key(&self) -> FlowKey {
        let [client, server] = self.ends;
        match self.server_is_high {
            true => FlowKey { low: client, high: server },
            false => FlowKey { low: server, high: client },
        }
    }

    /// Frames of both sides.
    pub const fn frames_total(&self) -> u64 {
        self.frames[0] + self.frames[1]
    }

    /// Takes one end for the other.
    pub(super) fn turn_round(&mut self) {
        self.ends.swap(0, 1);
        self.frames.swap(0, 1);
        self.wire_bytes.swap(0, 1);
        self.text_bytes.swap(0, 1);
        self.streams.swap(0, 1);
        self.syns.swap(0, 1);
        self.numbering.swap(0, 1);
        self.server_is_high = !self.server_is_high;
    }

    /// What it would be, if it ended so.
    pub fn verdict(&self, ending: Ending) -> Verdict {
        let (class, reason) = self.judge(ending);
        Verdict { class, reason }
    }

    fn judge(&self, ending: Ending) -> (Class, Reason) {
        let [client_syn, server_syn] = self.syns;
        if self.is_foreign {
            return (Class::NotToTheServer, Reason::OtherServer);
        }
        if !self.was_open && client_syn.is_some() && server_syn.is_none() {
            if ending == Ending::Reset(Side::Server) {
                return (Class::Refused, Reason::RstOnSyn);
            }
            if self.frames[1] == 0 {
                let syns = self.frames[0];
                return (Class::SynOnly, Reason::NoAnswer { syns, ending });
            }
        }
        if !self.was_open && client_syn.is_some() && server_syn.is_some() {
            return (Class::HandshakeUnfinished, Reason::NoAckOfSynAck(ending));
        }
        for side in [Side::Client, Side::Server] {
            if self.frames[side.other().index()] == 0 {
                return (Class::OneDirectionOnly, Reason::Only(side));
            }
        }
        match (client_syn, server_syn) {
            (None, None) => return (Class::StartsInTheMiddle, Reason::NoSyns),
            (None, _) => return (Class::HandshakeMissing, Reason::NoSynOf(Side::Client)),
            (_, None) => return (Class::HandshakeMissing, Reason::NoSynOf(Side::Server)),
            _ => {}
        }
        let gaps = [0, 1].map(|n: usize| self.streams[n].gap_bytes());
        if gaps != [0, 0] {
            let frames = [0, 1].map(|n: usize| self.streams[n].gap_frame());
            let is_client = gaps[1] == 0 || gaps[0] > 0 && frames[0] <= frames[1];
            let of = if is_client { Side::Client } else { Side::Server };
            let (bytes, frame) = (gaps[0] + gaps[1], frames[of.index()]);
            return (Class::GapInTheCapture, Reason::Gap { of, bytes, frame });
        }
        let class = match ending {
            Ending::Closed | Ending::Reset(_) => Class::Complete,
            _ => Class::EndsInTheMiddle,
        };
        (class, Reason::Ended(ending))
    }
}
