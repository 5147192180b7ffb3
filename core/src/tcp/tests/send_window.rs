//! The peer's window: bounds, probes, silly windows, scaling. RFC 9293 §3.8.6, RFC 7323 §2.

use super::packet::*;
use super::script::*;
use crate::tcp::{Config, Ended, State, TimerKind};

#[test]
fn nothing_is_sent_beyond_the_window() {
    // RFC 9293 §3.8.6
    let mut p = Script::accepted(plain());
    p.recv(ack(1_001).window(2_000)).write(9_000).expect_run(1_001..3_001).then_silence();
    p.at(ms(200)).recv(ack(2_001).window(2_000)).expect(data(3_001..4_001)).then_silence();
}

#[test]
fn the_window_of_a_retransmission_counts_where_it_acknowledges_more() {
    // RFC 9293 §3.10.7.4 as changed in `update_window`: the edge is 4,001 from first to last.
    let mut p = Script::accepted(plain());
    p.recv(ack(1_001).window(3_000)).write(9_000).expect_run(1_001..4_001).then_silence();
    p.recv(data(5_101..5_201).ack(1_001).window(3_000)).expect(ack(5_001)).then_silence();
    p.recv(data(5_001..5_101).ack(3_001).window(1_000)).expect(ack(5_201)).then_silence();
}

#[test]
fn a_closed_window_is_probed_with_one_byte_at_growing_intervals() {
    // RFC 9293 MUST-36, SHLD-29, SHLD-30
    let mut p = Script::accepted(plain());
    p.recv(ack(1_001).window(1_000)).write(9_000).expect(data(1_001..2_001));
    p.at(ms(200)).recv(ack(2_001).window(0)).then_silence();
    // SRTT 100 ms, RTTVAR 37.5 ms: 250 ms, doubled each time.
    assert_eq!(p.tcb_ref().next_deadline().unwrap().why, TimerKind::ZeroWindowProbe);
    for at in [450, 950, 1_950] {
        p.at(ms(at - 1)).then_silence().at(ms(at)).expect(data(2_001..2_002)).then_silence();
        p.recv(ack(2_001).window(0)).then_silence();
    }
}

#[test]
fn a_peer_that_answers_probes_is_never_given_up() {
    // RFC 9293 MUST-37
    let config = Config { retries_max: 3, ..plain() };
    let mut p = Script::accepted(config);
    p.recv(ack(1_001).window(0)).write(9_000).then_silence();
    for _ in 0..40 {
        let at = p.tcb_ref().next_deadline().unwrap().at;
        p.at(at).expect(data(1_001..1_002)).recv(ack(1_001).window(0)).then_silence();
    }
    p.expect_state(State::Established);
}

#[test]
fn a_peer_that_answers_no_probe_is_given_up() {
    let config = Config { retries_max: 3, ..plain() };
    let mut p = Script::accepted(config);
    p.recv(ack(1_001).window(0)).write(9_000).then_silence();
    for at in [400, 1_000, 2_200] {
        p.at(ms(at)).expect(data(1_001..1_002)).then_silence();
    }
    p.at(ms(4_600)).expect_ended(Ended::TimedOut).then_silence();
}

#[test]
fn a_probe_that_is_taken_moves_on_to_the_next_byte() {
    let mut p = Script::accepted(plain());
    p.recv(ack(1_001).window(0)).write(9_000).at(ms(400)).expect(data(1_001..1_002));
    p.recv(ack(1_002).window(0)).expect_acked(1).then_silence();
    let at = p.tcb_ref().next_deadline().unwrap().at;
    p.at(at).expect(data(1_002..1_003)).then_silence();
}

#[test]
fn an_opening_window_is_used_at_once_from_the_probed_byte_on() {
    let mut p = Script::accepted(plain());
    p.recv(ack(1_001).window(0)).write(3_000).at(ms(400)).expect(data(1_001..1_002));
    p.at(ms(500)).recv(ack(1_001).window(5_000)).expect_run(1_001..4_001).then_silence();
    p.at(ms(600)).recv(ack(4_001).window(5_000)).expect_acked(3_000);
    assert_eq!(p.tcb_ref().next_deadline(), None);
}

#[test]
fn a_source_with_nothing_to_send_is_not_probed_for_and_not_given_up() {
    let config = Config { retries_max: 2, ..plain() };
    let mut p = Script::accepted(config);
    for n in 0..20u64 {
        p.at(ms(1_000 * (n + 1))).recv(ack(1_001).window(0)).then_silence();
    }
    p.at(ms(60_000)).then_silence().expect_state(State::Established);
    assert_eq!(p.tcb_ref().next_deadline(), None);
    p.write(10).then_silence().at(ms(60_300)).expect(data(1_001..1_002));
}

#[test]
fn an_acknowledgement_while_probing_stands_where_the_peer_accepts_it() {
    let mut p = Script::accepted(plain());
    p.recv(ack(1_001).window(0)).write(3_000).at(ms(400)).expect(data(1_001..1_002));
    p.recv(data(5_001..5_101).ack(1_001).window(0)).at(ms(440)).expect(ack(5_101).seq(1_001));
}

#[test]
fn fin_probes_a_closed_window() {
    let mut p = Script::accepted(plain());
    p.recv(ack(1_001).window(0)).close().then_silence();
    p.at(ms(400)).expect(fin(1_001)).recv(ack(1_001).window(0)).then_silence();
    p.at(ms(700)).expect(fin(1_001)).recv(ack(1_001).window(0)).then_silence();
    p.at(ms(1_300)).expect(fin(1_001)).recv(ack(1_002)).expect_state(State::FinWait2);
}

