//! What happens to a frame once it was drawn or ordered, and the list of what happened.

use super::damage::{self, Damage};
use super::{Link, Passage};
use crate::fault::{Fault, FaultKind};
use crate::frames::{FrameId, Frames};
use crate::hash::Fate;
use simoom_core::time::{Duration, Instant};

/// Where a link's faults come from, and where they are written down.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    way: u32,
    /// What happens to the frame at hand.
    pub(super) happening: Vec<FaultKind>,
    /// What has happened since somebody took it, where it is recorded.
    happened: Option<Vec<Fault>>,
    /// What is to happen instead of chances.
    forced: Option<Forced>,
}

#[derive(Clone, Debug)]
struct Forced {
    /// (frame, what), by frame; the first `done` lie behind.
    faults: Vec<(u64, FaultKind)>,
    done: usize,
}

impl Faults {
    pub(super) fn new(way: u32) -> Self {
        Self { way, happening: Vec::new(), happened: None, forced: None }
    }

    pub(super) fn record(&mut self) {
        self.happened.get_or_insert_default();
    }

    #[inline]
    pub(super) fn take(&mut self) -> impl Iterator<Item = Fault> {
        self.happened.iter_mut().flat_map(|happened| happened.drain(..))
    }

    pub(super) fn force(&mut self, faults: &[Fault]) {
        let mine = faults.iter().filter(|fault| fault.way == self.way);
        let mut faults: Vec<_> = mine.map(|fault| (fault.frame, fault.kind)).collect();
        faults.sort_by_key(|(frame, _)| *frame);
        self.forced = Some(Forced { faults, done: 0 });
    }

    pub(super) fn is_forced(&self) -> bool {
        self.forced.is_some()
    }

    /// Nothing is ordered any more, and nothing is drawn.
    pub(super) fn stop_forced(&mut self) {
        if let Some(forced) = &mut self.forced {
            forced.faults.clear();
            forced.done = 0;
        }
    }

    /// Looks up what is to happen to a frame, not earlier than the one before.
    pub(super) fn obey(&mut self, number: u64) {
        let Some(Forced { faults, done }) = &mut self.forced else { return };
        while let Some((frame, kind)) = faults.get(*done)
            && *frame <= number
        {
            if *frame == number {
                self.happening.push(*kind);
            }
            *done += 1;
        }
    }

    fn note(&mut self, frame: u64, kind: FaultKind) {
        if let Some(happened) = &mut self.happened {
            happened.push(Fault { way: self.way, frame, kind });
        }
    }
}

/// How a frame is held back: until so many have passed it, and for how long at most.
pub(super) type HeldBack = (u32, Duration);

impl Link {
    /// Lets happen to a frame, which would arrive at `at`, what was drawn or ordered.
    #[cold]
    pub(super) fn suffer(
        &mut self,
        mut at: Instant,
        frames: &mut Frames,
        frame: FrameId,
    ) -> (Passage, Option<HeldBack>) {
        let number = frames.entry(frame).number;
        let happening = std::mem::take(&mut self.faults.happening);
        let lost = happening.contains(&FaultKind::Lost);
        if lost {
            self.faults.note(number, FaultKind::Lost);
            self.stats.lost += 1;
        }
        let mut again = None;
        let mut held = None;
        let mut damages = [Damage::None; 2];
        for kind in happening.iter().filter(|_| !lost) {
            let happened = match *kind {
                FaultKind::Lost => false,
                FaultKind::Delayed(by) => {
                    self.stats.reordered += 1;
                    at += by;
                    true
                }
                FaultKind::Displaced { frames, time_max } => {
                    let is_first = held.is_none();
                    held = held.or(Some((frames.max(1), time_max)));
                    self.stats.displaced += u64::from(is_first);
                    is_first
                }
                FaultKind::Duplicated => {
                    let is_first = again.is_none();
                    if is_first {
                        self.stats.duplicated += 1;
                        // What was done to the frame so far was done to its copy, too.
                        again = Some((frames.add_copy(frame), damages));
                    }
                    is_first
                }
                FaultKind::Corrupted { offset, mask, repaired } => {
                    let damage = damage::flip(frames.get_mut(frame), offset, mask, repaired);
                    if damage != Damage::None {
                        damages = [damages[1], damage];
                    }
                    damage != Damage::None
                }
                FaultKind::Truncated { len } => {
                    let cut = damage::can_be_cut(frames.get(frame), len);
                    if cut {
                        self.stats.truncated += 1;
                        frames.truncate(frame, usize::from(len));
                        damages = [damages[1], Damage::Seen];
                    }
                    cut
                }
            };
            if happened {
                self.faults.note(number, *kind);
            }
        }
        self.faults.happening = happening;
        self.faults.happening.clear();
        if lost {
            return (Passage::Ends(Fate::Lost), None);
        }
        let fate = self.condition(frames.get(frame), damages, Fate::Arrived);
        let again = again.map(|(copy, damages)| {
            (copy, self.condition(frames.get(copy), damages, Fate::ArrivedAgain))
        });
        (Passage::Arrives { at, fate, again }, held)
    }

    /// How a frame arrives that has suffered such damages, the last two of them: `whole` where none.
    fn condition(&mut self, bytes: &[u8], damages: [Damage; 2], whole: Fate) -> Fate {
        let damage = match damages {
            [Damage::None, one] | [one, Damage::None] => one,
            // One damage may undo what shows another.
            _ => damage::judge(bytes),
        };
        self.stats.damaged += u64::from(damage != Damage::None);
        self.stats.forged += u64::from(damage == Damage::Unseen);
        match damage {
            Damage::None => whole,
            Damage::Seen => Fate::ArrivedDamaged,
            Damage::Unseen => Fate::ArrivedForged,
        }
    }
}
