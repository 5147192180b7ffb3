//! Writing the headers of the frames that the stack sends: Ethernet, IPv4 and TCP in one go.
//!
//! The hot path of every mode. Checksums are summed from the values in registers, never by reading
//! back what was written; what is the same in every frame of a stack was summed when its
//! [`HeaderTemplate`] was made.

use super::checksum::Sum;
use super::ethernet::{self, ETHERTYPE_IPV4, ETHERTYPE_VLAN, MacAddr};
use super::ipv4::{self, PROTOCOL_TCP};
use super::tcp::{
    self, OPTIONS_MAX, SackBlocks, SynOptions, TIMESTAMPS_LEN, TIMESTAMPS_WORD, TcpFlags,
    TcpOptions, Timestamps,
};
use crate::seq::SeqNumber;
use core::net::Ipv4Addr;

/// Version 4, header of 5 words, DSCP and ECN zero.
pub(super) const IP_FIRST_WORD: u16 = 0x4500;
/// Identification 0 with DF set: RFC 6864 §4.1.
pub(super) const IP_DONT_FRAGMENT: u16 = 0x4000;

/// Bytes of the headers of a segment that is no SYN: what lies before its text.
#[inline]
pub const fn headers_len(vlan: bool, timestamps: bool) -> usize {
    let options = if timestamps { TIMESTAMPS_LEN } else { 0 };
    ethernet::header_len(vlan) + ipv4::HEADER_LEN + tcp::HEADER_LEN + options
}

/// What is the same in the headers of every frame that one stack sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderTemplate {
    src_mac: MacAddr,
    vlan: Option<u16>,
    src_ip: Ipv4Addr,
    ttl: u8,
    /// The IPv4 header's sum without total length and destination.
    pub(super) ip_base: u64,
    /// The pseudo-header's sum without length and destination.
    pub(super) tcp_base: u64,
}

impl HeaderTemplate {
    /// A template for a station's addresses. `vlan` is the identifier (12 bits) of the 802.1Q tag
    /// that its frames carry, `ttl` the hops that its datagrams may take.
    pub const fn new(src_mac: MacAddr, vlan: Option<u16>, src_ip: Ipv4Addr, ttl: u8) -> Self {
        let src = src_ip.to_bits() as u64;
        let vlan = match vlan {
            Some(vid) => Some(vid & 0x0fff),
            None => None,
        };
        Self {
            src_mac,
            vlan,
            src_ip,
            ttl,
            ip_base: IP_FIRST_WORD as u64
                + IP_DONT_FRAGMENT as u64
                + ((ttl as u64) << 8 | PROTOCOL_TCP as u64)
                + src,
            tcp_base: src + PROTOCOL_TCP as u64,
        }
    }

    /// The source Ethernet address.
    #[inline]
    pub const fn src_mac(&self) -> MacAddr {
        self.src_mac
    }

    /// The identifier of the 802.1Q tag, if there is one.
    #[inline]
    pub const fn vlan(&self) -> Option<u16> {
        self.vlan
    }

    /// The source address.
    #[inline]
    pub const fn src_ip(&self) -> Ipv4Addr {
        self.src_ip
    }

    /// Hops that datagrams may take.
    #[inline]
    pub const fn ttl(&self) -> u8 {
        self.ttl
    }

    /// [`headers_len`] with this template's tag.
    #[inline]
    pub const fn headers_len(&self, timestamps: bool) -> usize {
        headers_len(self.vlan.is_some(), timestamps)
    }
}

/// What the headers of one segment say, beside the template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpHeader {
    /// Who takes the frame: the peer, or the gateway towards it.
    pub dst_mac: MacAddr,
    /// The peer.
    pub dst_ip: Ipv4Addr,
    /// Our port.
    pub src_port: u16,
    /// The peer's port.
    pub dst_port: u16,
    /// Sequence number of the first octet, or of SYN.
    pub seq: SeqNumber,
    /// Acknowledgement number; sent as it is, also without ACK.
    pub ack: SeqNumber,
    /// Control bits.
    pub flags: TcpFlags,
    /// Window field, already scaled down.
    pub window: u16,
    /// The timestamps option.
    pub timestamps: Option<Timestamps>,
    /// The options of a SYN.
    pub syn: Option<SynOptions>,
}

