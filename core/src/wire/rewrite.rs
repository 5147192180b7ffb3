//! Frames of others, changed in place: for replay (addresses, numbers, clocks translated) and for
//! simulation (corruption that the checksums do not show).
//!
//! Every setter repairs the checksums it touches incrementally (RFC 1624), so that a frame whose
//! checksum was wrong stays exactly as wrong as it was.

use super::checksum::{self, Sum};
use super::ethernet::{self, ETHERTYPE_IPV4};
use super::ipv4::{self, PROTOCOL_TCP};
use super::tcp;
use super::{Ipv4Header, WireError};
use core::net::Ipv4Addr;

/// Views of a TCP frame's headers, to rewrite.
#[derive(Debug)]
pub struct TcpFrameMut<'a> {
    /// The Ethernet header.
    pub eth: ethernet::HeaderMut<'a>,
    /// The IPv4 header. Addresses are better changed by [`TcpFrameMut::set_src`] and
    /// [`TcpFrameMut::set_dst`]: TCP's checksum covers them.
    pub ip: ipv4::HeaderMut<'a>,
    /// The TCP header and its text.
    pub tcp: tcp::HeaderMut<'a>,
    src: Ipv4Addr,
    dst: Ipv4Addr,
}

impl<'a> TcpFrameMut<'a> {
    /// Views the headers of `frame`; None where it is well-formed and not an unfragmented TCP
    /// segment over IPv4. Checksums are not looked at.
    pub fn new(frame: &'a mut [u8]) -> Result<Option<Self>, WireError> {
        let frame_len = frame.len();
        let (eth, ethertype, datagram) = ethernet::HeaderMut::split(frame)?;
        if ethertype != ETHERTYPE_IPV4 {
            return Ok(None);
        }
        let offset = frame_len - datagram.len();
        let (ip, Ipv4Header { src, dst, protocol, fragment, header_len, .. }, segment) =
            ipv4::HeaderMut::split(datagram, offset)?;
        if protocol != PROTOCOL_TCP || fragment {
            return Ok(None);
        }
        let tcp = tcp::HeaderMut::new(segment, offset + usize::from(header_len))?;
        Ok(Some(Self { eth, ip, tcp, src, dst }))
    }

    /// The source address.
    pub fn src(&self) -> Ipv4Addr {
        self.src
    }

    /// The destination address.
    pub fn dst(&self) -> Ipv4Addr {
        self.dst
    }

    /// Replaces the source address, in both checksums.
    pub fn set_src(&mut self, src: Ipv4Addr) {
        self.ip.set_src(src);
        self.tcp.pseudo_header_changed(self.src, src);
        self.src = src;
    }

    /// Replaces the destination address, in both checksums.
    pub fn set_dst(&mut self, dst: Ipv4Addr) {
        self.ip.set_dst(dst);
        self.tcp.pseudo_header_changed(self.dst, dst);
        self.dst = dst;
    }

    /// Computes both checksums anew over the bytes as they stand.
    pub fn repair_checksums(&mut self) {
        self.ip.repair_checksum();
        self.tcp.repair_checksum(self.src, self.dst);
    }
}

/// Replaces bytes of a header that carries its own checksum at the even offset `checksum_at`.
/// Nothing happens beyond the end.
pub(super) fn patch(bytes: &mut [u8], checksum_at: usize, at: usize, new: &[u8]) {
    let Some(old) = bytes.get_mut(at..).and_then(|b| b.get_mut(..new.len())) else { return };
    let (before, after) = (checksum::sum(old), checksum::sum(new));
    old.copy_from_slice(new);
    patch_sum(bytes, checksum_at, at, before, after);
}

/// Repairs the checksum at `checksum_at` after bytes that begin at `at` changed their sum.
pub(super) fn patch_sum(bytes: &mut [u8], checksum_at: usize, at: usize, before: Sum, after: Sum) {
    let Some(field) = bytes.get_mut(checksum_at..).and_then(|b| b.first_chunk_mut::<2>()) else {
        return;
    };
    *field = checksum::update_sum(u16::from_be_bytes(*field), at, before, after).to_be_bytes();
}

/// Computes the checksum at `checksum_at` anew: `bytes` and what `base` stands for.
pub(super) fn repair(bytes: &mut [u8], checksum_at: usize, base: Sum) {
    let Some((before, rest)) = bytes.split_at_mut_checked(checksum_at) else { return };
    let Some((field, after)) = rest.split_first_chunk_mut::<2>() else { return };
    *field = base.add_bytes(before).add_bytes(after).finish().to_be_bytes();
}
