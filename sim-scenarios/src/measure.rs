//! What is measured of a run: names that expectations and tables use, with unit and meaning.

/// A measure and what it means.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Its name, the unit at the end where it has one.
    pub name: &'static str,
    /// Digits behind the point in tables.
    pub decimals: usize,
    /// What it counts.
    pub about: &'static str,
}

const fn m(name: &'static str, decimals: usize, about: &'static str) -> Measure {
    Measure { name, decimals, about }
}

/// Measures of the whole world, in the order of a result.
pub const WORLD: &[Measure] = &[
    m("completed", 0, "requests answered in full, every byte right"),
    m("failed", 0, "requests answered otherwise, or given up"),
    m(
        "wrong_answers",
        0,
        "answers with a byte that differs, of another length, or without sense: a violation in any scenario",
    ),
    m("bytes", 0, "bytes of bodies delivered"),
    m("done_at_ms", 3, "when the last answer was whole"),
    m(
        "goodput_mbit",
        3,
        "bytes of bodies, as million bits a second, until the last answer was whole, or until measures were taken",
    ),
    m("time_p50_ms", 3, "from a request to its answer's last byte: the median"),
    m("time_p99_ms", 3, "the same: 99 % are not slower"),
    m("time_max_ms", 3, "the same: the slowest"),
    m(
        "connections",
        0,
        "connections that reached ESTABLISHED, counted at our stacks that opened or accepted them",
    ),
    m("segments", 0, "segments with text, SYN or FIN sent by our stacks"),
    m("retransmitted_segments", 0, "of these, sent again"),
    m("timeouts", 0, "of these, because the retransmission timer expired"),
    m(
        "compared_bytes",
        0,
        "bytes of text sent again by anybody and found the same as the first time",
    ),
    m("lost", 0, "frames that links lost by chance, or because they were down"),
    m("queue_drops", 0, "frames that found a link's queue full, or that its management dropped"),
    m("marked", 0, "packets marked as having met congestion, by a link's queue"),
    m("too_long", 0, "packets longer than a link's MTU"),
    m("reordered", 0, "frames delayed beyond others"),
    m("duplicated", 0, "frames that came twice"),
    m("damaged", 0, "frames whose bits flipped, or that were cut short"),
    m("ring_full", 0, "frames that came to a full receive ring"),
    m("jain", 4, "Jain's index of fairness over the bytes of the client hosts: 1 is equal"),
];

/// Measures of one host: `HOST.completed`.
pub const HOST: &[Measure] = &[
    m("completed", 0, "requests of this client answered in full"),
    m("failed", 0, "requests of this client answered otherwise, or given up"),
    m("bytes", 0, "bytes of bodies that it got"),
    m("goodput_mbit", 3, "the same as million bits a second, until its last answer"),
    m("time_max_ms", 3, "its slowest answer"),
    m("segments", 0, "segments with text, SYN or FIN that it sent"),
    m("retransmitted_segments", 0, "of these, sent again"),
    m("timeouts", 0, "of these, because the retransmission timer expired"),
    m("dropped_segments", 0, "segments that its TCP dropped, for any reason"),
    m(
        "handshake_max_ms",
        3,
        "the longest from the first SYN or SYN-ACK of a connection to its other end's answer",
    ),
    m(
        "window_mean_kb",
        3,
        "its congestion windows as it sent segments with text: their mean, in thousand bytes",
    ),
    m("resets", 0, "connections that ended by RST, or were given up"),
    m(
        "syns_refused",
        0,
        "SYNs dropped because its table of connections, or of half-open ones, was full",
    ),
    m("controllers", 0, "congestion controllers that its stack offers"),
    m(
        "frames",
        0,
        "frames that a hostile host or a source of cross traffic sent, or that came to a sink",
    ),
    m("core_load", 4, "share of the time that the cores of a machine were busy, their mean"),
    m("core_load_max", 4, "the same of the busiest core"),
    m("turn_wait_max_us", 1, "the longest that a turn of a machine waited for its core"),
];

