//! The binding: netmap's shared structures and requests, and the system calls, behind safe functions.
//!
//! `netmap_sys` is used for what it has right: slots, flags, the numbers of the sync calls. What it
//! has wrong or lacks is here, and nowhere else:
//!
//! - it speaks API 11, which kernels refuse since 14: [`API`];
//! - its ring is aligned to 8 and hides `offset_mask` and `buf_align`: [`RingHeader`];
//! - its interface hides the numbers of host rings: [`InterfaceHeader`];
//! - it lacks `NIOCCTRL`, the request that all API 14 kernels have: [`control`]. The older
//!   `NIOCREGIF` is not used: a kernel without `NIOCCTRL` is too old anyway;
//! - its functions on rings neither read volatile nor order memory, and some compute wrong
//!   addresses: none is called. See `ring.rs`.
//!
//! It takes and gives plain values; it decides nothing.
#![allow(unsafe_code, reason = "system calls")]

use netmap_sys::netmap as nm;
use simoom_core::time::Duration;
use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::mem::{align_of, offset_of, size_of};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr::{self, NonNull};

/// The API that is spoken. Kernels of 14 and later take it.
pub(crate) const API: u16 = 14;

/// Where netmap is opened.
pub(crate) const DEVICE: &str = "/dev/netmap";

/// One descriptor of a ring.
pub(crate) type Slot = nm::netmap_slot;

/// A ring up to its slots, which follow.
#[repr(C, align(128))]
pub(crate) struct RingHeader {
    /// From here to buffer 0, in bytes.
    pub(crate) buf_ofs: i64,
    pub(crate) num_slots: u32,
    pub(crate) nr_buf_size: u32,
    pub(crate) ringid: u16,
    /// 1 for a transmit ring, 0 for a receive ring, whatever the header's comment says.
    pub(crate) dir: u16,
    pub(crate) head: u32,
    pub(crate) cur: u32,
    pub(crate) tail: u32,
    pub(crate) flags: u32,
    pub(crate) ts: libc::timeval,
    pub(crate) offset_mask: u64,
    pub(crate) buf_align: u64,
    pub(crate) sem: RingSem,
}

/// Room that nobody uses, on its own cache line.
#[repr(C, align(128))]
pub(crate) struct RingSem([u8; 128]);

/// What is bound, up to the offsets of its rings, which follow.
#[repr(C)]
pub(crate) struct InterfaceHeader {
    pub(crate) ni_name: [u8; nm::IFNAMSIZ],
    pub(crate) ni_version: u32,
    pub(crate) ni_flags: u32,
    pub(crate) ni_tx_rings: u32,
    pub(crate) ni_rx_rings: u32,
    pub(crate) ni_bufs_head: u32,
    pub(crate) ni_host_tx_rings: u32,
    pub(crate) ni_host_rx_rings: u32,
    pub(crate) ni_spare1: [u32; 3],
}

/// Room for a name in a request, its NUL included.
pub(crate) const NAME_ROOM: usize = 64;

/// What every request begins with.
#[repr(C)]
struct RequestHeader {
    nr_version: u16,
    nr_reqtype: u16,
    nr_reserved: u32,
    nr_name: [u8; NAME_ROOM],
    nr_options: u64,
    nr_body: u64,
}

/// A request of `NIOCCTRL`.
pub(crate) trait Request {
    /// `nr_reqtype`.
    const TYPE: u16;
}

/// Binds a descriptor to rings.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Register {
    pub(crate) nr_offset: u64,
    pub(crate) nr_memsize: u64,
    pub(crate) nr_tx_slots: u32,
    pub(crate) nr_rx_slots: u32,
    pub(crate) nr_tx_rings: u16,
    pub(crate) nr_rx_rings: u16,
    pub(crate) nr_host_tx_rings: u16,
    pub(crate) nr_host_rx_rings: u16,
    pub(crate) nr_mem_id: u16,
    pub(crate) nr_ringid: u16,
    pub(crate) nr_mode: u32,
    pub(crate) nr_extra_bufs: u32,
    pub(crate) nr_pad: u32,
    pub(crate) nr_flags: u64,
}

impl Request for Register {
    const TYPE: u16 = 1;
}

/// Asks what a port has; without a name, what the memory that ports share by default has.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PortInfo {
    pub(crate) nr_memsize: u64,
    pub(crate) nr_tx_slots: u32,
    pub(crate) nr_rx_slots: u32,
    pub(crate) nr_tx_rings: u16,
    pub(crate) nr_rx_rings: u16,
    pub(crate) nr_host_tx_rings: u16,
    pub(crate) nr_host_rx_rings: u16,
    pub(crate) nr_mem_id: u16,
    pub(crate) pad: [u16; 3],
}

