//! A segment of a captured client as the frame that our stack receives: other addresses, the same
//! numbers, text made up where the capture has none.

use super::app::SERVER;
use simoom_core::seq::SeqNumber;
use simoom_core::wire::MacAddr;
use simoom_core::wire::tcp::{OPTIONS_MAX, TcpFlags, TcpOptions, write_options};
use simoom_pcap::dissect::Ecn;
use std::net::SocketAddrV4;

/// Our stack's hardware address: locally administered.
pub(super) const OUR_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
/// That of every client.
const CLIENT_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

/// Octets of text in one frame, at most: an IPv4 datagram has room for no more.
pub(super) const TEXT_MAX: u32 = 65_535 - 20 - 60;

/// What a frame says.
pub(super) struct ClientFrame<'a> {
    pub(super) from: SocketAddrV4,
    pub(super) seq: SeqNumber,
    pub(super) ack: SeqNumber,
    pub(super) flags: TcpFlags,
    pub(super) window: u16,
    pub(super) options: &'a TcpOptions,
    pub(super) ecn: Ecn,
    /// The octets that are known: the first ones.
    pub(super) text: &'a [u8],
    /// Octets of text, at most [`TEXT_MAX`]; those beyond `text` are zero.
    pub(super) len: u32,
}

impl ClientFrame<'_> {
    /// Appends the frame to `out`. Its checksums are left zero: they are not looked at.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut options = [0; OPTIONS_MAX];
        let options_len = match (self.options.timestamps, self.options.sack.is_empty()) {
            (None, true) if !self.flags.contains(TcpFlags::SYN) => 0,
            _ => write_options(self.options, &mut options),
        };
        let tcp_len = 20 + options_len + self.len as usize;
        let mut h = [0; 54];
        h[0..6].copy_from_slice(&OUR_MAC.0);
        h[6..12].copy_from_slice(&CLIENT_MAC.0);
        h[12] = 8;
        h[14] = 0x45;
        h[15] = match self.ecn {
            Ecn::NotEct => 0,
            Ecn::Ect1 => 1,
            Ecn::Ect0 => 2,
            Ecn::Ce => 3,
        };
        h[16..18].copy_from_slice(&((20 + tcp_len) as u16).to_be_bytes());
        h[20] = 0x40;
        h[22] = 64;
        h[23] = 6;
        h[26..30].copy_from_slice(&self.from.ip().octets());
        h[30..34].copy_from_slice(&SERVER.ip().octets());
        h[34..36].copy_from_slice(&self.from.port().to_be_bytes());
        h[36..38].copy_from_slice(&SERVER.port().to_be_bytes());
        h[38..42].copy_from_slice(&self.seq.0.to_be_bytes());
        h[42..46].copy_from_slice(&self.ack.0.to_be_bytes());
        h[46] = ((20 + options_len) as u8 / 4) << 4;
        h[47] = self.flags.0;
        h[48..50].copy_from_slice(&self.window.to_be_bytes());
        out.extend_from_slice(&h);
        out.extend_from_slice(&options[..options_len]);
        let known = self.text.len().min(self.len as usize);
        out.extend_from_slice(&self.text[..known]);
        out.resize(out.len() + self.len as usize - known, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simoom_core::wire::tcp::{SackBlocks, Timestamps};
    use simoom_core::wire::{self, Frame};

    #[test]
    fn the_stack_reads_what_was_written() {
        let mut sack = SackBlocks::default();
        sack.push(SeqNumber(5), SeqNumber(9));
        let options = TcpOptions {
            timestamps: Some(Timestamps { val: 7, ecr: 8 }),
            sack,
            ..TcpOptions::default()
        };
        let mut out = vec![0xee; 3];
        ClientFrame {
            from: "10.0.0.16:1024".parse().unwrap(),
            seq: SeqNumber(1),
            ack: SeqNumber(2),
            flags: TcpFlags::ACK,
            window: 3,
            options: &options,
            ecn: Ecn::Ce,
            text: b"GET /",
            len: 9,
        }
        .write(&mut out);
        let Ok(Frame::Tcp(frame)) = wire::parse(&out[3..], false) else { panic!("{out:?}") };
        assert_eq!((frame.eth.dst, frame.ip.dst), (OUR_MAC, *SERVER.ip()));
        assert_eq!((frame.tcp.seq, frame.tcp.ack), (SeqNumber(1), SeqNumber(2)));
        assert_eq!((frame.tcp.window, frame.tcp.flags), (3, TcpFlags::ACK));
        assert_eq!(frame.tcp.options, options);
        assert_eq!(frame.tcp.payload, b"GET /\0\0\0\0");
    }
}
