//! The interface: made or found, addressed, brought up, and put back as it was.
//!
//! Every step looks first and changes only what differs, so that an interface prepared by an
//! administrator needs no privilege here. Knows nothing of buffers and turns.

use super::error::TapError;
use super::{HOST_QUEUE_FRAMES, TapConfig};
use crate::netlink::{Link, Netlink};
use crate::prefix::Ipv4Prefix;
use crate::sys::{self, IfName};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

const DRIVER: &str = "/dev/net/tun";

/// An interface in use. Dropping it undoes what was changed; an interface that was made here goes
/// away with the last descriptor.
#[derive(Debug)]
pub(super) struct TapDevice {
    pub(super) name: String,
    pub(super) index: u32,
    pub(super) host_mac: [u8; 6],
    netlink: Netlink,
    undo: Undo,
}

/// What was changed on an interface that was there before.
#[derive(Debug, Default)]
struct Undo {
    address: Option<Ipv4Prefix>,
    mtu: Option<u32>,
    queue_frames: Option<u32>,
    down: bool,
}

impl TapDevice {
    /// Opens the interface that `config` names. Answers it and the descriptor of its frames.
    pub(super) fn open(config: &TapConfig) -> Result<(Self, File), TapError> {
        let name = config.name.as_str();
        let raw_name = check_name(name)?;
        let failed = |step| move |e: io::Error| TapError::system(step, name, &e);
        let mut netlink = Netlink::open().map_err(failed("ask the kernel about"))?;
        let before = netlink.link(name).map_err(failed("look for"))?;
        if before.as_ref().is_some_and(|link| link.kind != "tun") {
            return Err(TapError::NotTap { name: name.to_string() });
        }
        let index_before = before.as_ref().map(|link| link.index);
        if let Some(wanted) = config.host_addr {
            check_free(&mut netlink, wanted, index_before).map_err(|e| e.for_interface(name))?;
        }

        let file = open_driver(name)?;
        sys::attach_tap(&file, &raw_name).map_err(|e| match e.raw_os_error() {
            // The name is that of a TUN device, which carries packets without Ethernet headers.
            Some(libc::EINVAL) if before.is_some() => TapError::NotTap { name: name.to_string() },
            _ => TapError::system("make or join", name, &e),
        })?;
        sys::refuse_offloads(&file).map_err(failed("turn off the offloads of"))?;
        let link = netlink
            .link(name)
            .map_err(failed("look for"))?
            .ok_or_else(|| TapError::Gone { name: name.to_string() })?;

        let mut device = Self {
            name: name.to_string(),
            index: link.index,
            host_mac: link.mac,
            netlink,
            undo: Undo::default(),
        };
        // Where a step fails, dropping `device` undoes those before it.
        device.configure(config, &link, before.is_none())?;
        Ok((device, file))
    }

    /// MTU, queue, address, up; each noted in `undo` once done, unless the interface was made here.
    fn configure(
        &mut self,
        config: &TapConfig,
        link: &Link,
        made_here: bool,
    ) -> Result<(), TapError> {
        let wanted_mtu = u32::from(config.mtu);
        if link.mtu != wanted_mtu {
            let done = self.netlink.set_mtu(self.index, wanted_mtu);
            done.map_err(|e| TapError::system("set the MTU of", &self.name, &e))?;
            self.undo.mtu = (!made_here).then_some(link.mtu);
        }
        if link.queue_frames < HOST_QUEUE_FRAMES {
            match self.netlink.set_queue_frames(self.index, HOST_QUEUE_FRAMES) {
                Ok(()) => self.undo.queue_frames = (!made_here).then_some(link.queue_frames),
                // A short queue loses frames under load and serves all the same.
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => (),
                Err(e) => return Err(TapError::system("lengthen the queue of", &self.name, &e)),
            }
        }
        if let Some(wanted) = config.host_addr {
            let done = self.add_address(wanted);
            let added = done.map_err(|e| TapError::system("give an address to", &self.name, &e))?;
            self.undo.address = (added && !made_here).then_some(wanted);
        }
        if !link.up {
            let done = self.netlink.set_up(self.index, true);
            done.map_err(|e| TapError::system("bring up", &self.name, &e))?;
            self.undo.down = !made_here;
        }
        Ok(())
    }

