//! Each finding from facts that nobody asked a system for.

use super::super::facts::{Facts, Interface, Tun};
use super::*;
use simoom_linux::ethtool::Rss;
use simoom_netmap::error::NetmapError;
use simoom_netmap::gathering::Gathering;
use simoom_netmap::probe::Buffers;

const RINGS: Rings = Rings { tx: 1, rx: 1, tx_slots: 1_024, rx_slots: 1_024, host: 1 };

fn interface() -> Interface {
    Interface {
        name: "eth0".into(),
        mtu: Some(1_500),
        is_up: true,
        carrier: Some(true),
        is_tap: false,
        driver: Some("ixgbe".into()),
        offloads: Offload::ALL.iter().map(|what| (*what, false)).collect(),
        peer: None,
        rss: None,
        hash_fields: None,
        node: None,
        has_route: false,
    }
}

fn probe() -> Probe {
    Probe {
        api_newest: 16,
        rings: Some(RINGS),
        memory_bytes: 343_000_000,
        buffers: Some(Buffers { total: 163_840, bytes: 2_048, rings: 200 }),
        forwards: false,
        native: Some(true),
        gathering: Some(Gathering::Driver("ixgbe".into())),
    }
}

/// A NIC that nothing is wrong with.
fn nic() -> Facts {
    Facts {
        port: "netmap:eth0".parse().unwrap(),
        interface: Some(interface()),
        netmap: Some(Ok(probe())),
        opened: None,
        tun: Tun::There,
        buffers: 16_384,
        shards: None,
        ports: 1,
        cores: Some(4),
        segments: None,
        memory_available: Some(8 << 30),
    }
}

fn tap() -> Facts {
    Facts { port: "tap:simoom0".parse().unwrap(), interface: None, netmap: None, ..nic() }
}

/// Of the finding about this: its level, what it says, and what to do.
fn about(facts: &Facts, about: &str) -> (Level, String, String) {
    let all = judge(facts);
    let mut of_it = all.iter().filter(|finding| finding.about == about);
    let finding = of_it.next().unwrap_or_else(|| panic!("nothing about {about} in {all:#?}"));
    assert!(of_it.next().is_none(), "twice about {about}: {all:#?}");
    let fix = finding.fix.clone().unwrap_or_default();
    let is_bad = matches!(finding.level, Level::Warn | Level::Fail(_));
    assert!(
        !is_bad || !fix.is_empty() || finding.about == "open",
        "{finding:?} says not what to do"
    );
    (finding.level, finding.what.clone(), fix)
}

fn with_interface(change: impl FnOnce(&mut Interface)) -> Facts {
    let mut facts = nic();
    change(facts.interface.as_mut().unwrap());
    facts
}

fn with_probe(change: impl FnOnce(&mut Probe)) -> Facts {
    let mut probe = probe();
    change(&mut probe);
    Facts { netmap: Some(Ok(probe)), ..nic() }
}

#[test]
fn nothing_is_said_against_a_port_that_nothing_is_wrong_with() {
    for facts in [nic(), Facts { segments: Some(16_384), ..nic() }] {
        let all = judge(&facts);
        assert!(all.iter().all(|f| f.level == Level::Ok && f.fix.is_none()), "{all:#?}");
        for wanted in ["netmap", "rings", "mode", "link", "mtu", "offloads", "buffers"] {
            assert!(all.iter().any(|f| f.about == wanted), "{wanted} in {all:#?}");
        }
    }
    let all = judge(&tap());
    assert!(all.iter().all(|f| matches!(f.level, Level::Ok | Level::Note)), "{all:#?}");
}

#[test]
fn kernel_without_netmap_ends_the_examination_with_what_to_load() {
    let facts = Facts { netmap: Some(Err(NetmapError::NoNetmap)), ..nic() };
    assert_eq!(judge(&facts).len(), 1);
    let (level, what, fix) = about(&facts, "netmap");
    assert_eq!(level, Level::Fail(Kind::Privilege));
    assert!(what.contains("/dev/netmap") && fix.contains("modprobe netmap"), "{what} -> {fix}");
    for (error, kind, wanted) in [
        (NetmapError::OldApi, Kind::Privilege, "update"),
        (NetmapError::Forbidden, Kind::Privilege, "root"),
        (NetmapError::NoInterface { name: "netmap:eth0".into() }, Kind::Usage, "ip link"),
    ] {
        let facts = Facts { netmap: Some(Err(error)), ..nic() };
        let (level, what, fix) = about(&facts, "netmap");
        assert_eq!(level, Level::Fail(kind), "{what}");
        assert!(fix.contains(wanted), "{what} -> {fix}");
    }
}

