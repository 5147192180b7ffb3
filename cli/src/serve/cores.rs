//! Which core each shard's thread is kept on. Pure: processors in, numbers out.

use crate::human;
use simoom_linux::cpu::Cpu;

/// A processor for each shard, in turn; `near` says for each which memory its interface is near to.
///
/// A shard gets a processor that nobody has before one that is shared; of those, one whose core (of
/// hyperthreads) has the least to do; of those, one whose memory the interface is near to; and then the
/// one with the lowest number. None where there are no processors.
pub(super) fn assign(cpus: &[Cpu], near: &[Option<usize>]) -> Vec<Option<usize>> {
    let mut taken = vec![0; cpus.len()];
    near.iter()
        .map(|&node| {
            let load_of_core = |core| -> usize {
                (0..cpus.len()).filter(|&i| cpus[i].core == core).map(|i| taken[i]).sum()
            };
            let best = (0..cpus.len()).min_by_key(|&i| {
                let cpu = cpus[i];
                let far = node.is_some_and(|node| node != cpu.node);
                (taken[i], load_of_core(cpu.core), far, cpu.number)
            })?;
            taken[best] += 1;
            Some(cpus[best].number)
        })
        .collect()
}

/// What is to be said where threads share processors.
pub(crate) fn sharing(shards: usize, cpus: usize) -> Option<String> {
    let most = shards.div_ceil(cpus.max(1));
    let cores = human::count(cpus as u64, "core");
    (shards > cpus).then(|| format!("{shards} shards share {cores}, up to {most} on one"))
}

/// `core 3`, `cores 0, 1 and 4`.
pub(super) fn said(cores: &[usize]) -> String {
    let text: Vec<_> = cores.iter().map(ToString::to_string).collect();
    match text.split_last() {
        Some((last, [])) => format!("core {last}"),
        Some((last, rest)) => format!("cores {} and {last}", rest.join(", ")),
        None => "no core".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sockets of two cores with two threads each, numbered as Linux does.
    fn machine() -> Vec<Cpu> {
        (0..8).map(|number| Cpu { number, core: number % 4, node: number % 4 / 2 }).collect()
    }

    fn plain(numbers: &[usize]) -> Vec<Cpu> {
        numbers.iter().map(|&number| Cpu { number, core: number, node: 0 }).collect()
    }

    fn numbers(cpus: &[Cpu], near: &[Option<usize>]) -> Vec<usize> {
        assign(cpus, near).into_iter().map(Option::unwrap).collect()
    }

    #[test]
    fn each_shard_has_a_core_of_its_own_while_there_are_any() {
        assert_eq!(numbers(&plain(&[0, 1, 2, 3]), &[None; 4]), [0, 1, 2, 3]);
        // Those that taskset(1) allows.
        assert_eq!(numbers(&plain(&[5, 7]), &[None; 2]), [5, 7]);
        // Cores before second threads of cores.
        assert_eq!(numbers(&machine(), &[None; 6]), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn shards_are_near_their_interface_where_nobody_has_to_share_for_it() {
        assert_eq!(numbers(&machine(), &[Some(1); 2]), [2, 3]);
        assert_eq!(numbers(&machine(), &[Some(1); 5]), [2, 3, 0, 1, 6]);
        assert_eq!(numbers(&machine(), &[Some(0), Some(1), Some(0), Some(1)]), [0, 2, 1, 3]);
    }

    #[test]
    fn more_shards_than_cores_share_them_in_turn_and_it_is_said() {
        assert_eq!(numbers(&plain(&[0, 1]), &[None; 5]), [0, 1, 0, 1, 0]);
        assert_eq!(numbers(&plain(&[3]), &[None; 3]), [3, 3, 3]);
        assert_eq!(assign(&[], &[None; 2]), [None, None]);
        assert_eq!(sharing(2, 2), None);
        assert_eq!(sharing(5, 2).unwrap(), "5 shards share 2 cores, up to 3 on one");
        assert_eq!(sharing(2, 1).unwrap(), "2 shards share 1 core, up to 2 on one");
    }

    #[test]
    fn cores_are_listed() {
        for (cores, text) in
            [(&[3][..], "core 3"), (&[0, 1], "cores 0 and 1"), (&[0, 1, 4], "cores 0, 1 and 4")]
        {
            assert_eq!(said(cores), text);
        }
    }
}