/// Writes all headers of a frame at the start of `out` and gives their length: where the text
/// begins, [`headers_len`] for what is no SYN. The text itself is not touched.
///
/// `payload_len` is the text's length in bytes and `payload_sum` its sum, taken as if it began at an
/// even offset. With `checksum_offload` both checksums are left zero, for the device.
///
/// # Panics
/// Where `out` has no room for the headers, or the datagram would be longer than 65,535 bytes:
/// both are the caller's numbers, never a peer's.
#[inline]
pub fn write_tcp_frame(
    template: &HeaderTemplate,
    out: &mut [u8],
    header: &TcpHeader,
    payload_len: usize,
    payload_sum: Sum,
    checksum_offload: bool,
) -> usize {
    if header.syn.is_some() {
        let options = options_of(header, SackBlocks::default());
        return write_slow(
            template,
            out,
            header,
            &options,
            payload_len,
            payload_sum,
            checksum_offload,
        );
    }
    match header.timestamps {
        Some(ts) => {
            let options = TimestampWords { val: ts.val, ecr: ts.ecr };
            write_with(template, out, header, options, payload_len, payload_sum, checksum_offload)
        }
        None => {
            write_with(template, out, header, NoWords, payload_len, payload_sum, checksum_offload)
        }
    }
}

/// [`write_tcp_frame`] for a segment that reports blocks received out of order, for peers that
/// permitted it: as many blocks as there is room for, which is three beside timestamps. RFC 2018 §3.
///
/// # Panics
/// As [`write_tcp_frame`].
pub fn write_tcp_frame_with_sack(
    template: &HeaderTemplate,
    out: &mut [u8],
    header: &TcpHeader,
    sack: SackBlocks,
    payload_len: usize,
    payload_sum: Sum,
    checksum_offload: bool,
) -> usize {
    let options = options_of(header, sack);
    write_slow(template, out, header, &options, payload_len, payload_sum, checksum_offload)
}

fn options_of(header: &TcpHeader, sack: SackBlocks) -> TcpOptions {
    TcpOptions {
        mss: header.syn.map(|syn| syn.mss),
        window_scale: header.syn.and_then(|syn| syn.window_scale),
        sack_permitted: header.syn.is_some_and(|syn| syn.sack_permitted),
        timestamps: header.timestamps,
        sack,
    }
}

/// Any options, by way of a buffer.
#[cold]
#[inline(never)]
fn write_slow(
    template: &HeaderTemplate,
    out: &mut [u8],
    header: &TcpHeader,
    options: &TcpOptions,
    payload_len: usize,
    payload_sum: Sum,
    checksum_offload: bool,
) -> usize {
    let mut bytes = [0; OPTIONS_MAX];
    let len = tcp::write_options(options, &mut bytes);
    let options = bytes.get(..len).unwrap_or(&[]);
    write_with(template, out, header, options, payload_len, payload_sum, checksum_offload)
}

/// The options of a segment: how long, what they sum up to, and how they are written.
trait OptionWords: Copy {
    /// Bytes, a multiple of four.
    fn len(self) -> usize;
    /// A sum that is far from overflowing.
    fn sum(self) -> u64;
    /// Writes at the start of `out`; None where there is no room.
    fn write(self, out: &mut [u8]) -> Option<()>;
}

#[derive(Clone, Copy)]
struct NoWords;

impl OptionWords for NoWords {
    #[inline]
    fn len(self) -> usize {
        0
    }
    #[inline]
    fn sum(self) -> u64 {
        0
    }
    #[inline]
    fn write(self, _out: &mut [u8]) -> Option<()> {
        Some(())
    }
}

#[derive(Clone, Copy)]
struct TimestampWords {
    val: u32,
    ecr: u32,
}

impl OptionWords for TimestampWords {
    #[inline]
    fn len(self) -> usize {
        TIMESTAMPS_LEN
    }
    #[inline]
    fn sum(self) -> u64 {
        u64::from(TIMESTAMPS_WORD) + u64::from(self.val) + u64::from(self.ecr)
    }
    #[inline]
    fn write(self, out: &mut [u8]) -> Option<()> {
        let o = out.first_chunk_mut::<TIMESTAMPS_LEN>()?;
        o[..4].copy_from_slice(&TIMESTAMPS_WORD.to_be_bytes());
        o[4..8].copy_from_slice(&self.val.to_be_bytes());
        o[8..].copy_from_slice(&self.ecr.to_be_bytes());
        Some(())
    }
}

