//! When we acknowledge. RFC 9293 §3.8.6.3, RFC 5681 §4.2.

use super::packet::*;
use super::script::*;
use crate::tcp::{Config, TimerKind};
use crate::time::Duration;

#[test]
fn an_acknowledgement_waits_for_text_but_not_longer_than_configured() {
    // RFC 9293 MUST-40, SHLD-18
    let mut p = Script::accepted(plain());
    p.recv(data(5_001..5_101)).then_silence();
    assert_eq!(p.tcb_ref().next_deadline().unwrap().why, TimerKind::DelayedAck);
    p.at(ms(139)).then_silence().at(ms(140)).expect(ack(5_101)).then_silence();
    assert_eq!(p.tcb_ref().next_deadline(), None);
}

#[test]
fn it_does_not_wait_longer_because_more_arrives() {
    let mut p = Script::accepted(plain());
    p.recv(data(5_001..5_101)).at(ms(130)).recv(data(5_101..5_201)).then_silence();
    p.at(ms(140)).expect(ack(5_201)).then_silence().at(ms(500)).then_silence();
}

#[test]
fn every_second_full_segment_is_acknowledged_at_once() {
    // RFC 9293 SHLD-19
    let mut p = Script::accepted(plain());
    p.recv(data(5_001..6_001)).then_silence().recv(data(6_001..7_001)).expect(ack(7_001));
    p.recv(data(7_001..8_001)).then_silence().recv(data(8_001..9_001)).expect(ack(9_001));
    p.at(ms(500)).then_silence();
}

#[test]
fn text_carries_the_acknowledgement() {
    let mut p = Script::accepted(plain());
    p.recv(data(5_001..5_101)).write(200).expect(data(1_001..1_201).ack(5_101)).then_silence();
    p.at(ms(140)).then_silence();
}

#[test]
fn with_no_delay_every_segment_is_acknowledged_at_once() {
    let config = Config { delayed_ack: Duration::ZERO, ..plain() };
    let mut p = Script::accepted(config);
    p.recv(data(5_001..5_101)).expect(ack(5_101)).recv(data(5_101..5_201)).expect(ack(5_201));
}

#[test]
fn an_acknowledgement_is_not_acknowledged() {
    // RFC 9293 §3.10.7.4: an ACK without text says nothing to answer
    let mut p = Script::accepted(plain());
    p.recv(ack(1_001)).recv(ack(1_001).window(100)).then_silence().at(ms(500)).then_silence();
}

#[test]
fn fin_is_acknowledged_at_once_with_the_text_before_it() {
    let mut p = Script::accepted(plain());
    p.recv(data(5_001..5_101)).recv(data(5_101..5_201).fin()).expect(ack(5_202)).then_silence();
    p.at(ms(500)).then_silence();
}

#[test]
fn a_keep_alive_is_answered() {
    // RFC 9293 §3.8.4: one byte before the window, without text
    let mut p = Script::accepted(plain());
    p.at(ms(10_000)).recv(ack(1_001).seq(5_000)).expect(ack(5_001).seq(1_001)).then_silence();
    p.at(ms(20_000)).recv(data(5_000..5_001)).expect(ack(5_001).seq(1_001)).then_silence();
}
