//! Frames both ways, the doorbell, the wait, and the buffers.

use crate::world::{host_end, listen_to_the_end, live, numbered, receive, submit};
use simoom_core::port::{Advance, BATCH_MAX, Buf, Census, Port, TxFull, TxSync, Unclaimed};
use simoom_core::time::Duration;
use simoom_linux::stop::StopFlag;
use simoom_linux::tap::{TapConfig, TapPort};
use std::fs;
use std::path::Path;
use std::thread;

/// Two batches.
const FRAMES: u16 = 2 * BATCH_MAX as u16;

fn open(name: &str) -> TapPort {
    TapPort::open(&TapConfig::new(name)).unwrap()
}

#[test]
fn sixty_four_frames_arrive_in_order_after_one_wait() {
    live(|| {
        let mut port = open("simoom0");
        let host = host_end(&port);
        for number in 0..FRAMES {
            host.send(&numbered(number)).unwrap();
        }
        let waits = port.stats().waits;
        let mut seen = receive(&mut port);
        seen.extend(receive(&mut port));
        // The second batch was known to be there: nobody slept for it.
        assert_eq!(port.stats().waits - waits, 1);
        // The kernel may have put frames of its own between.
        while seen.len() < usize::from(FRAMES) {
            seen.extend(receive(&mut port));
        }
        assert_eq!(seen, (0..FRAMES).map(numbered).collect::<Vec<_>>());
        assert!(port.stats().rx_frames >= FRAMES.into());
        assert_eq!((port.stats().rx_runt, port.stats().rx_oversize), (0, 0));
    });
}

#[test]
fn sixty_four_frames_leave_in_order_at_one_doorbell() {
    live(|| {
        let mut port = open("simoom0");
        let host = host_end(&port);
        for number in 0..FRAMES {
            submit(&mut port, &numbered(number));
        }
        assert_eq!(port.stats().tx_frames, 0, "not before the doorbell");
        assert_eq!(port.reclaim(|_| panic!("nothing is done yet")), 0);
        port.sync_tx(TxSync::Push).unwrap();
        assert_eq!(port.stats().tx_frames, FRAMES.into());
        let mut frame = [0; 2048];
        for number in 0..FRAMES {
            let len = host.recv(&mut frame).unwrap();
            assert_eq!(frame[..len], numbered(number));
        }
        assert_eq!(port.reclaim(Some), usize::from(FRAMES));
        assert_eq!(port.census().free, port.caps().buffers);
    });
}

#[test]
fn the_longest_frame_passes_both_ways() {
    live(|| {
        let mut port = open("simoom0");
        let host = host_end(&port);
        let longest = numbered(1514 - 60);
        assert_eq!(longest.len(), usize::from(port.caps().frame_max));
        submit(&mut port, &longest);
        port.sync_tx(TxSync::Push).unwrap();
        let mut frame = [0; 2048];
        let len = host.recv(&mut frame).unwrap();
        assert_eq!(frame[..len], longest);
        host.send(&longest).unwrap();
        let seen = loop {
            let seen = receive(&mut port);
            if !seen.is_empty() {
                break seen;
            }
        };
        assert_eq!(seen, [longest]);
    });
}

#[test]
fn buffers_are_counted_wherever_they_are() {
    live(|| {
        let config = TapConfig { buffers: 8, tx_slots: 2, ..TapConfig::new("simoom0") };
        let mut port = TapPort::open(&config).unwrap();
        let census = |port: &TapPort| {
            let Census { free, caller, device } = port.census();
            assert_eq!(free as usize, port.free());
            (free, caller, device)
        };
        assert_eq!(census(&port), (8, 0, 0));
        let mut taken: Vec<Buf> = (0..5).map(|_| port.take_free().unwrap()).collect();
        assert_eq!(census(&port), (3, 5, 0));
        for buf in &mut taken {
            port.bytes_mut(buf)[..60].copy_from_slice(&numbered(0));
        }
        port.submit(taken.pop().unwrap(), 60).unwrap();
        port.submit(taken.pop().unwrap(), 60).unwrap();
        assert_eq!((census(&port), port.tx_free()), ((3, 3, 2), 0));
        let TxFull(refused) = port.submit(taken.pop().unwrap(), 60).unwrap_err();
        assert_eq!(census(&port), (3, 3, 2));
        port.sync_tx(TxSync::Push).unwrap();
        assert_eq!((census(&port), port.tx_free()), ((3, 3, 2), 2));
        let mut kept = Vec::new();
        assert_eq!(
            port.reclaim(|buf| match kept.len() {
                0 => {
                    kept.push(buf);
                    None
                }
                _ => Some(buf),
            }),
            2
        );
        assert_eq!(census(&port), (4, 4, 0));
        kept.extend(taken);
        kept.push(refused);
        for buf in kept {
            port.give_back(buf);
        }
        assert_eq!(census(&port), (8, 0, 0));
    });
}

#[test]
fn a_wait_without_input_ends_at_its_deadline() {
    live(|| {
        let mut port = open("simoom0");
        let span = Duration::from_millis(20);
        let until = port.clock().now() + span;
        // Frames that the kernel itself sends end a wait before its time.
        loop {
            let now = port.advance(Some(until)).unwrap();
            if now >= until {
                break;
            }
            let waits = port.stats().waits;
            while port.receive(BATCH_MAX, |_| Unclaimed::NONE) > 0 {}
            assert_eq!(port.stats().waits, waits, "receiving does not wait");
        }
        // Late is no bug of the port on a busy machine; early would be.
        assert!(port.stats().waits >= 1);
        // A deadline that has passed is no wait at all.
        let waits = port.stats().waits;
        assert!(port.advance(Some(until)).is_some());
        assert_eq!(port.stats().waits, waits);
    });
}

#[test]
fn a_raised_flag_ends_the_wait_and_the_port_drains_without_it() {
    live(|| {
        let mut port = open("simoom0");
        let host = host_end(&port);
        let stop = StopFlag::new().unwrap();
        port.set_stop(Some(stop.clone()));
        // "PID/task/TID" of this thread: the other one raises the flag once this one sleeps.
        let this = fs::read_link("/proc/thread-self").unwrap();
        let raiser = thread::spawn({
            let (stop, stat) = (stop.clone(), Path::new("/proc").join(this).join("stat"));
            move || {
                while !fs::read_to_string(&stat).unwrap().contains(") S ") {
                    thread::yield_now();
                }
                stop.raise();
            }
        });
        listen_to_the_end(&mut port);
        raiser.join().unwrap();
        assert!(stop.is_raised());
        assert_eq!(port.fatal(), None);
        host.send(&numbered(9)).unwrap();
        assert_eq!(port.advance(None), None, "it stays up, whatever comes");
        port.set_stop(None);
        let seen = loop {
            let seen = receive(&mut port);
            if !seen.is_empty() {
                break seen;
            }
        };
        assert_eq!(seen, [numbered(9)]);
    });
}
