//! Opening. RFC 9293 §3.5; what the options of a SYN agree on.

use super::packet::*;
use super::script::*;
use crate::tcp::{Config, Drop, Ended, Events, State};
use crate::time::Duration;

#[test]
fn a_listener_answers_syn_with_syn_ack_and_is_established_by_the_ack() {
    // RFC 9293 §3.5, figure 6
    let mut p = Script::passive(plain(), syn(IRS).mss(1_000));
    p.expect(syn_ack(1_000, 5_001).mss(1_460).window(10_000).without_scale()).then_silence();
    p.expect_state(State::SynReceived);
    p.at(ms(100)).recv(ack(1_001)).then_silence().expect_state(State::Established);
    p.expect_events(&[Events::ESTABLISHED]);
}

#[test]
fn a_client_sends_syn_and_acknowledges_the_syn_ack() {
    // RFC 9293 §3.5, figure 6
    let mut p = Script::active(plain());
    p.expect(syn(1_000).mss(1_460).without_scale()).then_silence();
    p.at(ms(100)).recv(syn_ack(5_000, 1_001).mss(1_000));
    p.expect(ack(5_001).seq(1_001)).then_silence();
    p.expect_state(State::Established).expect_events(&[Events::ESTABLISHED]);
    p.write(100).expect(data(1_001..1_101).ack(5_001)).then_silence();
}

#[test]
fn the_acknowledgement_of_the_handshake_may_carry_text() {
    let mut p = Script::passive(plain(), syn(IRS));
    p.expect(syn_ack(1_000, 5_001));
    p.at(ms(10)).recv(data(5_001..5_101).ack(1_001));
    p.expect_state(State::Established).expect_read(100);
}

#[test]
fn two_syns_that_cross_open_one_connection() {
    // RFC 9293 MUST-10, §3.5 figure 7
    let mut p = Script::active(plain());
    p.expect(syn(1_000));
    p.at(ms(50)).recv(syn(5_000).mss(1_000)).expect_state(State::SynReceived);
    p.expect(syn_ack(1_000, 5_001).mss(1_460)).then_silence();
    p.at(ms(100)).recv(syn_ack(5_000, 1_001).mss(1_000).window(2_000));
    p.expect_state(State::Established).expect_events(&[Events::ESTABLISHED]);
    p.write(3_000).recv(ack(1_001).seq(5_001).window(2_000));
}

#[test]
fn two_syns_that_cross_are_established_by_a_bare_ack_as_well() {
    // RFC 9293 §3.10.7.4, fifth, SYN-RECEIVED
    let mut p = Script::active(plain());
    p.expect(syn(1_000)).at(ms(50)).recv(syn(5_000)).expect(syn_ack(1_000, 5_001));
    p.at(ms(100)).recv(ack(1_001)).expect_state(State::Established).then_silence();
}

#[test]
fn the_window_of_a_syn_ack_that_crosses_is_not_scaled() {
    // RFC 7323 §2.2
    let config = Config { window_scaling: true, ..plain() };
    let mut p = Script::active(config);
    p.expect(syn(1_000).scale(0)).recv(syn(5_000).mss(1_000).scale(7).window(3_000));
    p.expect(syn_ack(1_000, 5_001).scale(0));
    p.at(ms(100)).write(9_000).recv(syn_ack(5_000, 1_001).mss(1_000).scale(7).window(3_000));
    p.expect_run(1_001..4_001);
}

#[test]
fn a_larger_shift_than_the_window_needs_is_offered_where_configured() {
    for (least, offered) in [(0, 0), (7, 7), (200, 14)] {
        let config = Config { window_scaling: true, window_shift_min: least, ..plain() };
        let mut p = Script::passive(config, syn(5_000).scale(2));
        p.expect(syn_ack(1_000, 5_001).scale(offered));
    }
}

#[test]
fn text_on_a_crossing_syn_ack_is_left_to_be_sent_again() {
    let mut p = Script::active(plain());
    p.expect(syn(1_000)).recv(syn(5_000)).expect(syn_ack(1_000, 5_001));
    p.at(ms(100)).recv(syn_ack(5_000, 1_001).text(1).fin()).expect_state(State::Established);
    p.expect_read(0);
}

