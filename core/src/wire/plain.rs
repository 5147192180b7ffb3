//! The frame that nearly all are, straight through: untagged, IPv4 without options, whole, TCP with
//! timestamps and no other option. With every offset known, nothing is read twice and nothing kept
//! on the stack. What is not plain, or not sound, is left to [`super::parse`], which says why.

use super::checksum::{self, Sum};
use super::ethernet::{self, ETHERTYPE_IPV4, EthernetHeader};
use super::ipv4::{self, Ipv4Header, PROTOCOL_TCP};
use super::tcp::{self, TIMESTAMPS_LEN, TIMESTAMPS_WORD};
use super::{MacAddr, OrdinarySegment, TcpFlags, TcpFrame, TcpOptions, TcpSegment, Timestamps};
use crate::seq::SeqNumber;
use core::net::{Ipv4Addr, SocketAddrV4};

/// Bytes of all headers of a plain frame.
pub const HEADERS_LEN: usize =
    ethernet::HEADER_LEN + ipv4::HEADER_LEN + tcp::HEADER_LEN + TIMESTAMPS_LEN;

/// Data offset of a TCP header with timestamps, in its place in the control word.
pub(super) const DATA_OFFSET: u32 = ((tcp::HEADER_LEN + TIMESTAMPS_LEN) as u32 / 4) << 28;

/// A plain frame whose lengths, and checksums where asked for, are right: its headers, to be read where
/// they are needed, and its text.
#[derive(Clone, Copy, Debug)]
pub struct PlainFrame<'a> {
    /// Headers and text, without padding behind.
    bytes: &'a [u8],
}

impl<'a> PlainFrame<'a> {
    /// Parses a plain frame. None for any other, and for one whose lengths or (with `verify`)
    /// checksums are wrong: [`super::parse`] then gives the same answer as ever.
    #[inline(always)]
    pub fn parse(bytes: &'a [u8], verify: bool) -> Option<Self> {
        let head = bytes.first_chunk::<HEADERS_LEN>()?;
        let frame = Self { bytes };
        let total_len = frame.half(16);
        let plain = frame.word(12) >> 8 == u32::from(ETHERTYPE_IPV4) << 8 | 0x45
            // More fragments, and the offset of one.
            && frame.half(20) & 0x3fff == 0
            && head[23] == PROTOCOL_TCP
            && frame.word(46) & 0xf000_0000 == DATA_OFFSET
            && frame.word(54) == TIMESTAMPS_WORD
            && usize::from(total_len) >= HEADERS_LEN - ethernet::HEADER_LEN;
        if !plain {
            return None;
        }
        let bytes = bytes.get(..ethernet::HEADER_LEN + usize::from(total_len))?;
        let payload = bytes.get(HEADERS_LEN..)?;
        if verify {
            let ip: &[u8; ipv4::HEADER_LEN] = head[14..].first_chunk()?;
            // Both addresses stand right before the TCP header: they and it are one sum.
            let covered: &[u8; 8 + tcp::HEADER_LEN + TIMESTAMPS_LEN] = head[26..].first_chunk()?;
            let pseudo = u32::from(PROTOCOL_TCP) + u32::from(total_len) - ipv4::HEADER_LEN as u32;
            let mut sum: Sum = checksum::sum_array(covered).add_u32(pseudo);
            if !payload.is_empty() {
                sum = sum.combine(checksum::sum(payload));
            }
            if checksum::sum_array(ip).finish() != 0 || sum.finish() != 0 {
                return None;
            }
        }
        Some(Self { bytes })
    }

