//! Ethernet II, with at most one 802.1Q tag.
//!
//! Must not know what a frame carries beyond its EtherType.

use super::{Layer, WireError};
use core::fmt;

/// Bytes of a header without a tag.
pub const HEADER_LEN: usize = 14;
/// Bytes that an 802.1Q tag adds.
pub const TAG_LEN: usize = 4;

/// EtherType of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// EtherType (TPID) of an 802.1Q tag.
pub const ETHERTYPE_VLAN: u16 = 0x8100;
/// EtherType (TPID) of an outer tag, 802.1ad.
pub const ETHERTYPE_QINQ: u16 = 0x88a8;
/// The lowest value that is an EtherType; below it the field is a length (802.3, LLC).
pub const ETHERTYPE_MIN: u16 = 0x0600;

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// Every station of the link.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// No station: the target of an ARP request.
    pub const ZERO: Self = Self([0; 6]);

    /// Whether this is the address of a group; broadcast is one.
    #[inline]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether one station can have this address: neither a group nor all zeros.
    #[inline]
    pub const fn is_unicast(self) -> bool {
        !self.is_multicast() && !matches!(self.0, [0, 0, 0, 0, 0, 0])
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A parsed header. The EtherType has been acted upon and is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthernetHeader {
    /// Destination.
    pub dst: MacAddr,
    /// Source.
    pub src: MacAddr,
    /// VLAN identifier (12 bits) of the tag; None where there is no tag. Zero is a priority tag.
    pub vlan: Option<u16>,
}

impl EthernetHeader {
    /// Bytes of the header, tag in.
    #[inline]
    pub const fn header_len(&self) -> usize {
        header_len(self.vlan.is_some())
    }
}

/// Bytes of a header with or without a tag.
#[inline]
pub const fn header_len(tagged: bool) -> usize {
    if tagged { HEADER_LEN + TAG_LEN } else { HEADER_LEN }
}

/// The addresses of a header, taken for one without a tag.
#[inline]
pub(super) const fn untagged(h: &[u8; HEADER_LEN]) -> EthernetHeader {
    EthernetHeader {
        dst: MacAddr([h[0], h[1], h[2], h[3], h[4], h[5]]),
        src: MacAddr([h[6], h[7], h[8], h[9], h[10], h[11]]),
        vlan: None,
    }
}

/// Splits a frame into header, EtherType and what follows. A second tag is not looked into: the
/// EtherType is then that of the tag.
#[inline]
pub fn parse(bytes: &[u8]) -> Result<(EthernetHeader, u16, &[u8]), WireError> {
    let Some((h, rest)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        return Err(WireError::truncated(Layer::Ethernet, 0, HEADER_LEN, bytes.len()));
    };
    let mut header = untagged(h);
    let ethertype = u16::from_be_bytes([h[12], h[13]]);
    if ethertype != ETHERTYPE_VLAN {
        return Ok((header, ethertype, rest));
    }
    let Some((&[c0, c1, t0, t1], rest)) = rest.split_first_chunk::<TAG_LEN>() else {
        return Err(WireError::truncated(Layer::Ethernet, HEADER_LEN, TAG_LEN, rest.len()));
    };
    header.vlan = Some(u16::from_be_bytes([c0, c1]) & 0x0fff);
    Ok((header, u16::from_be_bytes([t0, t1]), rest))
}

/// Writes the header of a frame in place and gives what follows; None where `out` is too short.
pub(super) fn write(out: &mut [u8], header: EthernetHeader, ethertype: u16) -> Option<&mut [u8]> {
    let (h, mut rest) = out.split_first_chunk_mut::<HEADER_LEN>()?;
    h[..6].copy_from_slice(&header.dst.0);
    h[6..12].copy_from_slice(&header.src.0);
    h[12..].copy_from_slice(&ethertype.to_be_bytes());
    if let Some(vid) = header.vlan {
        h[12..].copy_from_slice(&ETHERTYPE_VLAN.to_be_bytes());
        let (tag, after) = rest.split_first_chunk_mut::<TAG_LEN>()?;
        tag[..2].copy_from_slice(&(vid & 0x0fff).to_be_bytes());
        tag[2..].copy_from_slice(&ethertype.to_be_bytes());
        rest = after;
    }
    Some(rest)
}

/// The header of a frame, to rewrite in place.
#[derive(Debug)]
pub struct HeaderMut<'a> {
    bytes: &'a mut [u8; HEADER_LEN],
    tag: Option<&'a mut [u8; TAG_LEN]>,
}

impl<'a> HeaderMut<'a> {
    /// Views the header of `frame`; also gives the EtherType and what follows the header.
    pub fn split(frame: &'a mut [u8]) -> Result<(Self, u16, &'a mut [u8]), WireError> {
        let (_, ethertype, rest) = parse(frame)?;
        let header_len = frame.len() - rest.len();
        let short = WireError::truncated(Layer::Ethernet, 0, header_len, frame.len());
        let (bytes, rest) = frame.split_first_chunk_mut::<HEADER_LEN>().ok_or(short)?;
        if header_len == HEADER_LEN {
            return Ok((Self { bytes, tag: None }, ethertype, rest));
        }
        let (tag, rest) = rest.split_first_chunk_mut::<TAG_LEN>().ok_or(short)?;
        Ok((Self { bytes, tag: Some(tag) }, ethertype, rest))
    }

    /// Replaces the destination.
    pub fn set_dst(&mut self, dst: MacAddr) {
        self.bytes[..6].copy_from_slice(&dst.0);
    }

    /// Replaces the source.
    pub fn set_src(&mut self, src: MacAddr) {
        self.bytes[6..12].copy_from_slice(&src.0);
    }

    /// Replaces the VLAN identifier and keeps the priority; false where the frame has no tag.
    pub fn set_vid(&mut self, vid: u16) -> bool {
        let Some(tag) = self.tag.as_mut() else {
            return false;
        };
        tag[0] = (tag[0] & 0xf0) | (vid >> 8) as u8 & 0x0f;
        tag[1] = vid as u8;
        true
    }
}
