//! Waiting for frames, and errors of real kernels.

use crate::harness::{config, frame, has_netmap, name, open, submit};
use simoom_core::port::{Advance, Port, TxSync, Unclaimed};
use simoom_core::time::Duration;
use simoom_netmap::error::NetmapError;
use simoom_netmap::port::NetmapPort;
use std::thread;

#[test]
fn frames_wake_whoever_waits_for_them() {
    if !has_netmap() {
        return;
    }
    let far = thread::spawn(|| {
        let mut far = open("netmap:wake}1", 64);
        let mut seen = 0;
        while seen < 1_000 {
            let until = far.now() + Duration::from_secs(5);
            let mut answers = Vec::new();
            while answers.is_empty() {
                assert!(far.now() < until, "five seconds without a frame, after {seen}");
                far.advance(Some(until)).unwrap();
                far.receive(32, |frames| {
                    answers.extend(frames.iter().map(|frame| frame.bytes.to_vec()));
                    Unclaimed::NONE
                });
            }
            seen += answers.len();
            far.sync_tx(TxSync::PushAndReclaim).unwrap();
            far.reclaim(Some);
            for answer in answers {
                assert!(submit(&mut far, &answer));
            }
            far.sync_tx(TxSync::Push).unwrap();
        }
        far.close().unwrap();
    });
    let mut near = open("netmap:wake{1", 64);
    for number in 0..1_000 {
        let asked = frame(number, 60);
        near.reclaim(Some);
        assert!(submit(&mut near, &asked), "frame {number} finds no room");
        near.sync_tx(TxSync::PushAndReclaim).unwrap();
        let (mut answer, until) = (None, near.now() + Duration::from_secs(5));
        // A completion wakes too: whoever asked for one may go on.
        while answer.is_none() && near.now() < until {
            near.advance(Some(until)).unwrap();
            near.receive(1, |frames| {
                answer = Some(frames[0].bytes.to_vec());
                Unclaimed::NONE
            });
        }
        assert_eq!(answer, Some(asked), "frame {number}");
    }
    far.join().unwrap();
}

#[test]
fn what_cannot_be_opened_says_why() {
    if !has_netmap() {
        return;
    }
    let refused = |text: &str| NetmapPort::open(&name(text), &config(64, 1_500)).expect_err(text);
    let error = refused("netmap:nosuchif0");
    assert!(matches!(error, NetmapError::NoInterface { .. }), "{error:?}");
    let _port = open("netmap:busy{1", 64);
    let error = refused("netmap:busy{1");
    assert!(matches!(error, NetmapError::Busy { .. }), "{error:?}");
    let error = refused("netmap:busy}1-3");
    assert!(matches!(error, NetmapError::NoRing { .. }), "{error:?}");
    let error = NetmapPort::open(&name("netmap:wide{1"), &config(64, 9_000)).unwrap_err();
    assert!(matches!(error, NetmapError::MtuAboveBuffer { .. }), "{error:?}");
}
