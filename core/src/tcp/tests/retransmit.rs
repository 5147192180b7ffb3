//! The retransmission timer. RFC 6298, RFC 5681 §3.1, RFC 9293 §3.8.3.

use super::packet::*;
use super::script::*;
use crate::tcp::{Config, Ended, State};
use crate::time::Duration;

#[test]
fn the_timeout_follows_the_round_trip() {
    // RFC 6298 (2.2): SRTT 100 ms, RTTVAR 50 ms
    let mut p = Script::accepted(plain());
    p.expect_rto(Duration::from_millis(300));
    p.write(1_000).expect(data(1_001..2_001)).at(ms(399)).then_silence();
    p.at(ms(400)).expect(data(1_001..2_001)).then_silence();
}

#[test]
fn the_timeout_is_never_shorter_than_the_configured_minimum() {
    // RFC 6298 (2.4)
    let mut p = Script::passive(plain(), syn(IRS).mss(1_000));
    p.expect(syn_ack(1_000, 5_001)).at(ms(1)).recv(ack(1_001)).write(1_000);
    p.expect(data(1_001..2_001)).at(ms(200)).then_silence().at(ms(201)).expect(data(1_001..2_001));
}

#[test]
fn the_timeout_doubles_up_to_the_maximum_and_the_connection_is_given_up() {
    // RFC 6298 (5.5), RFC 9293 MUST-20, §3.8.3 R2
    let config = Config { retries_max: 4, max_rto: Duration::from_secs(2), ..plain() };
    let mut p = Script::accepted(config);
    p.write(1_000).expect(data(1_001..2_001));
    for at in [400, 1_000, 2_200, 4_200] {
        p.at(ms(at - 1)).then_silence().at(ms(at)).expect(data(1_001..2_001)).then_silence();
    }
    p.at(ms(6_199)).expect_state(State::Established);
    p.at(ms(6_200)).expect_ended(Ended::TimedOut).then_silence();
}

#[test]
fn an_acknowledgement_starts_the_count_to_giving_up_again() {
    let config = Config { retries_max: 2, ..plain() };
    let mut p = Script::accepted(config);
    p.write(2_000).expect_run(1_001..3_001);
    p.at(ms(400)).expect(data(1_001..2_001)).at(ms(1_000)).expect(data(1_001..2_001));
    p.at(ms(1_100)).recv(ack(2_001)).expect(data(2_001..3_001)).then_silence();
    // Karn: 300 ms doubled twice, until there is a sample.
    p.at(ms(2_300)).expect(data(2_001..3_001)).at(ms(4_700)).expect(data(2_001..3_001));
    p.at(ms(9_500)).expect_ended(Ended::TimedOut);
}

#[test]
fn a_retransmitted_segment_gives_no_sample_and_the_backoff_stays() {
    // RFC 9293 MUST-18, RFC 6298 §3 (Karn)
    let mut p = Script::accepted(plain());
    p.write(1_000).expect(data(1_001..2_001)).at(ms(400)).expect(data(1_001..2_001));
    p.at(ms(410)).recv(ack(2_001)).expect_rto(Duration::from_millis(600));
    p.write(1_000).expect(data(2_001..3_001)).at(ms(510)).recv(ack(3_001));
    // SRTT 100 ms, RTTVAR 37.5 ms
    p.expect_rto(Duration::from_millis(250));
}

#[test]
fn an_echoed_timestamp_samples_a_retransmitted_segment() {
    // RFC 7323 §4.1
    let config = Config { timestamps: true, ..plain() };
    let mut p = Script::passive(config, syn(IRS).mss(1_012).timestamps(1, 0));
    p.expect(syn_ack(1_000, 5_001)).at(ms(100)).recv(ack(1_001).timestamps(2, 70_000));
    p.write(1_000).expect(data(1_001..2_001).timestamps(70_100, 2));
    p.at(ms(400)).expect(data(1_001..2_001).timestamps(70_400, 2));
    p.at(ms(500)).recv(ack(2_001).timestamps(3, 70_400)).expect_rto(Duration::from_millis(250));
}

