//! What can be wrong with a TAP device, in words that say what to do.

use crate::prefix::Ipv4Prefix;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;

/// Why a TAP device cannot be had, or is lost. [`fmt::Display`] says what was wrong, where, and
/// what to type; it may have several lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TapError {
    /// `/dev/net/tun` is not there: the kernel has no TUN/TAP driver loaded.
    NoDriver,
    /// `/dev/net/tun` may not be opened by this user.
    DriverForbidden,
    /// The kernel wants CAP_NET_ADMIN for a step.
    NoPrivilege {
        /// The step, as in "cannot … interface tap0".
        step: &'static str,
        /// The interface.
        name: String,
    },
    /// No interface can have this name.
    Name {
        /// The name given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Another program holds the interface.
    Busy {
        /// The interface.
        name: String,
    },
    /// There is an interface of that name, and it is no TAP device.
    NotTap {
        /// The interface.
        name: String,
    },
    /// Another interface has the address.
    AddressInUse {
        /// The address wanted.
        addr: Ipv4Addr,
        /// The interface that has it.
        by: String,
    },
    /// Another interface leads to the same subnet, or to a part of it: answers would go there.
    SubnetInUse {
        /// The subnet wanted, with the host's address.
        wanted: Ipv4Prefix,
        /// The interface that leads there.
        by: String,
        /// What that interface has: address and bits of the prefix.
        has: (Ipv4Addr, u8),
    },
    /// The number is out of bounds. The caller's fault.
    Config {
        /// Which number.
        what: &'static str,
        /// What was given.
        given: u32,
        /// The least that works.
        min: u32,
        /// The most that works.
        max: u32,
    },
    /// The interface vanished while it was in use. Fatal for the port.
    Gone {
        /// The interface.
        name: String,
    },
    /// Another system call failed.
    System {
        /// The step, as in "cannot … interface tap0".
        step: &'static str,
        /// The interface.
        name: String,
        /// errno(3).
        errno: i32,
    },
}

impl TapError {
    /// The error of a system call made for `step`.
    pub(crate) fn system(step: &'static str, name: &str, error: &io::Error) -> Self {
        let name = name.to_string();
        match error.raw_os_error().unwrap_or(libc::EIO) {
            libc::EPERM | libc::EACCES => Self::NoPrivilege { step, name },
            libc::EBUSY => Self::Busy { name },
            errno => Self::System { step, name, errno },
        }
    }
}

impl fmt::Display for TapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDriver => f.write_str(
                "/dev/net/tun does not exist: the TUN/TAP driver is not loaded\n\
                 load it:             sudo modprobe tun\n\
                 inside a container:  start it with --device /dev/net/tun",
            ),
            Self::DriverForbidden => f.write_str(
                "/dev/net/tun cannot be opened: this user has no permission\n\
                 run as root, or allow it:  sudo chmod 666 /dev/net/tun",
            ),
            Self::NoPrivilege { step, name } => {
                let program = std::env::current_exe()
                    .map_or_else(|_| "PROGRAM".into(), |path| path.display().to_string());
                write!(
                    f,
                    "cannot {step} interface {name}: this needs CAP_NET_ADMIN. One of:\n  \
                     run as root;\n  \
                     sudo setcap cap_net_admin+ep {program}\n  \
                     make the interface first, address it and bring it up:\n    \
                     sudo ip tuntap add dev {name} mode tap user $USER\n    \
                     sudo ip addr add ADDRESS/PREFIX dev {name}\n    \
                     sudo ip link set {name} up"
                )
            }
            Self::Name { name, why } => write!(f, "interface name {name:?}: {why}"),
            Self::Busy { name } => write!(
                f,
                "interface {name} is held by another program: end that one, or choose another name"
            ),
            Self::NotTap { name } => write!(
                f,
                "interface {name} exists and is no TAP device: choose another name (see: ip -d link)"
            ),
            Self::AddressInUse { addr, by } => write!(
                f,
                "address {addr} is already that of interface {by}: choose another subnet, or free \
                 it:  sudo ip addr del {addr} dev {by}"
            ),
            Self::SubnetInUse { wanted, by, has: (addr, len) } => write!(
                f,
                "subnet {}/{} is already reached through interface {by}, which has {addr}/{len}: \
                 choose another subnet",
                wanted.network(),
                wanted.len()
            ),
            Self::Config { what, given, min, max } => {
                write!(f, "{what} is {given}: it must be {min} to {max}")
            }
            Self::Gone { name } => write!(
                f,
                "interface {name} is gone: it was deleted while in use. Start again to make it anew"
            ),
            Self::System { step, name, errno } => {
                write!(
                    f,
                    "cannot {step} interface {name}: {}",
                    io::Error::from_raw_os_error(*errno)
                )
            }
        }
    }
}

impl Error for TapError {}
