//! Links as they are found, with the source of each number.
//!
//! Numbers marked "ours" were chosen where no published one is general; each says why. Queues are
//! drop-tail and all rates are those of frames without preamble and gap, unless said.

use super::{Aqm, GilbertElliott, Jitter, LinkConfig, Rate, Variation};
use crate::seed::Chance;
use simoom_core::time::Duration;

/// A link that is found in the world. `down` leads from the server to the client, `up` back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preset {
    /// A switched gigabit Ethernet in a building.
    ///
    /// - 1 Gb/s and 24 bytes beside each frame (preamble 8, FCS 4, gap 12): IEEE 802.3 §4.4.2.
    /// - 50 µs each way: ours. 100 m of cable are 0.5 µs (ISO/IEC 11801: at most 5.38 ns a metre),
    ///   storing and forwarding 1,514 bytes 12 µs a switch; three switches and the hosts' own time.
    /// - 256 KiB of queue: ours, a port's share of the buffer of a small switch.
    Lan,
    /// Servers in a data centre, across two tiers of switches.
    ///
    /// - 10 Gb/s to a server; 125 µs each way: round trips of 250 µs between racks as Alizadeh et al.
    ///   state for their clusters without queueing ("Data Center TCP (DCTCP)", SIGCOMM 2010).
    /// - 700 kB of queue: what dynamic sharing of a 4 MB buffer gave one port of the switches there.
    /// - One frame in 100,000 lost: the order of Guo et al. ("Pingmesh", SIGCOMM 2015), whose data
    ///   centres lie between 10⁻⁵ and 10⁻⁴.
    Datacentre,
    /// Fibre to a home, to a server in the same region.
    ///
    /// - 1 Gb/s down and 500 Mb/s up: ours, a product that is commonly sold.
    /// - 5 ms each way: ours. 500 km of glass are 2.5 ms (a group index of 1.468 is 4.9 µs a
    ///   kilometre), access and routers get as much.
    /// - Queue of 10 ms at the rate: ours, one round trip.
    Fibre,
    /// A phone on LTE.
    ///
    /// - 14.7 Mb/s down, 13.6 Mb/s up and 53.1 ms there and back, the averages over four networks and
    ///   five towns of Ofcom, "Measuring mobile broadband performance in the UK", Q4 2014.
    /// - Jitter of 4 ms, normal, in order: ours, around half of the 8 ms that a retransmission of
    ///   LTE's hybrid ARQ takes (3GPP TS 36.321 §5.4.2; delivery in order is RLC's, TS 36.322).
    /// - Queue of 500 ms at the rate: ours, for the standing queues that Jiang et al. found in all
    ///   four networks that they measured ("Understanding Bufferbloat in Cellular Networks", 2012).
    Lte,
    /// A terminal on a geostationary satellite.
    ///
    /// - 279 ms each way, from the edge of the view: RFC 2488 §2.
    /// - One frame in 10⁴ lost: a bit error rate of 10⁻⁸ over 12,000 bits; RFC 2488 §2 gives 10⁻⁷ as
    ///   typical of satellite links and less for improved codes.
    /// - 25 Mb/s down and 3 Mb/s up: what the FCC called broadband from 2015 to 2024 (2015 Broadband
    ///   Progress Report), and satellite tariffs were made for.
    /// - Queue of one round trip at the rate: ours.
    Satellite,
    /// A crowded Wi-Fi network of the old kind.
    ///
    /// - 20 Mb/s: about what 802.11g's 54 Mb/s leave to TCP.
    /// - 10 ms each way on average, exponential, in order: Pei et al. ("WiFi can be the weakest link
    ///   of round trip network latency in the wild", INFOCOM 2016) found half of TCP's packets
    ///   delayed for more than 20 ms by that hop.
    /// - Loss in bursts (Gilbert-Elliott): that losses cluster was measured by Carvalho et al. ("A New
    ///   Packet Loss Model of the IEEE 802.11g Wireless Network", IEEE Trans. Consumer Electronics,
    ///   2005). The parameters are ours: bad for 2 % of the frames, five in a row, of which half
    ///   are lost: 1 % in all.
    /// - Queue of 100 frames: ours.
    LossyWifi,
}

impl Preset {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Lan, Self::Datacentre, Self::Fibre, Self::Lte, Self::Satellite, Self::LossyWifi];

    /// Its name in a file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Datacentre => "datacentre",
            Self::Fibre => "fibre",
            Self::Lte => "lte",
            Self::Satellite => "satellite",
            Self::LossyWifi => "lossy-wifi",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// From the server to the client.
    pub fn down(self) -> LinkConfig {
        match self {
            Self::Lan => lan(),
            Self::Datacentre => datacentre(),
            Self::Fibre => queued(1_000_000_000, Duration::from_millis(5), 10),
            Self::Lte => lte(14_700_000),
            Self::Satellite => satellite(25_000_000),
            Self::LossyWifi => lossy_wifi(),
        }
    }

    /// From the client to the server.
    pub fn up(self) -> LinkConfig {
        match self {
            Self::Lan => lan(),
            Self::Datacentre => datacentre(),
            Self::Fibre => queued(500_000_000, Duration::from_millis(5), 10),
            Self::Lte => lte(13_600_000),
            Self::Satellite => satellite(3_000_000),
            Self::LossyWifi => lossy_wifi(),
        }
    }
}

/// A link whose queue holds so many milliseconds of its rate.
fn queued(bits_per_second: u64, delay: Duration, queue_ms: u64) -> LinkConfig {
    LinkConfig {
        rate: Rate::bits_per_second(bits_per_second),
        delay,
        queue_bytes_max: bits_per_second / 8 * queue_ms / 1000,
        queue_frames_max: u32::MAX,
        aqm: Aqm::DropTail,
        ..LinkConfig::default()
    }
}

fn lan() -> LinkConfig {
    LinkConfig {
        rate: Rate::gbit(1),
        overhead_bytes: 24,
        delay: Duration::from_micros(50),
        queue_bytes_max: 256 << 10,
        queue_frames_max: u32::MAX,
        ..LinkConfig::default()
    }
}

fn datacentre() -> LinkConfig {
    LinkConfig {
        rate: Rate::gbit(10),
        overhead_bytes: 24,
        delay: Duration::from_micros(125),
        queue_bytes_max: 700_000,
        queue_frames_max: u32::MAX,
        loss: Chance::ppm(10),
        ..LinkConfig::default()
    }
}

fn lte(bits_per_second: u64) -> LinkConfig {
    let (mean, deviation) = (Duration::from_millis(4), Duration::from_millis(2));
    LinkConfig {
        jitter: Jitter::InOrder(Variation::Normal { mean, deviation }),
        // With the mean of the jitter it is 26.55 ms, half of what was measured.
        ..queued(bits_per_second, Duration::from_micros(22_550), 500)
    }
}

fn satellite(bits_per_second: u64) -> LinkConfig {
    LinkConfig {
        loss: Chance::ppm(100),
        ..queued(bits_per_second, Duration::from_millis(279), 558)
    }
}

fn lossy_wifi() -> LinkConfig {
    LinkConfig {
        rate: Rate::mbit(20),
        delay: Duration::from_millis(1),
        jitter: Jitter::InOrder(Variation::Exponential { mean: Duration::from_millis(9) }),
        queue_frames_max: 100,
        burst_loss: Some(GilbertElliott {
            to_bad: Chance::ppm(4_082),
            to_good: Chance::ppm(200_000),
            loss_good: Chance::NEVER,
            loss_bad: Chance::ppm(500_000),
        }),
        ..LinkConfig::default()
    }
}