#[test]
fn one_segment_a_round_trip_is_timed() {
    // RFC 6298 §3: the second segment of the flight gives no sample of its own
    let mut p = Script::accepted(plain());
    p.write(1_000).expect(data(1_001..2_001)).at(ms(150)).write(1_000).expect(data(2_001..3_001));
    p.at(ms(200)).recv(ack(2_001)).expect_rto(Duration::from_millis(250));
    p.at(ms(300)).recv(ack(3_001));
    p.expect_rto(Duration::from_millis(250));
}

#[test]
fn every_acknowledgement_of_new_text_restarts_the_timer() {
    // RFC 6298 (5.3)
    let mut p = Script::accepted(plain());
    p.write(3_000).expect_run(1_001..4_001);
    p.at(ms(200)).recv(ack(2_001)).at(ms(350)).recv(ack(3_001));
    let rto = p.tcb_ref().info(&p.config).rto.as_millis();
    p.at(ms(350 + rto - 1)).then_silence().at(ms(350 + rto)).expect(data(3_001..4_001));
}

#[test]
fn when_everything_is_acknowledged_no_timer_runs() {
    // RFC 6298 (5.2)
    let mut p = Script::accepted(plain());
    p.write(3_000).expect_run(1_001..4_001).at(ms(200)).recv(ack(4_001));
    assert_eq!(p.tcb_ref().next_deadline(), None);
}

#[test]
fn after_a_timeout_one_segment_goes_and_then_as_slow_start_allows() {
    // RFC 5681 §3.1 equations (2) and (4), RFC 3465 §2.3
    let mut p = Script::accepted(plain());
    p.write(10_000).expect_run(1_001..11_001).expect_window(10_000, u32::MAX);
    p.at(ms(400)).expect(data(1_001..2_001)).then_silence().expect_window(1_000, 5_000);
    p.at(ms(500)).recv(ack(2_001)).expect_run(2_001..4_001).then_silence();
    p.expect_window(2_000, 5_000);
    p.at(ms(600)).recv(ack(4_001)).expect_run(4_001..7_001).then_silence();
    p.expect_window(3_000, 5_000);
}

#[test]
fn a_second_timeout_of_the_same_text_leaves_ssthresh() {
    // RFC 5681 §3.1
    let mut p = Script::accepted(plain());
    p.write(10_000).expect_run(1_001..11_001).at(ms(400)).expect(data(1_001..2_001));
    p.at(ms(1_000)).expect(data(1_001..2_001)).expect_window(1_000, 5_000);
}

#[test]
fn what_arrived_after_the_hole_is_not_sent_again() {
    let mut p = Script::accepted(plain());
    p.write(10_000).expect_run(1_001..11_001).at(ms(400)).expect(data(1_001..2_001));
    p.at(ms(500)).recv(ack(11_001)).expect_acked(10_000).then_silence();
    p.write(1_000).expect(data(11_001..12_001)).then_silence();
}

#[test]
fn an_acknowledgement_of_the_first_transmission_during_the_second_is_taken() {
    let mut p = Script::accepted(plain());
    p.write(5_000).expect_run(1_001..6_001).at(ms(400)).expect(data(1_001..2_001));
    p.recv(ack(4_001)).expect_acked(3_000).expect_run(4_001..6_001).then_silence();
}

#[test]
fn text_written_after_a_timeout_follows_what_is_sent_again() {
    let mut p = Script::accepted(plain());
    p.write(1_500).expect(data(1_001..2_001)).expect(data(2_001..2_501));
    p.at(ms(400)).expect(data(1_001..2_001)).write(2_000).then_silence();
    p.recv(ack(2_001)).expect(data(2_001..3_001)).expect(data(3_001..4_001));
}

