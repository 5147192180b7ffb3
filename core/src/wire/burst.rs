//! The headers of a burst: segments that one connection sends one after the other differ in a few
//! places only, so their headers are laid out once.

use super::checksum::Sum;
use super::emit::{HeaderTemplate, IP_DONT_FRAGMENT, IP_FIRST_WORD, TcpHeader, write_tcp_frame};
use super::ethernet::ETHERTYPE_IPV4;
use super::ipv4::{self, PROTOCOL_TCP};
use super::plain::{DATA_OFFSET, HEADERS_LEN};
use super::tcp::TIMESTAMPS_WORD;
use super::{TcpFlags, ethernet, tcp};
use crate::seq::SeqNumber;

/// Bytes of IPv4 and TCP headers of a plain frame.
const DATAGRAM_HEADERS_LEN: usize = HEADERS_LEN - ethernet::HEADER_LEN;

/// Headers of a burst of segments with text.
#[derive(Clone, Debug)]
pub struct HeaderBurst {
    header: TcpHeader,
    /// Everything in its place but lengths, sequence number, flags and checksums; None where the
    /// frames are not plain.
    image: Option<[u8; HEADERS_LEN]>,
    /// Sum of the IPv4 header without total length.
    ip_sum: u64,
    /// Sum of pseudo-header and TCP header without length, sequence number, flags and text.
    tcp_sum: u64,
}

impl HeaderBurst {
    /// Headers like `header`, whose sequence number and flags are not looked at.
    #[inline]
    pub fn new(template: &HeaderTemplate, header: &TcpHeader) -> Self {
        let mut header = *header;
        header.seq = SeqNumber(0);
        header.flags = TcpFlags::NONE;
        let mut burst = Self { header, image: None, ip_sum: 0, tcp_sum: 0 };
        if let (Some(stamps), None, None) = (header.timestamps, header.syn, template.vlan()) {
            let ports = u32::from(header.src_port) << 16 | u32::from(header.dst_port);
            let control = DATA_OFFSET | u32::from(header.window);
            let dst = u64::from(header.dst_ip.to_bits());
            burst.ip_sum = template.ip_base + dst;
            // Every term has 33 bits at most.
            burst.tcp_sum = template.tcp_base
                + dst
                + u64::from(ports)
                + u64::from(header.ack.0)
                + u64::from(control)
                + u64::from(TIMESTAMPS_WORD)
                + u64::from(stamps.val)
                + u64::from(stamps.ecr);
            let image = burst.image.insert([0; HEADERS_LEN]);
            image[..6].copy_from_slice(&header.dst_mac.0);
            image[6..12].copy_from_slice(&template.src_mac().0);
            image[12..14].copy_from_slice(&ETHERTYPE_IPV4.to_be_bytes());
            image[14..16].copy_from_slice(&IP_FIRST_WORD.to_be_bytes());
            image[20..22].copy_from_slice(&IP_DONT_FRAGMENT.to_be_bytes());
            image[22] = template.ttl();
            image[23] = PROTOCOL_TCP;
            image[26..30].copy_from_slice(&template.src_ip().octets());
            image[30..34].copy_from_slice(&header.dst_ip.octets());
            image[34..38].copy_from_slice(&ports.to_be_bytes());
            image[42..46].copy_from_slice(&header.ack.0.to_be_bytes());
            image[46..50].copy_from_slice(&control.to_be_bytes());
            image[54..58].copy_from_slice(&TIMESTAMPS_WORD.to_be_bytes());
            image[58..62].copy_from_slice(&stamps.val.to_be_bytes());
            image[62..].copy_from_slice(&stamps.ecr.to_be_bytes());
        }
        burst
    }