    /// Gives the interface an address; false where it has it already.
    fn add_address(&mut self, wanted: Ipv4Prefix) -> io::Result<bool> {
        if self.has_address(wanted)? {
            return Ok(false);
        }
        self.netlink.add_address(self.index, wanted)?;
        Ok(true)
    }

    fn has_address(&mut self, wanted: Ipv4Prefix) -> io::Result<bool> {
        Ok(self.netlink.addresses()?.iter().any(|has| {
            has.index == self.index && has.addr == wanted.addr() && has.prefix_len == wanted.len()
        }))
    }

    /// Puts back what was changed, once. Goes on after a failure and answers the first.
    pub(super) fn restore(&mut self) -> Result<(), TapError> {
        let undo = std::mem::take(&mut self.undo);
        let mut answer = Ok(());
        let mut note = |step, result: io::Result<()>| {
            if let (Ok(()), Err(e)) = (&answer, result) {
                answer = Err(TapError::system(step, &self.name, &e));
            }
        };
        if let Some(addr) = undo.address {
            note("take the address back from", self.netlink.remove_address(self.index, addr));
        }
        if undo.down {
            note("bring down", self.netlink.set_up(self.index, false));
        }
        if let Some(frames) = undo.queue_frames {
            note("restore the queue of", self.netlink.set_queue_frames(self.index, frames));
        }
        if let Some(mtu) = undo.mtu {
            note("restore the MTU of", self.netlink.set_mtu(self.index, mtu));
        }
        answer
    }
}

impl Drop for TapDevice {
    fn drop(&mut self) {
        // Whoever wants to know calls `restore` first; then this finds nothing left to do.
        let _ = self.restore();
    }
}

/// What stands in the way of an address.
enum Conflict {
    Taken(TapError),
    Unknown(io::Error),
}

impl Conflict {
    fn for_interface(self, name: &str) -> TapError {
        match self {
            Self::Taken(error) => error,
            Self::Unknown(e) => TapError::system("list the addresses before making", name, &e),
        }
    }
}

/// Refuses an address that another interface has, and a subnet that another interface leads to at
/// least as specifically: the kernel would take both, and answers would leave by the wrong door.
fn check_free(
    netlink: &mut Netlink,
    wanted: Ipv4Prefix,
    own_index: Option<u32>,
) -> Result<(), Conflict> {
    for has in netlink.addresses().map_err(Conflict::Unknown)? {
        if Some(has.index) == own_index {
            continue;
        }
        if has.addr == wanted.addr() {
            return Err(Conflict::Taken(TapError::AddressInUse { addr: has.addr, by: has.label }));
        }
        if has.prefix_len >= wanted.len() && wanted.contains(has.addr) {
            return Err(Conflict::Taken(TapError::SubnetInUse {
                wanted,
                by: has.label,
                has: (has.addr, has.prefix_len),
            }));
        }
    }
    Ok(())
}

fn open_driver(name: &str) -> Result<File, TapError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(DRIVER)
        .map_err(|e| match e.raw_os_error() {
            Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => TapError::NoDriver,
            Some(libc::EPERM | libc::EACCES) => TapError::DriverForbidden,
            _ => TapError::system("open /dev/net/tun for", name, &e),
        })
}

/// What the kernel takes as an interface's name, and no `%`: it would number a template.
fn check_name(name: &str) -> Result<IfName, TapError> {
    let refuse = |why| Err(TapError::Name { name: name.to_string(), why });
    let bytes = name.as_bytes();
    if bytes.is_empty() {
        return refuse("it is empty: give one such as simoom0");
    }
    if bytes.len() >= libc::IFNAMSIZ {
        return refuse("it is longer than 15 bytes: choose a shorter one");
    }
    if name == "." || name == ".." {
        return refuse("the kernel keeps this name for itself: choose another");
    }
    if bytes.iter().any(|&b| !b.is_ascii_graphic() || matches!(b, b'/' | b':' | b'%')) {
        return refuse(
            "it may have ASCII letters, digits and signs, but no space, '/', ':' or '%'",
        );
    }
    let mut raw = [0; libc::IFNAMSIZ];
    raw[..bytes.len()].copy_from_slice(bytes);
    Ok(raw)
}