#[test]
fn a_syn_that_comes_again_brings_the_syn_ack_again() {
    let mut p = Script::passive(plain(), syn(IRS));
    p.expect(syn_ack(1_000, 5_001));
    p.at(ms(10)).recv(syn(IRS)).expect(syn_ack(1_000, 5_001)).then_silence();
    p.at(ms(20)).recv(ack(1_001)).expect_state(State::Established).then_silence();
}

#[test]
fn a_syn_ack_that_was_asked_for_again_gives_no_sample() {
    // RFC 9293 MUST-18 (Karn)
    let mut p = Script::passive(plain(), syn(IRS));
    p.expect(syn_ack(1_000, 5_001)).at(ms(900)).recv(syn(IRS)).expect(syn_ack(1_000, 5_001));
    p.at(ms(910)).recv(ack(1_001)).expect_rto(Duration::from_secs(1));
}

#[test]
fn a_syn_ack_is_sent_again_after_1_2_4_seconds_and_then_given_up() {
    // RFC 6298 (2.1), (5.5); RFC 9293 §3.8.3 R2
    let config = Config { syn_retries_max: 3, ..plain() };
    let mut p = Script::passive(config, syn(IRS));
    p.expect(syn_ack(1_000, 5_001));
    for at in [1_000, 3_000, 7_000] {
        p.at(ms(at)).expect(syn_ack(1_000, 5_001)).then_silence();
    }
    p.at(ms(14_999)).then_silence().at(ms(15_000)).expect_ended(Ended::TimedOut).then_silence();
}

#[test]
fn a_syn_is_sent_again_after_1_2_4_seconds_and_then_given_up() {
    // RFC 9293 MUST-23
    let config = Config { syn_retries_max: 3, ..plain() };
    let mut p = Script::active(config);
    p.expect(syn(1_000));
    for at in [1_000, 3_000, 7_000] {
        p.at(ms(at)).expect(syn(1_000)).then_silence();
    }
    p.at(ms(15_000)).expect_ended(Ended::TimedOut).then_silence();
}

#[test]
fn a_syn_sent_twice_gives_no_sample_and_a_timeout_of_three_seconds() {
    // RFC 6298 (5.7)
    let mut p = Script::active(plain());
    p.expect(syn(1_000)).at(ms(1_000)).expect(syn(1_000));
    p.at(ms(1_100)).recv(syn_ack(5_000, 1_001)).expect(ack(5_001));
    p.expect_rto(Duration::from_secs(3));
}

#[test]
fn a_syn_sent_twice_is_sampled_by_its_timestamp() {
    // RFC 7323 §4.1
    let config = Config { timestamps: true, ..plain() };
    let mut p = Script::active(config);
    p.expect(syn(1_000).timestamps(70_000, 0));
    p.at(ms(1_000)).expect(syn(1_000).timestamps(71_000, 0));
    p.at(ms(1_100)).recv(syn_ack(5_000, 1_001).timestamps(9, 71_000)).expect(ack(5_001));
    p.expect_rto(Duration::from_millis(300));
}

#[test]
fn a_connection_refused_is_told() {
    // RFC 9293 §3.10.7.3, second
    let mut p = Script::active(plain());
    p.expect(syn(1_000)).recv(rst(0).ack(1_001)).expect_ended(Ended::Refused).then_silence();
}

#[test]
fn a_reset_that_does_not_acknowledge_our_syn_is_ignored() {
    // RFC 9293 §3.10.7.3, second
    let mut p = Script::active(plain());
    p.expect(syn(1_000)).recv(rst(0)).expect_drop(Drop::ResetNotForUs);
    p.recv(rst(0).ack(1_000)).expect_drop(Drop::BadHandshakeAck);
    p.expect_state(State::SynSent).then_silence();
}

#[test]
fn an_old_syn_ack_is_answered_with_a_reset_and_the_right_one_opens() {
    // RFC 9293 §3.5, figure 9
    let mut p = Script::active(plain());
    p.expect(syn(1_000)).recv(syn_ack(5_000, 400)).expect_drop(Drop::BadHandshakeAck);
    p.expect(rst(400)).expect_state(State::SynSent).then_silence();
    p.recv(syn_ack(5_000, 1_001)).expect(ack(5_001)).expect_state(State::Established);
}