    /// Writes the headers of a segment at the start of `out`, in front of its text, and gives their
    /// length. As [`write_tcp_frame`], byte for byte.
    ///
    /// # Panics
    /// Where `out` has no room for the headers, or the datagram would be longer than 65,535 bytes.
    #[inline]
    #[allow(
        clippy::too_many_arguments,
        reason = "the fields of a segment, none belonging together"
    )]
    pub fn write(
        &self,
        template: &HeaderTemplate,
        out: &mut [u8],
        seq: SeqNumber,
        flags: TcpFlags,
        payload_len: usize,
        payload_sum: Sum,
        checksum_offload: bool,
    ) -> usize {
        let Some(image) = &self.image else {
            let header = TcpHeader { seq, flags, ..self.header };
            return write_tcp_frame(
                template,
                out,
                &header,
                payload_len,
                payload_sum,
                checksum_offload,
            );
        };
        let total_len = (DATAGRAM_HEADERS_LEN + payload_len) as u16;
        assert!(
            usize::from(total_len) == DATAGRAM_HEADERS_LEN + payload_len,
            "a datagram too long"
        );
        let Some(out) = out.first_chunk_mut::<HEADERS_LEN>() else {
            panic!("no room for the headers")
        };
        *out = *image;
        out[16..18].copy_from_slice(&total_len.to_be_bytes());
        out[38..42].copy_from_slice(&seq.0.to_be_bytes());
        out[47] = flags.0;
        if !checksum_offload {
            let ip = self.ip_sum + u64::from(total_len);
            let tcp_len = u64::from(total_len) - ipv4::HEADER_LEN as u64;
            let tcp = self.tcp_sum
                + tcp_len
                + u64::from(seq.0)
                + (u64::from(flags.0) << 16)
                + payload_sum.narrow();
            out[24..26].copy_from_slice(&Sum::from_wide(ip).finish().to_be_bytes());
            out[50..52].copy_from_slice(&Sum::from_wide(tcp).finish().to_be_bytes());
        }
        HEADERS_LEN
    }

    /// The headers of at most `count` segments that follow each other from `seq` on, each with
    /// `payload_len` bytes and these flags: what they have in common is laid out and summed once.
    ///
    /// # Panics
    /// Where a datagram would be longer than 65,535 bytes.
    // Not inlined: the image is then one in memory, copied whole, and not parts in many registers.
    #[inline(never)]
    pub fn train<'a>(
        &'a self,
        template: &'a HeaderTemplate,
        seq: SeqNumber,
        count: u16,
        (flags, payload_len): (TcpFlags, u16),
        checksum_offload: bool,
    ) -> HeaderTrain<'a> {
        let step = u32::from(payload_len);
        let mut train = HeaderTrain {
            image: [0; HEADERS_LEN],
            summed: false,
            seq: seq.0,
            tcp_sum: 0,
            step,
            burst: self,
            template,
            flags,
            checksum_offload,
        };
        // A sequence number that wraps takes 2³² off, which is one of the sum.
        let wraps = seq.0.checked_add(u32::from(count) * step).is_none();
        let Some(image) = self.image.as_ref().filter(|_| !wraps && !checksum_offload) else {
            return train;
        };
        let Ok(total_len) = u16::try_from(DATAGRAM_HEADERS_LEN + usize::from(payload_len)) else {
            panic!("a datagram too long")
        };
        let ip = Sum::from_wide(self.ip_sum + u64::from(total_len));
        train.image = *image;
        train.image[16..18].copy_from_slice(&total_len.to_be_bytes());
        train.image[24..26].copy_from_slice(&ip.finish().to_be_bytes());
        train.image[47] = flags.0;
        let tcp_len = u64::from(total_len) - ipv4::HEADER_LEN as u64;
        let tcp = self.tcp_sum + tcp_len + u64::from(seq.0) + (u64::from(flags.0) << 16);
        train.tcp_sum = Sum::from_wide(tcp).fold().into();
        train.summed = true;
        train
    }
}

/// Headers of segments that follow each other and are equally long: each differs from the one before in
/// its sequence number and its text's sum alone.
#[derive(Clone, Debug)]
pub struct HeaderTrain<'a> {
    /// Everything in its place but the sequence number and the TCP checksum, where `summed`.
    image: [u8; HEADERS_LEN],
    /// The frames are plain, their checksums ours to write, and the numbers do not wrap.
    summed: bool,
    /// Of the next segment.
    seq: u32,
    /// Sum of pseudo-header and TCP header of the next segment without text. 16 bits at first, and less
    /// than 2³² while fewer than 2¹⁶ lengths are added.
    tcp_sum: u32,
    /// Bytes of text of each.
    step: u32,
    burst: &'a HeaderBurst,
    template: &'a HeaderTemplate,
    flags: TcpFlags,
    checksum_offload: bool,
}

impl HeaderTrain<'_> {
    /// The sequence number of the next segment.
    #[inline(always)]
    pub fn seq(&self) -> SeqNumber {
        SeqNumber(self.seq)
    }

    /// Writes the headers of the next segment at the start of `out`, in front of its text, and gives
    /// their length. As [`HeaderBurst::write`], byte for byte.
    ///
    /// # Panics
    /// Where `out` has no room for the headers.
    #[inline(always)]
    pub fn write_next(&mut self, out: &mut [u8], payload_sum: Sum) -> usize {
        let seq = self.seq;
        self.seq = seq.wrapping_add(self.step);
        if !self.summed {
            return self.write_alone(out, SeqNumber(seq), payload_sum);
        }
        let Some(out) = out.first_chunk_mut::<HEADERS_LEN>() else {
            panic!("no room for the headers")
        };
        *out = self.image;
        out[38..42].copy_from_slice(&seq.to_be_bytes());
        let sum = self.tcp_sum.wrapping_add(payload_sum.fold().into());
        self.tcp_sum = self.tcp_sum.wrapping_add(self.step);
        out[50..52].copy_from_slice(&(!Sum::fold32(sum)).to_be_bytes());
        HEADERS_LEN
    }

    #[inline(never)]
    fn write_alone(&self, out: &mut [u8], seq: SeqNumber, payload_sum: Sum) -> usize {
        let (len, offload) = (self.step as usize, self.checksum_offload);
        self.burst.write(self.template, out, seq, self.flags, len, payload_sum, offload)
    }
}

