//! Fast retransmit and recovery. RFC 5681 §3.2, RFC 6582.

use super::packet::*;
use super::script::*;
use crate::tcp::State;
use crate::time::Duration;

/// Ten segments away from 1001 on, at 100 ms, and more to send.
fn ten_away() -> Script {
    let mut p = Script::accepted(plain());
    p.write(100_000).expect_run(1_001..11_001).at(ms(200));
    p
}

#[test]
fn the_third_duplicate_brings_the_missing_segment() {
    // RFC 5681 §3.2 steps 1 to 3
    let mut p = ten_away();
    p.recv(ack(1_001)).recv(ack(1_001)).then_silence();
    p.recv(ack(1_001)).expect(data(1_001..2_001)).then_silence().expect_window(8_000, 5_000);
}

#[test]
fn an_acknowledgement_of_new_text_starts_the_count_again() {
    // RFC 5681 §3.2
    let mut p = ten_away();
    p.recv(ack(1_001)).recv(ack(1_001)).recv(ack(3_001)).expect_run(11_001..15_001);
    p.recv(ack(3_001)).recv(ack(3_001)).then_silence();
    p.recv(ack(3_001)).expect(data(3_001..4_001)).then_silence();
}

#[test]
fn further_duplicates_inflate_the_window_and_let_new_text_out() {
    // RFC 5681 §3.2 steps 4 and 5
    let mut p = ten_away();
    p.recv(ack(1_001)).recv(ack(1_001)).recv(ack(1_001)).expect(data(1_001..2_001));
    p.recv(ack(1_001)).recv(ack(1_001)).then_silence().expect_window(10_000, 5_000);
    p.recv(ack(1_001)).expect(data(11_001..12_001)).then_silence();
    p.recv(ack(1_001)).expect(data(12_001..13_001)).then_silence();
}

#[test]
fn a_full_acknowledgement_ends_recovery_at_ssthresh() {
    // RFC 6582 §3.2 step 3, full
    let mut p = ten_away();
    for _ in 0..9 {
        p.recv(ack(1_001));
    }
    p.expect(data(1_001..2_001)).expect_run(11_001..15_001).then_silence();
    p.at(ms(300)).recv(ack(11_001)).expect_acked(10_000);
    // ssthresh: less than ten segments beyond the 4,000 in flight
    p.expect_window(5_000, 5_000).expect(data(15_001..16_001)).then_silence();
}

#[test]
fn a_partial_acknowledgement_brings_the_next_missing_segment() {
    // RFC 6582 §3.2 step 3, partial: 1001 and 4001 were lost
    let mut p = ten_away();
    for _ in 0..8 {
        p.recv(ack(1_001));
    }
    p.expect(data(1_001..2_001)).expect_run(11_001..14_001).expect_window(13_000, 5_000);
    p.at(ms(300)).recv(ack(4_001)).expect_acked(3_000).expect(data(4_001..5_001));
    // Less 3,000 acknowledged, and one segment more.
    p.expect_window(11_000, 5_000).expect(data(14_001..15_001)).then_silence();
    p.at(ms(400)).recv(ack(13_001)).expect_window(5_000, 5_000);
}

#[test]
fn only_the_first_partial_acknowledgement_restarts_the_timer() {
    // RFC 6582 §3.2 step 3
    let mut p = Script::accepted(plain());
    p.write(10_000).expect_run(1_001..11_001).at(ms(200));
    p.recv(ack(1_001)).recv(ack(1_001)).recv(ack(1_001)).expect(data(1_001..2_001));
    let at = |p: &Script| p.tcb_ref().next_deadline().unwrap().at;
    let first = at(&p);
    p.at(ms(250)).recv(ack(3_001)).expect(data(3_001..4_001));
    let second = at(&p);
    assert!(second > first);
    p.at(ms(300)).recv(ack(5_001)).expect(data(5_001..6_001));
    assert_eq!(at(&p), second);
}

#[test]
fn a_fast_retransmission_gives_no_sample() {
    // RFC 9293 MUST-18 (Karn)
    let mut p = Script::accepted(plain());
    p.write(10_000).expect_run(1_001..11_001).at(ms(350));
    p.recv_batch([ack(1_001), ack(1_001), ack(1_001)]).expect(data(1_001..2_001));
    p.recv(ack(11_001)).expect_rto(Duration::from_millis(300));
}

#[test]
fn a_loss_of_the_very_first_segment_is_recovered() {
    let mut p = ten_away();
    p.recv_batch([ack(1_001), ack(1_001), ack(1_001)]).expect(data(1_001..2_001)).then_silence();
}

