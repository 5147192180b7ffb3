//! A segment of ours as a frame between the captured addresses, and its sender's state in words: for
//! captures.

use super::OurFrame;
use simoom_core::tcp::Info;
use simoom_core::wire::checksum::{Sum, sum};
use simoom_pcap::dissect::Ecn;
use simoom_sim::print::state_name;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// Appends the frame to `out`: Ethernet, IP as captured (version 4 or 6), TCP with the captured
/// ports and right checksums.
pub fn frame_between(frame: &OurFrame<'_>, out: &mut Vec<u8>) {
    let (from, to) = (frame.server, frame.client);
    out.extend_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    let ecn = match frame.ecn {
        Ecn::NotEct => 0,
        Ecn::Ect1 => 1,
        Ecn::Ect0 => 2,
        Ecn::Ce => 3,
    };
    let len = frame.tcp.len();
    let pseudo = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            out.extend_from_slice(&[8, 0]);
            let start = out.len();
            let total = ((20 + len) as u16).to_be_bytes();
            out.extend_from_slice(&[0x45, ecn, total[0], total[1], 0, 0, 0x40, 0, 64, 6, 0, 0]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
            let check = (!sum(&out[start..]).fold()).to_be_bytes();
            out[start + 10..start + 12].copy_from_slice(&check);
            sum(&from.octets()).add_bytes(&to.octets())
        }
        (from, to) => {
            let wide = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            let (from, to) = (wide(from), wide(to));
            out.extend_from_slice(&[0x86, 0xdd, 0x60, ecn << 4, 0, 0]);
            out.extend_from_slice(&(len as u16).to_be_bytes());
            out.extend_from_slice(&[6, 64]);
            out.extend_from_slice(&from);
            out.extend_from_slice(&to);
            sum(&from).add_bytes(&to)
        }
    };
    let start = out.len();
    out.extend_from_slice(frame.tcp);
    out[start..start + 2].copy_from_slice(&from.port().to_be_bytes());
    out[start + 2..start + 4].copy_from_slice(&to.port().to_be_bytes());
    out[start + 16..start + 18].fill(0);
    let pseudo: Sum = pseudo.add_bytes(&[0, 6]).add_bytes(&(len as u16).to_be_bytes());
    let check = (!pseudo.add_bytes(&out[start..]).fold()).to_be_bytes();
    out[start + 16..start + 18].copy_from_slice(&check);
}

/// Writes why the segment was sent and what its connection knew.
pub fn describe(to: &mut String, info: &Info) {
    if let Some(why) = info.why {
        let _ = write!(to, "{why}; ");
    }
    let _ = write!(to, "{}, cwnd {}, ssthresh ", state_name(info.state), info.cwnd);
    let _ = match info.ssthresh {
        u32::MAX => write!(to, "none"),
        ssthresh => write!(to, "{ssthresh}"),
    };
    let _ = write!(to, ", flight {}, window {}", info.flight, info.snd_wnd);
    let micros = |nanos: u64| format!("{}.{:03} ms", nanos / 1_000_000, nanos / 1_000 % 1_000);
    if info.srtt.as_nanos() > 0 {
        let (srtt, rttvar) = (info.srtt.as_nanos(), info.rttvar.as_nanos());
        let _ = write!(to, ", srtt {}, rttvar {}", micros(srtt), micros(rttvar));
    }
    let _ = write!(to, ", rto {}", micros(info.rto.as_nanos()));
    if info.in_recovery {
        to.push_str(", in fast recovery");
    }
}

/// An address as a tshark filter of its connection has it.
pub fn tshark_filter(client: SocketAddr, server: SocketAddr) -> String {
    let of = |ip: IpAddr| if ip.is_ipv4() { "ip.addr" } else { "ipv6.addr" };
    format!(
        "{}=={} && tcp.port=={} && {}=={} && tcp.port=={}",
        of(client.ip()),
        client.ip(),
        client.port(),
        of(server.ip()),
        server.ip(),
        server.port()
    )
}
