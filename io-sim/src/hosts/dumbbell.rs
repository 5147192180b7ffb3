//! Topologies: hosts around one switch, and around two that one link joins.
//!
//! The hosts are in the world already; the switches are added here, as forwarders, at which the oracles do not look.

use super::switch::Switch;
use crate::endpoint::Host;
use crate::hash::EventTap;
use crate::link::LinkConfig;
use crate::world::{HostId, LinkId, World};

/// A host's way to its switch.
#[derive(Clone, Debug)]
pub struct Spoke {
    /// The host and its port.
    pub host: (HostId, usize),
    /// From the host to the switch.
    pub up: LinkConfig,
    /// From the switch to the host.
    pub down: LinkConfig,
}

impl Spoke {
    /// Port 0 of a host, with the same link both ways.
    pub fn new(host: HostId, link: LinkConfig) -> Self {
        Self { host: (host, 0), up: link.clone(), down: link }
    }
}

/// A switch and what joins the hosts to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Star {
    /// The switch.
    pub switch: HostId,
    /// The links, in the order of the spokes; forward is from the host to the switch.
    pub links: Vec<LinkId>,
}

/// Two switches, what joins them, and what joins the hosts to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dumbbell {
    /// The left switch and its hosts' links.
    pub left: Star,
    /// The right switch and its hosts' links.
    pub right: Star,
    /// The link between the switches; forward is from left to right.
    pub bottleneck: LinkId,
}

/// Joins hosts by one switch.
pub fn star<H: Host + From<Switch>, T: EventTap>(
    world: &mut World<H, T>,
    spokes: &[Spoke],
) -> Star {
    star_with_ports(world, spokes, spokes.len())
}

/// Joins hosts on the left and hosts on the right by two switches with one link between them, whose
/// configurations are those from left to right and from right to left.
pub fn dumbbell<H: Host + From<Switch>, T: EventTap>(
    world: &mut World<H, T>,
    left: &[Spoke],
    right: &[Spoke],
    rightward: LinkConfig,
    leftward: LinkConfig,
) -> Dumbbell {
    let (l, r) = (left.len(), right.len());
    let left = star_with_ports(world, left, l + 1);
    let right = star_with_ports(world, right, r + 1);
    let bottleneck = world.connect((left.switch, l), (right.switch, r), rightward, leftward);
    Dumbbell { left, right, bottleneck }
}

/// Spoke `n` is on port `n`; ports behind the last are left free.
fn star_with_ports<H: Host + From<Switch>, T: EventTap>(
    world: &mut World<H, T>,
    spokes: &[Spoke],
    ports: usize,
) -> Star {
    let switch = world.add_forwarder(Switch::new(ports).into());
    let links = spokes.iter().enumerate().map(|(n, spoke)| {
        let Spoke { host, up, down } = spoke.clone();
        world.connect(host, (switch, n), up, down)
    });
    Star { links: links.collect(), switch }
}
