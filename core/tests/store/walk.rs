//! Random checkouts and returns: the bounds hold over any of them.

use super::{MODES, Out, World, cut, pins};
use proptest::prelude::*;
use simoom_core::content::{Checkout, Config, Cut, Mode, ReadAt};
use simoom_core::port::{Buf, Port};

/// A step of a random walk.
#[derive(Clone, Debug)]
enum Step {
    Checkout { object: u32, index: u32, pin: u8 },
    Return(prop::sample::Index),
    TakeBuffer,
    GiveBuffer,
    Late { object: u32, index: u32, gone: bool },
    Release,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (0..4u32, 0..40u32, any::<u8>())
            .prop_map(|(object, index, pin)| Step::Checkout { object, index, pin }),
        9 => any::<prop::sample::Index>().prop_map(Step::Return),
        1 => Just(Step::TakeBuffer),
        1 => Just(Step::GiveBuffer),
        1 => (0..4u32, 0..40u32, any::<bool>())
            .prop_map(|(object, index, gone)| Step::Late { object, index, gone }),
        1 => Just(Step::Release),
    ];
    prop::collection::vec(step, 1..300)
}

proptest! {
    /// Whatever is checked out and returned: bounds and reserve hold, no buffer is lost or shared,
    /// nobody writes to a copy that is away, and every text and sum is right.
    #[test]
    fn random_walks_keep_every_bound(
        steps in steps(),
        mode in prop::sample::select(MODES.to_vec()),
        buffers in 6..60u32,
        copies_max in 1..40u32,
        reserve in 0..8u32,
        runs_max in 1..9u32,
    ) {
        let config = Config { mode, copies_max, reserve, runs_max, ..Config::default() };
        let mut world = World::new(&config, buffers);
        let bound = copies_max.min(buffers.saturating_sub(reserve));
        let bytes = world.store.table_bytes();
        let cuts: Vec<Cut> = (0..4).map(|object| cut(object, 39 * 600 + 1)).collect();
        let mut hints = [u32::MAX; 4];
        let mut outs: Vec<Out> = Vec::new();
        let mut spare: Vec<Buf> = Vec::new();
        for step in steps {
            let made_before = world.store.stats().cuts + world.store.stats().copies_made;
            let mut given = 0;
            match step {
                Step::Checkout { object, index, pin } => {
                    let cut = cuts[object as usize];
                    let pins = pins(pin);
                    let hint = &mut hints[object as usize];
                    match world.ask(&cut, index, &pins, hint) {
                        Checkout::Ready { buf, sum } => {
                            prop_assert!(outs.iter().all(|out| out.buf.index() != buf.index()));
                            outs.push(world.check(Out { buf, cut, index, pins }, sum));
                            given = u32::from(mode == Mode::Copy);
                        }
                        Checkout::Miss => {}
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
                Step::Return(at) if !outs.is_empty() => {
                    let out = outs.swap_remove(at.index(outs.len()));
                    world.check_text(&out);
                    let back = world.store.on_done(out.buf);
                    prop_assert_eq!(back.is_some(), mode == Mode::Copy);
                    back.into_iter().for_each(|buf| world.port.give_back(buf));
                }
                Step::TakeBuffer => spare.extend(world.store.take_buffer(&mut world.port)),
                Step::GiveBuffer => {
                    if let Some(buf) = spare.pop() {
                        let back = world.store.on_done(buf).expect("never the store's");
                        world.port.give_back(back);
                    }
                }
                Step::Late { object, index, gone } => {
                    world.source.answer = if gone { ReadAt::Gone } else { ReadAt::NotYet };
                    let reads = world.source.reads;
                    let cut = cuts[object as usize];
                    let answer = world.ask(&cut, index, &pins(0), &mut hints[object as usize]);
                    world.source.answer = ReadAt::Done;
                    if let Checkout::Ready { buf, .. } = answer {
                        prop_assert_eq!(world.source.reads, reads, "a copy was at home");
                        world.give_back(buf);
                    }
                }
                Step::Release => world.store.release(&mut world.port),
                Step::Return(_) => {}
            }
            prop_assert!(world.store.kept() <= bound);
            prop_assert!(world.store.stats().kept_high <= bound);
            let made = world.store.stats().cuts + world.store.stats().copies_made;
            if made > made_before {
                prop_assert!(world.port.free() as u32 + given >= reserve, "the reserve was used");
            }
            let away = if mode == Mode::Copy { 0 } else { outs.len() as u32 };
            prop_assert_eq!(world.store.away(), away);
            world.check_census(outs.len() + spare.len());
            prop_assert_eq!(world.store.table_bytes(), bytes, "nothing grows");
        }
        for out in outs {
            world.check_text(&out);
            world.give_back(out.buf);
        }
        for buf in spare {
            world.port.give_back(buf);
        }
        world.check_release();
    }
}
