//! Every event in every state, the ones that should not occur too. RFC 9293 §3.10.
//!
//! `cells.txt` is the reviewed table: the state after, why the segment was dropped, and what was
//! sent (`>flags:seq/ack`). Our FIN, where the state has one, is at 1001; the peer's at 5001.

use super::packet::*;
use super::script::*;
use crate::tcp::State;
use alloc::format;
use alloc::string::String;

const STATES: [State; 9] = [
    State::SynSent,
    State::SynReceived,
    State::Established,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::Closing,
    State::LastAck,
    State::TimeWait,
];

/// The number that the peer sends next.
fn next(state: State) -> u32 {
    match state {
        State::CloseWait | State::Closing | State::LastAck | State::TimeWait => 5_002,
        _ => 5_001,
    }
}

/// One beyond what we sent, and what of it is acknowledged.
fn sent(state: State) -> (u32, u32) {
    match state {
        State::SynSent | State::SynReceived => (1_001, 1_000),
        State::Established | State::CloseWait => (1_001, 1_001),
        State::FinWait1 | State::Closing | State::LastAck => (1_002, 1_001),
        State::FinWait2 | State::TimeWait => (1_002, 1_002),
    }
}

type Event = (&'static str, fn(&mut Script, State));

const EVENTS: [Event; 20] = [
    ("SYN again", |p, _| {
        p.recv(syn(IRS).mss(1_000));
    }),
    ("SYN in window", |p, s| {
        p.recv(syn(next(s) + 9));
    }),
    ("SYN-ACK again", |p, _| {
        p.recv(syn_ack(IRS, 1_001).mss(1_000));
    }),
    ("SYN-ACK of nothing sent", |p, _| {
        p.recv(syn_ack(IRS, 7_777));
    }),
    ("RST at RCV.NXT", |p, s| {
        p.recv(rst(next(s)));
    }),
    ("RST with ACK", |p, s| {
        p.recv(rst(next(s)).ack(sent(s).0));
    }),
    ("RST in window", |p, s| {
        p.recv(rst(next(s) + 9));
    }),
    ("RST outside", |p, _| {
        p.recv(rst(90_000));
    }),
    ("ACK of nothing new", |p, s| {
        p.recv(ack(sent(s).1).seq(next(s)));
    }),
    ("ACK of all", |p, s| {
        p.recv(ack(sent(s).0).seq(next(s)));
    }),
    ("ACK beyond", |p, s| {
        p.recv(ack(sent(s).0 + 1).seq(next(s)));
    }),
    ("text in order", |p, s| {
        p.recv(data(next(s)..next(s) + 10).ack(sent(s).1.max(1_001)));
    }),
    ("text behind a hole", |p, s| {
        p.recv(data(next(s) + 10..next(s) + 20).ack(sent(s).1.max(1_001)));
    }),
    ("text outside", |p, s| {
        p.recv(data(90_000..90_010).ack(sent(s).1.max(1_001)));
    }),
    ("text without ACK", |p, s| {
        p.recv(data(next(s)..next(s) + 10).without_ack());
    }),
    ("FIN", |p, s| {
        p.recv(fin(next(s)).ack(sent(s).1.max(1_001)));
    }),
    ("FIN with ACK of all", |p, s| {
        p.recv(fin(next(s)).ack(sent(s).0));
    }),
    ("FIN again", |p, s| {
        p.recv(fin(5_001).ack(sent(s).0));
    }),
    ("CLOSE", |p, _| {
        p.close();
    }),
    ("ABORT", |p, _| {
        p.abort();
    }),
];

#[test]
fn every_event_in_every_state_does_what_the_table_says() {
    let mut table = String::new();
    for (name, event) in EVENTS {
        table += &format!("{name}\n");
        for state in STATES {
            let mut p = Script::in_state(state);
            event(&mut p, state);
            table += &format!("  {:<12} -> {}\n", format!("{state:?}"), p.summary());
        }
    }
    let reviewed = include_str!("cells.txt");
    for (number, (found, expected)) in table.lines().zip(reviewed.lines()).enumerate() {
        assert_eq!(
            found,
            expected,
            "line {} of cells.txt; the whole table is\n{table}",
            number + 1
        );
    }
    assert_eq!(table, reviewed, "the whole table is\n{table}");
}