const _: () = assert!(ethernet::HEADER_LEN + ipv4::HEADER_LEN + tcp::HEADER_LEN == 54);

#[cfg(test)]
mod tests {
    use super::super::checksum::sum;
    use super::super::{MacAddr, Timestamps};
    use super::*;
    use core::net::Ipv4Addr;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_one_header_at_a_time(
            text in prop::collection::vec(any::<u8>(), 0..1_500),
            (seq, ack, src, dst) in any::<(u32, u32, u32, u32)>(),
            (ports, flags, window) in any::<((u16, u16), u8, u16)>(),
            timestamps in any::<Option<(u32, u32)>>(),
            vlan in prop::option::of(0u16..4_096),
            offload in any::<bool>(),
        ) {
            let template = HeaderTemplate::new(MacAddr([2, 1, 2, 3, 4, 5]), vlan, Ipv4Addr::from_bits(src), 61);
            let header = TcpHeader {
                dst_mac: MacAddr([6, 7, 8, 9, 10, 11]),
                dst_ip: Ipv4Addr::from_bits(dst),
                src_port: ports.0,
                dst_port: ports.1,
                seq: SeqNumber(seq),
                ack: SeqNumber(ack),
                flags: TcpFlags(flags),
                window,
                timestamps: timestamps.map(|(val, ecr)| Timestamps { val, ecr }),
                syn: None,
            };
            let mut one = [0xaa; 80];
            let mut other = [0xaa; 80];
            let len = write_tcp_frame(&template, &mut one, &header, text.len(), sum(&text), offload);
            let burst = HeaderBurst::new(&template, &header);
            let (seq, flags) = (header.seq, header.flags);
            let same = burst.write(&template, &mut other, seq, flags, text.len(), sum(&text), offload);
            prop_assert_eq!(len, same);
            prop_assert_eq!(one, other);
        }

        #[test]
        fn a_train_equals_one_header_at_a_time(
            (seq, before_wrap, count) in (any::<u32>(), any::<bool>(), 1u16..40),
            (ack, ports, window) in any::<(u32, (u16, u16), u16)>(),
            (timestamps, offload) in any::<(Option<(u32, u32)>, bool)>(),
            vlan in prop::option::of(0u16..4_096),
            (len, sums) in (1u16..9_000, prop::collection::vec(any::<u16>(), 40)),
        ) {
            let template = HeaderTemplate::new(MacAddr([2, 1, 2, 3, 4, 5]), vlan, Ipv4Addr::LOCALHOST, 61);
            let header = TcpHeader {
                dst_mac: MacAddr([6, 7, 8, 9, 10, 11]),
                dst_ip: Ipv4Addr::BROADCAST,
                src_port: ports.0,
                dst_port: ports.1,
                seq: SeqNumber(0),
                ack: SeqNumber(ack),
                flags: TcpFlags::ACK,
                window,
                timestamps: timestamps.map(|(val, ecr)| Timestamps { val, ecr }),
                syn: None,
            };
            // Often where the numbers end within the train, or just after it.
            let seq = if before_wrap { 0u32.wrapping_sub(seq % (2 * u32::from(count) * u32::from(len))) } else { seq };
            let burst = HeaderBurst::new(&template, &header);
            let flags = TcpFlags::ACK | TcpFlags::PSH;
            let mut train = burst.train(&template, SeqNumber(seq), count, (flags, len), offload);
            for (i, sum) in (0..u32::from(count)).zip(sums) {
                let (mut one, mut other) = ([0xaa; 80], [0xaa; 80]);
                let (seq, sum) = (SeqNumber(seq) + i * u32::from(len), Sum::from_folded(sum));
                prop_assert_eq!(train.seq(), seq);
                let start = burst.write(&template, &mut one, seq, flags, len.into(), sum, offload);
                prop_assert_eq!(train.write_next(&mut other, sum), start);
                prop_assert_eq!(one, other);
            }
        }
    }
}
