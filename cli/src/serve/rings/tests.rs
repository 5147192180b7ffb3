//! Shards of ports that nobody opened, by NICs that nobody has.

use super::*;

fn port(text: &str) -> PortName {
    text.parse().unwrap()
}

fn nic(tx: u16, rx: u16) -> RingFacts {
    let rings = Rings { tx, rx, tx_slots: 1_024, rx_slots: 1_024, host: 1 };
    RingFacts { rings: Some(rings), ..RingFacts::default() }
}

/// A NIC that says its table: in turn over so many rings.
fn telling(rings: u16, table_over: u32) -> RingFacts {
    let rss = Rss {
        table: (0..512).map(|entry| entry % table_over).collect(),
        key: (0..52).collect(),
        key_is_kernels: false,
        hash: HashFunction::Toeplitz,
        symmetric: false,
    };
    let fields = Some(HashFields { addresses: true, ports: true });
    RingFacts { rss: Some(rss), fields, ..nic(rings, rings) }
}

fn names(split: &Split) -> Vec<String> {
    split.names.iter().map(ToString::to_string).collect()
}

#[test]
fn each_shard_takes_the_ring_of_its_number() {
    for (text, asked, facts, wanted) in [
        ("netmap:eth0", 1, nic(1, 1), vec!["netmap:eth0"]),
        ("netmap:eth0", 2, nic(2, 2), vec!["netmap:eth0-0", "netmap:eth0-1"]),
        (
            "netmap:eth0@buffers=99",
            2,
            nic(4, 2),
            vec!["netmap:eth0-0@buffers=99", "netmap:eth0-1@buffers=99"],
        ),
        ("netmap:eth0-3", 1, nic(4, 4), vec!["netmap:eth0-3"]),
        ("netmap:eth0^", 1, nic(1, 1), vec!["netmap:eth0^"]),
        ("netmap:eth0^", 2, nic(2, 2), vec!["netmap:eth0-0^", "netmap:eth0-1^"]),
        ("tap:t0", 1, RingFacts::default(), vec!["tap:t0"]),
        ("netmap:x{1", 1, RingFacts::default(), vec!["netmap:x{1"]),
        (
            "netmap:x{1",
            2,
            RingFacts::default(),
            vec!["netmap:x{1-0@conf:rings=2", "netmap:x{1-1@conf:rings=2"],
        ),
        (
            "vale0:s@conf:rings=2",
            2,
            RingFacts::default(),
            vec!["vale0:s-0@conf:rings=2", "vale0:s-1@conf:rings=2"],
        ),
        (
            "vale0:s@conf:slots=64",
            2,
            RingFacts::default(),
            vec!["vale0:s-0@conf:rings=2,slots=64", "vale0:s-1@conf:rings=2,slots=64"],
        ),
    ] {
        let split = split(&port(text), asked, &facts).unwrap();
        assert_eq!(names(&split), wanted, "{text} {asked}");
        assert_eq!(split.remarks, [], "{text} {asked}");
        assert_eq!(split.spread.is_some(), wanted.len() > 1, "{text} {asked}");
    }
}

#[test]
fn fewer_rings_than_shards_serve_all_the_same_and_say_so() {
    for (text, asked, facts, shards, fix) in [
        ("netmap:eth0", 4, nic(2, 2), 2, "ethtool -L eth0 combined 4"),
        ("netmap:eth0", 4, nic(1, 1), 1, "ethtool -L eth0 combined 4"),
        ("netmap:eth0", 8, nic(8, 3), 3, "ethtool -L eth0 combined 8"),
        ("netmap:eth0", 8, telling(2, 2), 2, "ethtool -L eth0 combined 8"),
        ("vale0:s@conf:rings=2", 4, RingFacts::default(), 2, "@conf:rings=4"),
    ] {
        let split = split(&port(text), asked, &facts).unwrap();
        assert_eq!(split.names.len(), shards, "{text} {asked}");
        let said: Vec<_> = split.remarks.iter().map(Remark::sentence).collect();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].contains(fix) && said[0].contains(&format!("{shards} of {asked}")),
            "{said:?}"
        );
    }
}

#[test]
fn rings_that_nobody_would_serve_are_refused_with_what_to_do() {
    for (text, asked, facts, what, fix) in [
        ("netmap:eth0", 2, nic(4, 4), "4 receive rings and 2", "combined 2, or --shards 4"),
        ("netmap:eth0", 1, nic(2, 2), "2 receive rings and 1", "combined 1, or --shards 2"),
        // More shards would not help: a shard sends too.
        ("netmap:eth0", 4, nic(2, 4), "4 receive rings and 2", "ethtool -L eth0 combined 2"),
        ("netmap:eth0", 2, telling(4, 4), "4 receive rings and 2", "combined 2, or --shards 4"),
        // The interface's table knows more queues than netmap has rings, as in generic mode.
        ("netmap:eth0", 2, telling(2, 8), "384 of the 512 entries", "ethtool -X eth0 equal 2"),
        (
            "vale0:s@conf:rx-rings=4,tx-rings=2",
            2,
            RingFacts::default(),
            "4 receive rings, and 2",
            "@conf:rings=2",
        ),
        ("netmap:eth0-1", 2, nic(2, 2), "names one ring", "leave out -1"),
        ("netmap:eth0^@conf:host-rings=1", 2, nic(2, 2), "of which 1 would", "host-rings=2"),
        ("tap:t0", 2, RingFacts::default(), "one queue", "leave out --shards"),
    ] {
        let refused = split(&port(text), asked, &facts).unwrap_err();
        assert!(refused.what.contains(what), "{text} {asked}: {refused:?}");
        assert!(refused.fix.contains(fix), "{text} {asked}: {refused:?}");
    }
    let fix = split(&port("netmap:eth0"), 4, &nic(2, 4)).unwrap_err().fix;
    assert!(!fix.contains("--shards"), "{fix}");
}

