//! Our window, and text as it arrives. RFC 9293 §3.8.6.2.2, §3.10.7.4 first and seventh.

use super::packet::*;
use super::script::*;
use crate::tcp::{Config, Drop, State};

#[test]
fn the_window_shrinks_as_text_waits_and_never_moves_left() {
    // RFC 9293 SHLD-14
    let mut p = Script::accepted(plain());
    p.stop_reading().recv(data(5_001..7_001)).expect(ack(7_001).window(8_000));
    p.recv(data(7_001..11_001)).expect(ack(11_001).window(4_000));
}

#[test]
fn small_openings_are_not_announced() {
    // RFC 9293 MUST-39
    let mut p = Script::accepted(plain());
    p.stop_reading();
    for start in [5_001, 7_501, 10_001, 12_501] {
        p.recv(data(start..start + 2_500)).expect(ack(start + 2_500));
    }
    p.expect_window_of_ours(0).read(500).then_silence().read(500).then_silence();
    p.read(460).expect(ack(15_001).window(1_460)).then_silence();
    p.read(8_540).expect(ack(15_001).window(10_000)).then_silence();
}

#[test]
fn half_of_a_small_buffer_is_worth_announcing() {
    // RFC 9293 §3.8.6.2.2
    let config = Config { receive_window: 1_000, ..plain() };
    let mut p = Script::accepted(config);
    p.stop_reading().recv(data(5_001..6_001)).at(ms(140)).expect(ack(6_001).window(0));
    p.read(499).then_silence().read(1).expect(ack(6_001).window(500));
}

#[test]
fn text_beyond_the_window_is_cut_off() {
    // RFC 9293 §3.10.7.4, first: segments are trimmed to the window
    let mut p = Script::accepted(plain());
    p.stop_reading().recv(data(5_001..17_001)).expect(ack(15_001).window(0));
    p.read(10_000).expect_read(10_000);
}

#[test]
fn text_beyond_what_was_announced_is_cut_off_though_there_is_room() {
    // RFC 9293 §3.10.7.4, first: the edge was announced at 15001 and did not move since
    let mut p = Script::accepted(plain());
    p.recv(data(5_001..5_101)).expect_read(100).recv(data(5_101..15_101));
    p.expect(ack(15_001).window(10_000)).expect_read(10_000);
}

#[test]
fn fin_behind_text_that_did_not_fit_is_not_taken() {
    let mut p = Script::accepted(plain());
    p.stop_reading().recv(data(5_001..17_001).fin()).expect(ack(15_001).window(0));
    p.expect_state(State::Established);
}

#[test]
fn a_closed_window_still_takes_acknowledgements_resets_and_answers_probes() {
    // RFC 9293 MUST-66, MUST-35
    let mut p = Script::accepted(plain());
    p.stop_reading().recv(data(5_001..10_001)).expect(ack(10_001));
    p.recv(data(10_001..15_001)).expect(ack(15_001).window(0));
    p.write(1_000).expect(data(1_001..2_001));
    p.at(ms(200)).recv(data(15_001..15_002).ack(2_001)).expect_acked(1_000);
    p.expect_drop(Drop::OutsideWindow).expect(ack(15_001).window(0)).then_silence();
    p.recv(ack(2_001).seq(15_001))
        .then_silence()
        .recv(rst(15_001))
        .expect_ended(crate::tcp::Ended::Reset);
}

#[test]
fn text_that_came_before_is_cut_off_and_acknowledged_at_once() {
    let mut p = Script::accepted(plain());
    p.recv(data(5_001..5_501)).recv(data(5_201..5_701)).expect(ack(5_701)).expect_read(700);
    p.recv(data(5_001..5_701)).expect_drop(Drop::OutsideWindow).expect(ack(5_701));
    p.then_silence().expect_read(700);
}

#[test]
fn a_hole_is_told_at_once_and_its_filling_too() {
    // RFC 5681 §4.2, RFC 9293 SHLD-31
    let mut p = Script::accepted(plain());
    p.recv(data(5_501..6_001)).expect(ack(5_001)).recv(data(6_001..6_501)).expect(ack(5_001));
    p.expect_read(0).recv(data(5_001..5_501)).expect(ack(6_501)).expect_read(1_500).then_silence();
}

#[test]
fn filling_a_hole_is_told_at_once_even_with_text_that_covers_what_came_beyond_it() {
    // RFC 5681 §4.2: the segment fills in all of a gap, though no byte behind it becomes in order.
    let mut p = Script::accepted(plain());
    p.recv(data(5_101..5_201)).expect(ack(5_001)).recv(data(5_001..5_401)).expect(ack(5_401));
    p.expect_read(400).then_silence();
}

#[test]
fn text_around_the_wrap_of_the_peers_numbers_is_in_order() {
    let mut p = Script::passive(plain(), syn(u32::MAX - 400));
    p.expect(syn_ack(1_000, u32::MAX - 399)).starts_reading_at(u32::MAX - 399);
    p.at(ms(100)).recv(ack(1_001).seq(u32::MAX - 399));
    p.recv(data(100..300)).expect(ack(u32::MAX - 399));
    p.recv(data_at(u32::MAX - 399, 500)).expect(ack(300)).expect_read(700);
}

#[test]
fn our_window_is_scaled_where_it_does_not_fit() {
    // RFC 7323 §2.2, §2.3
    let config = Config { window_scaling: true, receive_window: 1 << 20, ..plain() };
    let mut p = Script::passive(config.clone(), syn(IRS).mss(1_000).scale(0));
    p.expect(syn_ack(1_000, 5_001).scale(5).window(0xffff)).recv(ack(1_001));
    p.recv(data(5_001..8_001)).expect(ack(8_001).window(32_768));
    let mut p = Script::passive(config, syn(IRS).mss(1_000));
    p.expect(syn_ack(1_000, 5_001).without_scale().window(0xffff)).recv(ack(1_001));
    p.recv(data(5_001..8_001)).expect(ack(8_001).window(0xffff));
}

#[test]
fn a_window_that_is_ample_is_not_announced_for_its_own_sake() {
    let mut p = Script::accepted(plain());
    p.recv(data(5_001..5_101)).at(ms(140)).expect(ack(5_101)).then_silence();
    p.at(ms(5_000)).then_silence();
}
