//! Processors: which this process may use, how they share cores and memory, and a thread kept on one.

use crate::sys;
use std::fs;
use std::io;
use std::path::Path;

/// A processor that this process may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// Its number.
    pub number: usize,
    /// The first of the processors that share its core (hyperthreads): the same for all of them.
    pub core: usize,
    /// The memory that is near, by number; 0 where the machine has one.
    pub node: usize,
}

/// The processors that this thread may run on, by number: those of taskset(1), cpusets and
/// containers. Never empty.
///
/// # Errors
/// errno of sched_getaffinity(2), as on machines with more processors than its set has room for.
pub fn allowed() -> io::Result<Vec<Cpu>> {
    Ok(sys::allowed_cpus()?.into_iter().map(describe).collect())
}

/// Keeps this thread on one processor. What it touches first afterwards lies in the memory near by.
///
/// # Errors
/// errno of sched_setaffinity(2): where this process may not use it.
pub fn pin(number: usize) -> io::Result<()> {
    sys::pin_to(number)
}

/// The memory that an interface is near to; None where the machine has one, or it does not say.
pub fn node_of(interface: &str) -> Option<usize> {
    if interface.contains('/') {
        return None;
    }
    let file = Path::new("/sys/class/net").join(interface).join("device/numa_node");
    // -1 where nobody knows.
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn describe(number: usize) -> Cpu {
    let folder = Path::new("/sys/devices/system/cpu").join(format!("cpu{number}"));
    let siblings = fs::read_to_string(folder.join("topology/thread_siblings_list"));
    let core = siblings.ok().and_then(|list| first_of(&list)).unwrap_or(number);
    // A link or folder `nodeN` says near which memory it is.
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let node = entries
        .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("node")?.parse().ok())
        .min()
        .unwrap_or(0);
    Cpu { number, core, node }
}

/// The first number of a list such as `0,64` or `2-3`.
fn first_of(list: &str) -> Option<usize> {
    list.trim().split([',', '-']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_begin_with_a_number() {
        for (list, first) in
            [("0,64\n", Some(0)), ("2-3", Some(2)), ("7\n", Some(7)), ("", None), ("x", None)]
        {
            assert_eq!(first_of(list), first, "{list:?}");
        }
    }

    #[test]
    fn thread_that_is_pinned_runs_where_it_was_told_and_others_do_not_care() {
        let before = allowed().unwrap();
        let last = *before.last().unwrap();
        let after = std::thread::spawn(move || pin(last.number).and_then(|()| allowed()));
        assert_eq!(after.join().unwrap().unwrap(), [last]);
        assert_eq!(allowed().unwrap(), before);
        assert!(pin(1 << 20).is_err(), "no set has room for it");
    }

    #[test]
    fn interface_without_a_device_is_near_to_nothing() {
        assert_eq!(node_of("lo"), None);
        assert_eq!(node_of("../net/lo"), None);
    }
}
