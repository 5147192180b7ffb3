//! Closing, from either side and from both. RFC 9293 §3.6.

use super::packet::*;
use super::script::*;
use crate::tcp::{Config, Drop, Ended, Events, State};
use crate::time::Duration;

#[test]
fn our_side_closes_first_and_waits_in_time_wait() {
    // RFC 9293 §3.6, figure 12
    let mut p = Script::accepted(plain());
    p.close().expect(fin(1_001).ack(5_001)).expect_state(State::FinWait1).then_silence();
    p.at(ms(200)).recv(ack(1_002)).expect_acked(0).expect_state(State::FinWait2).then_silence();
    p.at(ms(300)).recv(fin(5_001)).expect(ack(5_002).seq(1_002)).expect_state(State::TimeWait);
    p.expect_events(&[Events::ESTABLISHED, Events::FIN | Events::TIME_WAIT]);
    p.at(ms(60_299)).then_silence().expect_state(State::TimeWait);
    p.at(ms(60_300)).expect_ended(Ended::Finished).then_silence();
}

#[test]
fn the_peer_closes_first_and_our_fin_ends_it() {
    // RFC 9293 §3.6, figure 12
    let mut p = Script::accepted(plain());
    p.recv(fin(5_001)).expect(ack(5_002)).expect_state(State::CloseWait);
    p.expect_events(&[Events::ESTABLISHED, Events::FIN]);
    p.write(500).expect(data(1_001..1_501).ack(5_002)).close();
    p.expect(fin(1_501)).expect_state(State::LastAck);
    p.at(ms(200)).recv(ack(1_501)).expect_state(State::LastAck);
    p.recv(ack(1_502)).expect_ended(Ended::Finished).then_silence();
}

#[test]
fn both_sides_close_at_once() {
    // RFC 9293 §3.6, figure 13
    let mut p = Script::accepted(plain());
    p.close().expect(fin(1_001));
    p.at(ms(150)).recv(fin(5_001).ack(1_001)).expect(ack(5_002).seq(1_002));
    p.expect_state(State::Closing).then_silence();
    p.at(ms(200)).recv(ack(1_002).seq(5_002)).expect_state(State::TimeWait).then_silence();
    p.at(ms(60_200)).expect_ended(Ended::Finished);
}

#[test]
fn a_fin_that_acknowledges_ours_goes_straight_to_time_wait() {
    let mut p = Script::accepted(plain());
    p.close().expect(fin(1_001)).recv(fin(5_001).ack(1_002));
    p.expect(ack(5_002)).expect_state(State::TimeWait).then_silence();
}

#[test]
fn a_half_closed_connection_still_receives() {
    // RFC 9293 §3.6, MUST-11
    let mut p = Script::accepted(plain());
    p.close().expect(fin(1_001)).recv(ack(1_002));
    p.recv(data(5_001..6_001)).recv(data(6_001..7_001)).expect(ack(7_001)).expect_read(2_000);
    p.recv(data(7_001..7_101).fin()).expect(ack(7_102)).expect_read(2_100);
    p.expect_state(State::TimeWait);
}

#[test]
fn a_half_closed_connection_still_sends() {
    let mut p = Script::accepted(plain());
    p.recv(fin(5_001)).expect(ack(5_002)).write(3_000).expect_run(1_001..4_001);
    p.at(ms(200)).recv(ack(4_001)).expect_acked(3_000).expect_state(State::CloseWait);
}

#[test]
fn fin_rides_on_the_last_text() {
    let mut p = Script::accepted(plain());
    p.write_last(1_500).expect(data(1_001..2_001)).expect(data(2_001..2_501).fin().push());
    p.then_silence().expect_state(State::FinWait1);
    p.recv(ack(2_502)).expect_acked(1_500).expect_state(State::FinWait2);
    assert_eq!(p.tcb_ref().acked(), 1_500);
}

#[test]
fn fin_that_would_lie_beyond_the_window_waits_for_it() {
    // RFC 9293 §3.8.6: FIN takes a number
    let mut p = Script::accepted(plain());
    p.recv(ack(1_001).window(1_000)).write_last(1_000).expect(data(1_001..2_001)).then_silence();
    p.at(ms(200)).recv(ack(2_001).window(1_000)).expect(fin(2_001)).then_silence();
}

#[test]
fn close_sends_what_the_source_still_has() {
    let mut p = Script::accepted(plain());
    p.recv(ack(1_001).window(2_000)).write(5_000).expect_run(1_001..3_001).close().then_silence();
    p.recv(ack(3_001).window(2_000)).expect_run(3_001..5_001).then_silence();
    p.recv(ack(5_001).window(2_000)).expect_run(5_001..6_001).expect(fin(6_001));
}

#[test]
fn a_lost_fin_is_sent_again() {
    let mut p = Script::accepted(plain());
    p.close().expect(fin(1_001)).at(ms(400)).expect(fin(1_001)).then_silence();
    p.at(ms(1_000)).expect(fin(1_001)).recv(ack(1_002)).expect_state(State::FinWait2);
}