#[test]
fn api_is_said() {
    assert!(about(&nic(), "netmap").1.contains("API 14 to 16"));
}

#[test]
fn host_rings_need_a_pair_for_the_ring_and_a_module_that_does_not_forward() {
    let at = |port: &str, facts: Facts| Facts { port: port.parse().unwrap(), ..facts };
    assert_eq!(about(&at("netmap:eth0^", nic()), "host-rings").0, Level::Ok);
    let many = || with_probe(|probe| probe.rings = Some(Rings { tx: 4, rx: 4, ..RINGS }));
    assert_eq!(about(&at("netmap:eth0-0^", many()), "host-rings").0, Level::Ok);
    assert_eq!(about(&at("netmap:eth0-3^", many()), "host-rings").0, Level::Ok);
    let few = at("netmap:eth0-2^@conf:host-rings=2", many());
    let (level, what, fix) = about(&few, "host-rings");
    assert_eq!(level, Level::Fail(Kind::Usage), "{what}");
    assert!(fix.contains("@conf:host-rings=3"), "{fix}");
    assert_eq!(about(&at("netmap:eth0-2^@conf:host-rings=4", many()), "host-rings").0, Level::Ok);
    let forwards = with_probe(|probe| probe.forwards = true);
    let (level, what, fix) = about(&at("netmap:eth0^", forwards), "host-rings");
    assert_eq!(level, Level::Fail(Kind::Runtime), "{what}");
    assert!(fix.contains("parameters/fwd"), "{fix}");
}

#[test]
fn checksums_that_the_machine_leaves_to_the_nic_are_warned_of_where_it_shares_the_nic() {
    let leaves = || {
        with_interface(|eth0| {
            eth0.offloads.retain(|(what, _)| *what != Offload::TxChecksum);
            eth0.offloads.push((Offload::TxChecksum, true));
        })
    };
    let shared = Facts { port: "netmap:eth0^".parse().unwrap(), ..leaves() };
    let (level, what, fix) = about(&shared, "host-checksums");
    assert_eq!(level, Level::Warn, "{what}");
    assert!(fix.contains("ethtool -K eth0 tx off"), "{fix}");
    assert!(judge(&leaves()).iter().all(|finding| finding.about != "host-checksums"));
}

#[test]
fn routes_of_the_machine_go_on_with_the_hosts_rings() {
    let routed = with_interface(|eth0| eth0.has_route = true);
    assert!(about(&routed, "route").2.contains("netmap:eth0^"));
    let shared = Facts { port: "netmap:eth0^".parse().unwrap(), ..routed };
    assert!(judge(&shared).iter().all(|finding| finding.about != "route"));
}

#[test]
fn several_rings_fail_unless_one_is_named_that_there_is() {
    let many = |port: &str| Facts {
        port: port.parse().unwrap(),
        ..with_probe(|probe| probe.rings = Some(Rings { tx: 4, rx: 4, ..RINGS }))
    };
    let (level, _, fix) = about(&many("netmap:eth0"), "rings");
    assert_eq!(level, Level::Fail(Kind::Usage));
    assert!(fix.contains("ethtool -L eth0 combined 1") && fix.contains("netmap:eth0-0"), "{fix}");
    assert_eq!(about(&many("netmap:eth0-3"), "rings").0, Level::Ok);
    let (level, what, fix) = about(&many("netmap:eth0-4"), "rings");
    assert_eq!(level, Level::Fail(Kind::Usage));
    assert!(what.contains("no ring pair 4") && fix.contains("0 to 3"), "{what} -> {fix}");
    let (level, what, _) = about(&many("netmap:eth0"), "rss");
    assert_eq!(level, Level::Warn, "{what}");
}

#[test]
fn short_rings_are_warned_of() {
    let short = with_probe(|probe| probe.rings = Some(Rings { rx_slots: 128, ..RINGS }));
    let (level, what, fix) = about(&short, "slots");
    assert_eq!(level, Level::Warn);
    assert!(what.contains("128") && fix.contains("ethtool -G eth0"), "{what} -> {fix}");
}

