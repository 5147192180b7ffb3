//! What cannot be had, and the words for it.

use crate::sys::{self, Persistent};
use crate::world::{addresses, link, live, prefix};
use simoom_linux::tap::{TapConfig, TapError, TapPort};

/// The error of opening `config`, which makes nothing and leaves nothing.
fn refused(config: &TapConfig) -> TapError {
    let before = link_if_named(&config.name);
    let error = TapPort::open(config).unwrap_err();
    assert_eq!(link_if_named(&config.name), before, "{error}");
    error
}

fn link_if_named(name: &str) -> Option<simoom_linux::netlink::Link> {
    if (1..16).contains(&name.len()) { link(name) } else { None }
}

#[test]
fn names_that_no_interface_can_have_are_refused_with_the_reason() {
    live(|| {
        for (name, words) in [
            ("", "interface name \"\": it is empty"),
            ("sixteen-letters0", "it is longer than 15 bytes"),
            ("a/b", "no space, '/', ':' or '%'"),
            ("a b", "no space, '/', ':' or '%'"),
            ("tap%d", "no space, '/', ':' or '%'"),
            (".", "the kernel keeps this name for itself"),
            ("..", "the kernel keeps this name for itself"),
        ] {
            let error = refused(&TapConfig::new(name));
            assert!(matches!(error, TapError::Name { .. }), "{error:?}");
            assert!(error.to_string().contains(words), "{error}");
        }
        // The longest, and signs.
        for name in ["fifteen-letters", "a.b-c_d"] {
            TapPort::open(&TapConfig::new(name)).unwrap().close().unwrap();
        }
    });
}

#[test]
fn interfaces_that_are_no_tap_are_refused() {
    live(|| {
        sys::make_persistent("layer3", &Persistent { tun: true, ..Persistent::default() }).unwrap();
        for name in ["lo", "layer3"] {
            let error = refused(&TapConfig::new(name));
            assert_eq!(error, TapError::NotTap { name: name.into() });
            let words = format!("interface {name} exists and is no TAP device: choose another");
            assert!(error.to_string().starts_with(&words), "{error}");
        }
    });
}

#[test]
fn an_interface_held_by_another_port_is_busy() {
    live(|| {
        let first = TapPort::open(&TapConfig::new("taken0")).unwrap();
        let error = refused(&TapConfig::new("taken0"));
        assert_eq!(error, TapError::Busy { name: "taken0".into() });
        assert!(error.to_string().contains("taken0 is held by another program"), "{error}");
        first.close().unwrap();
        TapPort::open(&TapConfig::new("taken0")).unwrap();
    });
}

#[test]
fn addresses_and_subnets_of_other_interfaces_are_refused() {
    live(|| {
        let config = TapConfig::new("first0").with_host_addr(prefix("10.66.0.1/24"));
        let first = TapPort::open(&config).unwrap();
        let second = |addr| TapConfig::new("second0").with_host_addr(prefix(addr));
        assert_eq!(
            refused(&second("10.66.0.1/16")).to_string(),
            "address 10.66.0.1 is already that of interface first0: choose another subnet, or free \
             it:  sudo ip addr del 10.66.0.1 dev first0"
        );
        for addr in ["10.66.0.9/24", "10.66.77.1/16"] {
            let error = refused(&second(addr));
            let words = "is already reached through interface first0, which has 10.66.0.1/24: \
                         choose another subnet";
            assert!(error.to_string().contains(words), "{error}");
        }
        // Neither a neighbouring subnet nor a narrower one stands in the way, not even one that the
        // other's address is in: the kernel takes the most specific route.
        for addr in ["10.66.1.1/24", "10.66.0.9/30", "10.66.0.2/30"] {
            let second = TapPort::open(&second(addr)).unwrap();
            assert_eq!(addresses(second.interface_index().unwrap()), [addr]);
        }
        assert_eq!(addresses(first.interface_index().unwrap()), ["10.66.0.1/24"]);
    });
}

#[test]
fn without_the_privilege_the_error_says_which_and_what_to_type() {
    live(|| {
        sys::drop_capabilities().unwrap();
        let error = refused(&TapConfig::new("simoom0").with_host_addr(prefix("10.66.0.1/24")));
        assert_eq!(error, TapError::NoPrivilege { step: "make or join", name: "simoom0".into() });
        let text = error.to_string();
        for words in [
            "cannot make or join interface simoom0: this needs CAP_NET_ADMIN",
            "sudo setcap cap_net_admin+ep /",
            "sudo ip tuntap add dev simoom0 mode tap user $USER",
            "sudo ip link set simoom0 up",
        ] {
            assert!(text.contains(words), "{text}");
        }
    });
}
