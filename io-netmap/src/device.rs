//! The real kernel: a descriptor of `/dev/netmap`, bound to one ring pair.

use crate::error::NetmapError;
use crate::gathering::Gathering;
use crate::kernel::{Kernel, Ready, Wait};
use crate::name::PortName;
use crate::port::{Attachment, HostAttachment, NetmapConfig};
use crate::region::Region;
use crate::sys::{self, PoolsInfo, PortInfo, Register};
use simoom_core::time::Duration;
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};

/// A bound descriptor, and one for the host's rings where they are bound too. Closing them ends the
/// bindings.
#[derive(Debug)]
pub struct Device {
    /// Closed first: with the NIC's rings still bound, the kernel leaves the NIC alone.
    host: Option<File>,
    netmap: File,
    /// Readable once the end is asked for.
    stop: Option<OwnedFd>,
}

impl Device {
    /// A descriptor that ends every wait once it can be read, and from then on; it is never read.
    pub fn set_stop(&mut self, stop: Option<OwnedFd>) {
        self.stop = stop;
    }

    /// Binds the ring pair that `name` means and maps its memory.
    pub(crate) fn attach(
        name: &PortName,
        config: &NetmapConfig,
    ) -> Result<Attachment<Self>, NetmapError> {
        let shown = name.to_string();
        let netmap = open(&shown)?;
        let conf = name.conf;
        let asked = name.buffers.unwrap_or(config.buffers);
        let ring = name.ring.unwrap_or(0);
        let host_rings = match name.host {
            true if conf.host_rings == 0 => nic_rings(&netmap, name),
            _ => conf.host_rings,
        };
        let mut register = Register {
            nr_tx_slots: conf.tx_slots,
            nr_rx_slots: conf.rx_slots,
            nr_tx_rings: conf.tx_rings,
            nr_rx_rings: conf.rx_rings,
            // Heard where nobody has the interface open, so here and not when they are bound.
            nr_host_tx_rings: host_rings,
            nr_host_rx_rings: host_rings,
            nr_ringid: ring,
            nr_mode: sys::MODE_ONE_NIC,
            nr_extra_bufs: asked,
            nr_flags: sys::EXCLUSIVE,
            ..Register::default()
        };
        let request_name = name.request_name();
        sys::control(&netmap, request_name.as_bytes(), &mut register)
            .map_err(|e| explain(&netmap, name, config, &e))?;
        // Where this refuses, closing gives the extra buffers back as they came.
        check_rings(name, register.nr_tx_rings, register.nr_rx_rings)?;
        let (host_file, host) = match name.host {
            true => Some(bind_host(name, ring, &register)?),
            false => None,
        }
        .unzip();
        let len = usize::try_from(register.nr_memsize).unwrap_or(usize::MAX);
        let region = Region::map(&netmap, len)
            .map_err(|e| NetmapError::running("map the memory of", &shown, &e))?;
        await_link(|| lacks_link(name), sys::pause);
        Ok(Attachment {
            name: shown,
            region,
            interface: register.nr_offset,
            ring,
            asked,
            extra: register.nr_extra_bufs,
            gathering: Gathering::of(name),
            host,
            kernel: Self { host: host_file, netmap, stop: None },
        })
    }
}

/// Ring pairs of an interface: a pair of the host's for each is what its queues are used to. 0, which is
/// the kernel's choice, where it does not say; binding will tell why.
fn nic_rings(netmap: &File, port: &PortName) -> u16 {
    let mut info = PortInfo::default();
    let known = sys::control(netmap, port.request_name().as_bytes(), &mut info).is_ok();
    if known { info.nr_tx_rings.min(info.nr_rx_rings) } else { 0 }
}

