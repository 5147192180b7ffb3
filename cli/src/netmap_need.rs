//! What netmap's memory must have for shards to serve: buffers and rings. Pure: numbers in, numbers out.

use crate::human;
use serde_json::{Value, json};
use simoom_core::content;
use simoom_netmap::name;
use simoom_netmap::probe::{Buffers, Rings};
use std::fmt::Write;

/// Slots of a ring where nobody says how many.
const USUAL_SLOTS: u32 = 1_024;
/// netmap's own buffers.
const OWN_BUFFERS: u32 = 2;

/// What one port takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// Shards, each with a ring pair and a store.
    pub(crate) shards: u16,
    /// Extra buffers of each: what `serve --buffers` must be.
    pub(crate) buffers_each: u32,
    /// The port's rings.
    pub(crate) rings: Rings,
    /// Rings between it and the host, of each direction.
    pub(crate) host_rings: u16,
}

impl Need {
    /// For `shards` stores that hold so many copies and payloads each. Beside them a store needs a buffer
    /// for every frame that the device may hold, and those that are kept for what is not prepared.
    pub(crate) fn of(prepared: u64, shards: u16, rings: Rings, is_interface: bool) -> Self {
        let away = u64::from(rings.tx_slots.saturating_sub(1));
        let reserve = u64::from(content::Config::default().reserve);
        let buffers = prepared.saturating_add(away).saturating_add(reserve);
        Self {
            shards,
            buffers_each: u32::try_from(buffers).unwrap_or(u32::MAX),
            rings,
            host_rings: if is_interface { rings.host.max(1) } else { 0 },
        }
    }

    /// The rings of a port that nobody was asked about, or that is made as it is opened.
    pub(crate) fn usual_rings(port: &name::PortName, shards: u16) -> Rings {
        let or = |said: u32, usual: u32| if said == 0 { usual } else { said };
        let rings = |said: u16| or(said.into(), shards.into()) as u16;
        Rings {
            tx: rings(port.conf.tx_rings),
            rx: rings(port.conf.rx_rings),
            tx_slots: or(port.conf.tx_slots, USUAL_SLOTS),
            rx_slots: or(port.conf.rx_slots, USUAL_SLOTS),
            host: or(port.conf.host_rings.into(), 1) as u16,
        }
    }

    /// Extra buffers of all shards.
    pub(crate) fn extra(&self) -> u32 {
        self.buffers_each.saturating_mul(self.shards.into())
    }

    /// Buffers that the slots of all rings have, and netmap's own.
    pub(crate) fn in_rings(&self) -> u32 {
        let Rings { tx, rx, tx_slots, rx_slots, .. } = self.rings;
        let host = u32::from(self.host_rings);
        (u32::from(tx) + host)
            .saturating_mul(tx_slots)
            .saturating_add((u32::from(rx) + host).saturating_mul(rx_slots))
            .saturating_add(OWN_BUFFERS)
    }

    /// What `buf_num` must be at least.
    pub(crate) fn buf_num(&self) -> u32 {
        self.in_rings().saturating_add(self.extra())
    }

    /// What `ring_num` must be at least.
    pub(crate) fn ring_num(&self) -> u32 {
        u32::from(self.rings.tx) + u32::from(self.rings.rx) + 2 * u32::from(self.host_rings)
    }

