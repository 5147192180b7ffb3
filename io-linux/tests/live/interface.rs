//! What happens to the interface: made, addressed, joined, put back, lost.

use crate::sys::{self, Persistent};
use crate::world::{
    addresses, host_end, link, listen_to_the_end, live, numbered, prefix, receive, send, submit,
};
use simoom_core::port::{Advance, Port, TxSync};
use simoom_linux::netlink::Netlink;
use simoom_linux::tap::{HOST_QUEUE_FRAMES, TapConfig, TapError, TapPort};

#[test]
fn an_interface_is_made_addressed_and_brought_up_and_goes_with_its_port() {
    live(|| {
        let config = TapConfig {
            mtu: 1400,
            ..TapConfig::new("simoom0").with_host_addr(prefix("10.66.0.1/24"))
        };
        let port = TapPort::open(&config).unwrap();
        let made = link("simoom0").expect("it was made");
        assert!(made.up);
        assert_eq!((made.mtu, made.kind.as_str()), (1400, "tun"));
        assert_eq!(made.queue_frames, HOST_QUEUE_FRAMES);
        assert_eq!(Some(made.index), port.interface_index());
        assert_eq!(Some(made.mac), port.host_mac());
        assert_eq!(addresses(made.index), ["10.66.0.1/24"]);
        assert_eq!(port.caps().frame_max, 1414);
        port.close().unwrap();
        assert_eq!(link("simoom0"), None);

        // Dropping is enough; without an address, none is given.
        let port = TapPort::open(&TapConfig::new("simoom0")).unwrap();
        let made = link("simoom0").unwrap();
        assert!(made.up && addresses(made.index).is_empty());
        drop(port);
        assert_eq!(link("simoom0"), None);
    });
}

#[test]
fn a_persistent_interface_is_joined_and_put_back_as_it_was() {
    live(|| {
        sys::make_persistent("kept0", &Persistent::default()).unwrap();
        let mut netlink = Netlink::open().unwrap();
        let index = link("kept0").unwrap().index;
        netlink.set_mtu(index, 1280).unwrap();
        netlink.add_address(index, prefix("10.7.7.1/24")).unwrap();
        let before = link("kept0").unwrap();
        assert!(!before.up);

        let config = TapConfig::new("kept0").with_host_addr(prefix("10.66.0.1/24"));
        let mut port = TapPort::open(&config).unwrap();
        let joined = link("kept0").unwrap();
        assert_eq!((joined.index, joined.up, joined.mtu), (index, true, 1500));
        assert_eq!((before.queue_frames, joined.queue_frames), (1_000, HOST_QUEUE_FRAMES));
        assert_eq!(addresses(index), ["10.7.7.1/24", "10.66.0.1/24"]);
        let host = host_end(&port);
        host.send(&numbered(5)).unwrap();
        assert_eq!(receive_numbered(&mut port), numbered(5));
        port.close().unwrap();
        assert_eq!(link("kept0"), Some(before.clone()));
        assert_eq!(addresses(index), ["10.7.7.1/24"]);

        // What was there already is not taken away: its own address, and being up.
        netlink.set_up(index, true).unwrap();
        netlink.set_mtu(index, 1500).unwrap();
        netlink.set_queue_frames(index, HOST_QUEUE_FRAMES + 1).unwrap();
        let config = TapConfig::new("kept0").with_host_addr(prefix("10.7.7.1/24"));
        let port = TapPort::open(&config).unwrap();
        assert_eq!(link("kept0").unwrap().queue_frames, HOST_QUEUE_FRAMES + 1, "long enough");
        drop(port);
        let after = link("kept0").unwrap();
        assert_eq!((after.up, after.mtu), (true, 1500));
        assert_eq!(after.queue_frames, HOST_QUEUE_FRAMES + 1);
        assert_eq!(addresses(index), ["10.7.7.1/24"]);
    });
}