/// Binds the pair of the host's rings that goes with the NIC's pair `ring`, which `nic` has bound: another
/// descriptor, since one has either one pair or all. The interface stays as it is.
fn bind_host(
    port: &PortName,
    ring: u16,
    nic: &Register,
) -> Result<(File, HostAttachment), NetmapError> {
    let name = port.to_string();
    let have = nic.nr_host_tx_rings.min(nic.nr_host_rx_rings);
    if ring >= have {
        // For a direction that has no ring of the number the kernel would bind the first.
        return Err(NetmapError::NoHostRing { name, ring, have });
    }
    let netmap = open(&name)?;
    let mut register = Register {
        nr_ringid: ring,
        nr_mode: sys::MODE_ONE_SW,
        nr_flags: sys::EXCLUSIVE,
        ..Register::default()
    };
    sys::control(&netmap, port.request_name().as_bytes(), &mut register).map_err(|e| {
        let name = name.clone();
        match e.raw_os_error().unwrap_or(libc::EIO) {
            libc::EBUSY => NetmapError::Busy { name },
            libc::ENOMEM => NetmapError::NoMemory { name },
            libc::EINVAL => NetmapError::NoHostRings { name },
            errno => NetmapError::System { step: "bind the host's rings of", name, errno },
        }
    })?;
    if (register.nr_mem_id, register.nr_memsize) != (nic.nr_mem_id, nic.nr_memsize) {
        return Err(NetmapError::HostMemory { name });
    }
    Ok((netmap, HostAttachment { interface: register.nr_offset, ring }))
}

/// One ring pair is what a port has: no less may be there, and what comes to others would be lost. For a
/// direction that has no ring of the number the kernel would bind the first.
fn check_rings(port: &PortName, tx: u16, rx: u16) -> Result<(), NetmapError> {
    let name = port.to_string();
    match port.ring {
        Some(ring) if ring >= tx.min(rx) => {
            Err(NetmapError::NoRing { name, ring, have: tx.min(rx) })
        }
        None if rx > 1 => {
            Err(NetmapError::ManyRings { name, interface: port.name.clone(), have: rx })
        }
        _ => Ok(()),
    }
}

/// A descriptor of a netmap that speaks our API, bound to nothing; `shown` is for what port.
pub(crate) fn open(shown: &str) -> Result<File, NetmapError> {
    let netmap = sys::open_device().map_err(|e| match e.raw_os_error() {
        Some(libc::ENOENT | libc::ENXIO | libc::ENODEV) => NetmapError::NoNetmap,
        Some(libc::EPERM | libc::EACCES) => NetmapError::Forbidden,
        _ => NetmapError::running("open /dev/netmap for", shown, &e),
    })?;
    check_api(&netmap, shown)?;
    Ok(netmap)
}

/// A question without a name is about the memory that ports share, and nothing but an API that the
/// kernel does not speak makes it invalid.
fn check_api(netmap: &File, shown: &str) -> Result<(), NetmapError> {
    match sys::control(netmap, b"", &mut PortInfo::default()) {
        Ok(()) => Ok(()),
        Err(e) => Err(match e.raw_os_error() {
            Some(libc::EINVAL | libc::ENOTTY) => NetmapError::OldApi,
            _ => NetmapError::running("ask the kernel about", shown, &e),
        }),
    }
}

