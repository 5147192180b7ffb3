//! Whether the device behind a port makes one frame out of several slots (`NS_MOREFRAG`), and why.
//!
//! Neither the kernel nor a slot says so: netmap takes the flag from every port, and where nobody looks
//! at it each slot leaves as a frame of its own. What is known is read here, and what is not known is a
//! no: copies on demand work everywhere.

use crate::name::PortName;
use crate::probe;
use std::fmt;
use std::fs;

/// Drivers whose transmit side chains descriptors for `NS_MOREFRAG`, as Linux names them. The first
/// five have done so since before the API that this crate speaks, the others since netmap has them.
pub const DRIVERS: [&str; 7] = ["e1000", "e1000e", "i40e", "igb", "ixgbe", "ice", "igc"];

/// What is known of a port's transmit side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gathering {
    /// A port of a VALE switch: it copies slot by slot, and the flag with them.
    Switch,
    /// A native port whose driver is one of [`DRIVERS`].
    Driver(String),
    /// A NIC of [`crate::model`].
    Model,
    /// A pipe: its other end gets the slots themselves.
    Pipe,
    /// In generic mode the kernel makes a frame of each slot.
    Generic,
    /// A native port whose driver is not known to chain descriptors.
    OtherDriver(String),
    /// Nobody says which driver it is, or in which mode it runs.
    Unknown,
}

impl Gathering {
    /// Whether a frame may take several slots.
    pub fn is_there(&self) -> bool {
        matches!(self, Self::Switch | Self::Driver(_) | Self::Model)
    }

    /// What is known of the port that a name means. Binds nothing.
    pub fn of(port: &PortName) -> Self {
        if port.pipe.is_some() {
            return Self::Pipe;
        }
        if port.switch.is_some() {
            return Self::Switch;
        }
        let native = if is_generic_forced() { Some(false) } else { probe::native(&port.name) };
        Self::of_interface(native, probe::driver(&port.name))
    }

    fn of_interface(native: Option<bool>, driver: Option<String>) -> Self {
        match (native, driver) {
            (Some(false), _) => Self::Generic,
            (Some(true), Some(driver)) if DRIVERS.contains(&driver.as_str()) => {
                Self::Driver(driver)
            }
            (Some(true), Some(driver)) => Self::OtherDriver(driver),
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Gathering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch => f.write_str("a VALE switch takes frames of several slots"),
            Self::Driver(driver) => write!(f, "{driver} takes frames of several slots"),
            Self::Model => f.write_str("the model takes frames of several slots"),
            Self::Pipe => f.write_str(
                "a pipe hands its slots to the other end, whose program owns the buffers it gets: \
                 one payload in two of them would be one memory twice",
            ),
            Self::Generic => f.write_str(
                "the port runs in generic mode, in which the kernel makes a frame of each slot",
            ),
            Self::OtherDriver(driver) => {
                write!(f, "{driver} is not known to take frames of several slots")
            }
            Self::Unknown => f.write_str("nobody says here which driver the port has"),
        }
    }
}

/// Whether netmap was told to use generic mode for every interface.
fn is_generic_forced() -> bool {
    let mode = fs::read_to_string("/sys/module/netmap/parameters/admode");
    mode.is_ok_and(|mode| mode.trim() == "2")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Gathering {
        Gathering::of(&name.parse().unwrap())
    }

    #[test]
    fn switch_gathers_and_pipe_does_not_whatever_the_machine_has() {
        assert!(of("vale0:srv").is_there());
        assert!(!of("netmap:pipe{1").is_there());
        assert!(!of("vale0:srv}1").is_there(), "a pipe of a switch's port is a pipe");
        assert!(!of("netmap:none-such9").is_there());
    }

    #[test]
    fn interface_gathers_in_native_mode_with_a_driver_that_is_known() {
        let of = |native, driver: Option<&str>| {
            Gathering::of_interface(native, driver.map(str::to_string))
        };
        for driver in DRIVERS {
            assert!(of(Some(true), Some(driver)).is_there(), "{driver}");
            assert!(!of(Some(false), Some(driver)).is_there(), "{driver} in generic mode");
            assert!(!of(None, Some(driver)).is_there(), "{driver}, and nobody says how");
        }
        for (native, driver) in [
            (Some(true), Some("virtio_net")),
            (Some(true), Some("ptnet")),
            (Some(true), None),
            (Some(false), None),
            (None, None),
        ] {
            let found = of(native, driver);
            assert!(!found.is_there(), "{native:?} {driver:?}");
            assert!(found.to_string().len() > 20, "{found}");
        }
        assert!(of(Some(true), Some("virtio_net")).to_string().contains("virtio_net"));
    }
}
