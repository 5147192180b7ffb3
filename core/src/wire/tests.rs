//! A frame in, a frame out.

use super::*;
use crate::seq::SeqNumber;
use core::net::Ipv4Addr;

fn template(vlan: Option<u16>) -> HeaderTemplate {
    HeaderTemplate::new(MacAddr([2, 0, 0, 0, 0, 1]), vlan, Ipv4Addr::new(10, 66, 0, 2), 64)
}

#[test]
fn what_is_written_parses_back() {
    for vlan in [None, Some(7)] {
        let template = template(vlan);
        let header = TcpHeader {
            dst_mac: MacAddr([2, 0, 0, 0, 0, 2]),
            dst_ip: Ipv4Addr::new(10, 66, 0, 1),
            src_port: 80,
            dst_port: 50000,
            seq: SeqNumber(0xdead_beef),
            ack: SeqNumber(0x0102_0304),
            flags: TcpFlags::ACK | TcpFlags::PSH,
            window: 4000,
            timestamps: Some(Timestamps { val: 5, ecr: 6 }),
            syn: None,
        };
        let mut out = [0; 1514];
        let text = b"hello, world.";
        let n =
            write_tcp_frame(&template, &mut out, &header, text.len(), checksum::sum(text), false);
        assert_eq!(n, headers_len(vlan.is_some(), true));
        out[n..n + text.len()].copy_from_slice(text);
        let Ok(Frame::Tcp(frame)) = parse(&out[..n + text.len()], true) else {
            panic!("{:?}", parse(&out[..n + text.len()], true))
        };
        assert_eq!(frame.tcp.payload, text);
        assert_eq!(frame.tcp.seq, header.seq);
        assert_eq!(frame.tcp.options.timestamps, header.timestamps);
        assert_eq!(frame.eth.vlan, vlan);
    }
}