/// Why binding was refused.
fn explain(
    netmap: &File,
    port: &PortName,
    config: &NetmapConfig,
    error: &io::Error,
) -> NetmapError {
    let name = port.to_string();
    match error.raw_os_error().unwrap_or(libc::EIO) {
        libc::ENXIO | libc::ENODEV | libc::ENOENT | libc::EOPNOTSUPP => {
            NetmapError::NoInterface { name }
        }
        libc::EPERM | libc::EACCES => NetmapError::Forbidden,
        libc::EBUSY => NetmapError::Busy { name },
        libc::ENOMEM => NetmapError::NoMemory { name },
        libc::EINVAL => {
            let request = port.request_name();
            let mut info = PortInfo::default();
            let known = sys::control(netmap, request.as_bytes(), &mut info).is_ok();
            let have = info.nr_tx_rings.min(info.nr_rx_rings);
            if let Some(ring) = port.ring.filter(|ring| known && *ring >= have) {
                return NetmapError::NoRing { name, ring, have };
            }
            let mut pools = PoolsInfo { nr_mem_id: info.nr_mem_id, ..PoolsInfo::default() };
            let asked = sys::control(netmap, request.as_bytes(), &mut pools);
            let buffer = asked.map_or(DEFAULT_BUFFER, |()| pools.nr_buf_pool_objsize);
            let mtu = mtu_of(port).unwrap_or(u32::from(config.mtu));
            if mtu + u32::from(HEADER_AND_TAG) > buffer {
                return NetmapError::MtuAboveBuffer { name, mtu, buffer };
            }
            NetmapError::System { step: "bind", name, errno: libc::EINVAL }
        }
        errno => NetmapError::System { step: "bind", name, errno },
    }
}

/// How long one poll(2) waits at most. A kernel that deletes an interface of which several rings are bound
/// wakes one of those who wait, and then itself waits for all to close; asked anew, it tells the others.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Ethernet header and 802.1Q tag.
const HEADER_AND_TAG: u16 = 18;
/// Bytes of a buffer where netmap was not told otherwise.
const DEFAULT_BUFFER: u32 = 2_048;

/// The MTU of an interface, where the system tells it in a file.
fn mtu_of(port: &PortName) -> Option<u32> {
    if !port.is_interface() {
        return None;
    }
    let text = std::fs::read_to_string(format!("/sys/class/net/{}/mtu", port.name)).ok()?;
    text.trim().parse().ok()
}

/// Whether an interface that is up has no carrier; where the system tells it in a file.
fn lacks_link(port: &PortName) -> bool {
    let file = format!("/sys/class/net/{}/carrier", port.name);
    port.is_interface() && std::fs::read_to_string(file).is_ok_and(|text| text.trim() == "0")
}

/// How long to wait for a link. A native driver resets its NIC when netmap takes it and when netmap
/// lets it go, and the NIC looks for its peer again: some tenths of a second to some seconds. No cable
/// is no error, now as later.
const LINK_LOOKS_MAX: u32 = 500;
const LINK_LOOK_EVERY: Duration = Duration::from_millis(10);

/// Until there is a link, so that nothing is sent into a NIC that does not listen yet, and no first
/// request is lost.
fn await_link(mut lacks_link: impl FnMut() -> bool, mut pause: impl FnMut(Duration)) {
    for _ in 0..LINK_LOOKS_MAX {
        if !lacks_link() {
            return;
        }
        pause(LINK_LOOK_EVERY);
    }
}