#[test]
fn a_lost_fin_with_text_is_sent_again_with_it() {
    let mut p = Script::accepted(plain());
    p.write_last(500).expect(data(1_001..1_501).fin());
    p.at(ms(400)).expect(data(1_001..1_501).fin()).then_silence();
    p.recv(ack(1_501)).expect_acked(500).expect_state(State::FinWait1);
    p.recv(ack(1_502)).expect_acked(0).expect_state(State::FinWait2);
}

#[test]
fn a_fin_of_the_peer_that_comes_again_is_acknowledged_again() {
    let mut p = Script::accepted(plain());
    p.recv(fin(5_001)).expect(ack(5_002)).at(ms(500)).recv(fin(5_001)).expect(ack(5_002));
    p.expect_state(State::CloseWait).then_silence();
}

#[test]
fn a_fin_in_time_wait_starts_the_wait_again() {
    // RFC 9293 §3.10.7.4, eighth, TIME-WAIT
    let mut p = Script::in_state(State::TimeWait);
    p.at(ms(50_000)).recv(fin(5_001).ack(1_002)).expect(ack(5_002)).then_silence();
    p.at(ms(109_999)).expect_state(State::TimeWait).at(ms(110_000)).expect_ended(Ended::Finished);
}

#[test]
fn another_segment_in_time_wait_does_not_start_the_wait_again() {
    let mut p = Script::in_state(State::TimeWait);
    p.at(ms(50_000)).recv(fin(4_000).ack(1_002)).expect(ack(5_002));
    p.at(ms(55_000)).recv(ack(1_002)).then_silence();
    p.at(ms(60_100)).expect_ended(Ended::Finished);
}

#[test]
fn a_fin_before_its_text_is_not_taken_until_the_text_came() {
    let mut p = Script::accepted(plain());
    p.recv(data(5_501..5_601).fin()).expect(ack(5_001)).expect_state(State::Established);
    p.recv(data(5_001..5_501)).expect_read(600);
    p.expect(ack(5_601)).expect_state(State::Established);
    p.recv(data(5_501..5_601).fin()).expect(ack(5_602)).expect_state(State::CloseWait);
}

#[test]
fn text_beyond_the_peers_fin_is_dropped() {
    // RFC 9293 §3.10.7.4, seventh, CLOSE-WAIT
    let mut p = Script::in_state(State::CloseWait);
    p.recv(data(5_002..5_012)).expect_drop(Drop::TextAfterFin).expect(ack(5_002)).expect_read(0);
}

#[test]
fn fin_wait_2_ends_whatever_the_peer_still_sends() {
    let config = Config { fin_wait_2: Duration::from_secs(5), ..plain() };
    let mut p = Script::accepted(config);
    p.close().expect(fin(1_001)).at(ms(200)).recv(ack(1_002));
    p.at(ms(3_000)).recv(data(5_001..5_011)).at(ms(3_040)).expect(ack(5_011));
    // The application closed: the text is dropped, and a peer that trickles holds nothing.
    p.at(ms(5_199)).expect_state(State::FinWait2);
    p.at(ms(5_200)).expect_ended(Ended::TimedOut).then_silence();
}

#[test]
fn abort_sends_a_reset_where_the_state_asks_for_one() {
    // RFC 9293 §3.10.5
    use State::*;
    for state in [SynReceived, Established, FinWait1, FinWait2, CloseWait] {
        let mut p = Script::in_state(state);
        let next = if matches!(state, FinWait1 | FinWait2) { 1_002 } else { 1_001 };
        p.abort().expect(rst(next).ack(if state == CloseWait { 5_002 } else { 5_001 }));
        p.then_silence();
    }
    for state in [SynSent, Closing, LastAck, TimeWait] {
        Script::in_state(state).abort().then_silence();
    }
}

#[test]
fn time_wait_makes_way_for_a_newer_syn_only() {
    // RFC 9293 MAY-2, RFC 6191
    let p = Script::in_state(State::TimeWait);
    assert!(p.can_reuse(syn(5_003)));
    assert!(!p.can_reuse(syn(5_002)) && !p.can_reuse(syn(4_000)));
    assert!(!p.can_reuse(syn_ack(6_000, 1_002)) && !p.can_reuse(rst(6_000)));
    assert!(!Script::in_state(State::FinWait2).can_reuse(syn(9_000)));
    let config = Config { timestamps: true, ..plain() };
    let mut p = Script::passive(config, syn(IRS).timestamps(100, 0));
    p.expect(syn_ack(1_000, 5_001)).recv(ack(1_001).timestamps(200, 70_000));
    p.close().expect(fin(1_001)).recv(fin(5_001).ack(1_002).timestamps(300, 70_000));
    p.expect_state(State::TimeWait);
    assert!(p.can_reuse(syn(4_000).timestamps(301, 0)));
    assert!(!p.can_reuse(syn(4_000).timestamps(300, 0)));
    assert!(!p.can_reuse(syn(9_000).timestamps(299, 0)), "older by its timestamp");
}
