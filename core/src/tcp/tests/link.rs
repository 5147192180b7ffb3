//! Two connections of ours over a link that loses, doubles, delays and reorders: every byte
//! arrives once and in order, and both ends close.

use super::packet::byte_at;
use super::script::plain;
use super::take_one;
use crate::seq::SeqNumber;
use crate::tcp::reset_for;
use crate::tcp::{
    Config, Ended, Events, Output, Reassembly, SegmentPlan, State, Taken, Tcb, TextSink,
};
use crate::time::{Duration, Instant};
use crate::wire::tcp::{TcpFlags, TcpOptions, TcpSegment};
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

/// What one end has to send, and how it reads.
struct Plan {
    text: u64,
    /// It closes only after the other end's FIN.
    waits: bool,
    /// Reads at most so many bytes at a time, every 30 ms; 0: at once.
    sips: u32,
}

struct End {
    tcb: Option<Tcb>,
    config: Config,
    iss: SeqNumber,
    plan: Plan,
    got: Got,
    fin_seen: bool,
    ended: Option<Ended>,
}

/// The receiving application.
struct Got {
    /// First text number of the other end.
    start: SeqNumber,
    list: Reassembly,
    store: Vec<u8>,
    taken: u64,
    eager: bool,
}

impl Got {
    fn take(&mut self, n: u32) {
        for offset in 0..n {
            let seq = self.start + self.taken as u32 + offset;
            assert_eq!(
                self.store[offset as usize],
                byte_at(seq),
                "byte {} of the stream",
                self.taken
            );
        }
        self.list.consume(&mut self.store, n);
        self.taken += u64::from(n);
    }
}

impl TextSink for Got {
    fn on_text(&mut self, offset: u32, bytes: &[u8]) -> Taken {
        let at = self.list.ready() + offset;
        let beyond_hole = self.list.beyond_hole();
        let advance = self.list.insert(&mut self.store, at, bytes);
        let fills_gap = advance > 0 && beyond_hole > 0;
        if self.eager {
            self.take(self.list.ready());
        }
        Taken { advance, unread: self.list.ready(), fills_gap }
    }
}

impl End {
    fn new(config: &Config, iss: u32, other: u32, plan: Plan) -> Self {
        let got = Got {
            start: SeqNumber(other) + 1,
            list: Reassembly::default(),
            store: vec![0; config.receive_window as usize],
            taken: 0,
            eager: plan.sips == 0,
        };
        let (config, iss) = (config.clone(), SeqNumber(iss));
        Self { tcb: None, config, iss, plan, got, fin_seen: false, ended: None }
    }

    fn arrive(&mut self, now: Instant, plan: &SegmentPlan) -> Option<SegmentPlan> {
        let first = plan.seq + u32::from(plan.flags.contains(TcpFlags::SYN));
        let text: Vec<u8> = (0..plan.len).map(|offset| byte_at(first + offset)).collect();
        let segment = TcpSegment {
            src_port: 1,
            dst_port: 2,
            seq: plan.seq,
            ack: plan.ack,
            flags: plan.flags,
            window: plan.window,
            options: TcpOptions {
                mss: plan.syn.map(|syn| syn.mss),
                window_scale: plan.syn.and_then(|syn| syn.window_scale),
                timestamps: plan.timestamps,
                ..TcpOptions::default()
            },
            payload: &text,
        };
        let Some(tcb) = &mut self.tcb else {
            let is_syn = plan.flags == TcpFlags::SYN;
            if is_syn && self.ended.is_none() {
                let (config, iss) = (&self.config, self.iss);
                self.tcb = Some(Tcb::open_passive(config, now, &segment, iss, 5));
            }
            return None;
        };
        let arrival = tcb.on_segment(&self.config, now, &segment, &mut self.got);
        self.fin_seen |= arrival.events.contains(Events::FIN);
        self.end(arrival.ended);
        arrival.asks_for_reset().then(|| reset_for(&segment)).flatten()
    }

    fn end(&mut self, ended: Option<Ended>) {
        if ended.is_some() {
            self.ended = ended;
            self.tcb = None;
        }
    }

    fn send(&mut self, now: Instant, out: &mut Vec<SegmentPlan>) {
        let Some(tcb) = &mut self.tcb else { return };
        if self.plan.sips > 0 {
            let n = self.got.list.ready().min(self.plan.sips);
            self.got.take(n);
            tcb.on_app_read(&self.config, n);
        }
        let ends = !self.plan.waits || self.fin_seen;
        tcb.on_visit();
        let mut turns = 0;
        while let Some(output) = tcb.poll_output(&self.config, now) {
            turns += 1;
            assert!(turns < 1_000, "output never ends");
            match output {
                Output::Segment(plan) => out.push(plan),
                Output::Text { at, max, partial, whole_only, .. } => {
                    let (mut at, mut allowed) = (at, u64::from(max));
                    if at >= self.plan.text {
                        tcb.no_text(ends);
                        continue;
                    }
                    loop {
                        let left = self.plan.text - at;
                        let mss = u64::from(tcb.mss());
                        let len = mss.min(allowed).min(left);
                        let last = len == left;
                        if len == 0 {
                            break;
                        }
                        if (len < mss && !last && !partial)
                            || (whole_only && len < mss && !(last && ends))
                        {
                            tcb.decline_text();
                            break;
                        }
                        out.push(take_one(tcb, &self.config, now, len as u32, last && ends, last));
                        (at, allowed) = (at + len, allowed - len);
                        if partial || last {
                            break;
                        }
                    }
                }
            }
        }
        if let Err(broken) = tcb.audit() {
            panic!("{broken}: {:?}", tcb.info(&self.config));
        }
    }