impl Request for PortInfo {
    const TYPE: u16 = 2;
}

/// Asks how large the pools of a port's memory are.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PoolsInfo {
    pub(crate) nr_memsize: u64,
    pub(crate) nr_mem_id: u16,
    pub(crate) pad1: [u16; 3],
    pub(crate) nr_if_pool_offset: u64,
    pub(crate) nr_if_pool_objtotal: u32,
    pub(crate) nr_if_pool_objsize: u32,
    pub(crate) nr_ring_pool_offset: u64,
    pub(crate) nr_ring_pool_objtotal: u32,
    pub(crate) nr_ring_pool_objsize: u32,
    pub(crate) nr_buf_pool_offset: u64,
    pub(crate) nr_buf_pool_objtotal: u32,
    pub(crate) nr_buf_pool_objsize: u32,
}

impl Request for PoolsInfo {
    const TYPE: u16 = 12;
}

/// `nr_mode`: one pair of the NIC's rings, `nr_ringid`.
pub(crate) const MODE_ONE_NIC: u32 = nm::NR_REG_ONE_NIC;
/// `nr_mode`: one pair of the rings between the interface and the host's own network, `nr_ringid`.
pub(crate) const MODE_ONE_SW: u32 = 8;
/// `nr_flags`: nobody else may bind these rings.
pub(crate) const EXCLUSIVE: u64 = nm::NR_EXCLUSIVE as u64;
/// In a slot: its buffer is another than before.
pub(crate) const BUF_CHANGED: u16 = nm::NS_BUF_CHANGED;
/// In a slot: the frame goes on in the next one.
pub(crate) const MORE_FRAGMENTS: u16 = nm::NS_MOREFRAG;
/// Buffers 0 and 1 belong to netmap itself.
pub(crate) const FIRST_BUFFER: u32 = 2;

/// `_IOWR('i', 151, struct nmreq_header)`, the same number on Linux and FreeBSD.
const NIOCCTRL: u64 = 0xc000_0000 | (size_of::<RequestHeader>() as u64) << 16 | 0x69 << 8 | 151;

macro_rules! assert_layout {
    ($type:ty: size $size:literal, align $align:literal $(, $field:ident at $offset:literal)* $(,)?) => {
        const _: () = {
            assert!(size_of::<$type>() == $size);
            assert!(align_of::<$type>() == $align);
            $(assert!(offset_of!($type, $field) == $offset);)*
        };
    };
}

assert_layout!(Slot: size 16, align 8, buf_idx at 0, len at 4, flags at 6, ptr at 8);
assert_layout!(RingHeader: size 256, align 128,
    buf_ofs at 0, num_slots at 8, nr_buf_size at 12, ringid at 16, dir at 18, head at 20, cur at 24,
    tail at 28, flags at 32, ts at 40, offset_mask at 56, buf_align at 64, sem at 128);
assert_layout!(InterfaceHeader: size 56, align 4,
    ni_name at 0, ni_version at 16, ni_flags at 20, ni_tx_rings at 24, ni_rx_rings at 28,
    ni_bufs_head at 32, ni_host_tx_rings at 36, ni_host_rx_rings at 40, ni_spare1 at 44);
assert_layout!(RequestHeader: size 88, align 8,
    nr_version at 0, nr_reqtype at 2, nr_reserved at 4, nr_name at 8, nr_options at 72, nr_body at 80);
assert_layout!(Register: size 56, align 8,
    nr_offset at 0, nr_memsize at 8, nr_tx_slots at 16, nr_rx_slots at 20, nr_tx_rings at 24,
    nr_rx_rings at 26, nr_host_tx_rings at 28, nr_host_rx_rings at 30, nr_mem_id at 32,
    nr_ringid at 34, nr_mode at 36, nr_extra_bufs at 40, nr_pad at 44, nr_flags at 48);
assert_layout!(PortInfo: size 32, align 8,
    nr_memsize at 0, nr_tx_slots at 8, nr_rx_slots at 12, nr_tx_rings at 16, nr_rx_rings at 18,
    nr_host_tx_rings at 20, nr_host_rx_rings at 22, nr_mem_id at 24, pad at 26);
assert_layout!(PoolsInfo: size 64, align 8,
    nr_memsize at 0, nr_mem_id at 8, pad1 at 10, nr_if_pool_offset at 16,
    nr_if_pool_objtotal at 24, nr_if_pool_objsize at 28, nr_ring_pool_offset at 32,
    nr_ring_pool_objtotal at 40, nr_ring_pool_objsize at 44, nr_buf_pool_offset at 48,
    nr_buf_pool_objtotal at 56, nr_buf_pool_objsize at 60);

