//! What netmap says of a port without binding it: the interface goes on as it was.

use crate::device;
use crate::error::NetmapError;
use crate::gathering::Gathering;
use crate::name::PortName;
use crate::sys::{self, API, PoolsInfo, PortInfo};
use std::fs;
use std::path::Path;

/// What netmap says of itself and of a port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// The newest API that the kernel speaks; it also speaks [`API_SPOKEN`].
    pub api_newest: u16,
    /// Rings and slots; None for a pipe or a switch port, which is made as it is opened.
    pub rings: Option<Rings>,
    /// The memory that the port would use, or, of a pipe or a switch port, the memory that others share.
    pub memory_bytes: u64,
    /// Buffers of that memory, and the bytes of each, where the kernel says so.
    pub buffers: Option<Buffers>,
    /// Whether the module forwards frames to the host and back by itself, which it is not to do beside a
    /// port with the host's rings.
    pub forwards: bool,
    /// Whether the interface's driver is one that netmap was built into; None where nobody says so.
    pub native: Option<bool>,
    /// Whether frames of several slots can be sent; None where nothing was asked.
    pub gathering: Option<Gathering>,
}

/// The API that this crate speaks.
pub const API_SPOKEN: u16 = API;

/// Rings of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rings {
    /// Transmit rings.
    pub tx: u16,
    /// Receive rings.
    pub rx: u16,
    /// Slots of a transmit ring.
    pub tx_slots: u32,
    /// Slots of a receive ring.
    pub rx_slots: u32,
    /// Pairs of the host's rings; whoever opens the interface first asks for as many as it likes.
    pub host: u16,
}

/// Buffers of a memory, and the rings that it has room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffers {
    /// How many, those of rings and netmap's own in.
    pub total: u32,
    /// Bytes of one.
    pub bytes: u32,
    /// Rings of either direction, the host's among them.
    pub rings: u32,
}

/// More than there will be.
const API_LAST: u16 = 63;

/// Asks the kernel. Of a pipe or a switch port nothing is asked by name, since asking makes it.
///
/// # Errors
/// Where there is no netmap, or no such interface.
pub fn probe(port: &PortName) -> Result<Probe, NetmapError> {
    let shown = port.to_string();
    let netmap = device::open(&shown)?;
    let speaks = |api: &u16| sys::control_as(*api, &netmap, b"", &mut PortInfo::default()).is_ok();
    // Upwards, since a kernel logs each that it refuses.
    let api_newest = (API..=API_LAST).take_while(speaks).last().unwrap_or(API);
    let is_interface = port.is_interface();
    let asked = if is_interface { port.request_name() } else { String::new() };
    let mut info = PortInfo::default();
    sys::control(&netmap, asked.as_bytes(), &mut info).map_err(|e| match e.raw_os_error() {
        Some(libc::ENXIO | libc::ENODEV | libc::ENOENT | libc::EOPNOTSUPP | libc::EINVAL) => {
            NetmapError::NoInterface { name: shown.clone() }
        }
        _ => NetmapError::running("ask the kernel about", &shown, &e),
    })?;
    let mut pools = PoolsInfo { nr_mem_id: info.nr_mem_id, ..PoolsInfo::default() };
    let said = is_interface && sys::control(&netmap, asked.as_bytes(), &mut pools).is_ok();
    Ok(Probe {
        api_newest,
        rings: is_interface.then_some(Rings {
            tx: info.nr_tx_rings,
            rx: info.nr_rx_rings,
            tx_slots: info.nr_tx_slots,
            rx_slots: info.nr_rx_slots,
            host: info.nr_host_tx_rings.min(info.nr_host_rx_rings),
        }),
        memory_bytes: info.nr_memsize,
        buffers: said.then_some(Buffers {
            total: pools.nr_buf_pool_objtotal,
            bytes: pools.nr_buf_pool_objsize,
            rings: pools.nr_ring_pool_objtotal,
        }),
        forwards: forwards(),
        native: is_interface.then(|| native(&port.name)).flatten(),
        gathering: Some(Gathering::of(port)),
    })
}

/// The module's parameter; false where it is not in sight.
fn forwards() -> bool {
    let text = fs::read_to_string("/sys/module/netmap/parameters/fwd").unwrap_or_default();
    text.trim().parse().is_ok_and(|fwd: i64| fwd != 0)
}

/// On Linux a driver that netmap was built into needs the netmap module, and the module says who needs
/// it.
pub(crate) fn native(interface: &str) -> Option<bool> {
    let holders = Path::new("/sys/module/netmap/holders");
    let driver = Path::new("/sys/class/net").join(interface).join("device/driver/module");
    if !holders.is_dir() {
        return None;
    }
    let Ok(module) = fs::canonicalize(driver) else {
        // Virtual interfaces have no device, and none of them is native.
        return Some(false);
    };
    Some(module.file_name().is_some_and(|name| holders.join(name).exists()))
}

/// The driver of an interface, where the system says so: that of its device.
pub(crate) fn driver(interface: &str) -> Option<String> {
    let driver = Path::new("/sys/class/net").join(interface).join("device/driver");
    let driver = fs::canonicalize(driver).ok()?;
    Some(driver.file_name()?.to_str()?.to_string())
}