#[test]
fn a_window_that_shrinks_is_kept_to_and_probed() {
    // RFC 9293 MUST-34
    let mut p = Script::accepted(plain());
    p.write(3_000).expect_run(1_001..4_001).at(ms(200)).recv(ack(2_001).window(0));
    p.at(ms(450)).expect(data(2_001..2_002)).then_silence();
    p.at(ms(500)).recv(ack(2_001).window(8_000)).expect_run(2_001..4_001).then_silence();
}

#[test]
fn a_window_that_shrinks_is_no_sign_of_congestion() {
    let mut p = Script::accepted(plain());
    p.write(3_000).expect_run(1_001..4_001).at(ms(200)).recv(ack(2_001).window(0));
    let before = p.tcb_ref().info(&p.config).cwnd;
    p.at(ms(450)).expect(data(2_001..2_002));
    assert_eq!(p.tcb_ref().info(&p.config).cwnd, before);
}

#[test]
fn a_silly_window_waits_for_more_or_for_the_override_timeout() {
    // RFC 9293 MUST-38, §3.8.6.2.1
    let mut p = Script::accepted(plain());
    p.recv(ack(1_001).window(4_000)).write(9_000).expect_run(1_001..5_001);
    p.at(ms(200)).recv(ack(5_001).window(10)).then_silence();
    p.at(ms(449)).then_silence().at(ms(450)).expect(data(5_001..5_011)).then_silence();
    p.at(ms(550)).recv(ack(5_011).window(4_000)).expect_run(5_011..9_011).then_silence();
}

#[test]
fn half_of_the_largest_window_is_worth_a_segment() {
    // RFC 9293 §3.8.6.2.1 (3), Fs = 1/2
    let mut p = Script::passive(plain(), syn(IRS).mss(1_000).window(600));
    p.expect(syn_ack(1_000, 5_001)).at(ms(100)).recv(ack(1_001).window(600));
    p.write(900).expect(data(1_001..1_601)).then_silence();
    p.at(ms(200)).recv(ack(1_601).window(300)).expect(data(1_601..1_901)).then_silence();
}

#[test]
fn half_of_the_largest_window_is_worth_a_segment_behind_another_too() {
    let mut p = Script::passive(plain(), syn(IRS).mss(1_000).window(1_200));
    p.expect(syn_ack(1_000, 5_001)).at(ms(100)).recv(ack(1_001).window(1_200));
    p.write(300).expect(data(1_001..1_301)).write(5_000).expect(data(1_301..2_201)).then_silence();
}

#[test]
fn the_rest_of_the_text_goes_into_a_window_smaller_than_a_segment() {
    // RFC 9293 §3.8.6.2.1 (2)
    let mut p = Script::accepted(plain());
    p.recv(ack(1_001).window(4_000)).write(4_000).expect_run(1_001..5_001);
    p.at(ms(200)).recv(ack(5_001).window(300)).write(200).expect(data(5_001..5_201));
}

#[test]
fn an_older_segment_does_not_change_the_window() {
    // RFC 9293 §3.10.7.4, fifth: SND.WL1, SND.WL2
    let mut p = Script::accepted(plain());
    p.write(1_000).expect(data(1_001..2_001));
    // The later segment overtakes: its window stays.
    p.recv(data(5_011..5_021).ack(2_001).window(1_000)).expect(ack(5_001));
    p.recv(data(5_001..5_011).ack(2_001).window(50_000)).expect(ack(5_021));
    p.write(5_000).expect(data(2_001..3_001)).then_silence();
    p.recv(data(5_021..5_031).ack(2_001).window(50_000)).expect_run(3_001..7_001);
}

#[test]
fn windows_are_scaled_by_the_peers_shift() {
    // RFC 7323 §2.3
    let config = Config { window_scaling: true, ..plain() };
    let mut p = Script::passive(config, syn(IRS).mss(1_000).scale(4).window(50_000));
    p.expect(syn_ack(1_000, 5_001)).at(ms(100)).recv(ack(1_001).window(125));
    p.write(9_000).expect_run(1_001..3_001).then_silence();
    p.at(ms(200)).recv(ack(3_001).window(250)).expect_run(3_001..7_001).then_silence();
}

#[test]
fn a_shift_above_fourteen_counts_as_fourteen() {
    // RFC 7323 §2.3
    let config = Config { window_scaling: true, ..plain() };
    let mut p = Script::passive(config, syn(IRS).mss(1_000).scale(15));
    p.expect(syn_ack(1_000, 5_001)).recv(ack(1_001).window(1));
    assert_eq!(p.tcb_ref().info(&p.config).snd_wnd, 1 << 14);
}

#[test]
fn nagle_holds_a_short_segment_back_while_something_is_in_flight() {
    // RFC 9293 SHLD-7, MUST-17
    let config = Config { nagle: true, ..plain() };
    let mut p = Script::accepted(config);
    p.write(100).expect(data(1_001..1_101)).write(100).then_silence().write(300).then_silence();
    p.at(ms(200)).recv(ack(1_101)).expect(data(1_101..1_501)).then_silence();
    p.write(1_200).expect(data(1_501..2_501)).then_silence();
    p.write_last(0).expect(data(2_501..2_701).fin());
    let mut p = Script::accepted(plain());
    p.write(100).expect(data(1_001..1_101)).write(100).expect(data(1_101..1_201));
}

#[test]
fn a_smaller_mss_chosen_by_the_stack_cuts_shorter_segments() {
    let mut p = Script::accepted(plain());
    p.set_mss(900).write(2_000).expect(data(1_001..1_901)).expect(data(1_901..2_801));
    p.expect(data(2_801..3_001).push()).then_silence();
}