// Where the crate and this file both have a structure, they agree on what they both show.
const _: () = {
    assert!(size_of::<nm::netmap_ring>() == size_of::<RingHeader>());
    assert!(offset_of!(nm::netmap_ring, head) == offset_of!(RingHeader, head));
    assert!(offset_of!(nm::netmap_ring, tail) == offset_of!(RingHeader, tail));
    assert!(offset_of!(nm::netmap_ring, sem) == offset_of!(RingHeader, sem));
    assert!(size_of::<nm::netmap_if>() == size_of::<InterfaceHeader>());
    assert!(offset_of!(nm::netmap_if, ni_bufs_head) == offset_of!(InterfaceHeader, ni_bufs_head));
    assert!(offset_of!(nm::netmap_if, ni_spare1) == offset_of!(InterfaceHeader, ni_host_tx_rings));
    assert!(NIOCCTRL == 0xc058_6997);
    assert!(nm::IFNAMSIZ == 16);
};
#[cfg(target_os = "linux")]
const _: () = assert!(nm::NIOCTXSYNC == 0x6994 && nm::NIOCRXSYNC == 0x6995);
#[cfg(target_os = "freebsd")]
const _: () = assert!(nm::NIOCTXSYNC == 0x2000_6994 && nm::NIOCRXSYNC == 0x2000_6995);

/// A descriptor that is bound to nothing yet.
pub(crate) fn open_device() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(DEVICE)
}

/// Makes a request about the port `name`; `body` holds the answer afterwards. The caller says with
/// `T` which request it is.
pub(crate) fn control<T: Request>(netmap: &File, name: &[u8], body: &mut T) -> io::Result<()> {
    control_as(API, netmap, name, body)
}

/// The same in the words of another API: headers and bodies have been the same since 14.
pub(crate) fn control_as<T: Request>(
    api: u16,
    netmap: &File,
    name: &[u8],
    body: &mut T,
) -> io::Result<()> {
    assert!(name.len() < NAME_ROOM, "a name of {} bytes in a request", name.len());
    let mut header = RequestHeader {
        nr_version: api,
        nr_reqtype: T::TYPE,
        nr_reserved: 0,
        nr_name: [0; NAME_ROOM],
        nr_options: 0,
        nr_body: ptr::from_mut(body).expose_provenance() as u64,
    };
    header.nr_name[..name.len()].copy_from_slice(name);
    // SAFETY: (live-argument) the kernel reads and writes one header and the body that belongs to its
    // type; both are ours and outlive the call.
    check(unsafe { libc::ioctl(netmap.as_raw_fd(), NIOCCTRL as _, &mut header) }).map(drop)
}

/// Takes what was queued, and forces the report of completions.
pub(crate) fn tx_sync(netmap: &File) -> io::Result<()> {
    // SAFETY: (no-memory) NIOCTXSYNC takes no argument; what it changes of the rings is read volatile.
    check(unsafe { libc::ioctl(netmap.as_raw_fd(), nm::NIOCTXSYNC as _, 0) }).map(drop)
}

/// Takes back what was released, and shows what came.
pub(crate) fn rx_sync(netmap: &File) -> io::Result<()> {
    // SAFETY: (no-memory) NIOCRXSYNC takes no argument; what it changes of the rings is read volatile.
    check(unsafe { libc::ioctl(netmap.as_raw_fd(), nm::NIOCRXSYNC as _, 0) }).map(drop)
}

/// Maps the memory of the port that the descriptor is bound to.
pub(crate) fn map(netmap: &File, len: usize) -> io::Result<NonNull<u8>> {
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: (no-memory) the kernel chooses where; no memory that is in use changes.
    let at = unsafe {
        libc::mmap(ptr::null_mut(), len, rights, libc::MAP_SHARED, netmap.as_raw_fd(), 0)
    };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(at.cast()).ok_or_else(|| io::Error::other("mmap answered address 0"))
}

/// Ends a mapping of [`map`].
///
/// # Safety
/// `at` and `len` are those of a mapping of which nothing is used any more.
pub(crate) unsafe fn unmap(at: NonNull<u8>, len: usize) {
    // SAFETY: (in-region) the caller says that nothing of the mapping is used any more.
    let answer = unsafe { libc::munmap(at.as_ptr().cast(), len) };
    debug_assert_eq!(answer, 0, "munmap refuses what mmap gave");
}

