//! The TCP header, its options and its checksum. RFC 9293 §3.1.

use super::cursor::Rest;
use super::{ChecksumSeen, Checksums, Ecn, OptionsSeen, OtherKind, Segment};
use simoom_core::seq::SeqNumber;
use simoom_core::wire::checksum::{self, Sum};
use simoom_core::wire::tcp::{self, TIMESTAMPS_WORD};
use simoom_core::wire::{TcpFlags, TcpOptions, Timestamps};
use std::net::{IpAddr, SocketAddr};

/// Frames longer than this were never on a wire in one piece, whatever their IP header says: the
/// largest MTU in common use is 9,000 bytes, and devices stop at 9,216.
pub const WIRE_FRAME_BYTES_MAX: u32 = 9_216 + 18;

const HEADER_LEN: usize = 20;
const PROTOCOL_TCP: u16 = 6;

/// What the network's header said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) vlan: Option<u16>,
    pub(crate) ecn: Ecn,
    pub(crate) ttl: u8,
    pub(crate) ip_id: u16,
    pub(crate) ip_sum: IpSum,
    /// The destination is the last one, which the checksum covers: no routing header says otherwise.
    pub(crate) final_destination: bool,
    /// The IP header's length is zero.
    pub(crate) length_unset: bool,
    /// Bytes on the wire from the IP header on.
    pub(crate) frame_wire_len: u32,
}

/// The checksum of an IPv4 header. IPv6 has none: good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IpSum {
    Good,
    Bad,
    Unset,
}

/// Reads a segment: all of `rest`.
#[inline]
pub(super) fn tcp<'a>(
    network: &Network,
    rest: Rest<'a>,
    sums: Checksums,
) -> Result<Segment<'a>, OtherKind> {
    let Some(h) = rest.bytes.first_chunk::<HEADER_LEN>() else { return Err(rest.too_short()) };
    let header_len = usize::from(h[12] >> 4) * 4;
    if header_len < HEADER_LEN || header_len as u32 > rest.wire {
        return Err(OtherKind::BadHeader);
    }
    let options_end = header_len.min(rest.bytes.len());
    let is_cut = options_end < header_len;
    let (options, options_seen) = options(&rest.bytes[HEADER_LEN..options_end], is_cut);
    Ok(Segment {
        src: SocketAddr::new(network.src, u16::from_be_bytes([h[0], h[1]])),
        dst: SocketAddr::new(network.dst, u16::from_be_bytes([h[2], h[3]])),
        vlan: network.vlan,
        seq: SeqNumber(u32::from_be_bytes([h[4], h[5], h[6], h[7]])),
        ack: SeqNumber(u32::from_be_bytes([h[8], h[9], h[10], h[11]])),
        flags: TcpFlags(h[13]),
        window: u16::from_be_bytes([h[14], h[15]]),
        options,
        options_seen,
        payload: &rest.bytes[options_end..],
        payload_len: rest.wire - header_len as u32,
        ecn: network.ecn,
        ttl: network.ttl,
        ip_id: network.ip_id,
        checksum: match sums {
            Checksums::Verify => checksum_seen(network, rest, u16::from_be_bytes([h[16], h[17]])),
            Checksums::Ignore => ChecksumSeen::NotChecked,
        },
    })
}

/// The options, up to the first that is none.
#[inline]
fn options(bytes: &[u8], is_cut: bool) -> (TcpOptions, OptionsSeen) {
    match bytes {
        [] if !is_cut => (TcpOptions::default(), OptionsSeen::All),
        // Timestamps alone, as everyone lays them out.
        &[n0, n1, kind, len, v0, v1, v2, v3, e0, e1, e2, e3]
            if !is_cut && u32::from_be_bytes([n0, n1, kind, len]) == TIMESTAMPS_WORD =>
        {
            let val = u32::from_be_bytes([v0, v1, v2, v3]);
            let ecr = u32::from_be_bytes([e0, e1, e2, e3]);
            let timestamps = Some(Timestamps { val, ecr });
            (TcpOptions { timestamps, ..TcpOptions::default() }, OptionsSeen::All)
        }
        _ => any_options(bytes, is_cut),
    }
}

#[inline(never)]
fn any_options(bytes: &[u8], is_cut: bool) -> (TcpOptions, OptionsSeen) {
    let cut = if is_cut { OptionsSeen::UpToCut } else { OptionsSeen::All };
    match tcp::parse_options(bytes, 0) {
        Ok(options) => (options, cut),
        Err(error) => {
            // The options in front of the one at fault parse: each was read before it.
            let good = bytes.get(..usize::from(error.offset)).unwrap_or(&[]);
            let options = tcp::parse_options(good, 0).unwrap_or_default();
            (options, if is_cut { cut } else { OptionsSeen::UpToMalformed })
        }
    }
}

#[inline]
fn checksum_seen(network: &Network, segment: Rest<'_>, field: u16) -> ChecksumSeen {
    if !segment.is_whole() || !network.final_destination {
        // The IP header is whole: a length that was damaged on the way cuts segments, too.
        return match network.ip_sum {
            IpSum::Bad => ChecksumSeen::Bad,
            IpSum::Good | IpSum::Unset => ChecksumSeen::NotChecked,
        };
    }
    let addresses = match (network.src, network.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            Sum::ZERO.add_u32(u32::from(src)).add_u32(u32::from(dst))
        }
        (src, dst) => sum_address(src).combine(sum_address(dst)),
    };
    let pseudo = addresses.add_u16(PROTOCOL_TCP).add_u32(segment.wire);
    if pseudo.combine(checksum::sum(segment.bytes)).fold() == 0xffff {
        return match network.ip_sum {
            IpSum::Good => ChecksumSeen::Good,
            IpSum::Bad => ChecksumSeen::Bad,
            IpSum::Unset => ChecksumSeen::Offloaded,
        };
    }
    // What a stack leaves to its device is the pseudo-header's sum, with the length or, where the
    // device cuts the segment, without.
    let without_length = addresses.add_u16(PROTOCOL_TCP).fold();
    let unset = field == 0 || field == pseudo.fold() || field == without_length;
    let never_on_a_wire = network.length_unset || network.frame_wire_len > WIRE_FRAME_BYTES_MAX;
    if (unset && network.ip_sum != IpSum::Bad) || never_on_a_wire {
        ChecksumSeen::Offloaded
    } else {
        ChecksumSeen::Bad
    }
}

fn sum_address(address: IpAddr) -> Sum {
    match address {
        IpAddr::V4(address) => Sum::ZERO.add_u32(u32::from(address)),
        IpAddr::V6(address) => Sum::ZERO.add_bytes(&address.octets()),
    }
}
