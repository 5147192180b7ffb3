//! Scripts as bytes, for the spool. Little-endian; read only by who wrote it, in the same run.

use super::{Announced, End, Script, WriteOp};
use crate::content::Kept;
use crate::tape::FlowRef;
use simoom_core::seq::SeqNumber;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

pub(super) fn encode(script: &Script, out: &mut Vec<u8>) {
    let mut to = Encoder(out);
    to.u32(script.flow.slot);
    to.u32(script.flow.serial);
    to.addr(script.client);
    to.addr(script.server);
    let times = [script.opened_at, script.asked_at, script.accepted_at, script.established_at];
    for n in times {
        to.u64(n);
    }
    to.u32(script.client_isn.0);
    to.u32(script.server_isn.0);
    to.announced(&script.syn);
    to.announced(&script.syn_ack);
    to.u32(script.ts_per_second);
    to.u32(script.window_max);
    to.u64(script.client_bytes);
    to.u64(script.server_bytes);
    let (kind, at, told_at) = match script.end {
        End::Open => (0, 0, 0),
        End::Reset { at, told_at } => (1, at, told_at),
        End::Fin { at, told_at, after_fin, with_text } => {
            (4 | u32::from(after_fin) << 1 | u32::from(with_text), at, told_at)
        }
    };
    to.u32(kind);
    to.u64(at);
    to.u64(told_at);
    to.u32(u32::from(script.reads_as_http) << 1 | u32::from(script.goes_on));
    to.option(script.cut);
    to.u32(u32::from(script.kept.is_some()));
    if let Some(kept) = &script.kept {
        to.u32(kept.regions.len() as u32);
        kept.regions.iter().for_each(|region| to.u64(*region));
        to.u32(kept.gaps.len() as u32);
        for (from, upto) in &kept.gaps {
            to.u64(*from);
            to.u64(*upto);
        }
    }
    to.u32(script.writes.len() as u32);
    for write in &script.writes {
        to.u64(write.start);
        to.u64(write.at);
        to.u64(write.request_upto);
        to.u64(write.request_at);
        to.u64(write.told_at);
        to.u64(write.acked_at);
        to.u32(u32::from(write.soft));
    }
}

/// None for what no encoder wrote.
pub(super) fn decode(bytes: &[u8]) -> Option<Script> {
    let mut from = Decoder(bytes);
    let flow = FlowRef { slot: from.u32()?, serial: from.u32()? };
    let (client, server) = (from.addr()?, from.addr()?);
    let [opened_at, asked_at] = [from.u64()?, from.u64()?];
    let [accepted_at, established_at] = [from.u64()?, from.u64()?];
    let (client_isn, server_isn) = (SeqNumber(from.u32()?), SeqNumber(from.u32()?));
    let (syn, syn_ack) = (from.announced()?, from.announced()?);
    let (ts_per_second, window_max) = (from.u32()?, from.u32()?);
    let (client_bytes, server_bytes) = (from.u64()?, from.u64()?);
    let (kind, at, told_at) = (from.u32()?, from.u64()?, from.u64()?);
    let end = match kind {
        0 => End::Open,
        1 => End::Reset { at, told_at },
        4..8 => End::Fin { at, told_at, after_fin: kind & 2 != 0, with_text: kind & 1 != 0 },
        _ => return None,
    };
    let flags = from.u32()?;
    let (goes_on, reads_as_http) = (flags & 1 != 0, flags & 2 != 0);
    let cut = from.option()?;
    let kept = match from.u32()? {
        0 => None,
        _ => {
            let regions = (0..from.u32()?).map(|_| from.u64()).collect::<Option<_>>()?;
            let gaps = (0..from.u32()?).map(|_| Some((from.u64()?, from.u64()?)));
            Some(Kept { regions, gaps: gaps.collect::<Option<_>>()? })
        }
    };
    let writes = (0..from.u32()?)
        .map(|_| {
            Some(WriteOp {
                start: from.u64()?,
                at: from.u64()?,
                request_upto: from.u64()?,
                request_at: from.u64()?,
                told_at: from.u64()?,
                acked_at: from.u64()?,
                soft: from.u32()? != 0,
            })
        })
        .collect::<Option<Vec<_>>>()?;
    Some(Script {
        flow,
        client,
        server,
        opened_at,
        accepted_at,
        asked_at,
        established_at,
        client_isn,
        server_isn,
        syn,
        syn_ack,
        ts_per_second,
        window_max,
        writes,
        client_bytes,
        server_bytes,
        end,
        goes_on,
        cut,
        reads_as_http,
        kept,
    })
}

struct Encoder<'a>(&'a mut Vec<u8>);

impl Encoder<'_> {
    fn u32(&mut self, n: u32) {
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    fn u64(&mut self, n: u64) {
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    fn option(&mut self, n: Option<u64>) {
        self.u32(u32::from(n.is_some()));
        self.u64(n.unwrap_or(0));
    }

    fn addr(&mut self, addr: SocketAddr) {
        let (is_v4, ip) = match addr.ip() {
            IpAddr::V4(ip) => (1, ip.to_ipv6_mapped()),
            IpAddr::V6(ip) => (0, ip),
        };
        self.u32(is_v4 << 16 | u32::from(addr.port()));
        self.0.extend_from_slice(&ip.octets());
    }

    fn announced(&mut self, a: &Announced) {
        self.option(a.mss.map(u64::from));
        self.option(a.window_scale.map(u64::from));
        self.option(a.timestamps.map(u64::from));
        self.u32(u32::from(a.sack_permitted) << 16 | u32::from(a.window));
    }
}

struct Decoder<'a>(&'a [u8]);

impl Decoder<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    #[allow(clippy::option_option, reason = "the outer says that bytes were there")]
    fn option(&mut self) -> Option<Option<u64>> {
        let is_some = self.u32()? != 0;
        let n = self.u64()?;
        Some(is_some.then_some(n))
    }

    fn addr(&mut self) -> Option<SocketAddr> {
        let first = self.u32()?;
        let ip = Ipv6Addr::from(self.take::<16>()?);
        let ip = if first >> 16 != 0 { IpAddr::V4(ip.to_ipv4_mapped()?) } else { IpAddr::V6(ip) };
        Some(SocketAddr::new(ip, first as u16))
    }

    fn announced(&mut self) -> Option<Announced> {
        let mss = self.option()?.map(|n| n as u16);
        let window_scale = self.option()?.map(|n| n as u8);
        let timestamps = self.option()?.map(|n| n as u32);
        let last = self.u32()?;
        Some(Announced {
            mss,
            window_scale,
            timestamps,
            sack_permitted: last >> 16 != 0,
            window: last as u16,
        })
    }
}