/// What [`poll`] saw.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Polled {
    /// A descriptor of netmap's is in an error state.
    pub(crate) failed: bool,
    /// The other one can be read.
    pub(crate) also: bool,
}

/// Waits until frames came, until a slot is free where `output`, until `also` can be read, until
/// `timeout` has passed (None: for ever), or until a signal came (`Interrupted`). The rings of `host`
/// send what was queued in any case; frames of theirs are shown and waited for where it says so.
/// ppoll(2).
pub(crate) fn poll(
    netmap: &File,
    output: bool,
    host: Option<(&File, bool)>,
    also: Option<BorrowedFd<'_>>,
    timeout: Option<Duration>,
) -> io::Result<Polled> {
    /// A negative descriptor is one that poll skips.
    const NOBODY: RawFd = -1;
    let events = if output { libc::POLLIN | libc::POLLOUT } else { libc::POLLIN };
    let also = also.map_or(NOBODY, |fd| fd.as_raw_fd());
    let (host, input) = host.map_or((NOBODY, false), |(file, input)| (file.as_raw_fd(), input));
    let mut fds = [
        libc::pollfd { fd: netmap.as_raw_fd(), events, revents: 0 },
        libc::pollfd { fd: also, events: libc::POLLIN, revents: 0 },
        libc::pollfd { fd: host, events: if input { libc::POLLIN } else { 0 }, revents: 0 },
    ];
    let timeout = timeout.map(timespec);
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: (live-argument) `fds` is an array of the length given; `timeout` is null or points to
    // a timespec that outlives the call; a null signal mask is left alone.
    check(unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as _, timeout, ptr::null()) })?;
    let failed = libc::POLLERR | libc::POLLHUP | libc::POLLNVAL;
    Ok(Polled {
        failed: (fds[0].revents | fds[2].revents) & failed != 0,
        also: fds[1].revents != 0,
    })
}

/// Sleeps; a signal ends it early.
pub(crate) fn pause(span: Duration) {
    let span = timespec(span);
    // SAFETY: (live-argument) no descriptors; `span` outlives the call.
    unsafe { libc::ppoll(ptr::null_mut(), 0, &span, ptr::null()) };
}

fn timespec(span: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: (span.as_nanos() / 1_000_000_000) as libc::time_t,
        tv_nsec: (span.as_nanos() % 1_000_000_000) as libc::c_long,
    }
}

/// IPv4 addresses that the system has on an interface. getifaddrs(3).
pub(crate) fn addresses_of(interface: &str) -> io::Result<Vec<Ipv4Addr>> {
    let mut first = ptr::null_mut();
    // SAFETY: (live-argument) `first` outlives the call, which writes a list to it that is ours to free.
    check(unsafe { libc::getifaddrs(&mut first) })?;
    let (mut found, mut next) = (Vec::new(), NonNull::new(first));
    while let Some(at) = next {
        // SAFETY: (live-argument) the list is there until it is freed, below.
        let entry = unsafe { at.as_ref() };
        next = NonNull::new(entry.ifa_next);
        // SAFETY: (live-argument) as above; a name ends with NUL.
        let name = unsafe { CStr::from_ptr(entry.ifa_name) };
        let Some(address) = NonNull::new(entry.ifa_addr) else { continue };
        if name.to_bytes() != interface.as_bytes() {
            continue;
        }
        // SAFETY: (live-argument) as above; every address begins with its family.
        let family = unsafe { address.as_ref() }.sa_family;
        if i32::from(family) == libc::AF_INET {
            // SAFETY: (live-argument) as above; an address of this family is a `sockaddr_in`.
            let address = unsafe { address.cast::<libc::sockaddr_in>().read_unaligned() };
            found.push(Ipv4Addr::from_bits(u32::from_be(address.sin_addr.s_addr)));
        }
    }
    // SAFETY: (live-argument) the list that was given, of which nothing is used any more.
    unsafe { libc::freeifaddrs(first) };
    Ok(found)
}

/// Nanoseconds of CLOCK_MONOTONIC.
pub(crate) fn monotonic_nanos() -> u64 {
    clock_nanos(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds of CLOCK_REALTIME: since 1970, UTC.
pub(crate) fn realtime_nanos() -> u64 {
    clock_nanos(libc::CLOCK_REALTIME)
}

fn clock_nanos(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: (live-argument) `time` is a timespec of ours, alive and exclusively borrowed here.
    let answer = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(answer, 0, "the kernel has no clock {clock}");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn check(answer: libc::c_int) -> io::Result<libc::c_int> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}