impl OptionWords for &[u8] {
    fn len(self) -> usize {
        <[u8]>::len(self)
    }
    fn sum(self) -> u64 {
        super::checksum::sum(self).narrow()
    }
    fn write(self, out: &mut [u8]) -> Option<()> {
        out.get_mut(..self.len())?.copy_from_slice(self);
        Some(())
    }
}

#[inline(always)]
fn write_with(
    template: &HeaderTemplate,
    out: &mut [u8],
    header: &TcpHeader,
    options: impl OptionWords,
    payload_len: usize,
    payload_sum: Sum,
    checksum_offload: bool,
) -> usize {
    let tcp_len = tcp::HEADER_LEN + options.len() + payload_len;
    let headers_len = template.headers_len(false) + options.len();
    let total_len = u16::try_from(ipv4::HEADER_LEN + tcp_len).ok();
    let written = total_len.and_then(|total_len| {
        let rest = write_ethernet(template, out, header.dst_mac)?;
        let (ip, rest) = rest.split_first_chunk_mut::<{ ipv4::HEADER_LEN }>()?;
        let (tcp, rest) = rest.split_first_chunk_mut::<{ tcp::HEADER_LEN }>()?;
        options.write(rest)?;

        let ports = u32::from(header.src_port) << 16 | u32::from(header.dst_port);
        let offset = ((tcp::HEADER_LEN + options.len()) / 4) as u32;
        let control = offset << 28 | u32::from(header.flags.0) << 16 | u32::from(header.window);
        let dst = header.dst_ip.to_bits();

        let (ip_checksum, tcp_checksum) = if checksum_offload {
            (0, 0)
        } else {
            let ip = template.ip_base + u64::from(total_len) + u64::from(dst);
            // Every term has 33 bits at most.
            let tcp = template.tcp_base
                + tcp_len as u64
                + u64::from(dst)
                + u64::from(ports)
                + u64::from(header.seq.0)
                + u64::from(header.ack.0)
                + u64::from(control)
                + options.sum()
                + payload_sum.narrow();
            (Sum::from_wide(ip).finish(), Sum::from_wide(tcp).finish())
        };

        let length = u64::from(IP_FIRST_WORD) << 48
            | u64::from(total_len) << 32
            | u64::from(IP_DONT_FRAGMENT);
        let hops =
            u32::from(template.ttl) << 24 | u32::from(PROTOCOL_TCP) << 16 | u32::from(ip_checksum);
        ip[..8].copy_from_slice(&length.to_be_bytes());
        ip[8..12].copy_from_slice(&hops.to_be_bytes());
        ip[12..16].copy_from_slice(&template.src_ip.octets());
        ip[16..].copy_from_slice(&header.dst_ip.octets());

        tcp[..4].copy_from_slice(&ports.to_be_bytes());
        tcp[4..8].copy_from_slice(&header.seq.0.to_be_bytes());
        tcp[8..12].copy_from_slice(&header.ack.0.to_be_bytes());
        tcp[12..16].copy_from_slice(&control.to_be_bytes());
        // The urgent pointer is never used.
        tcp[16..].copy_from_slice(&(u32::from(tcp_checksum) << 16).to_be_bytes());
        Some(())
    });
    if written.is_none() {
        no_room(out.len(), headers_len, payload_len);
    }
    headers_len
}

/// The Ethernet header; gives what follows.
#[inline(always)]
fn write_ethernet<'a>(
    template: &HeaderTemplate,
    out: &'a mut [u8],
    dst: MacAddr,
) -> Option<&'a mut [u8]> {
    let (h, rest) = out.split_first_chunk_mut::<{ ethernet::HEADER_LEN }>()?;
    h[..6].copy_from_slice(&dst.0);
    h[6..12].copy_from_slice(&template.src_mac.0);
    let Some(vid) = template.vlan else {
        h[12..].copy_from_slice(&ETHERTYPE_IPV4.to_be_bytes());
        return Some(rest);
    };
    h[12..].copy_from_slice(&ETHERTYPE_VLAN.to_be_bytes());
    let (tag, rest) = rest.split_first_chunk_mut::<{ ethernet::TAG_LEN }>()?;
    *tag = (u32::from(vid) << 16 | u32::from(ETHERTYPE_IPV4)).to_be_bytes();
    Some(rest)
}

#[cold]
#[inline(never)]
fn no_room(have: usize, headers_len: usize, payload_len: usize) -> ! {
    panic!("{have} bytes for {headers_len} of headers before {payload_len} of text")
}
