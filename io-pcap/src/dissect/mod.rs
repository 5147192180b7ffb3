//! From a frame to the TCP segment in it, or why there is none.
//!
//! Looks at one frame at a time, keeps nothing, allocates nothing. Nothing here panics, whatever the
//! bytes, and no length is trusted: text is what the IP header says, as far as it was captured.
//! etherparse reads the headers up to IP's; TCP's is read here, since that of a cut frame is worth
//! its fixed part, and one with a wrong option the options before it.

mod cursor;
mod link;
mod network;
mod segment;
#[cfg(test)]
mod tests;
mod transport;

pub use link::VLAN_TAGS_MAX;
pub use network::EXTENSION_HEADERS_MAX;
pub use segment::{ChecksumSeen, Dissected, Ecn, Fragment, OptionsSeen, OtherKind, Segment};
pub use transport::WIRE_FRAME_BYTES_MAX;

pub(crate) use network::PROTOCOL_TCP;

use crate::read::{Frame, LinkType};
use cursor::Rest;
use std::net::IpAddr;
use transport::{IpSum, Network};

/// Whether checksums are looked at: the one cost of dissection that grows with a frame's length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Checksums {
    /// They are.
    #[default]
    Verify,
    /// [`ChecksumSeen::NotChecked`] everywhere.
    Ignore,
}

/// What a frame of a capture is, its checksums verified.
pub fn dissect<'a>(frame: &Frame<'a>) -> Dissected<'a> {
    dissect_bytes(frame.link, frame.bytes, frame.wire_len, Checksums::Verify)
}

/// What a frame is of which `bytes` were captured and `wire_len` bytes were on the wire (fewer than
/// were captured count as so many).
#[inline]
pub fn dissect_bytes(
    link: LinkType,
    bytes: &[u8],
    wire_len: u32,
    sums: Checksums,
) -> Dissected<'_> {
    link::strip(link, Rest::new(bytes, wire_len))
        .and_then(|packet| network::packet(packet, sums))
        .unwrap_or_else(Dissected::Other)
}

/// What a datagram is that was put together from fragments. `first` is the one with the headers;
/// `payload` is what was captured in one piece from the start on, of `payload_len` bytes.
pub(crate) fn dissect_reassembled<'a>(
    first: &Fragment<'_>,
    ecn: Ecn,
    payload: &'a [u8],
    payload_len: u32,
    sums: Checksums,
) -> Dissected<'a> {
    let network = Network {
        src: first.src,
        dst: first.dst,
        vlan: first.vlan,
        ecn,
        ttl: first.ttl,
        ip_id: if matches!(first.src, IpAddr::V4(_)) { first.id as u16 } else { 0 },
        ip_sum: IpSum::Good,
        final_destination: true,
        length_unset: false,
        frame_wire_len: 0,
    };
    network::upper(network, first.protocol, Rest::new(payload, payload_len), sums)
        .unwrap_or_else(Dissected::Other)
}