    fn is_done(&self) -> bool {
        self.ended.is_some() || self.tcb.as_ref().is_some_and(|tcb| tcb.state() == State::TimeWait)
    }
}

/// What the link does with the packets, one after another, again from the start.
#[derive(Clone, Debug)]
struct Fate {
    lost: bool,
    twice: bool,
    delay_ms: u64,
}

fn fate() -> impl Strategy<Value = Fate> {
    let delay = prop_oneof![4 => Just(10u64), 2 => 5u64..40, 1 => 40u64..700];
    (prop::bool::weighted(0.12), prop::bool::weighted(0.05), delay)
        .prop_map(|(lost, twice, delay_ms)| Fate { lost, twice, delay_ms })
}

/// Runs both ends until they are done; the link stops losing after `bad` packets.
fn run(mut ends: [End; 2], opens: [bool; 2], fates: &[Fate], bad: usize) -> [End; 2] {
    let mut now = Instant::ZERO;
    let mut link: Vec<(Instant, usize, usize, SegmentPlan)> = Vec::new();
    let mut count = 0;
    for (end, opens) in ends.iter_mut().zip(opens) {
        if opens {
            end.tcb = Some(Tcb::open_active(&end.config, now, end.iss, 9));
        }
    }
    for _ in 0..200_000 {
        let mut out = Vec::new();
        for (side, end) in ends.iter_mut().enumerate() {
            end.send(now, &mut out);
            for plan in out.drain(..) {
                let fate = &fates[count % fates.len()];
                let healed = count >= bad;
                count += 1;
                let copies = if fate.lost && !healed { 0 } else { 1 + usize::from(fate.twice) };
                for copy in 0..copies {
                    let delay = if healed { 10 } else { fate.delay_ms + copy as u64 * 7 };
                    let at = now + Duration::from_millis(delay);
                    link.push((at, count, 1 - side, plan));
                }
            }
        }
        if ends.iter().all(End::is_done) {
            return ends;
        }
        let arrival = link.iter().map(|packet| packet.0).min();
        let deadlines = ends.iter().filter_map(|end| end.tcb.as_ref()?.next_deadline());
        let sip = ends.iter().any(|end| end.plan.sips > 0 && end.got.list.ready() > 0);
        let sip = sip.then(|| now + Duration::from_millis(30));
        let next = deadlines.map(|deadline| deadline.at).chain(arrival).chain(sip).min();
        let Some(next) = next else {
            let infos =
                ends.each_ref().map(|end| end.tcb.as_ref().map(|tcb| tcb.info(&end.config)));
            panic!("both ends wait for ever: {infos:?}");
        };
        now = now.max(next);
        for end in &mut ends {
            if let Some(tcb) = &mut end.tcb
                && tcb.next_deadline().is_some_and(|deadline| deadline.at <= now)
            {
                let ended = tcb.on_deadline(&end.config, now);
                end.end(ended);
            }
        }
        let mut due: Vec<_> = link.extract_if(.., |packet| packet.0 <= now).collect();
        due.sort_by_key(|packet| (packet.0, packet.1));
        for (_, _, side, plan) in due {
            if let Some(reply) = ends[side].arrive(now, &plan) {
                link.push((now + Duration::from_millis(10), count, 1 - side, reply));
            }
        }
    }
    panic!("no end after 200,000 steps")
}

fn check(mut ends: [End; 2]) {
    for side in 0..2 {
        // What a slow reader had not taken when both were done.
        let rest = ends[1 - side].got.list.ready();
        ends[1 - side].got.take(rest);
        assert_eq!(ends[1 - side].got.taken, ends[side].plan.text, "text of end {side}");
        // The last ACK may be lost for ever: its sender is in TIME-WAIT, and the other gives up.
        assert_ne!(ends[side].ended, Some(Ended::Reset), "end {side}");
        assert_ne!(ends[side].ended, Some(Ended::Refused), "end {side}");
    }
}

fn config(options: bool, nagle: bool, receive_window: u32) -> Config {
    Config {
        timestamps: options,
        window_scaling: options,
        nagle,
        receive_window,
        retries_max: 30,
        syn_retries_max: 30,
        max_rto: Duration::from_secs(3),
        ..plain()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_arrives_and_both_ends_close(
        numbers in any::<[u32; 2]>(),
        text in (0u64..80_000, 0u64..80_000),
        options in any::<[bool; 2]>(),
        nagle in any::<bool>(),
        windows in (1_000u32..80_000, 1_000u32..80_000),
        sips in (prop_oneof![2 => Just(0u32), 1 => 300u32..3_000], Just(0u32)),
        waits in prop_oneof![Just([false, false]), Just([true, false]), Just([false, true])],
        both_open in prop::bool::weighted(0.15),
        fates in prop::collection::vec(fate(), 30..300),
    ) {
        let ends = [
            End::new(&config(options[0], nagle, windows.0), numbers[0], numbers[1],
                Plan { text: text.0, waits: waits[0], sips: sips.0 }),
            End::new(&config(options[1], nagle, windows.1), numbers[1], numbers[0],
                Plan { text: text.1, waits: waits[1], sips: sips.1 }),
        ];
        let ends = run(ends, [true, both_open], &fates, 600);
        check(ends);
    }
}

#[test]
fn a_clean_link_carries_a_megabyte_each_way() {
    let fates = [Fate { lost: false, twice: false, delay_ms: 10 }];
    let ends = [7, 9].map(|iss| {
        let plan = Plan { text: 1 << 20, waits: false, sips: 0 };
        End::new(&config(true, false, 65_536), iss, 16 - iss, plan)
    });
    let ends = run(ends, [true, false], &fates, usize::MAX);
    check(ends);
}
