//! Blind attacks. RFC 5961.

use super::packet::*;
use super::script::*;
use crate::tcp::{Drop, Ended, State};

#[test]
fn only_a_reset_at_the_next_number_resets() {
    // RFC 5961 §3.2
    let mut p = Script::in_state(State::Established);
    p.recv(rst(5_002)).expect_drop(Drop::BadResetSequence).expect(ack(5_001).seq(1_001));
    p.recv(rst(5_000)).expect_drop(Drop::OutsideWindow).then_silence();
    p.recv(rst(15_001)).expect_drop(Drop::OutsideWindow).then_silence();
    p.recv(rst(5_001)).expect_ended(Ended::Reset).then_silence();
}

#[test]
fn a_syn_is_answered_with_a_challenge_wherever_it_stands() {
    // RFC 5961 §4.2
    for number in [5_000, 5_001, 5_500, 900_000] {
        let mut p = Script::in_state(State::Established);
        p.recv(syn(number)).expect(ack(5_001).seq(1_001)).then_silence();
        p.expect_state(State::Established);
    }
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_or_long_ago_is_challenged() {
    // RFC 5961 §5.2
    let mut p = Script::in_state(State::Established);
    p.recv(data(5_001..5_101).ack(1_002)).expect_drop(Drop::AckBeyondSndNxt);
    p.expect(ack(5_001)).then_silence().expect_read(0);
    let mut p = Script::in_state(State::Established);
    p.recv(data(5_001..5_101).ack(1_001u32.wrapping_sub(60_001))).expect_drop(Drop::AckTooOld);
    p.expect(ack(5_001)).then_silence().expect_read(0);
    p.recv(data(5_001..5_101).ack(1_001u32.wrapping_sub(60_000))).expect(ack(5_101));
    p.expect_read(100);
}

#[test]
fn challenges_are_not_sent_faster_than_the_interval() {
    // RFC 5961 §7
    let mut p = Script::in_state(State::Established);
    p.recv(rst(5_002)).expect(ack(5_001));
    for _ in 0..50 {
        p.recv(rst(5_002)).recv(syn(6_000)).recv(ack(9_999)).then_silence();
    }
    p.at(ms(499)).recv(rst(5_002)).then_silence();
    p.at(ms(500)).recv(rst(5_002)).expect(ack(5_001)).recv(rst(5_002)).then_silence();
}

#[test]
fn a_connection_that_opens_late_in_the_clocks_life_still_challenges() {
    // The interval is kept in 32 bits of milliseconds, which wrap after 49 days.
    let mut p = Script::in_state(State::Established);
    for day in [25, 40, 50, 75, 100] {
        p.at(ms(day * 86_400_000)).recv(rst(5_002)).expect(ack(5_001)).then_silence();
    }
}

#[test]
fn two_confused_ends_do_not_answer_each_other_for_ever() {
    // RFC 5961 §7: bare ACKs outside the window
    let mut p = Script::in_state(State::Established);
    p.recv(ack(1_001).seq(90_000)).expect(ack(5_001));
    for _ in 0..50 {
        p.recv(ack(1_001).seq(90_000)).expect_drop(Drop::OutsideWindow).then_silence();
    }
}
