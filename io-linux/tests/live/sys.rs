//! The system calls that these tests need and the crate does not: a namespace of one's own, fewer
//! privileges, a packet socket, an interface that outlives its maker. Each acts on the calling
//! thread or on a descriptor made here.
#![allow(unsafe_code, reason = "system calls")]

use std::fs::{File, OpenOptions};
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Moves this thread, and those it starts later, to a new and empty network namespace.
pub(crate) fn enter_new_network() -> io::Result<()> {
    // SAFETY: (no-memory) unshare(2) takes an integer. CLONE_NEWNET concerns this thread only.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) }).map(drop)
}

/// Gives up all capabilities of this thread, for good.
pub(crate) fn drop_capabilities() -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: libc::c_int,
    }
    /// _LINUX_CAPABILITY_VERSION_3: two words each of effective, permitted, inheritable.
    const VERSION: u32 = 0x2008_0522;
    let header = Header { version: VERSION, pid: 0 };
    let none = [0u32; 6];
    // SAFETY: (live-argument) capset(2) reads a header and, for this version, six words. Pid 0 is
    // the calling thread.
    let answer = unsafe { libc::syscall(libc::SYS_capset, &header, none.as_ptr()) };
    check(answer as libc::c_int).map(drop)
}

/// A socket on which one send or receive is one Ethernet frame of interface `index` with this
/// EtherType. It sees what the interface receives, not what the machine sends.
pub(crate) fn packet_socket(index: u32, ethertype: u16) -> io::Result<UdpSocket> {
    let protocol = ethertype.to_be();
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: (no-memory) socket(2) takes and returns integers.
    let fd = check(unsafe { libc::socket(libc::AF_PACKET, kind, protocol.into()) })?;
    // SAFETY: (one-owner) the descriptor was just made, and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol,
        sll_ifindex: index as libc::c_int,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let len = size_of_val(&address) as libc::socklen_t;
    // SAFETY: (live-argument) `address` is a sockaddr_ll of the length given.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) })?;
    // std has no type for packet sockets; its `send` and `recv` are the plain system calls.
    Ok(UdpSocket::from(socket))
}

/// An interface that stays when its descriptor is closed, as `ip tuntap add` makes it.
#[derive(Default)]
pub(crate) struct Persistent {
    /// TUN, which carries packets without Ethernet headers, instead of TAP.
    pub(crate) tun: bool,
    /// This user needs no capability to use it.
    pub(crate) owner: Option<u32>,
    /// It was told that its user completes checksums and cuts segments, and remembers it.
    pub(crate) offloads: bool,
}

pub(crate) fn make_persistent(name: &str, how: &Persistent) -> io::Result<()> {
    let tun = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    let kind = if how.tun { libc::IFF_TUN } else { libc::IFF_TAP };
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_flags: (kind | libc::IFF_NO_PI) as libc::c_short,
        },
    };
    for (to, from) in request.ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    // SAFETY: (live-argument) TUNSETIFF reads and writes one ifreq, which `request` is.
    check(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF as _, &mut request) })?;
    if how.offloads {
        by_value(&tun, libc::TUNSETOFFLOAD as _, (libc::TUN_F_CSUM | libc::TUN_F_TSO4).into())?;
    }
    if let Some(owner) = how.owner {
        by_value(&tun, libc::TUNSETOWNER as _, owner.into())?;
    }
    by_value(&tun, libc::TUNSETPERSIST as _, 1)
}

fn by_value(tun: &File, request: libc::c_ulong, value: libc::c_ulong) -> io::Result<()> {
    // SAFETY: (no-memory) the requests made here take an integer.
    check(unsafe { libc::ioctl(tun.as_raw_fd(), request as _, value) }).map(drop)
}

fn check(answer: libc::c_int) -> io::Result<libc::c_int> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}