/// Where the interface cannot have fewer rings, its table can leave some out.
#[test]
fn rings_that_the_table_leaves_out_need_nobody() {
    let two = split(&port("netmap:eth0"), 2, &telling(4, 2)).unwrap();
    assert_eq!(
        (names(&two), two.remarks),
        (vec!["netmap:eth0-0".into(), "netmap:eth0-1".into()], vec![])
    );
    let one = split(&port("netmap:eth0"), 1, &telling(4, 1)).unwrap();
    assert_eq!(names(&one), ["netmap:eth0-0"]);
}

#[test]
fn spread_is_what_the_interface_says_or_what_is_usual_and_then_assumed() {
    let said = split(&port("netmap:eth0"), 4, &telling(4, 4)).unwrap().spread.unwrap();
    assert_eq!(said.key, Key::Said);
    assert_eq!((said.spread.table.len(), said.spread.table[511]), (512, 3));
    assert_eq!(said.spread.key[39], 39, "the first 40 bytes of its 52");

    let usual = split(&port("netmap:eth0"), 4, &nic(4, 4)).unwrap().spread.unwrap();
    assert_eq!(usual, Expected { spread: Spread::in_turn(MICROSOFT_KEY, 4), key: Key::Usual });

    let mut plain = nic(4, 4);
    plain.fields = Some(HashFields { addresses: false, ports: false });
    assert_eq!(split(&port("netmap:eth0"), 4, &plain).unwrap().spread.unwrap().key, Key::Usual);

    let mut kernels = telling(4, 2);
    kernels.rss.as_mut().unwrap().key_is_kernels = true;
    let half = split(&port("netmap:eth0"), 2, &kernels).unwrap().spread.unwrap();
    assert_eq!((half.key, half.spread.key[39]), (Key::Kernels, 39));

    let mut keyless = telling(4, 2);
    keyless.rss.as_mut().unwrap().key.clear();
    let half = split(&port("netmap:eth0"), 2, &keyless).unwrap().spread.unwrap();
    assert_eq!(half.key, Key::Usual);
    assert_eq!((half.spread.key, half.spread.table.len()), (MICROSOFT_KEY, 512));
}

#[test]
fn what_the_interface_does_otherwise_is_remarked_with_what_to_do() {
    let with = |change: fn(&mut RingFacts)| {
        let mut facts = telling(2, 2);
        change(&mut facts);
        facts
    };
    for (facts, compared, what, fix) in [
        (telling(2, 1), true, "ring 1 gets no connection", "ethtool -X eth0 equal 2"),
        (
            with(|f| f.fields = Some(HashFields { addresses: true, ports: false })),
            false,
            "addresses without ports",
            "ethtool -N eth0 rx-flow-hash tcp4 sdfn",
        ),
        (
            with(|f| f.fields = Some(HashFields { addresses: false, ports: false })),
            false,
            "does not hash TCP",
            "rx-flow-hash tcp4 sdfn",
        ),
        (
            with(|f| f.rss.as_mut().unwrap().hash = HashFunction::Xor),
            false,
            "exclusive or",
            "hfunc toeplitz",
        ),
        (with(|f| f.rss.as_mut().unwrap().symmetric = true), false, "symmetric", "hfunc toeplitz"),
    ] {
        let split = split(&port("netmap:eth0"), 2, &facts).unwrap();
        assert_eq!(split.names.len(), 2, "it serves");
        assert_eq!(split.spread.is_some(), compared, "{what}");
        let said: Vec<_> = split.remarks.iter().map(Remark::sentence).collect();
        assert!(said.len() == 1 && said[0].contains(what) && said[0].contains(fix), "{said:?}");
    }
    let unsaid = with(|f| f.rss.as_mut().unwrap().hash = HashFunction::Unsaid);
    assert!(split(&port("netmap:eth0"), 2, &unsaid).unwrap().spread.is_some());
}

#[test]
fn as_many_shards_as_may_be_asked_for_have_a_ring_each() {
    let split = split(&port("netmap:eth0"), SHARDS_MAX, &nic(SHARDS_MAX, SHARDS_MAX)).unwrap();
    assert_eq!(split.names.len(), usize::from(SHARDS_MAX));
    let table = split.spread.unwrap().spread.table;
    assert_eq!(table.iter().max(), Some(&(SHARDS_MAX as u8 - 1)));
}
