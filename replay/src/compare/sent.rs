//! What is compared: a segment of the server, ours or the captured one, in the same terms.

use simoom_core::tcp::Why;
use simoom_core::wire::tcp::TcpFlags;
use simoom_pcap::dissect::Ecn;
use std::fmt;

/// Why something is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Again {
    /// Duplicate ACKs, or what SACK says.
    Fast,
    /// A partial ACK: the next hole.
    Partial,
    /// The retransmission timer.
    Timeout,
    /// A closed window.
    WindowProbe,
    /// Silence after the last segment.
    TailProbe,
    /// A SYN-ACK for a client that did not get it.
    Syn,
    /// Something else.
    Other,
}

impl Again {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Fast,
        Self::Partial,
        Self::Timeout,
        Self::WindowProbe,
        Self::TailProbe,
        Self::Syn,
        Self::Other,
    ];

    /// What our stack's reason is here.
    pub fn of(why: Why) -> Self {
        match why {
            Why::FastRetransmit => Self::Fast,
            Why::PartialAck => Self::Partial,
            Why::Timeout => Self::Timeout,
            Why::WindowProbe => Self::WindowProbe,
            _ => Self::Other,
        }
    }

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Partial => "partial_ack",
            Self::Timeout => "timeout",
            Self::WindowProbe => "window_probe",
            Self::TailProbe => "tail_probe",
            Self::Syn => "syn",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fast => "fast retransmit",
            Self::Partial => "retransmit after a partial ACK",
            Self::Timeout => "retransmit after a timeout",
            Self::WindowProbe => "window probe",
            Self::TailProbe => "tail probe",
            Self::Syn => "SYN-ACK again",
            Self::Other => "retransmit",
        })
    }
}

/// What a segment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The first SYN-ACK.
    Syn,
    /// Text that was not sent before.
    Text,
    /// Something that was sent before.
    Again(Again),
    /// The first FIN, without text.
    Fin,
    /// A RST.
    Reset,
    /// Nothing but an acknowledgement.
    Ack,
}

/// One segment that a server sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When: nanoseconds since 1970.
    pub at: u64,
    /// The captured frame; 0 for ours.
    pub frame: u64,
    /// Stream offset of its first octet, or where it would be.
    pub from: u64,
    /// Octets of text.
    pub len: u32,
    /// The window announced, in bytes.
    pub window: u32,
    /// What it acknowledges: octets of the client's stream, SYN not counted; the lower 32 bits.
    pub acked: u32,
    /// The timestamp echoed; 0 without timestamps.
    pub echo: u32,
    /// What its options are: [`Sent::options`].
    pub options: u32,
    /// The control bits.
    pub flags: TcpFlags,
    /// The IP header's ECN field.
    pub ecn: Ecn,
    /// What it is for.
    pub kind: Kind,
}

impl Sent {
    /// Which options a segment has, and, for a SYN, what they announce, in a number that differs
    /// where they do. SACK blocks are counted.
    pub fn options(options: &simoom_core::wire::tcp::TcpOptions) -> u32 {
        let shift = options.window_scale.map_or(0, |shift| 0x20 | u32::from(shift.min(0x1f)));
        u32::from(options.mss.unwrap_or(0))
            | shift << 16
            | u32::from(options.sack_permitted) << 22
            | u32::from(options.timestamps.is_some()) << 23
            | (options.sack.as_slice().len() as u32) << 24
    }

    /// Whether connections that began with these options are not alike any more: with or without
    /// timestamps, or window scaling, everything that follows is another.
    pub(super) const fn other_terms(one: u32, other: u32) -> bool {
        const SCALING: u32 = 0x20 << 16;
        const TIMESTAMPS: u32 = 1 << 23;
        (one ^ other) & (SCALING | TIMESTAMPS) != 0
    }

    /// What [`Sent::options`] means, in words.
    pub fn options_text(options: u32) -> String {
        let mut words = Vec::new();
        if options & 0xffff != 0 {
            words.push(format!("MSS {}", options & 0xffff));
        }
        if options >> 16 & 0x20 != 0 {
            words.push(format!("window shift {}", options >> 16 & 0x1f));
        }
        if options >> 22 & 1 != 0 {
            words.push(String::from("SACK permitted"));
        }
        if options >> 23 & 1 != 0 {
            words.push(String::from("timestamps"));
        }
        if options >> 24 != 0 {
            words.push(format!("{} SACK blocks", options >> 24));
        }
        if words.is_empty() { String::from("no options") } else { words.join(", ") }
    }

    /// Where its text ends.
    pub const fn upto(&self) -> u64 {
        self.from + self.len as u64
    }
}

impl fmt::Display for Sent {
    /// `1448 octets from 2896, ACK PSH, fast retransmit`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::Syn => "SYN-ACK",
            Kind::Text | Kind::Again(_) => "",
            Kind::Fin => "FIN",
            Kind::Reset => "RST",
            Kind::Ack => "ACK",
        };
        f.write_str(what)?;
        let space = if what.is_empty() { "" } else { " " };
        if self.len > 0 {
            write!(f, "{space}{} octets from {}", self.len, self.from)?;
            if self.flags.contains(TcpFlags::FIN) {
                f.write_str(" with FIN")?;
            }
        } else if self.kind != Kind::Syn {
            write!(f, "{space}at {}", self.from)?;
        }
        if let Kind::Again(again) = self.kind {
            write!(f, ", {again}")?;
        }
        Ok(())
    }
}
