//! What a script says: steps, and the packets in them. Only the fields that matter are written.

use simoom_core::time::Duration;
use simoom_core::wire::TcpFlags;
use std::fmt;

/// How long a packet that is expected may be waited for, where the script does not say.
pub const WITHIN: Duration = Duration::from_secs(10);

/// A packet to send or to expect. Of one to send, what is not said follows from the connection: the next number, an
/// acknowledgement of all that came, a window of 65,535. Of one to expect, what is not said may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// Control bits; of one to send ACK. PSH is not compared.
    pub flags: Option<TcpFlags>,
    /// Sequence number, from the sender's SYN on.
    pub seq: Option<u32>,
    /// Bytes of text.
    pub len: Option<u32>,
    /// Acknowledgement, from the receiver's SYN on.
    pub ack: Option<u32>,
    /// Window field, not scaled.
    pub window: Option<u16>,
    /// The text itself.
    pub text: Option<Vec<u8>>,
    /// Option MSS.
    pub mss: Option<u16>,
    /// Option window scale.
    pub window_scale: Option<u8>,
    /// Option SACK permitted.
    pub sack_permitted: bool,
    /// TSval; of one to send, the option is there only if this is.
    pub ts_val: Option<u32>,
    /// TSecr; of one to send, the newest TSval that came.
    pub ts_ecr: Option<u32>,
    /// SACK blocks, numbered like `ack`.
    pub sack: Vec<(u32, u32)>,
}

/// A SYN.
pub fn syn() -> Packet {
    Packet::with(TcpFlags::SYN)
}

/// A SYN with ACK.
pub fn syn_ack() -> Packet {
    Packet::with(TcpFlags::SYN | TcpFlags::ACK)
}

/// An acknowledgement of everything below `number`.
pub fn ack(number: u32) -> Packet {
    Packet::with(TcpFlags::ACK).ack(number)
}

/// Text with these numbers, with ACK.
pub fn data(numbers: std::ops::Range<u32>) -> Packet {
    let len = numbers.end.saturating_sub(numbers.start);
    Packet { seq: Some(numbers.start), len: Some(len), ..Packet::with(TcpFlags::ACK) }
}

/// FIN with ACK.
pub fn fin() -> Packet {
    Packet::with(TcpFlags::FIN | TcpFlags::ACK)
}

/// RST.
pub fn reset() -> Packet {
    Packet::with(TcpFlags::RST)
}

impl Packet {
    /// A packet with these control bits and nothing else said.
    pub fn with(flags: TcpFlags) -> Self {
        Self { flags: Some(flags), ..Self::default() }
    }

    /// With other control bits.
    #[must_use]
    pub fn flags(self, flags: TcpFlags) -> Self {
        Self { flags: Some(flags), ..self }
    }

    /// With a sequence number.
    #[must_use]
    pub fn seq(self, number: u32) -> Self {
        Self { seq: Some(number), ..self }
    }

    /// With an acknowledgement.
    #[must_use]
    pub fn ack(self, number: u32) -> Self {
        Self { ack: Some(number), ..self }
    }

    /// With a window field.
    #[must_use]
    pub fn window(self, field: u16) -> Self {
        Self { window: Some(field), ..self }
    }

    /// With this text.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        Self { len: Some(text.len() as u32), text: Some(text.into()), ..self }
    }

    /// With option MSS.
    #[must_use]
    pub fn mss(self, mss: u16) -> Self {
        Self { mss: Some(mss), ..self }
    }

    /// With option window scale.
    #[must_use]
    pub fn window_scale(self, shift: u8) -> Self {
        Self { window_scale: Some(shift), ..self }
    }

    /// With option SACK permitted.
    #[must_use]
    pub fn sack_permitted(self) -> Self {
        Self { sack_permitted: true, ..self }
    }

    /// With option timestamps: TSval.
    #[must_use]
    pub fn ts(self, val: u32) -> Self {
        Self { ts_val: Some(val), ..self }
    }

    /// With this TSecr.
    #[must_use]
    pub fn ecr(self, ecr: u32) -> Self {
        Self { ts_ecr: Some(ecr), ..self }
    }

    /// With one more SACK block.
    #[must_use]
    pub fn sack(mut self, numbers: std::ops::Range<u32>) -> Self {
        self.sack.push((numbers.start, numbers.end));
        self
    }
}

