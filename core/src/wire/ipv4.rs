//! IPv4 headers. RFC 791; identification by RFC 6864.
//!
//! Must not know transports. Fragments are recognised, never put together.

use super::checksum::{self, Sum};
use super::{Layer, WireError, WireErrorKind, rewrite};
use core::net::Ipv4Addr;

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Protocol number of ICMP.
pub const PROTOCOL_ICMP: u8 = 1;
/// Protocol number of TCP.
pub const PROTOCOL_TCP: u8 = 6;

const DONT_FRAGMENT: u16 = 0x4000;
/// More fragments, or an offset that is not zero.
const FRAGMENT_MASK: u16 = 0x3fff;
const CHECKSUM_AT: usize = 10;

/// A parsed header. Options were skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Header {
    /// Source.
    pub src: Ipv4Addr,
    /// Destination.
    pub dst: Ipv4Addr,
    /// Protocol number of what is carried.
    pub protocol: u8,
    /// Time to live, in hops.
    pub ttl: u8,
    /// DSCP (upper 6 bits) and ECN (lower 2). RFC 2474, RFC 3168.
    pub dscp_ecn: u8,
    /// Identification: without meaning where DF is set and this is no fragment (RFC 6864 §4.1).
    pub identification: u16,
    /// DF: routers may not fragment.
    pub dont_fragment: bool,
    /// Whether this datagram is a fragment of a longer one.
    pub fragment: bool,
    /// Bytes of the header, options in: 20 to 60, a multiple of 4.
    pub header_len: u8,
    /// Bytes of the datagram, header in.
    pub total_len: u16,
}

/// Parses the header at the start of `bytes` and gives what the datagram carries, without what the
/// link added behind it. `offset` is where `bytes` starts in the frame, for errors.
#[inline(always)]
pub fn parse(
    bytes: &[u8],
    offset: usize,
    verify_checksum: bool,
) -> Result<(Ipv4Header, &[u8]), WireError> {
    let Some(h) = bytes.first_chunk::<HEADER_LEN>() else {
        return Err(WireError::truncated(Layer::Ipv4, offset, HEADER_LEN, bytes.len()));
    };
    let header_len = if h[0] == 0x45 { HEADER_LEN } else { long_header_len(h[0], offset)? };
    let total_len = u16::from_be_bytes([h[2], h[3]]);
    let fragment_field = u16::from_be_bytes([h[6], h[7]]);
    if usize::from(total_len) < header_len {
        return Err(WireError::length(Layer::Ipv4, offset + 2, header_len, usize::from(total_len)));
    }
    let Some(datagram) = bytes.get(..usize::from(total_len)) else {
        return Err(WireError::truncated(Layer::Ipv4, offset, usize::from(total_len), bytes.len()));
    };
    let Some((header, payload)) = datagram.split_at_checked(header_len) else {
        return Err(WireError::truncated(Layer::Ipv4, offset, header_len, bytes.len()));
    };
    if verify_checksum {
        let found = checksum::sum(header).fold();
        if found != 0xffff {
            let field = u16::from_be_bytes([h[10], h[11]]);
            return Err(WireError::checksum(Layer::Ipv4, offset + CHECKSUM_AT, field, found));
        }
    }
    let parsed = Ipv4Header {
        src: Ipv4Addr::new(h[12], h[13], h[14], h[15]),
        dst: Ipv4Addr::new(h[16], h[17], h[18], h[19]),
        protocol: h[9],
        ttl: h[8],
        dscp_ecn: h[1],
        identification: u16::from_be_bytes([h[4], h[5]]),
        dont_fragment: fragment_field & DONT_FRAGMENT != 0,
        fragment: fragment_field & FRAGMENT_MASK != 0,
        header_len: header_len as u8,
        total_len,
    };
    Ok((parsed, payload))
}