#[test]
fn idle_for_longer_than_the_timeout_the_window_is_the_initial_one_again() {
    // RFC 5681 §4.1
    let mut p = Script::accepted(plain());
    p.write(20_000).expect_run(1_001..11_001);
    p.at(ms(200)).recv(ack(11_001)).expect_run(11_001..21_001);
    p.at(ms(300)).recv(ack(21_001)).expect_window(12_000, u32::MAX);
    p.at(ms(400)).write(2_000).expect_run(21_001..23_001).recv(ack(23_001));
    p.expect_window(12_000, u32::MAX);
    p.at(ms(2_000)).write(20_000).expect_run(23_001..33_001).then_silence();
}

#[test]
fn the_initial_window_is_ten_segments() {
    // RFC 6928 §2
    let mut p = Script::accepted(plain());
    p.write(100_000).expect_run(1_001..11_001).then_silence();
}

#[test]
fn the_initial_window_of_large_segments_is_bounded_in_bytes() {
    // RFC 6928 §2: min(10 * MSS, max(2 * MSS, 14600))
    let config = Config { mss: 8_960, ..plain() };
    let mut p = Script::passive(config, syn(IRS).mss(8_960));
    p.expect(syn_ack(1_000, 5_001)).at(ms(100)).recv(ack(1_001));
    p.write(100_000).expect(data(1_001..9_961)).expect(data(9_961..18_921)).then_silence();
}

#[test]
fn a_syn_lost_twice_leaves_an_initial_window_of_one_segment() {
    // RFC 6928 §2
    let mut p = Script::passive(plain(), syn(IRS).mss(1_000));
    p.expect(syn_ack(1_000, 5_001)).at(ms(1_000)).expect(syn_ack(1_000, 5_001));
    p.at(ms(3_000)).expect(syn_ack(1_000, 5_001)).at(ms(3_100)).recv(ack(1_001));
    p.write(9_000).expect(data(1_001..2_001)).then_silence();
}

#[test]
fn slow_start_grows_by_each_acknowledgement_of_a_batch() {
    // RFC 5681 equation (2)
    let mut p = Script::accepted(plain());
    p.write(100_000).expect_run(1_001..11_001);
    p.at(ms(200)).recv_batch([ack(3_001), ack(5_001), ack(7_001), ack(9_001), ack(11_001)]);
    p.expect_window(20_000, u32::MAX).expect_run(11_001..31_001).then_silence();
}

#[test]
fn a_window_that_is_not_used_does_not_grow() {
    // RFC 7661 §1: it would say nothing about the path
    let mut p = Script::accepted(plain());
    for turn in 0..20u32 {
        let start = 1_001 + turn * 1_000;
        p.write(1_000).expect(data(start..start + 1_000));
        p.at(ms(200 + u64::from(turn) * 100)).recv(ack(start + 1_000));
    }
    p.expect_window(10_000, u32::MAX);
}

#[test]
fn numbers_wrap_in_mid_transfer() {
    // RFC 9293 §3.4
    let mut p = Script::accepted_from(plain(), 0xffff_f000);
    p.write(8_192).expect_run_at(0xffff_f001, 8_192).then_silence();
    p.at(ms(200)).recv(ack(0xffff_f001 + 2_000)).expect_acked(2_000);
    p.at(ms(300)).recv(ack(0x1001)).expect_acked(6_192).then_silence();
    assert_eq!(p.tcb_ref().acked(), 8_192);
}

#[test]
fn offsets_go_beyond_four_gibibytes() {
    let config = Config { window_scaling: true, mss: 65_495, ..plain() };
    let mut p = Script::passive(config, syn(IRS).mss(65_495).scale(14));
    p.expect(syn_ack(1_000, 5_001)).at(ms(1)).recv(ack(1_001).window(0xffff));
    p.write_last(5 << 30).acknowledge_all().expect_state(State::FinWait2);
    assert_eq!(p.tcb_ref().acked(), 5 << 30);
}
