//! Where a live test runs: a thread in a network namespace of its own, which goes away with it.

use crate::sys;
use simoom_core::port::{Advance, BATCH_MAX, Port, TxSync, Unclaimed};
use simoom_core::time::Duration;
use simoom_linux::netlink::{Link, Netlink};
use simoom_linux::prefix::Ipv4Prefix;
use simoom_linux::tap::TapPort;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::UdpSocket;
use std::panic::resume_unwind;
use std::thread;

/// With this variable set to 1, a test that cannot run fails instead of passing over.
const REQUIRE: &str = "SIMOOM_REQUIRE_LIVE";

/// How long a test waits for what must come: far longer than it takes, short enough to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// IEEE Std 802 Local Experimental EtherType 1: no kernel sends it by itself.
pub(crate) const ETHERTYPE: u16 = 0x88b5;

/// Runs `test` in a new network namespace; without the privilege, says so in one line.
pub(crate) fn live(test: impl FnOnce() + Send + 'static) {
    let name = thread::current().name().unwrap_or("a live test").to_string();
    let in_namespace = move || match enter() {
        Ok(()) => {
            test();
            None
        }
        Err(why) => Some(why),
    };
    let thread = thread::Builder::new().name(name.clone()).spawn(in_namespace).unwrap();
    let Some(why) = thread.join().unwrap_or_else(|panic| resume_unwind(panic)) else { return };
    assert!(
        std::env::var_os(REQUIRE).is_none_or(|value| value != "1"),
        "{REQUIRE}=1 asks for this test, which cannot run: {why}"
    );
    let line = format!("{name}: NOT RUN, needs root and /dev/net/tun: {why}\n");
    // Not `eprintln!`, which the test harness keeps for itself when a test passes.
    let _ = io::stderr().write_all(line.as_bytes());
}

fn enter() -> Result<(), String> {
    sys::enter_new_network().map_err(|e| format!("a network namespace of its own: {e}"))?;
    // Without IPv6 the kernel sends nothing by itself. No test needs this, but the silence makes
    // those about waiting sharper; where /proc/sys is not writable they run all the same.
    let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    let tun = OpenOptions::new().read(true).write(true).open("/dev/net/tun");
    tun.map(drop).map_err(|e| format!("/dev/net/tun: {e}"))
}

/// The interface of that name in this thread's namespace.
pub(crate) fn link(name: &str) -> Option<Link> {
    Netlink::open().unwrap().link(name).unwrap()
}

/// The IPv4 addresses of an interface, as "10.66.0.1/24".
pub(crate) fn addresses(index: u32) -> Vec<String> {
    let all = Netlink::open().unwrap().addresses().unwrap();
    let of_it = all.iter().filter(|has| has.index == index);
    of_it.map(|has| format!("{}/{}", has.addr, has.prefix_len)).collect()
}

pub(crate) fn prefix(text: &str) -> Ipv4Prefix {
    text.parse().unwrap()
}

/// The host's end of the cable, for frames of [`ETHERTYPE`].
pub(crate) fn host_end(port: &TapPort) -> UdpSocket {
    let socket = sys::packet_socket(port.interface_index().unwrap(), ETHERTYPE).unwrap();
    let patience = std::time::Duration::from_nanos(PATIENCE.as_nanos());
    socket.set_read_timeout(Some(patience)).unwrap();
    socket
}

/// A frame of [`ETHERTYPE`] to everyone, with a number in it, 60 bytes or more.
pub(crate) fn numbered(number: u16) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 9]);
    frame.extend(ETHERTYPE.to_be_bytes());
    frame.extend(number.to_be_bytes());
    frame.resize(60 + usize::from(number), number as u8);
    frame
}

/// Takes one wait of the port and one batch; answers the frames of [`ETHERTYPE`] in it.
pub(crate) fn receive(port: &mut TapPort) -> Vec<Vec<u8>> {
    let until = port.clock().now() + PATIENCE;
    let now = port.advance(Some(until)).expect("neither stopped nor dead");
    assert!(now < until, "nothing came");
    let mut frames = Vec::new();
    port.receive(BATCH_MAX, |batch| {
        frames.extend(batch.iter().map(|frame| frame.bytes.to_vec()));
        Unclaimed::NONE
    });
    frames.retain(|frame| frame[12..14] == ETHERTYPE.to_be_bytes());
    frames
}

/// Receives until `advance` answers None, which must wake it long before its deadline.
pub(crate) fn listen_to_the_end(port: &mut TapPort) {
    let until = port.clock().now() + PATIENCE;
    while let Some(now) = port.advance(Some(until)) {
        assert!(now < until, "nothing woke the port");
        port.receive(BATCH_MAX, |_| Unclaimed::NONE);
    }
    assert!(port.clock().now() < until, "only its deadline woke the port");
}

/// Queues a frame, without ringing the doorbell.
pub(crate) fn submit(port: &mut TapPort, frame: &[u8]) {
    let mut buf = port.take_free().expect("a free buffer");
    port.bytes_mut(&mut buf)[..frame.len()].copy_from_slice(frame);
    port.submit(buf, frame.len() as u16).expect("a free slot");
}

/// Sends a frame and takes its buffer back.
pub(crate) fn send(port: &mut TapPort, frame: &[u8]) {
    submit(port, frame);
    port.sync_tx(TxSync::Push).unwrap();
    assert_eq!(port.reclaim(Some), 1);
}
