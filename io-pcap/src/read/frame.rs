//! One frame of a capture, as it lies in the file: bytes, times, lengths. No protocol is looked at.

use crate::writer::Direction;
use std::borrow::Cow;

/// What the first byte of a frame begins: `LINKTYPE_*` of the tcpdump group's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// `LINKTYPE_ETHERNET`: Ethernet from the destination address on.
    Ethernet,
    /// `LINKTYPE_LINUX_SLL`: Linux cooked, 16 bytes.
    LinuxSll,
    /// `LINKTYPE_LINUX_SLL2`: Linux cooked, 20 bytes, with the interface's index.
    LinuxSll2,
    /// `LINKTYPE_RAW`, `_IPV4`, `_IPV6`: the IP header comes first.
    RawIp,
    /// `LINKTYPE_NULL`: four bytes of address family in the capturing host's byte order.
    Null,
    /// `LINKTYPE_LOOP`: four bytes of address family in network byte order.
    Loop,
    /// Another: frames of it are read and not dissected.
    Other(u16),
}

impl LinkType {
    /// The type that a file's field means. What lies above the lower 16 bits of pcap's field (the
    /// length of a frame check sequence) is no part of it.
    pub const fn from_number(number: u16) -> Self {
        match number {
            0 => Self::Null,
            1 => Self::Ethernet,
            // 12 and 14 are what the systems themselves call raw IP; some files have them.
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            276 => Self::LinuxSll2,
            other => Self::Other(other),
        }
    }
}

/// One frame, borrowed from the reader until the next is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// From 1 on, over all inputs: for a single file it is the number that Wireshark shows.
    pub number: u64,
    /// When it was captured: nanoseconds since 1970, UTC, the interface's resolution and offset
    /// applied. As the capture says: it may be earlier than that of the frame before.
    pub at_unix_nanos: u64,
    /// What `bytes` begin with.
    pub link: LinkType,
    /// What was captured, from the link's header on.
    pub bytes: &'a [u8],
    /// Bytes on the wire; never fewer than were captured.
    pub wire_len: u32,
    /// Which input: its place in the list that the capture was made from.
    pub input: u32,
    /// Which interface of its section of that input; 0 in pcap.
    pub interface: u32,
    /// Which way, as far as the file says it.
    pub direction: Direction,
    /// The first comment; empty where there is none.
    pub(crate) comment: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame without its bytes.
    pub const fn info(&self) -> FrameInfo {
        FrameInfo {
            number: self.number,
            at_unix_nanos: self.at_unix_nanos,
            wire_len: self.wire_len,
            captured_len: self.bytes.len() as u32,
            input: self.input,
            interface: self.interface,
            direction: self.direction,
        }
    }

    /// The comment that the file holds with this frame, the first of several. What is no UTF-8 in
    /// it shows as the replacement character.
    pub fn comment(&self) -> Option<Cow<'a, str>> {
        (!self.comment.is_empty()).then(|| String::from_utf8_lossy(self.comment))
    }
}

/// What is known of a frame beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameInfo {
    /// [`Frame::number`].
    pub number: u64,
    /// [`Frame::at_unix_nanos`].
    pub at_unix_nanos: u64,
    /// [`Frame::wire_len`].
    pub wire_len: u32,
    /// Bytes that the capture holds of it.
    pub captured_len: u32,
    /// [`Frame::input`].
    pub input: u32,
    /// [`Frame::interface`].
    pub interface: u32,
    /// [`Frame::direction`].
    pub direction: Direction,
}