#[test]
fn generic_mode_is_warned_of_and_an_unknown_one_noted() {
    let (level, what, _) = about(&with_probe(|probe| probe.native = Some(false)), "mode");
    assert_eq!(level, Level::Warn);
    assert!(what.contains("generic") && what.contains("ixgbe"), "{what}");
    assert_eq!(about(&with_probe(|probe| probe.native = None), "mode").0, Level::Note);
    assert!(about(&nic(), "mode").1.contains("native"));
}

#[test]
fn link_that_is_down_fails_and_one_without_carrier_is_warned_of() {
    let (level, _, fix) = about(&with_interface(|eth0| eth0.is_up = false), "link");
    assert_eq!((level, fix.as_str()), (Level::Fail(Kind::Runtime), "ip link set eth0 up"));
    let (level, what, _) = about(&with_interface(|eth0| eth0.carrier = Some(false)), "link");
    assert_eq!(level, Level::Warn, "{what}");
}

#[test]
fn mtu_beyond_a_buffer_fails_and_another_than_usual_is_warned_of() {
    for (native, mtu, level) in [
        (false, 2_031, Level::Fail(Kind::Usage)),
        (false, 9_000, Level::Fail(Kind::Usage)),
        // It may be one that spreads a frame over slots.
        (true, 2_031, Level::Warn),
        (true, 9_000, Level::Warn),
        (true, 2_030, Level::Warn),
        (true, 1_501, Level::Warn),
        (true, 1_400, Level::Warn),
        (true, 1_500, Level::Ok),
    ] {
        let mut facts = with_interface(|eth0| eth0.mtu = Some(mtu));
        facts.netmap = Some(Ok(Probe { native: Some(native), ..probe() }));
        assert_eq!(about(&facts, "mtu").0, level, "{mtu}");
    }
}

#[test]
fn offloads_that_merge_frames_are_named_with_how_to_end_them() {
    let (gro, lro) = (Offload::Gro, Offload::Lro);
    let fail = Level::Fail(Kind::Runtime);
    for (native, on, level, fix) in [
        (false, vec![gro], Level::Warn, "ethtool -K eth0 gro off"),
        (false, vec![lro], fail, "ethtool -K eth0 lro off"),
        (false, vec![gro, lro], fail, "ethtool -K eth0 gro off lro off"),
        (true, vec![gro, lro], fail, "ethtool -K eth0 lro off"),
        // A native driver shows the kernel nothing that it could merge.
        (true, vec![gro], Level::Ok, ""),
    ] {
        let mut facts = with_probe(|probe| probe.native = Some(native));
        facts.interface.as_mut().unwrap().offloads =
            Offload::ALL.iter().map(|what| (*what, on.contains(what))).collect();
        let (is, what, do_this) = about(&facts, "offloads");
        assert_eq!((is, do_this.as_str()), (level, fix), "{what}");
    }
    // What the host sends is not what netmap sends.
    let tx = with_interface(|eth0| eth0.offloads = vec![(Offload::TxChecksum, true)]);
    assert_eq!(about(&tx, "offloads").0, Level::Ok);
    assert_eq!(about(&with_interface(|eth0| eth0.offloads.clear()), "offloads").0, Level::Note);
}

#[test]
fn other_end_of_a_pair_that_leaves_out_checksums_fails() {
    let facts = with_interface(|eth0| eth0.peer = Some(("veth1".into(), true)));
    let (level, _, fix) = about(&facts, "checksums");
    assert_eq!((level, fix.as_str()), (Level::Fail(Kind::Runtime), "ethtool -K veth1 tx off"));
    let facts = with_interface(|eth0| eth0.peer = Some(("veth1".into(), false)));
    assert!(judge(&facts).iter().all(|finding| finding.about != "checksums"));
}

#[test]
fn hash_is_said_and_a_route_warned_of() {
    let facts = with_interface(|eth0| {
        eth0.rss = Some(Rss { table: vec![0; 128], key: vec![7; 40], ..Rss::default() });
        eth0.has_route = true;
    });
    let (level, what, _) = about(&facts, "rss");
    assert_eq!(level, Level::Note);
    assert!(what.contains("40 bytes") && what.contains("128"), "{what}");
    assert_eq!(about(&facts, "route").0, Level::Warn);
}