/// The hardware address of the interface that a name means, where the system tells it in a file: what
/// a NIC takes frames for. None for pipes and switch ports, which have none.
pub fn hardware_address(port: &PortName) -> Option<[u8; 6]> {
    if !port.is_interface() {
        return None;
    }
    let text = std::fs::read_to_string(format!("/sys/class/net/{}/address", port.name)).ok()?;
    let mut address = [0; 6];
    let mut parts = text.trim().split(':');
    for byte in &mut address {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(address)
}

/// The IPv4 addresses that the host's own network has on the interface that a name means; none for
/// pipes and switch ports.
///
/// # Errors
/// Where the system does not say.
pub fn host_addresses(port: &PortName) -> Result<Vec<Ipv4Addr>, NetmapError> {
    if !port.is_interface() {
        return Ok(Vec::new());
    }
    let step = "read the addresses of";
    sys::addresses_of(&port.name).map_err(|e| NetmapError::running(step, &port.to_string(), &e))
}

impl Kernel for Device {
    #[inline]
    fn tx_sync(&mut self) -> io::Result<()> {
        sys::tx_sync(&self.netmap)
    }

    #[inline]
    fn rx_sync(&mut self) -> io::Result<()> {
        sys::rx_sync(&self.netmap)
    }

    fn host_sync(&mut self) -> io::Result<()> {
        self.host.as_ref().map_or(Ok(()), sys::tx_sync)
    }

    /// Returns after [`LOOK_EVERY`] too, as after a signal: whoever has longer asks again.
    #[inline]
    fn poll(&mut self, wait: Wait) -> io::Result<Ready> {
        let also = self.stop.as_ref().map(OwnedFd::as_fd);
        let host = self.host.as_ref().map(|file| (file, wait.host));
        let timeout = wait.timeout.map_or(LOOK_EVERY, |span| span.min(LOOK_EVERY));
        let polled = sys::poll(&self.netmap, wait.output, host, also, Some(timeout))?;
        Ok(Ready { failed: polled.failed, ended: polled.also })
    }

    #[inline]
    fn now_nanos(&self) -> u64 {
        sys::monotonic_nanos()
    }

    fn pause(&mut self, span: Duration) {
        sys::pause(span);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    fn null() -> File {
        File::options().read(true).write(true).open("/dev/null").unwrap()
    }

    #[test]
    fn ring_without_a_pair_of_the_hosts_is_refused_before_anything_is_bound() {
        let nic = Register { nr_host_tx_rings: 4, nr_host_rx_rings: 2, ..Register::default() };
        let port = "netmap:eth0-2^".parse().unwrap();
        let error = bind_host(&port, 2, &nic).unwrap_err();
        assert_eq!(
            error,
            NetmapError::NoHostRing { name: "netmap:eth0-2^".into(), ring: 2, have: 2 }
        );
        assert!(error.to_string().contains("@conf:host-rings=3"), "{error}");
    }

    fn explained(port: &str, errno: i32) -> NetmapError {
        let error = io::Error::from_raw_os_error(errno);
        explain(&null(), &port.parse().unwrap(), &NetmapConfig::default(), &error)
    }

    #[test]
    fn device_without_our_requests_is_an_old_api() {
        let error = check_api(&null(), "netmap:eth0").unwrap_err();
        assert_eq!(error, NetmapError::OldApi);
        assert!(error.to_string().contains("update it"), "{error}");
    }

    #[test]
    fn port_has_one_ring_pair_and_says_which() {
        let check = |name: &str, tx, rx| check_rings(&name.parse().unwrap(), tx, rx);
        for (name, tx, rx) in [
            ("netmap:eth0", 1, 1),
            ("netmap:eth0", 4, 1),
            ("netmap:eth0-0", 4, 4),
            ("netmap:eth0-3", 4, 4),
        ] {
            assert_eq!(check(name, tx, rx), Ok(()), "{name} {tx} {rx}");
        }
        for (name, tx, rx, what) in [
            ("netmap:eth0", 4, 4, "name one as netmap:eth0-0"),
            ("netmap:eth0", 1, 2, "ethtool -L eth0 combined 1"),
            ("netmap:eth0-4", 4, 4, "has no ring pair 4: it has 4"),
            ("netmap:eth0-2", 2, 4, "has no ring pair 2: it has 2"),
        ] {
            let error = check(name, tx, rx).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn refusals_say_what_to_do() {
        for (errno, kind, what) in [
            (libc::ENXIO, "NoInterface", "ip link"),
            (libc::ENODEV, "NoInterface", "ip link"),
            (libc::EBUSY, "Busy", "end that one"),
            (libc::ENOMEM, "NoMemory", "enlarge buf_num"),
            (libc::EPERM, "Forbidden", "run as root"),
            (libc::EIO, "System", "cannot bind netmap:eth9"),
            (libc::EINVAL, "System", "cannot bind netmap:eth9"),
        ] {
            let error = explained("netmap:eth9", errno);
            assert!(format!("{error:?}").starts_with(kind), "{error:?}");
            assert!(error.to_string().contains(what), "{error}");
        }
    }

    /// The loopback interface has an MTU of 64 KB on Linux.
    #[test]
    #[cfg(target_os = "linux")]
    fn refusal_of_an_interface_whose_frames_fit_no_buffer_names_both_numbers() {
        let error = explained("netmap:lo", libc::EINVAL);
        assert!(matches!(error, NetmapError::MtuAboveBuffer { buffer: 2_048, .. }), "{error:?}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn hardware_address_is_that_of_the_interface_and_of_nothing_else() {
        let address = |name: &str| hardware_address(&name.parse().unwrap());
        assert_eq!(address("netmap:lo"), Some([0; 6]));
        assert_eq!(address("netmap:none-such9"), None);
        assert_eq!(address("netmap:lo{1"), None);
        assert_eq!(address("vale0:lo"), None);
    }

    #[test]
    fn host_addresses_are_those_of_the_interface_and_of_nothing_else() {
        let addresses = |name: &str| host_addresses(&name.parse().unwrap()).unwrap();
        let loopback = if cfg!(target_os = "linux") { "netmap:lo^" } else { "netmap:lo0^" };
        assert!(addresses(loopback).contains(&Ipv4Addr::LOCALHOST));
        assert!(addresses("netmap:none-such9").is_empty());
        assert!(addresses("netmap:lo{1").is_empty() && addresses("vale0:lo").is_empty());
    }

    #[test]
    fn link_is_waited_for_but_not_for_ever() {
        let pauses = |looks: u32| {
            let (mut looked, mut pauses) = (0, 0);
            let lacks_link = || {
                looked += 1;
                looked <= looks
            };
            await_link(lacks_link, |_| pauses += 1);
            pauses
        };
        assert_eq!(pauses(0), 0);
        assert_eq!(pauses(70), 70);
        assert_eq!(pauses(u32::MAX), LINK_LOOKS_MAX);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_has_a_link_or_can_have_none_is_not_waited_for() {
        for name in ["netmap:lo", "netmap:lo{1", "netmap:none-such9", "vale0:lo"] {
            assert!(!lacks_link(&name.parse().unwrap()), "{name}");
        }
    }

    #[test]
    fn wait_ends_once_the_stop_descriptor_can_be_read() {
        let (stop, mut far) = UnixStream::pair().unwrap();
        let (idle, _open) = UnixStream::pair().unwrap();
        let mut device = Device { host: None, netmap: File::from(OwnedFd::from(idle)), stop: None };
        let wait = Wait { timeout: Some(Duration::ZERO), output: false, host: false };
        device.set_stop(Some(stop.into()));
        assert_eq!(device.poll(wait).unwrap(), Ready { failed: false, ended: false });
        far.write_all(&[1]).unwrap();
        let forever = Wait { timeout: None, output: false, host: false };
        assert_eq!(device.poll(forever).unwrap(), Ready { failed: false, ended: true });
        let before = device.now_nanos();
        device.pause(Duration::from_millis(2));
        assert!(device.now_nanos() - before >= 1_000_000);
    }

    #[test]
    fn nobody_waits_so_long_that_a_deleted_interface_is_not_seen() {
        let (idle, _open) = UnixStream::pair().unwrap();
        let mut device = Device { host: None, netmap: File::from(OwnedFd::from(idle)), stop: None };
        for timeout in [None, Some(Duration::from_secs(3_600))] {
            let ready = device.poll(Wait { timeout, output: false, host: false }).unwrap();
            assert_eq!(ready, Ready::default(), "it is to be asked again");
        }
    }

    #[test]
    fn descriptor_in_an_error_state_is_seen() {
        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        let mut device = Device { host: None, netmap: File::from(OwnedFd::from(near)), stop: None };
        let ready = device.poll(Wait { timeout: None, output: true, host: false }).unwrap();
        assert!(ready.failed, "{ready:?}");
        assert!(device.tx_sync().is_err() && device.rx_sync().is_err());
    }
}