/// Measures of one direction of a link: `LINK.forward.lost`.
pub const WAY: &[Measure] = &[
    m("offered", 0, "frames handed to it"),
    m("lost", 0, "frames lost by chance, or because it was down"),
    m("queue_drops", 0, "frames that found the queue full, or that its management dropped"),
    m("queue_max", 0, "frames that waited at most, the one being sent not counted"),
    m("marked", 0, "packets marked as having met congestion"),
    m("too_long", 0, "packets longer than its MTU"),
    m("delivered", 0, "frames sent on their way to the other end"),
    m("reordered", 0, "frames delayed beyond others"),
    m("duplicated", 0, "frames that came twice"),
    m("damaged", 0, "frames whose bits flipped, or that were cut short"),
    m(
        "utilisation",
        4,
        "share of its rate that was used, at its last rate, until the last answer was whole, or until measures were taken",
    ),
];

/// What a table shows where the file does not say.
pub(crate) const DEFAULT_COLUMNS: &[&str] =
    &["completed", "failed", "goodput_mbit", "time_max_ms", "retransmitted_segments"];

/// The directions of a link, as measures name them.
pub(crate) const DIRECTIONS: [&str; 2] = ["forward", "backward"];

/// Every name that a world of these hosts and links has.
pub(crate) fn names(hosts: &Vec<&str>, links: &Vec<&str>) -> Vec<String> {
    let mut names: Vec<String> = WORLD.iter().map(|m| m.name.to_owned()).collect();
    for host in hosts {
        names.extend(HOST.iter().map(|m| format!("{host}.{}", m.name)));
    }
    for link in links {
        for direction in DIRECTIONS {
            names.extend(WAY.iter().map(|m| format!("{link}.{direction}.{}", m.name)));
        }
    }
    names
}

/// Digits behind the point of a measure in a table.
pub fn decimals(name: &str) -> usize {
    let last = name.rsplit('.').next().unwrap_or(name);
    let table = match name.split('.').count() {
        1 => WORLD,
        2 => HOST,
        _ => WAY,
    };
    table.iter().find(|m| m.name == last).map_or(3, |m| m.decimals)
}

/// The nearest rank: of ascending values the smallest that `percent` of them do not exceed.
pub(crate) fn percentile(ascending: &[u64], percent: usize) -> Option<u64> {
    let rank = (ascending.len() * percent).div_ceil(100).max(1);
    ascending.get(rank - 1).copied()
}

/// Jain's index: (Σx)² / (n Σx²). None for nobody, or where nobody got anything.
pub(crate) fn jain(shares: &[u64]) -> Option<f64> {
    let sum: f64 = shares.iter().map(|x| *x as f64).sum();
    let squares: f64 = shares.iter().map(|x| *x as f64 * *x as f64).sum();
    (squares > 0.0).then(|| sum * sum / (shares.len() as f64 * squares))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let values: Vec<u64> = (1..=200).collect();
        assert_eq!(percentile(&values, 50), Some(100));
        assert_eq!(percentile(&values, 99), Some(198));
        assert_eq!(percentile(&values, 100), Some(200));
        assert_eq!(percentile(&[7], 1), Some(7));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn jains_index_is_one_for_equals_and_one_nth_for_a_single_winner() {
        assert_eq!(jain(&[5, 5, 5, 5]), Some(1.0));
        assert_eq!(jain(&[8, 0, 0, 0]), Some(0.25));
        assert_eq!((jain(&[]), jain(&[0, 0])), (None, None));
    }

    #[test]
    fn names_of_hosts_and_links_come_from_the_file() {
        let names = names(&vec!["client"], &vec!["path"]);
        assert!(names.contains(&"client.completed".into()));
        assert!(names.contains(&"path.backward.queue_drops".into()));
        assert_eq!(decimals("path.backward.utilisation"), 4);
        assert_eq!((decimals("completed"), decimals("client.goodput_mbit")), (0, 3));
    }
}
