//! System calls that std does not wrap, each behind a safe function.
//!
//! The only file of this crate with `unsafe`. It takes and gives plain values; it decides nothing.
#![allow(unsafe_code, reason = "system calls")]

use crate::stop::Shared;
use simoom_core::time::Duration;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

/// An interface's name with its terminating NUL.
pub(crate) type IfName = [u8; libc::IFNAMSIZ];

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

/// Binds an open `/dev/net/tun` to the TAP interface `name` without packet information and without
/// a virtio header, making the interface where there is none. tun(4): TUNSETIFF.
pub(crate) fn attach_tap(tun: &File, name: &IfName) -> io::Result<()> {
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_flags: (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short,
        },
    };
    for (to, from) in request.ifr_name.iter_mut().zip(name) {
        *to = *from as libc::c_char;
    }
    // SAFETY: (live-argument) TUNSETIFF reads and writes one ifreq, which `request` is.
    check(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF as _, &mut request) }).map(drop)
}

/// Says that this end can take no offloaded work: the kernel finishes checksums and cuts segments
/// before it hands a frame over. A device that outlives its programs may remember another answer.
pub(crate) fn refuse_offloads(tun: &File) -> io::Result<()> {
    // SAFETY: (live-argument) TUNSETOFFLOAD takes its argument by value.
    check(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETOFFLOAD as _, 0 as libc::c_ulong) })
        .map(drop)
}

/// A question of `SIOCETHTOOL`, whose answer is as many words: the commands that take no more.
pub(crate) fn ethtool<const N: usize>(interface: &str, words: [u32; N]) -> io::Result<[u32; N]> {
    let mut words = words;
    ethtool_words(interface, &mut words)?;
    Ok(words)
}

/// The same where the number of words is known as it runs. A command whose words say how many follow
/// must be given as many.
pub(crate) fn ethtool_words(interface: &str, words: &mut [u32]) -> io::Result<()> {
    let bytes = interface.as_bytes();
    if bytes.is_empty() || bytes.len() >= libc::IFNAMSIZ {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    // SAFETY: (no-memory) socket(2) takes and returns integers.
    let fd =
        check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    let socket = own(fd);
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: words.as_mut_ptr().cast() },
    };
    for (to, from) in request.ifr_name.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    // SAFETY: (live-argument) the kernel reads and writes one ifreq, and through it as many words as
    // the command has, which are ours and outlive the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &mut request) })
        .map(drop)
}

/// Processors that this thread may run on, by number, at most those that a `cpu_set_t` has room for.
pub(crate) fn allowed_cpus() -> io::Result<Vec<usize>> {
    // SAFETY: (plain-data) a cpu_set_t of zeroes is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    let len = size_of::<libc::cpu_set_t>();
    // SAFETY: (live-argument) the kernel writes one cpu_set_t, which `set` is.
    check(unsafe { libc::sched_getaffinity(0, len, &mut set) })?;
    let room = 8 * len;
    // SAFETY: (live-argument) `cpu` is below the bits of the set, which is alive.
    Ok((0..room).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect())
}

/// Lets this thread run on one processor alone.
pub(crate) fn pin_to(cpu: usize) -> io::Result<()> {
    let len = size_of::<libc::cpu_set_t>();
    if cpu >= 8 * len {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: (plain-data) a cpu_set_t of zeroes is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: (live-argument) `cpu` was checked to be below the bits of the set, which is alive.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: (live-argument) the kernel reads one cpu_set_t, which `set` is.
    check(unsafe { libc::sched_setaffinity(0, len, &set) }).map(drop)
}

/// A socket to the kernel's routing tables. Reading and writing it moves whole messages.
pub(crate) fn netlink_socket() -> io::Result<File> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: (no-memory) socket(2) takes and returns integers.
    let fd = check(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) })?;
    Ok(own(fd))
}

/// An eventfd that is readable once written.
pub(crate) fn event_fd() -> io::Result<File> {
    // SAFETY: (no-memory) eventfd(2) takes and returns integers.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    Ok(own(fd))
}