#[test]
fn an_acknowledgement_of_another_syn_ack_is_answered_with_a_reset() {
    // RFC 9293 §3.10.7.4, fifth, SYN-RECEIVED
    let mut p = Script::passive(plain(), syn(IRS));
    p.expect(syn_ack(1_000, 5_001));
    p.recv(ack(1_000)).expect_drop(Drop::BadHandshakeAck).expect(rst(1_000));
    p.recv(ack(1_002)).expect_drop(Drop::BadHandshakeAck).expect(rst(1_002));
    p.expect_state(State::SynReceived).recv(ack(1_001)).expect_state(State::Established);
}

#[test]
fn a_reset_ends_a_passive_open_and_refuses_an_active_one() {
    // RFC 9293 §3.10.7.4, second, SYN-RECEIVED
    let mut p = Script::passive(plain(), syn(IRS));
    p.expect(syn_ack(1_000, 5_001)).recv(rst(5_001)).expect_ended(Ended::Reset).then_silence();
    let mut p = Script::active(plain());
    p.expect(syn(1_000)).recv(syn(IRS)).expect(syn_ack(1_000, 5_001));
    p.recv(rst(5_001)).expect_ended(Ended::Refused).then_silence();
}

#[test]
fn a_peer_without_an_mss_option_gets_536_bytes_a_segment() {
    // RFC 9293 MUST-15
    let mut p = Script::passive(plain(), syn(IRS));
    p.expect(syn_ack(1_000, 5_001)).at(ms(100)).recv(ack(1_001));
    p.write(1_000).expect(data(1_001..1_537)).expect(data(1_537..2_001)).then_silence();
}

#[test]
fn the_smaller_mss_of_both_counts_and_timestamps_take_twelve_bytes_of_it() {
    // RFC 9293 MUST-16
    let config = Config { mss: 1_200, timestamps: true, ..plain() };
    let mut p = Script::passive(config.clone(), syn(IRS).mss(1_460));
    p.recv(ack(1_001));
    assert_eq!(p.tcb_ref().mss(), 1_200);
    let mut p = Script::passive(config, syn(IRS).mss(1_100).timestamps(7, 0));
    p.recv(ack(1_001));
    assert_eq!(p.tcb_ref().mss(), 1_088);
}

#[test]
fn an_absurd_mss_is_not_believed() {
    let p = Script::passive(plain(), syn(IRS).mss(0));
    assert_eq!(p.tcb_ref().mss(), 64);
}

#[test]
fn options_are_answered_only_where_they_were_offered() {
    // RFC 7323 §2.2, §3.2
    let config = Config { timestamps: true, window_scaling: true, ..plain() };
    let mut p = Script::passive(config.clone(), syn(IRS));
    p.expect(syn_ack(1_000, 5_001).without_scale().without_timestamps());
    let mut p = Script::passive(config, syn(IRS).scale(3).timestamps(123, 0));
    p.expect(syn_ack(1_000, 5_001).scale(0).timestamps(70_000, 123));
    let mut p = Script::passive(plain(), syn(IRS).scale(3).timestamps(123, 0));
    p.expect(syn_ack(1_000, 5_001).without_scale().without_timestamps());
}

#[test]
fn a_syn_and_its_acknowledgement_in_one_batch_open_once() {
    // The SYN again, and the ACK behind it, before anything could be sent.
    let mut p = Script::passive(plain(), syn(IRS));
    p.expect(syn_ack(1_000, 5_001));
    p.recv_batch([syn(IRS), ack(1_001)]).expect_state(State::Established).then_silence();
    p.write(10).expect(data(1_001..1_011)).then_silence();
}

#[test]
fn closing_before_established_sends_fin_after_the_handshake() {
    // RFC 9293 §3.10.4, SYN-RECEIVED: queue until ESTABLISHED
    let mut p = Script::passive(plain(), syn(IRS));
    p.expect(syn_ack(1_000, 5_001)).close().then_silence();
    p.recv(ack(1_001)).expect(fin(1_001)).expect_state(State::FinWait1);
}