#[test]
fn after_a_timeout_duplicates_of_its_window_do_not_retransmit() {
    // RFC 6582 §4
    let mut p = ten_away();
    p.at(ms(400)).expect(data(1_001..2_001));
    p.at(ms(500)).recv(ack(3_001)).expect_run(3_001..5_001);
    for _ in 0..5 {
        p.recv(ack(3_001)).then_silence();
    }
}

#[test]
fn a_timeout_ends_recovery() {
    let mut p = ten_away();
    p.recv_batch([ack(1_001), ack(1_001), ack(1_001)]).expect(data(1_001..2_001));
    // Without a partial ACK the retransmission was lost: halved twice, RFC 5681 §4.3.
    p.at(ms(500)).expect(data(1_001..2_001)).then_silence().expect_window(1_000, 2_500);
    assert!(!p.tcb_ref().info(&p.config).in_recovery);
    p.at(ms(600)).recv(ack(11_001)).expect_run(11_001..13_001).then_silence();
}

#[test]
fn a_timeout_in_a_long_recovery_does_not_raise_ssthresh() {
    // RFC 5681 §3.1: no more than half of what is in flight, and duplicates say that little of it is
    let mut p = ten_away();
    p.recv_batch([ack(1_001), ack(1_001), ack(1_001)]).expect(data(1_001..2_001));
    for n in 0..17 {
        p.recv(ack(1_001));
        if n >= 2 {
            p.expect(data(9_001 + n * 1_000..10_001 + n * 1_000));
        }
    }
    p.then_silence().at(ms(300)).recv(ack(2_001)).expect(data(2_001..3_001));
    p.expect(data(26_001..27_001)).then_silence();
    // 25,000 outstanding, but ssthresh stays.
    p.at(ms(600)).expect(data(2_001..3_001)).then_silence().expect_window(1_000, 5_000);
}

#[test]
fn only_an_acknowledgement_that_says_nothing_new_is_a_duplicate() {
    // RFC 5681 §2: (a) outstanding, (b) no text, (c) no FIN, (d) the same number, (e) the same window
    let mut p = ten_away();
    for n in 0..5 {
        p.recv(data(5_001 + n..5_002 + n).ack(1_001)).then_silence();
    }
    let mut p = ten_away();
    for n in 1..6 {
        p.recv(ack(1_001).window(60_000 - n));
    }
    p.then_silence();
    let mut p = Script::accepted(plain());
    for _ in 0..5 {
        p.recv(ack(1_001));
    }
    p.write(10_000).expect_run(1_001..11_001).then_silence();
    p.recv(ack(500)).recv(ack(500)).recv(ack(500)).then_silence();
}

#[test]
fn a_lost_fin_is_not_mistaken_for_text() {
    let mut p = Script::accepted(plain());
    p.write_last(3_000).expect_run_with_fin(1_001..4_001);
    p.recv_batch([ack(1_001), ack(1_001), ack(1_001)]).expect(data(1_001..2_001));
    p.at(ms(200)).recv(ack(4_001)).expect(fin(4_001)).then_silence();
    p.recv(ack(4_002)).expect_state(State::FinWait2);
}

#[test]
fn fast_retransmit_keeps_to_a_window_that_shrank() {
    // RFC 9293 MUST-34
    let mut p = ten_away();
    p.recv(ack(1_001).window(400));
    p.recv(ack(1_001).window(400)).recv(ack(1_001).window(400)).then_silence();
    p.recv(ack(1_001).window(400)).expect(data(1_001..1_401)).then_silence();
}

#[test]
fn fast_retransmit_of_a_short_last_segment_sends_it_as_it_was() {
    let mut p = Script::accepted(plain());
    p.write(4_200).expect_run(1_001..5_201);
    p.at(ms(200)).recv(ack(5_001)).at(ms(220)).write(3_000).expect_run(5_201..8_201);
    p.recv_batch([ack(5_001), ack(5_001), ack(5_001)]).expect(data(5_001..6_001)).then_silence();
}

#[test]
fn an_acknowledgement_in_recovery_of_all_and_the_fin_ends_it() {
    let mut p = Script::accepted(plain());
    p.write_last(4_000).expect_run_with_fin(1_001..5_001);
    p.recv_batch([ack(1_001), ack(1_001), ack(1_001)]).expect(data(1_001..2_001));
    p.recv(ack(5_002)).expect_acked(4_000).expect_state(State::FinWait2);
}