    /// The module's parameters are those of ports with a memory of their own.
    fn prefix(&self) -> &'static str {
        if self.host_rings == 0 { "priv_" } else { "" }
    }

    /// The table: what is needed, and what is there.
    pub(crate) fn text(&self, port: &name::PortName, have: Result<Buffers, String>) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "\nFor {port} served by {}, each with a store and rings of its own:\n",
            human::count(self.shards.into(), "shard")
        );
        let (tx, rx) = (self.rings.tx + self.host_rings, self.rings.rx + self.host_rings);
        let host = if self.host_rings > 0 { ", the host's in" } else { "" };
        for (count, what) in [
            (
                self.extra(),
                format!("extra buffers: {} for each shard (serve --buffers)", self.buffers_each),
            ),
            (
                self.in_rings(),
                format!(
                    "in slots: {tx} transmit rings of {}, {rx} receive rings of {}{host}; {OWN_BUFFERS} are \
                     netmap's own",
                    self.rings.tx_slots, self.rings.rx_slots
                ),
            ),
        ] {
            let _ = writeln!(out, "{count:>12}  {what}");
        }
        let prefix = self.prefix();
        for (need, what, have) in [
            (self.buf_num(), "buf_num", have.as_ref().map(|have| have.total)),
            (self.ring_num(), "ring_num", have.as_ref().map(|have| have.rings)),
        ] {
            let _ = write!(out, "{need:>12}  {prefix}{what} at least");
            let _ = match have {
                Ok(have) if have >= need => writeln!(out, "; {have} are there"),
                Ok(have) => writeln!(
                    out,
                    "; {have} are there -> load netmap with {prefix}{what}={need} or more"
                ),
                Err(_) => writeln!(out),
            };
        }
        let _ = match &have {
            Ok(have) => writeln!(
                out,
                "{:>12}  of buffers of {} bytes",
                human::bytes(u64::from(self.buf_num()) * u64::from(have.bytes)),
                have.bytes
            ),
            Err(why) => writeln!(out, "What is there cannot be said: {why}"),
        };
        out
    }

    /// The same for scripts.
    pub(crate) fn json(&self, port: &name::PortName, have: &Result<Buffers, String>) -> Value {
        json!({
            "port": port.to_string(),
            "shards": self.shards,
            "buffers_each": self.buffers_each,
            "extra_buffers": self.extra(),
            "buffers_in_rings": self.in_rings(),
            "buf_num": self.buf_num(),
            "ring_num": self.ring_num(),
            "parameter_prefix": self.prefix(),
            "buf_num_there": have.as_ref().ok().map(|have| have.total),
            "ring_num_there": have.as_ref().ok().map(|have| have.rings),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(text: &str) -> name::PortName {
        text.parse().unwrap()
    }

    const RINGS: Rings = Rings { tx: 4, rx: 4, tx_slots: 512, rx_slots: 1_024, host: 1 };

    #[test]
    fn buffers_are_those_of_every_store_and_of_every_slot() {
        let need = Need::of(1_000, 4, RINGS, true);
        // A frame for each slot but the kernel's, and 64 for what is not prepared.
        assert_eq!(need.buffers_each, 1_000 + 511 + 64);
        assert_eq!(need.extra(), 4 * 1_575);
        assert_eq!(need.in_rings(), 5 * 512 + 5 * 1_024 + 2);
        assert_eq!((need.buf_num(), need.ring_num()), (6_300 + 7_682, 10));
        let own = Need::of(1_000, 4, RINGS, false);
        assert_eq!((own.in_rings(), own.ring_num()), (4 * 512 + 4 * 1_024 + 2, 8));
        assert_eq!(Need::of(u64::MAX, 128, RINGS, true).buf_num(), u32::MAX);
    }

    #[test]
    fn rings_that_nobody_was_asked_about_are_those_of_the_name_or_usual() {
        let usual = Rings { tx: 2, rx: 2, tx_slots: 1_024, rx_slots: 1_024, host: 1 };
        assert_eq!(Need::usual_rings(&port("netmap:eth0"), 2), usual);
        let said = Rings { tx: 3, rx: 3, tx_slots: 64, rx_slots: 128, host: 1 };
        let name = "vale0:s@conf:rings=3,tx-slots=64,rx-slots=128";
        assert_eq!(Need::usual_rings(&port(name), 2), said);
    }

    #[test]
    fn what_is_there_is_said_beside_what_is_needed_with_what_to_do() {
        let need = Need::of(1_000, 4, RINGS, true);
        let eth0 = port("netmap:eth0");
        let have = |total, rings| Ok(Buffers { total, bytes: 2_048, rings });
        let text = need.text(&eth0, have(163_840, 200));
        assert!(text.contains("13982  buf_num at least; 163840 are there\n"), "{text}");
        assert!(text.contains("10  ring_num at least; 200 are there\n"), "{text}");
        assert!(!text.contains("->"), "{text}");
        let text = need.text(&eth0, have(13_981, 9));
        assert!(text.contains("-> load netmap with buf_num=13982 or more"), "{text}");
        assert!(text.contains("-> load netmap with ring_num=10 or more"), "{text}");
        let text = Need::of(1, 1, RINGS, false).text(&port("vale0:s"), Err("no netmap".into()));
        assert!(text.contains("priv_buf_num at least\n"), "{text}");
        assert!(text.contains("cannot be said: no netmap"), "{text}");
        let json = need.json(&eth0, &have(13_981, 9));
        assert_eq!((&json["buf_num"], &json["buf_num_there"]), (&13_982.into(), &13_981.into()));
    }
}