#[test]
fn buffers_beside_those_of_the_rings_must_be_enough() {
    // Two rings of the NIC and two of the host with 1,024 slots, and two of netmap's own.
    let in_rings = 4 * 1_024 + 2;
    let with = |left: u32| {
        with_probe(|probe| {
            probe.buffers = Some(Buffers { total: in_rings + left, bytes: 2_048, rings: 200 });
        })
    };
    assert_eq!(about(&with(0), "buffers").0, Level::Fail(Kind::Taken));
    assert_eq!(about(&with(16_383), "buffers").0, Level::Warn);
    assert_eq!(about(&with(16_384), "buffers").0, Level::Ok);
    assert!(about(&with(16_383), "buffers").1.contains("16383 beside"));
}

#[test]
fn opening_says_who_holds_it_or_what_there_was() {
    let opened = |opened| Facts { opened: Some(opened), ..nic() };
    assert_eq!(about(&opened(Ok(16_384)), "buffers").0, Level::Ok);
    assert_eq!(about(&opened(Ok(100)), "buffers").0, Level::Warn);
    let busy = opened(Err(NetmapError::Busy { name: "netmap:eth0".into() }));
    let (level, what, _) = about(&busy, "open");
    assert_eq!(level, Level::Fail(Kind::Taken));
    assert!(what.contains("in use"), "{what}");
}

#[test]
fn content_beyond_the_buffers_is_warned_of() {
    let (level, _, fix) = about(&Facts { segments: Some(20_000), ..nic() }, "content");
    assert_eq!((level, fix.as_str()), (Level::Warn, "--buffers 25000 or more"));
}

#[test]
fn port_says_whether_it_gathers_and_why() {
    for (gathering, wanted) in [
        (Gathering::Switch, "works: a VALE switch"),
        (Gathering::Driver("i40e".into()), "works: i40e"),
        (Gathering::Pipe, "does not work: a pipe"),
        (Gathering::Generic, "does not work: the port runs in generic mode"),
        (Gathering::OtherDriver("re".into()), "does not work: re is not known"),
        (Gathering::Unknown, "does not work: nobody says"),
    ] {
        let facts = with_probe(|probe| probe.gathering = Some(gathering.clone()));
        let (level, what, _) = about(&facts, "gather");
        assert_eq!(level, if gathering.is_there() { Level::Ok } else { Level::Note });
        assert!(what.contains(wanted), "{what}");
    }
}

#[test]
fn pipes_and_switch_ports_say_what_they_are() {
    for (port, wanted) in [("netmap:x{1", "a pipe"), ("vale0:srv", "VALE")] {
        let netmap = Some(Ok(Probe { rings: None, buffers: None, native: None, ..probe() }));
        let facts = Facts { port: port.parse().unwrap(), interface: None, netmap, ..nic() };
        let (level, what, _) = about(&facts, "mode");
        assert_eq!(level, Level::Note);
        assert!(what.contains(wanted), "{what}");
        assert!(judge(&facts).iter().all(|f| matches!(f.level, Level::Ok | Level::Note)));
    }
}

#[test]
fn tap_devices_need_a_driver_a_name_and_memory() {
    for (tun, wanted) in [(Tun::Missing, "modprobe tun"), (Tun::Forbidden, "root")] {
        let (level, _, fix) = about(&Facts { tun, ..tap() }, "driver");
        assert_eq!(level, Level::Fail(Kind::Privilege));
        assert!(fix.contains(wanted), "{fix}");
    }
    let other = Facts { interface: Some(interface()), ..tap() };
    assert_eq!(about(&other, "interface").0, Level::Fail(Kind::Taken));
    let own = Interface { is_tap: true, carrier: Some(false), ..interface() };
    let own = Facts { interface: Some(own), ..tap() };
    assert_eq!(about(&own, "interface").0, Level::Ok);
    assert_eq!(about(&own, "link").0, Level::Ok, "a TAP device has a carrier while it serves");
    let need = 16_384 * 2_048;
    let with = |have| Facts { memory_available: Some(have), ..tap() };
    assert_eq!(about(&with(need), "memory").0, Level::Ok);
    assert_eq!(about(&with(need - 1), "memory").0, Level::Fail(Kind::Runtime));
}