    #[inline(always)]
    fn head(&self) -> &'a [u8; HEADERS_LEN] {
        let Some(head) = self.bytes.first_chunk() else { unreachable!("seen when it was parsed") };
        head
    }

    #[inline(always)]
    fn half(&self, at: usize) -> u16 {
        let h = self.head();
        u16::from_be_bytes([h[at], h[at + 1]])
    }

    #[inline(always)]
    fn word(&self, at: usize) -> u32 {
        let h = self.head();
        u32::from_be_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]])
    }

    /// Whether the frame is to this station.
    #[inline(always)]
    pub fn is_to(&self, mac: &MacAddr) -> bool {
        self.head()[..6] == mac.0[..]
    }

    /// The sender's hardware address.
    #[inline(always)]
    pub fn src_mac(&self) -> MacAddr {
        let h = self.head();
        MacAddr([h[6], h[7], h[8], h[9], h[10], h[11]])
    }

    /// Who sent it: the source's address and port.
    #[inline(always)]
    pub fn src(&self) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::from_bits(self.word(26)), self.half(34))
    }

    /// Whom it is for.
    #[inline(always)]
    pub fn dst(&self) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::from_bits(self.word(30)), self.half(36))
    }

    /// The segment, without what only segments have that are not plain.
    #[inline(always)]
    pub fn segment(&self) -> OrdinarySegment<'a> {
        let control = self.word(46);
        OrdinarySegment {
            seq: SeqNumber(self.word(38)),
            ack: SeqNumber(self.word(42)),
            flags: TcpFlags((control >> 16) as u8),
            window: control as u16,
            timestamps: Some(Timestamps { val: self.word(58), ecr: self.word(62) }),
            payload: self.bytes.get(HEADERS_LEN..).unwrap_or(&[]),
        }
    }

    /// All of it, as [`super::parse`] answers.
    #[inline]
    pub fn to_frame(&self) -> TcpFrame<'a> {
        let h = self.head();
        let OrdinarySegment { seq, ack, flags, window, timestamps, payload } = self.segment();
        TcpFrame {
            eth: EthernetHeader {
                dst: MacAddr([h[0], h[1], h[2], h[3], h[4], h[5]]),
                src: self.src_mac(),
                vlan: None,
            },
            ip: Ipv4Header {
                src: *self.src().ip(),
                dst: *self.dst().ip(),
                protocol: PROTOCOL_TCP,
                ttl: h[22],
                dscp_ecn: h[15],
                identification: self.half(18),
                dont_fragment: self.half(20) & 0x4000 != 0,
                fragment: false,
                header_len: ipv4::HEADER_LEN as u8,
                total_len: self.half(16),
            },
            tcp: TcpSegment {
                src_port: self.half(34),
                dst_port: self.half(36),
                seq,
                ack,
                flags,
                window,
                options: TcpOptions { timestamps, ..TcpOptions::default() },
                payload,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::emit::{HeaderTemplate, TcpHeader, write_tcp_frame};
    use super::super::{Frame, parse};
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn frame(text: &[u8], vlan: Option<u16>, timestamps: bool) -> Vec<u8> {
        let src = Ipv4Addr::new(10, 0, 0, 1);
        let template = HeaderTemplate::new(MacAddr([2, 0, 0, 0, 0, 1]), vlan, src, 64);
        let header = TcpHeader {
            dst_mac: MacAddr([2, 0, 0, 0, 0, 2]),
            dst_ip: Ipv4Addr::new(10, 0, 0, 2),
            src_port: 80,
            dst_port: 4_711,
            seq: SeqNumber(0x0102_0304),
            ack: SeqNumber(0xfffe_fdfc),
            flags: TcpFlags::ACK | TcpFlags::PSH,
            window: 0xabcd,
            timestamps: timestamps.then_some(Timestamps { val: 7, ecr: 9 }),
            syn: None,
        };
        let mut out = vec![0; 2_048];
        let sum = checksum::sum(text);
        let start = write_tcp_frame(&template, &mut out, &header, text.len(), sum, false);
        out[start..start + text.len()].copy_from_slice(text);
        out.truncate(start + text.len());
        out
    }

    #[test]
    fn a_plain_frame_is_taken_and_others_are_left() {
        assert!(PlainFrame::parse(&frame(b"text", None, true), true).is_some());
        assert!(PlainFrame::parse(&frame(b"", None, true), true).is_some());
        assert!(PlainFrame::parse(&frame(b"text", None, false), true).is_none());
        assert!(PlainFrame::parse(&frame(b"text", Some(5), true), true).is_none());
        let mut fragment = frame(b"text", None, true);
        fragment[20] |= 0x20;
        assert!(PlainFrame::parse(&fragment, false).is_none());
    }

    proptest! {
        /// The general parser is the oracle: whatever is taken here means the same there, and what
        /// is damaged is not taken.
        #[test]
        fn agrees_with_the_general_parser(
            text in prop::collection::vec(any::<u8>(), 0..200),
            padding in 0usize..20,
            damage in prop::collection::vec((0usize..120, any::<u8>()), 0..3),
            cut in 0usize..300,
            verify in any::<bool>(),
        ) {
            let mut bytes = frame(&text, None, true);
            bytes.resize(bytes.len() + padding, 0xee);
            for (at, with) in damage {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= with;
                }
            }
            bytes.truncate(cut.max(40));
            if let Some(frame) = PlainFrame::parse(&bytes, verify) {
                let whole = frame.to_frame();
                prop_assert_eq!(parse(&bytes, verify), Ok(Frame::Tcp(whole)));
                prop_assert_eq!(frame.segment(), whole.tcp.ordinary());
                let src = SocketAddrV4::new(whole.ip.src, whole.tcp.src_port);
                let dst = SocketAddrV4::new(whole.ip.dst, whole.tcp.dst_port);
                prop_assert_eq!((frame.src_mac(), frame.src(), frame.dst()), (whole.eth.src, src, dst));
                prop_assert!(frame.is_to(&whole.eth.dst));
                prop_assert!(!frame.is_to(&whole.eth.src) || whole.eth.src == whole.eth.dst);
            } else if let Ok(Frame::Tcp(frame)) = parse(&bytes, verify) {
                // Only what is unusual may be left.
                let usual = TcpOptions { timestamps: frame.tcp.options.timestamps, ..TcpOptions::default() };
                prop_assert!(
                    frame.ip.header_len != 20 || frame.tcp.options != usual
                        || bytes[46] >> 4 != 8 || bytes[54..58] != TIMESTAMPS_WORD.to_be_bytes()
                        || frame.eth.vlan.is_some()
                );
            }
        }
    }
}
