//! An application may pin the numbers that a connection begins with.

use simoom_core::content::NoContent;
use simoom_core::port::Port;
use simoom_core::secrets::Secrets;
use simoom_core::seq::SeqNumber;
use simoom_core::stack::app::{App, CloseReason, Cx, Peer, Source};
use simoom_core::stack::{Config, Stack};
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::{self, Frame, MacAddr};
use simoom_port_conformance::vec_port::VecPort;
use std::net::SocketAddrV4;

const ISN: SeqNumber = SeqNumber(0xffff_fff0);
const TS_OFFSET: u32 = 5_000_000;

/// Pins where it is told to; says nothing, and listens to nobody.
struct Silent {
    pins: bool,
    content: NoContent,
}

impl App for Silent {
    type Conn = ();
    type Content = NoContent;

    fn content(&mut self) -> &mut NoContent {
        &mut self.content
    }

    fn pin_initial_sequence(
        &mut self,
        local: SocketAddrV4,
        remote: SocketAddrV4,
    ) -> Option<(SeqNumber, u32)> {
        assert!(local.ip() != remote.ip());
        self.pins.then_some((ISN, TS_OFFSET))
    }

    fn on_open(&mut self, _: &mut Cx<'_>, _: Peer) {}
    fn on_bytes(&mut self, _: &mut Cx<'_>, _: &mut (), bytes: &[u8]) -> usize {
        bytes.len()
    }
    fn source(&mut self, _: &(), _: u64, _: u32) -> Source<'_> {
        Source::Pending
    }
    fn on_acked(&mut self, _: &mut Cx<'_>, _: &mut (), _: u64) {}
    fn on_close(&mut self, _: (), _: CloseReason) {}
}

/// The number and the time stamp of the first SYN that a stack sends at 7 ms.
fn first_numbers(pins: bool) -> (SeqNumber, u32) {
    let config = Config::new(MacAddr([2, 0, 0, 0, 0, 1]), [10, 66, 0, 1].into(), 24);
    let mut port = VecPort::at_once(64);
    let app = Silent { pins, content: NoContent };
    let mut stack = Stack::new(config, Secrets::new([3; 4]), port.caps(), app);
    stack.connect("10.66.0.2:80".parse().unwrap(), 0).unwrap();
    let now = Instant::ZERO + Duration::from_millis(7);
    stack.turn(now, &mut port).unwrap();
    // Whom it asks for the address of.
    let asked = port.take_wire().remove(0);
    let mut answer = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    answer.extend(&asked[12..20]);
    answer.extend([0, 2, 2, 0, 0, 0, 0, 2, 10, 66, 0, 2, 2, 0, 0, 0, 0, 1, 10, 66, 0, 1]);
    port.arrive(&answer);
    stack.turn(now, &mut port).unwrap();
    let syn = port.take_wire().remove(0);
    let Ok(Frame::Tcp(frame)) = wire::parse(&syn, true) else { panic!("no segment: {syn:?}") };
    (frame.tcp.seq, frame.tcp.options.timestamps.unwrap().val)
}

#[test]
fn pinned_numbers_are_used_and_others_are_derived() {
    assert_eq!(first_numbers(true), (ISN, TS_OFFSET + 7));
    assert_ne!(first_numbers(false), first_numbers(true));
}
