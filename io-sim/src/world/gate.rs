//! A gate before the links: packets wait there until somebody says what becomes of each.
//!
//! This is how a walk through *every* pattern of faults forks a world where patterns part
//! ([`crate::exhaust`]): the world stops before a packet enters its link, is cloned once for each
//! thing that can become of it, and every clone goes on. Only IPv4 packets wait; ARP passes.

use super::{Event, Host, World};
use crate::frames::FrameId;
use crate::hash::{EventTap, Fate};
use crate::link::Passage;
use simoom_core::time::Duration;
use std::collections::VecDeque;

/// What becomes of a packet at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ruling {
    /// It enters its link.
    Pass,
    /// It is lost.
    Lose,
    /// It enters its link, and arrives twice.
    Double,
    /// It changes places with the next packet of its direction: it enters its link right behind
    /// that one, whatever becomes of that one, and by itself where none comes for a time. Not for
    /// a packet whose predecessor waits for it to pass: swaps are disjoint.
    Swap,
}

impl Ruling {
    /// Every ruling, the harmless one first.
    pub const ALL: [Self; 4] = [Self::Pass, Self::Lose, Self::Double, Self::Swap];
}

/// The gate of one world.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    closed: bool,
    /// How long a swapped packet waits for the next one, at most.
    swap_wait: Duration,
    /// In the order in which they were offered.
    held: VecDeque<(u32, FrameId)>,
    /// Packets that wait for the next one of their direction to pass: at most one a direction.
    swapped: Vec<Swapped>,
    swaps: u32,
}

#[derive(Clone, Copy, Debug)]
struct Swapped {
    way: u32,
    frame: FrameId,
    /// Unique in the world.
    number: u32,
}

impl Gate {
    fn takes(&self, bytes: &[u8]) -> bool {
        self.closed && bytes.get(12..14) == Some(&[0x08, 0x00])
    }

    fn take_swapped(&mut self, way: u32) -> Option<FrameId> {
        let at = self.swapped.iter().position(|swapped| swapped.way == way)?;
        Some(self.swapped.remove(at).frame)
    }
}

impl<H: Host, T: EventTap> World<H, T> {
    /// Closes the gate: from now on every IPv4 packet that is offered to a link waits for
    /// [`World::rule`]. Time must not pass while one waits: rule on all before the next
    /// [`World::step`]. `swap_wait` bounds how long a swapped packet waits for the next one.
    pub fn close_gate(&mut self, swap_wait: Duration) {
        let gate = self.gate.get_or_insert_with(|| Gate {
            closed: true,
            swap_wait,
            held: VecDeque::new(),
            swapped: Vec::new(),
            swaps: 0,
        });
        (gate.closed, gate.swap_wait) = (true, swap_wait);
    }

    /// Opens the gate: what waits passes, in its order, and so does what comes. Packets that were
    /// swapped still wait for the next one.
    pub fn open_gate(&mut self) {
        while self.is_at_gate() {
            self.rule(Ruling::Pass);
        }
        if let Some(gate) = &mut self.gate {
            gate.closed = false;
        }
    }

    /// Whether a packet waits for a ruling.
    #[inline]
    pub fn is_at_gate(&self) -> bool {
        self.gate.as_ref().is_some_and(|gate| !gate.held.is_empty())
    }

    /// The packet that waits the longest: its direction (link `n` has the ways `2n` and `2n + 1`)
    /// and its bytes.
    pub fn at_gate(&self) -> Option<(u32, &[u8])> {
        let (way, frame) = *self.gate.as_ref()?.held.front()?;
        Some((way, self.frames.get(frame)))
    }

    /// Whether that packet may be ruled so.
    pub fn may_rule(&self, ruling: Ruling) -> bool {
        let Some(gate) = &self.gate else { return false };
        gate.held.front().is_some_and(|(way, _)| {
            ruling != Ruling::Swap || gate.swapped.iter().all(|swapped| swapped.way != *way)
        })
    }

    /// Says what becomes of the packet that waits the longest.
    ///
    /// # Panics
    /// Where none waits, or a swap would not be disjoint from the one before; where it is to be lost
    /// or doubled, on a link that decides later what becomes of it ([`Passage::Stays`]).
    pub fn rule(&mut self, ruling: Ruling) {
        assert!(self.may_rule(ruling), "{ruling:?} of what is at the gate");
        let now = self.now;
        let gate = self.gate.as_mut().expect("a packet waits at it");
        let (way, frame) = gate.held.pop_front().expect("a packet waits");
        match ruling {
            Ruling::Pass => self.offer(way, frame),
            Ruling::Lose | Ruling::Double => {
                let link = &mut self.ways[way as usize].link;
                let mut passage = link.offer(now, &mut self.frames, frame);
                self.bend(ruling, frame, &mut passage);
                self.log_faults(way, Some(frame));
                self.pass(way, frame, passage);
            }
            Ruling::Swap => {
                gate.swaps += 1;
                let number = gate.swaps;
                gate.swapped.push(Swapped { way, frame, number });
                let at = now + gate.swap_wait;
                self.queue.push(at, Event::SwapOverdue { number });
                return;
            }
        }
        self.follow(way);
    }

    /// What a ruling makes of what the link would have done.
    fn bend(&mut self, ruling: Ruling, frame: FrameId, passage: &mut Passage) {
        match passage {
            Passage::Arrives { again, .. } if ruling == Ruling::Lose => {
                if let Some((again, _)) = again.take() {
                    self.frames.remove(again);
                }
                *passage = Passage::Ends(Fate::Lost);
            }
            Passage::Arrives { fate, again: again @ None, .. } => {
                let fate = if *fate == Fate::Arrived { Fate::ArrivedAgain } else { *fate };
                *again = Some((self.frames.add_copy(frame), fate));
            }
            Passage::Arrives { .. } | Passage::Ends(_) => {}
            Passage::Stays => panic!("a link that keeps frames back cannot be ruled over"),
        }
    }

    /// Holds a frame back, where the gate is closed for it.
    pub(super) fn hold(&mut self, way: u32, frame: FrameId) -> bool {
        let Some(gate) = &mut self.gate else { return false };
        let takes = gate.takes(self.frames.get(frame));
        if takes {
            gate.held.push_back((way, frame));
        }
        takes
    }

    /// A packet has passed: the one swapped with it follows.
    pub(super) fn follow(&mut self, way: u32) {
        if let Some(gate) = &mut self.gate
            && let Some(frame) = gate.take_swapped(way)
        {
            self.offer(way, frame);
        }
    }

    /// No packet came that this one could be swapped with.
    pub(super) fn on_swap_overdue(&mut self, number: u32) {
        let Some(gate) = &mut self.gate else { return };
        if let Some(at) = gate.swapped.iter().position(|swapped| swapped.number == number) {
            let Swapped { way, frame, .. } = gate.swapped.remove(at);
            self.offer(way, frame);
        }
    }
}
