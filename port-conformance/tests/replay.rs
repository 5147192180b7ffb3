//! What a log determines, shown without a stack: a caller that uses the port in every way is
//! recorded over one device and replayed over others.

use simoom_core::port::turn_log::{Reclaim, Recorder, TurnLog};
use simoom_core::port::{Buf, ChecksumOffload, Port, PortCaps, TxSync, Unclaimed};
use simoom_core::time::Instant;
use simoom_port_conformance::Harness;
use simoom_port_conformance::scripted::{Divergence, Scripted, replay};
use simoom_port_conformance::vec_port::{ReadAt, VecHarness, VecPort};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Sends frames that depend on everything that it was ever told, and on what the buffers that it
/// keeps still hold.
#[derive(Default)]
struct Caller {
    told: DefaultHasher,
    kept: Vec<Buf>,
}

impl Caller {
    fn turn<P: Port>(&mut self, now: Instant, port: &mut P) -> Result<(), P::Error> {
        now.as_nanos().hash(&mut self.told);
        let Self { told, kept } = self;
        let count = port.reclaim(|buf| {
            // Every second one is sent again, from where it is.
            told.write_u8(0);
            if told.finish() % 2 == 0 {
                kept.push(buf);
                return None;
            }
            Some(buf)
        });
        count.hash(told);
        port.receive(8, |frames| {
            frames.iter().for_each(|f| f.bytes.hash(told));
            Unclaimed::NONE
        });
        (port.tx_free(), port.free()).hash(told);
        for _ in 0..told.finish() % 6 {
            let mut buf = if kept.is_empty() {
                // What a buffer of the pool holds is nobody's business.
                let Some(mut buf) = port.take_free() else { break };
                port.bytes_mut(&mut buf).fill(0);
                buf
            } else {
                kept.remove(0)
            };
            let bytes = port.bytes_mut(&mut buf);
            bytes[0] = 1;
            let at = 14 + told.finish() as usize % 50;
            bytes[at] = bytes[at].wrapping_add(told.finish() as u8);
            bytes[at].hash(told);
            if let Err(full) = port.submit(buf, 64) {
                port.give_back(full.0);
                told.write_u8(9);
            }
        }
        port.sync_tx(if told.finish() % 3 == 0 { TxSync::PushAndReclaim } else { TxSync::Push })
    }
}

fn device(buffers: u32, tx_slots: u32, hold: u32, idle: u32, read_at: ReadAt) -> VecHarness {
    let caps = PortCaps {
        frame_max: 64,
        buffers,
        tx_slots,
        tx_hold_max: hold,
        tx_hold_idle: idle,
        max_frags: 1,
        checksum: ChecksumOffload::default(),
    };
    VecHarness::new(VecPort::new(caps, read_at, 5))
}

/// Forty turns over a device that reads late and reports lazily.
fn record() -> TurnLog {
    let port = VecPort::new(*device(9, 4, 2, 1, ReadAt::Work).port().caps(), ReadAt::Work, 5);
    let mut recorder = Recorder::new(port, String::new(), None, 1 << 20);
    let mut caller = Caller::default();
    for turn in 0..40u64 {
        for i in 0..turn % 5 {
            recorder.port_mut().arrive(&[(7 * turn + i) as u8; 20]);
        }
        let now = Instant::from_nanos(1000 * turn);
        recorder.begin(now);
        caller.turn(now, &mut recorder).unwrap();
        recorder.port_mut().work();
    }
    let (mut port, log) = recorder.finish();
    port.work();
    let wire = port.take_wire();
    assert!(wire.len() > 40 && log.output.frames == wire.len() as u64);
    log
}

fn over(log: &TurnLog, mut harness: VecHarness) -> Result<Vec<Vec<u8>>, Divergence> {
    let mut caller = Caller::default();
    replay(log, &mut harness, |now, port: &mut Scripted<'_, _>| caller.turn(now, port))
}

#[test]
fn log_gives_the_same_bytes_over_every_device() {
    let log = record();
    let log = TurnLog::decode(&log.encode().unwrap()).unwrap();
    let first = over(&log, device(10, 4, 0, 0, ReadAt::Doorbell)).unwrap();
    assert_eq!(first.len() as u64, log.output.frames);
    for (buffers, slots, hold, idle) in
        [(10, 4, 2, 1), (10, 2, 0, 0), (64, 32, 31, 1), (12, 7, 6, 3), (12, 5, 2, 2)]
    {
        for read_at in [ReadAt::Work, ReadAt::Doorbell] {
            let wire = over(&log, device(buffers, slots, hold, idle, read_at));
            assert_eq!(wire.as_ref(), Ok(&first), "{buffers} {slots} {hold} {idle}");
        }
    }
}

#[test]
fn device_smaller_than_the_recorded_one_is_refused() {
    let log = record();
    let error = over(&log, device(9, 4, 0, 0, ReadAt::Doorbell)).unwrap_err();
    assert_eq!(error, Divergence::PortTooSmall { what: "buffers", need: 10, have: 9 });
    let error = over(&log, device(20, 1, 0, 0, ReadAt::Doorbell)).unwrap_err();
    assert_eq!(error, Divergence::PortTooSmall { what: "tx_slots", need: 2, have: 1 });
}

/// Every kind of entry matters: a log with one entry changed does not replay.
#[test]
fn every_entry_of_a_log_is_told() {
    let fails = |change: fn(&mut TurnLog)| {
        let mut log = record();
        change(&mut log);
        over(&log, device(16, 8, 3, 1, ReadAt::Work)).unwrap_err()
    };
    let error = fails(|log| log.turns[5].now = Instant::from_nanos(5_001));
    assert!(is_another_run(&error), "{error:?}");
    let error = fails(|log| log.turns[7].received[0][0][3] ^= 1);
    assert!(is_another_run(&error), "{error:?}");
    let error = fails(|log| log.turns[0].reclaims[0].tx_free -= 1);
    assert!(is_another_run(&error), "{error:?}");
    let error = fails(|log| drop(log.turns[9].received.pop()));
    assert_eq!(error, Divergence::Calls { what: "receive", logged: 0, made: 1 });
    let error = fails(|log| log.turns[0].reclaims.push(Reclaim::default()));
    assert_eq!(error, Divergence::Calls { what: "reclaim", logged: 2, made: 1 });
    let error = fails(|log| log.turns[9].buffers_free += 1);
    assert!(matches!(error, Divergence::Pool { .. }), "{error:?}");
    let error = fails(|log| log.turns[0].reclaims[0].completed = 1);
    assert_eq!(error, Divergence::CompletionsOfNothing { logged: 1, away: 0 });
    let error = fails(|log| log.turns[8].received[0] = vec![vec![0; 20]; 9]);
    assert_eq!(error, Divergence::AskedForFewer { asked: 8, logged: 9 });
    let error = fails(|log| log.output.digest[0] ^= 1);
    assert!(matches!(error, Divergence::Output { .. }), "{error:?}");
}

/// The caller was told something else and did something else: seen in what left, or before that in
/// what the pool or the device has.
fn is_another_run(divergence: &Divergence) -> bool {
    matches!(
        divergence,
        Divergence::Output { .. }
            | Divergence::Pool { .. }
            | Divergence::CompletionsOfNothing { .. }
    )
}
