//! What passed between a stack and its port: headers alone, in the order in which it happened.

use simoom_core::seq::SeqNumber;
use simoom_core::time::Instant;
use simoom_core::wire::tcp::{TcpFlags, Timestamps};
use simoom_core::wire::{self, Frame, MacAddr};
use std::net::SocketAddrV4;

/// What a segment says, its text left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glimpse {
    /// The hardware address it is for.
    pub mac: MacAddr,
    /// The VLAN it came in.
    pub vlan: Option<u16>,
    /// Who sent it.
    pub from: SocketAddrV4,
    /// Whom it is for.
    pub to: SocketAddrV4,
    /// SEG.SEQ.
    pub seq: SeqNumber,
    /// SEG.ACK; meaningful with ACK only.
    pub ack: SeqNumber,
    /// Control bits.
    pub flags: TcpFlags,
    /// The window field, not scaled.
    pub window: u16,
    /// Bytes of text.
    pub len: u32,
    /// The timestamps option.
    pub timestamps: Option<Timestamps>,
    /// The MSS option.
    pub mss: Option<u16>,
    /// The window scale option.
    pub scale: Option<u8>,
}

impl Glimpse {
    /// What a frame says, where it is a TCP segment and, if asked, its checksums are right.
    #[inline]
    pub fn of(bytes: &[u8], verify_checksums: bool) -> Option<Self> {
        let Ok(Frame::Tcp(frame)) = wire::parse(bytes, verify_checksums) else { return None };
        let tcp = &frame.tcp;
        Some(Self {
            mac: frame.eth.dst,
            vlan: frame.eth.vlan,
            from: SocketAddrV4::new(frame.ip.src, tcp.src_port),
            to: SocketAddrV4::new(frame.ip.dst, tcp.dst_port),
            seq: tcp.seq,
            ack: tcp.ack,
            flags: tcp.flags,
            window: tcp.window,
            len: tcp.payload.len() as u32,
            timestamps: tcp.options.timestamps,
            mss: tcp.options.mss,
            scale: tcp.options.window_scale,
        })
    }

    /// Whether all of these bits are set.
    #[inline]
    pub fn has(&self, flags: TcpFlags) -> bool {
        self.flags.contains(flags)
    }

    /// SEG.LEN: text, SYN and FIN. RFC 9293 §3.3.1.
    #[inline]
    pub fn seg_len(&self) -> u32 {
        self.len + u32::from(self.has(TcpFlags::SYN)) + u32::from(self.has(TcpFlags::FIN))
    }

    /// The number behind the last one of the segment.
    #[inline]
    pub fn end(&self) -> SeqNumber {
        self.seq + self.seg_len()
    }
}

/// Something that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// The stack was shown this segment.
    Took(Glimpse),
    /// The stack gave this segment to the port.
    Sent(Glimpse),
    /// The stack had more to send than the port could take.
    Starved {
        /// For want of a buffer, and a segment without text may be lost; else for want of a slot.
        no_buffer: bool,
    },
}

/// What passed, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The turn's time: when it began, where it takes time.
    pub at: Instant,
    /// Which of the host's stacks, in the order of [`crate::endpoint::Host::promises`].
    pub stack: u16,
    /// What.
    pub what: Passage,
}