fn own(fd: RawFd) -> File {
    // SAFETY: (one-owner) `fd` is open, was returned by the system call just made, and nobody else
    // has it.
    File::from(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What [`wait`] saw.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ready {
    /// Reading would not block, or would fail with what is wrong.
    pub(crate) input: bool,
    /// Writing would not block.
    pub(crate) output: bool,
}

/// Waits until `fd` can be read (or written, where `output`), until `also` can be read, until
/// `timeout` has passed (None: for ever), or until a signal came (`Interrupted`). ppoll(2).
pub(crate) fn wait(
    fd: RawFd,
    output: bool,
    also: Option<RawFd>,
    timeout: Option<Duration>,
) -> io::Result<Ready> {
    let [ready, _] = wait_two([(fd, output), (NOBODY, false)], also, timeout)?;
    Ok(ready)
}

/// A negative descriptor is one that poll skips.
const NOBODY: RawFd = -1;

/// The same for two descriptors, each with whether it is to be written; ends when any is ready.
pub(crate) fn wait_two(
    two: [(RawFd, bool); 2],
    also: Option<RawFd>,
    timeout: Option<Duration>,
) -> io::Result<[Ready; 2]> {
    let poll = |(fd, output): (RawFd, bool)| {
        let events = if output { libc::POLLIN | libc::POLLOUT } else { libc::POLLIN };
        libc::pollfd { fd, events, revents: 0 }
    };
    let mut fds = [poll(two[0]), poll(two[1]), poll((also.unwrap_or(NOBODY), false))];
    let timeout = timeout.map(|span| libc::timespec {
        tv_sec: (span.as_nanos() / 1_000_000_000) as libc::time_t,
        tv_nsec: (span.as_nanos() % 1_000_000_000) as libc::c_long,
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: (live-argument) `fds` is an array of the length given; `timeout` is null or points to
    // a timespec that outlives the call; a null signal mask is left alone.
    check(unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as _, timeout, ptr::null()) })?;
    let failed = libc::POLLERR | libc::POLLHUP | libc::POLLNVAL;
    let ready = |fd: &libc::pollfd| Ready {
        input: fd.revents & (libc::POLLIN | failed) != 0,
        output: fd.revents & libc::POLLOUT != 0,
    };
    Ok([ready(&fds[0]), ready(&fds[1])])
}

/// The flag that the signal handler raises. Null, or from `Arc::into_raw` and never released.
static RAISED_BY_SIGNAL: AtomicPtr<Shared> = AtomicPtr::new(ptr::null_mut());

/// Raises `flag` at the first of `signals`; the next one finds the default action again.
pub(crate) fn raise_on_signals(flag: Arc<Shared>, signals: &[libc::c_int]) -> io::Result<()> {
    // A flag installed earlier stays allocated: its handler may be running.
    RAISED_BY_SIGNAL.store(Arc::into_raw(flag).cast_mut(), Ordering::Release);
    // SAFETY: (plain-data) a sigaction of zeroes is valid: no handler, no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_signal as extern "C" fn(libc::c_int) as libc::sighandler_t;
    action.sa_flags = libc::SA_RESETHAND;
    for &signal in signals {
        // SAFETY: (signal-safe) `action` outlives the call, and its handler does only what
        // signal-safety(7) allows.
        check(unsafe { libc::sigaction(signal, &action, ptr::null_mut()) })?;
    }
    Ok(())
}

extern "C" fn on_signal(signal: libc::c_int) {
    // SAFETY: (thread-local) the address of this thread's errno is always valid.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: (thread-local) only this thread touches its errno.
    let before = unsafe { *errno };
    // SAFETY: (never-freed) the pointer is null or came from `Arc::into_raw`, and is never released.
    if let Some(flag) = unsafe { RAISED_BY_SIGNAL.load(Ordering::Acquire).as_ref() }
        && flag.raise()
    {
        // The end was asked for before: SA_RESETHAND has put the default action in place, and it
        // is taken as soon as this handler returns.
        // SAFETY: (signal-safe) raise(3) is on the list of signal-safety(7).
        unsafe { libc::raise(signal) };
    }
    // SAFETY: (thread-local) as above; the interrupted code finds errno as it left it.
    unsafe { *errno = before };
}

fn check(answer: libc::c_int) -> io::Result<libc::c_int> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}