#[test]
fn an_interface_prepared_for_this_user_needs_no_privilege() {
    live(|| {
        // What the error text of a missing privilege asks an administrator to do.
        let mine = Persistent { owner: Some(0), ..Persistent::default() };
        sys::make_persistent("mine0", &mine).unwrap();
        let mut netlink = Netlink::open().unwrap();
        let index = link("mine0").unwrap().index;
        netlink.add_address(index, prefix("10.66.0.1/24")).unwrap();
        netlink.set_up(index, true).unwrap();
        sys::make_persistent("down0", &mine).unwrap();
        let host = sys::packet_socket(index, crate::world::ETHERTYPE).unwrap();
        sys::drop_capabilities().unwrap();
        assert!(netlink.set_up(index, false).is_err(), "this thread has no privilege left");

        let config = TapConfig::new("mine0").with_host_addr(prefix("10.66.0.1/24"));
        let mut port = TapPort::open(&config).unwrap();
        host.send(&numbered(7)).unwrap();
        assert_eq!(receive_numbered(&mut port), numbered(7));
        port.close().unwrap();
        assert!(link("mine0").unwrap().up);

        // Whatever is left to be done is named.
        let error = TapPort::open(&TapConfig::new("down0")).unwrap_err();
        let expected = TapError::NoPrivilege { step: "bring up", name: "down0".into() };
        assert_eq!(error, expected);
        let before = link("down0").unwrap();
        let config = TapConfig { mtu: 1400, ..TapConfig::new("mine0") };
        let error = TapPort::open(&config).unwrap_err();
        assert!(error.to_string().starts_with("cannot set the MTU of interface mine0"), "{error}");
        assert_eq!(link("down0"), Some(before));
    });
}

#[test]
fn an_interface_deleted_while_in_use_is_fatal_and_said_so() {
    live(|| {
        let mut port = TapPort::open(&TapConfig::new("doomed0")).unwrap();
        let mut netlink = Netlink::open().unwrap();
        netlink.delete_link(port.interface_index().unwrap()).unwrap();
        submit(&mut port, &numbered(1));
        let gone = TapError::Gone { name: "doomed0".into() };
        assert_eq!(port.sync_tx(TxSync::Push), Err(gone.clone()));
        assert_eq!(port.fatal(), Some(&gone));
        assert_eq!(port.advance(None), None);
        assert_eq!(port.receive(32, |_| panic!("nothing can come")), 0);
        assert_eq!(
            gone.to_string(),
            "interface doomed0 is gone: it was deleted while in use. Start again to make it anew"
        );

        // A port that only listens notices as well.
        let mut port = TapPort::open(&TapConfig::new("doomed1")).unwrap();
        netlink.delete_link(port.interface_index().unwrap()).unwrap();
        listen_to_the_end(&mut port);
        assert_eq!(port.fatal(), Some(&TapError::Gone { name: "doomed1".into() }));
        port.close().unwrap();
    });
}

#[test]
fn frames_to_an_interface_that_is_down_are_lost_and_counted_and_the_port_lives_on() {
    live(|| {
        let mut port = TapPort::open(&TapConfig::new("flap0")).unwrap();
        let index = port.interface_index().unwrap();
        let mut netlink = Netlink::open().unwrap();
        netlink.set_up(index, false).unwrap();
        let sent_before = port.stats().tx_frames;
        send(&mut port, &numbered(1));
        send(&mut port, &numbered(2));
        assert_eq!((port.stats().tx_link_down, port.stats().tx_frames), (2, sent_before));
        assert_eq!(port.fatal(), None);
        assert_eq!(port.census().free, port.caps().buffers);

        netlink.set_up(index, true).unwrap();
        let host = host_end(&port);
        send(&mut port, &numbered(3));
        let mut frame = [0; 2048];
        let len = host.recv(&mut frame).unwrap();
        assert_eq!(frame[..len], numbered(3));
        host.send(&numbered(4)).unwrap();
        assert_eq!(receive_numbered(&mut port), numbered(4));
    });
}

/// Waits, past whatever the kernel itself sends, for the one frame that is ours.
fn receive_numbered(port: &mut TapPort) -> Vec<u8> {
    loop {
        let mut frames = receive(port);
        if let Some(frame) = frames.pop() {
            assert!(frames.is_empty());
            return frame;
        }
    }
}
