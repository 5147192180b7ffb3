//! What can be wrong with a netmap port, in a sentence that says what to do.

use crate::sys::{API, DEVICE};
use std::error::Error;
use std::fmt;
use std::io;

/// Why a port cannot be had, or is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetmapError {
    /// There is no `/dev/netmap`.
    NoNetmap,
    /// `/dev/netmap` may not be opened by this user.
    Forbidden,
    /// The kernel's netmap does not speak our API.
    OldApi,
    /// There is no such interface, or its kind cannot be used with netmap.
    NoInterface {
        /// The port.
        name: String,
    },
    /// Somebody has the port, or the ring.
    Busy {
        /// The port.
        name: String,
    },
    /// There is no such ring.
    NoRing {
        /// The port.
        name: String,
        /// The ring asked for.
        ring: u16,
        /// Ring pairs that there are.
        have: u16,
    },
    /// The interface spreads what it receives over several rings, and a port has one.
    ManyRings {
        /// The port.
        name: String,
        /// The interface.
        interface: String,
        /// Ring pairs that there are.
        have: u16,
    },
    /// Frames of the interface's MTU do not fit a buffer.
    MtuAboveBuffer {
        /// The port.
        name: String,
        /// The MTU, in bytes.
        mtu: u32,
        /// Bytes of a buffer.
        buffer: u32,
    },
    /// Fewer extra buffers than a port can work with.
    TooFewBuffers {
        /// The port.
        name: String,
        /// Extra buffers asked for.
        asked: u32,
        /// Extra buffers that there were.
        got: u32,
        /// The least that is enough.
        least: u32,
    },
    /// The memory has no room for the rings.
    NoMemory {
        /// The port.
        name: String,
    },
    /// The kernel has no rings to the host for this interface.
    NoHostRings {
        /// The port.
        name: String,
    },
    /// There are fewer pairs of rings to the host than of the NIC's.
    NoHostRing {
        /// The port.
        name: String,
        /// The ring asked for.
        ring: u16,
        /// Pairs of rings to the host that there are.
        have: u16,
    },
    /// The NIC's rings and the host's are in different memories.
    HostMemory {
        /// The port.
        name: String,
    },
    /// What the kernel shares is not what it says: a kernel with another layout, or a broken one.
    Corrupt {
        /// The port.
        name: String,
        /// What is wrong.
        what: &'static str,
        /// The number found.
        found: u64,
    },
    /// The interface vanished, or the kernel gave the port up. Fatal for the port.
    Gone {
        /// The port.
        name: String,
    },
    /// A number is out of bounds. The caller's fault.
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
    /// Another system call failed.
    System {
        /// The step, as in "cannot … netmap:eth0".
        step: &'static str,
        /// The port.
        name: String,
        /// errno(3).
        errno: i32,
    },
}

impl NetmapError {
    /// The error of a system call on an open port.
    pub(crate) fn running(step: &'static str, name: &str, error: &io::Error) -> Self {
        let name = name.to_string();
        match error.raw_os_error().unwrap_or(libc::EIO) {
            // A port without its interface: netmap has let go of the rings.
            libc::ENXIO | libc::ENODEV | libc::EBADF => Self::Gone { name },
            errno => Self::System { step, name, errno },
        }
    }
}

impl fmt::Display for NetmapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNetmap => write!(
                f,
                "there is no {DEVICE}, so this kernel has no netmap: load it with `modprobe netmap` \
                 (Linux, after building the module for this kernel) or `kldload netmap` (FreeBSD)"
            ),
            Self::Forbidden => write!(
                f,
                "{DEVICE} may not be opened by this user: run as root, or allow it with \
                 `chmod 666 {DEVICE}`"
            ),
            Self::OldApi => write!(
                f,
                "the kernel's netmap refuses API {API}: update it to one of 2019 or later"
            ),
            Self::NoInterface { name } => write!(
                f,
                "{name}: the kernel has no such interface for netmap: look for its name with `ip link` \
                 (Linux) or `ifconfig` (FreeBSD)"
            ),
            Self::Busy { name } => write!(
                f,
                "{name} is in use by another program: end that one, or choose another port or ring"
            ),
            Self::NoRing { name, ring, have } => {
                write!(f, "{name} has no ring pair {ring}: it has {have}, numbered from 0")
            }
            Self::ManyRings { name, interface, have } => write!(
                f,
                "{name} has {have} ring pairs and a port takes one, so what arrives on the others would \
                 be lost: name one as {name}-0, or set the interface to one with \
                 `ethtool -L {interface} combined 1`"
            ),
            Self::MtuAboveBuffer { name, mtu, buffer } => write!(
                f,
                "{name}: a frame of MTU {mtu} does not fit a buffer of {buffer} bytes: set a smaller MTU, \
                 or a larger buf_size of the netmap module"
            ),
            Self::TooFewBuffers { name, asked, got, least } => write!(
                f,
                "{name}: netmap had {got} extra buffers of {asked} asked for and {least} are needed: \
                 enlarge buf_num of the netmap module, or end programs that hold its memory"
            ),
            Self::NoMemory { name } => write!(
                f,
                "{name}: netmap's memory has no room for the rings: enlarge buf_num and ring_num of the \
                 netmap module, or end programs that hold its memory"
            ),
            Self::NoHostRings { name } => write!(
                f,
                "{name}: netmap has no rings to the host for this interface: leave out the ^"
            ),
            Self::NoHostRing { name, ring, have } => write!(
                f,
                "{name}: ring pair {ring} has no pair of host rings, of which there are {have}: end \
                 every program that has the interface open, then ask for more with \
                 @conf:host-rings={}",
                u32::from(*ring) + 1
            ),
            Self::HostMemory { name } => write!(
                f,
                "{name}: the host's rings are not in the memory of the NIC's, so no buffer can go from \
                 one to the other: leave out the ^"
            ),
            Self::Corrupt { name, what, found } => write!(
                f,
                "{name}: {what} is {found}, which cannot be: this kernel's netmap has another layout, or \
                 its memory was overwritten; close every program that uses it and open again"
            ),
            Self::Gone { name } => write!(
                f,
                "{name} is gone: the interface was removed or the kernel took it back: make it anew and \
                 start again"
            ),
            Self::Config { what, given, min, max } => {
                write!(f, "{what} is {given}: it must be {min} to {max}")
            }
            Self::System { step, name, errno } => {
                write!(f, "cannot {step} {name}: {}", io::Error::from_raw_os_error(*errno))
            }
        }
    }
}

impl Error for NetmapError {}