/// The header length of anything but a plain IPv4 header.
#[cold]
#[inline(never)]
fn long_header_len(version_ihl: u8, offset: usize) -> Result<usize, WireError> {
    let version = version_ihl >> 4;
    if version != 4 {
        return Err(WireError {
            layer: Layer::Ipv4,
            kind: WireErrorKind::Version,
            offset: offset as u16,
            need: 4,
            have: u16::from(version),
        });
    }
    let header_len = usize::from(version_ihl & 0x0f) * 4;
    if header_len < HEADER_LEN {
        return Err(WireError::length(Layer::Ipv4, offset, HEADER_LEN, header_len));
    }
    Ok(header_len)
}

/// The pseudo-header's share of a transport checksum. RFC 9293 §3.1.
#[inline]
pub fn pseudo_header(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, len: u16) -> Sum {
    Sum::from_wide(
        u64::from(src.to_bits()) + u64::from(dst.to_bits()) + u64::from(protocol) + u64::from(len),
    )
}

/// Writes a header without options: identification 0 with DF set, as RFC 6864 §4.1 allows.
/// With `checksum_offload` the checksum is left zero.
pub(super) fn write(
    out: &mut [u8; HEADER_LEN],
    src: Ipv4Addr,
    dst: Ipv4Addr,
    protocol: u8,
    ttl: u8,
    total_len: u16,
    checksum_offload: bool,
) {
    let [l0, l1] = total_len.to_be_bytes();
    let [s0, s1, s2, s3] = src.octets();
    let [d0, d1, d2, d3] = dst.octets();
    *out = [0x45, 0, l0, l1, 0, 0, 0x40, 0, ttl, protocol, 0, 0, s0, s1, s2, s3, d0, d1, d2, d3];
    if !checksum_offload {
        let checksum = checksum::sum(out).finish();
        out[CHECKSUM_AT..CHECKSUM_AT + 2].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// A header to rewrite in place; its checksum follows every change (RFC 1624).
#[derive(Debug)]
pub struct HeaderMut<'a> {
    bytes: &'a mut [u8],
}

impl<'a> HeaderMut<'a> {
    /// Views the header at the start of `datagram`; also gives what the datagram carries, without
    /// what the link added behind it. `offset` is where `datagram` starts, for errors.
    pub fn split(
        datagram: &'a mut [u8],
        offset: usize,
    ) -> Result<(Self, Ipv4Header, &'a mut [u8]), WireError> {
        let (parsed, _) = parse(datagram, offset, false)?;
        let have = datagram.len();
        let short = WireError::truncated(Layer::Ipv4, offset, usize::from(parsed.total_len), have);
        let datagram = datagram.get_mut(..usize::from(parsed.total_len)).ok_or(short)?;
        let (bytes, payload) =
            datagram.split_at_mut_checked(usize::from(parsed.header_len)).ok_or(short)?;
        Ok((Self { bytes }, parsed, payload))
    }

    /// Replaces the source. The transport's checksum covers it too: see
    /// [`super::tcp::HeaderMut::pseudo_header_changed`].
    pub fn set_src(&mut self, src: Ipv4Addr) {
        self.patch(12, src.octets());
    }

    /// Replaces the destination. The transport's checksum covers it too: see
    /// [`super::tcp::HeaderMut::pseudo_header_changed`].
    pub fn set_dst(&mut self, dst: Ipv4Addr) {
        self.patch(16, dst.octets());
    }

    /// Replaces the time to live.
    pub fn set_ttl(&mut self, ttl: u8) {
        self.patch(8, [ttl]);
    }

    /// Replaces DSCP and ECN together.
    pub fn set_dscp_ecn(&mut self, dscp_ecn: u8) {
        self.patch(1, [dscp_ecn]);
    }

    /// Replaces the identification.
    pub fn set_identification(&mut self, identification: u16) {
        self.patch(4, identification.to_be_bytes());
    }

    /// Computes the checksum anew over the header as it stands, options in.
    pub fn repair_checksum(&mut self) {
        rewrite::repair(self.bytes, CHECKSUM_AT, Sum::ZERO);
    }

    fn patch<const N: usize>(&mut self, at: usize, new: [u8; N]) {
        rewrite::patch(self.bytes, CHECKSUM_AT, at, &new);
    }
}