fn with_rings(rings: u16, shards: u16) -> Facts {
    let facts = with_probe(|probe| probe.rings = Some(Rings { tx: rings, rx: rings, ..RINGS }));
    Facts { shards: Some(shards), ..facts }
}

/// An interface that says its key, and a table in turn over so many rings.
fn telling(facts: Facts, table_over: u32) -> Facts {
    let table = (0..128).map(|entry| entry % table_over).collect();
    let rss = Some(Rss { table, key: vec![7; 40], ..Rss::default() });
    Facts { interface: Some(Interface { rss, ..interface() }), ..facts }
}

#[test]
fn shards_take_the_rings_that_there_are_and_cores_are_counted() {
    let (level, what, _) = about(&with_rings(4, 4), "rings");
    assert_eq!(level, Level::Ok);
    assert!(what.ends_with("4 shards would serve"), "{what}");
    assert_eq!(about(&with_rings(4, 4), "cores").0, Level::Ok);
    let (level, what, fix) = about(&with_rings(2, 8), "shards");
    assert_eq!(level, Level::Warn);
    assert!(what.contains("2 of 8") && fix.contains("combined 8"), "{what} -> {fix}");
    let (level, what, fix) = about(&with_rings(4, 2), "rings");
    assert_eq!(level, Level::Fail(Kind::Usage));
    assert!(what.contains("would be lost") && fix.contains("combined 2"), "{what} -> {fix}");
    let two_ports = Facts { ports: 2, ..with_rings(4, 4) };
    let (level, what, fix) = about(&two_ports, "cores");
    assert_eq!(level, Level::Warn);
    assert!(
        what.contains("8 shards share 4 cores") && fix.contains("--shards 2"),
        "{what} -> {fix}"
    );
    let tap = Facts { shards: Some(1), ..tap() };
    assert_eq!(about(&tap, "cores").0, Level::Ok);
}

#[test]
fn table_that_names_rings_of_nobody_fails_and_one_that_is_not_said_is_noted() {
    assert_eq!(about(&telling(with_rings(4, 4), 4), "hash").0, Level::Ok);
    let (level, what, _) = about(&with_rings(4, 4), "hash");
    assert_eq!(level, Level::Note);
    assert!(what.contains("Microsoft"), "{what}");
    let mut kernels = telling(with_rings(4, 4), 4);
    kernels.interface.as_mut().unwrap().rss.as_mut().unwrap().key_is_kernels = true;
    let (level, what, _) = about(&kernels, "hash");
    assert_eq!(level, Level::Note);
    assert!(what.contains("netdev_rss_key"), "{what}");
    let (_, what, _) = about(&kernels, "rss");
    assert!(what.contains("a key that it does not show"), "{what}");
    let (level, what, fix) = about(&telling(with_rings(4, 4), 8), "rings");
    assert_eq!(level, Level::Fail(Kind::Usage), "{what}");
    assert_eq!(fix, "ethtool -X eth0 equal 4");
    let (level, _, fix) = about(&telling(with_rings(4, 4), 3), "shards");
    assert_eq!((level, fix.as_str()), (Level::Warn, "ethtool -X eth0 equal 4"));
}

#[test]
fn every_shard_needs_its_buffers() {
    let with = |left: u32| {
        let mut facts = with_rings(4, 4);
        let Some(Ok(probe)) = &mut facts.netmap else { panic!("it has netmap") };
        let total = 2 * 5 * 1_024 + 2 + left;
        probe.buffers = Some(Buffers { total, bytes: 2_048, rings: 200 });
        facts
    };
    assert_eq!(about(&with(4 * 16_384), "buffers").0, Level::Ok);
    let (level, what, _) = about(&with(4 * 16_384 - 1), "buffers");
    assert_eq!(level, Level::Warn);
    assert!(what.contains("fewer than the 65536"), "{what}");
}

#[test]
fn pipes_are_made_with_a_ring_for_each_shard() {
    let netmap = Some(Ok(Probe { rings: None, buffers: None, native: None, ..probe() }));
    let port = "netmap:x{1".parse().unwrap();
    let facts = Facts { port, interface: None, netmap, shards: Some(2), ..nic() };
    let (level, what, _) = about(&facts, "rings");
    assert_eq!((level, what.as_str()), (Level::Ok, "2 shards would serve"));
}