/// The letters of control bits, as in the text form.
pub(super) fn flags_text(flags: TcpFlags) -> String {
    let letters = LETTERS.iter().filter(|(_, flag)| flags.contains(*flag));
    let text: String = letters.map(|(letter, _)| *letter).collect();
    if text.is_empty() { String::from("-") } else { text }
}

/// Control bits and their letters.
pub(super) const LETTERS: [(char, TcpFlags); 8] = [
    ('S', TcpFlags::SYN),
    ('F', TcpFlags::FIN),
    ('R', TcpFlags::RST),
    ('P', TcpFlags::PSH),
    ('U', TcpFlags::URG),
    ('E', TcpFlags::ECE),
    ('W', TcpFlags::CWR),
    ('.', TcpFlags::ACK),
];

impl fmt::Display for Packet {
    /// The text form, which [`super::text::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.flags.map_or(String::from("any"), flags_text))?;
        match (self.seq, self.len) {
            (Some(seq), Some(len)) => write!(f, " {seq}..{}", seq.wrapping_add(len))?,
            (Some(seq), None) => write!(f, " seq {seq}")?,
            (None, Some(len)) if self.text.is_none() => write!(f, " len {len}")?,
            _ => {}
        }
        let fields = [
            ("ack", self.ack),
            ("win", self.window.map(u32::from)),
            ("mss", self.mss.map(u32::from)),
            ("ws", self.window_scale.map(u32::from)),
            ("ts", self.ts_val),
            ("ecr", self.ts_ecr),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                write!(f, " {name} {value}")?;
            }
        }
        if self.sack_permitted {
            f.write_str(" sackok")?;
        }
        self.sack.iter().try_for_each(|(left, right)| write!(f, " sack {left}..{right}"))?;
        match &self.text {
            Some(text) => write!(f, " text \"{}\"", text.escape_ascii()),
            None => Ok(()),
        }
    }
}

/// When a step is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// When the step before was.
    Next,
    /// At this time from the start of the script.
    At(Duration),
    /// So long after the step before.
    After(Duration),
}

/// What a step is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Send a packet, once it is time.
    Send(Packet),
    /// The next packet that came, or comes, is this one. Where a time is said, at that time; else within the
    /// limit, from the step before.
    Expect {
        /// The packet.
        packet: Packet,
        /// The limit.
        within: Duration,
    },
    /// Nothing comes for so long, and nothing has.
    Silence(Duration),
}

/// One step of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub when: When,
    /// What.
    pub what: What,
    /// The line of the text that it is from.
    pub line: Option<usize>,
}

/// A script: steps, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// The steps.
    pub steps: Vec<Step>,
    /// When the next step is.
    next: Option<When>,
}

impl Script {
    /// A script without steps.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next step is at this time from the start.
    #[must_use]
    pub fn at(self, time: Duration) -> Self {
        Self { next: Some(When::At(time)), ..self }
    }

    /// The next step is so long after the one before.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self { next: Some(When::After(time)), ..self }
    }

    /// Sends a packet: the stack receives it.
    #[must_use]
    pub fn send(self, packet: Packet) -> Self {
        self.step(What::Send(packet))
    }

    /// Expects a packet from the stack, within [`WITHIN`] or at the time said before.
    #[must_use]
    pub fn expect(self, packet: Packet) -> Self {
        self.step(What::Expect { packet, within: WITHIN })
    }

    /// Expects that nothing comes.
    #[must_use]
    pub fn silence(self, time: Duration) -> Self {
        self.step(What::Silence(time))
    }

    /// The same script without the lines of its text.
    #[must_use]
    pub fn without_lines(mut self) -> Self {
        self.steps.iter_mut().for_each(|step| step.line = None);
        self
    }

    fn step(mut self, what: What) -> Self {
        let when = self.next.take().unwrap_or(When::Next);
        self.steps.push(Step { when, what, line: None });
        self
    }
}
