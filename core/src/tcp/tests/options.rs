//! Timestamps. RFC 7323 §3 to §5.

use super::packet::*;
use super::script::*;
use crate::tcp::{Config, Drop, Ended, State};

fn stamped() -> Script {
    let config = Config { timestamps: true, ..plain() };
    let mut p = Script::passive(config, syn(IRS).mss(1_012).timestamps(100, 0));
    p.expect(syn_ack(1_000, 5_001).timestamps(70_000, 100));
    p.at(ms(100)).recv(ack(1_001).timestamps(200, 70_000)).then_silence();
    p
}

#[test]
fn every_segment_carries_our_clock_and_echoes_the_peers() {
    // RFC 7323 §3.2
    let mut p = stamped();
    p.write(1_000).expect(data(1_001..2_001).timestamps(70_100, 200));
    p.at(ms(150)).recv(data(5_001..5_011).timestamps(250, 70_100));
    p.at(ms(190)).expect(ack(5_011).timestamps(70_190, 250));
    p.at(ms(195)).close().expect(fin(2_001).timestamps(70_195, 250));
    p.abort().expect(rst(2_002).ack(5_011).timestamps(70_195, 250));
}

#[test]
fn a_segment_with_an_older_timestamp_is_dropped_and_acknowledged() {
    // RFC 7323 §5.3 R1
    let mut p = stamped();
    p.recv(data(5_001..5_101).timestamps(199, 70_000)).expect_drop(Drop::PawsFailed);
    p.expect(ack(5_001).timestamps(70_100, 200)).then_silence().expect_read(0);
    p.recv(data(5_001..5_101).timestamps(200, 70_000)).expect_read(100);
}

#[test]
fn timestamps_wrap() {
    // RFC 7323 §5.2
    let config = Config { timestamps: true, ..plain() };
    let mut p = Script::passive(config, syn(IRS).timestamps(u32::MAX - 5, 0));
    p.expect(syn_ack(1_000, 5_001)).at(ms(10)).recv(ack(1_001).timestamps(u32::MAX, 70_000));
    p.recv(data(5_001..5_101).timestamps(5, 70_000)).expect_read(100);
    p.recv(data(5_101..5_201).timestamps(u32::MAX, 70_000)).expect_drop(Drop::PawsFailed);
}

#[test]
fn after_24_idle_days_an_older_timestamp_is_taken() {
    // RFC 7323 §5.5
    let mut p = stamped();
    p.at(ms(23 * 86_400_000)).recv(data(5_001..5_101).timestamps(199, 70_000));
    p.expect_drop(Drop::PawsFailed).expect(ack(5_001));
    p.at(ms(25 * 86_400_000)).recv(data(5_001..5_101).timestamps(3, 70_000)).expect_read(100);
    p.recv(data(5_101..5_201).timestamps(2, 70_000)).expect_drop(Drop::PawsFailed);
}

#[test]
fn a_reset_is_not_held_to_its_timestamp() {
    // RFC 7323 §5.2: RST is exempt
    let mut p = stamped();
    p.recv(rst(5_001).timestamps(1, 0)).expect_ended(Ended::Reset);
    let mut p = stamped();
    p.recv(rst(5_001).without_timestamps()).expect_ended(Ended::Reset);
}

#[test]
fn a_segment_without_the_timestamps_agreed_on_is_dropped() {
    // RFC 7323 §3.2
    let mut p = stamped();
    p.recv(data(5_001..5_101).without_timestamps()).expect_drop(Drop::TimestampMissing);
    p.then_silence().expect_read(0).expect_state(State::Established);
}

#[test]
fn the_echo_follows_the_segment_that_moves_the_left_edge() {
    // RFC 7323 §4.3: with an acknowledgement delayed, the earliest; with a hole, the one before it
    let mut p = stamped();
    p.recv(data(5_001..5_101).timestamps(300, 70_000))
        .recv(data(5_101..5_201).timestamps(310, 70_000));
    p.at(ms(140)).expect(ack(5_201).timestamps(70_140, 300));
    p.recv(data(5_301..5_401).timestamps(320, 70_000)).expect(ack(5_201).timestamps(70_140, 300));
    p.recv(data(5_201..5_301).timestamps(330, 70_000)).expect(ack(5_401).timestamps(70_140, 330));
}

#[test]
fn a_segment_that_is_not_acceptable_leaves_the_echo() {
    // RFC 7323 §5.3 R2, R3
    let mut p = stamped();
    p.recv(data(99_000..99_100).timestamps(900, 70_000)).expect_drop(Drop::OutsideWindow);
    p.expect(ack(5_001).timestamps(70_100, 200));
}

#[test]
fn timestamps_of_a_peer_that_did_not_agree_are_ignored() {
    // RFC 7323 §3.2
    let config = Config { timestamps: true, ..plain() };
    let mut p = Script::passive(config, syn(IRS));
    p.expect(syn_ack(1_000, 5_001).without_timestamps()).recv(ack(1_001));
    p.recv(data(5_001..5_101).timestamps(5, 6)).recv(data(5_101..5_201).timestamps(1, 6));
    p.expect_read(200).at(ms(40)).expect(ack(5_201).without_timestamps());
}
