//! Whose options, windows and timers our stack has in a replay: those of the captured system, so that
//! what still differs is worth reading.
//!
//! The numbers are those of the systems' sources and manuals: `include/net/tcp.h` and `ip-sysctl` for
//! Linux, `tcp_timer.h`, `tcp(4)` and `sysctl net.inet.tcp` for FreeBSD.

use crate::compare::Rules;
use serde::Deserialize;
use simoom_core::tcp;
use simoom_core::tcp::congestion::Algorithm;
use simoom_core::time::Duration;

/// How our stack is set up, and what counts as a difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// What it is called.
    pub name: String,
    /// TCP. What a SYN-ACK announces (MSS, window, shift, timestamps) is taken from the capture, but
    /// for [`Self::announces`].
    pub tcp: tcp::Config,
    /// What our SYN-ACK announces whatever the captured one did: where it differs, so do options.
    pub announces: Announces,
    /// Sizes to which segments are rounded down, as [`simoom_core::content::Config`] has them; none
    /// for systems that fill every segment.
    pub mss_classes: Vec<u16>,
    /// What counts as a difference.
    pub rules: Rules,
    /// Whether every PSH ends a write of the application.
    pub push_ends_writes: bool,
    /// What the server's application did within this time of the client's last word, in nanoseconds, it
    /// did in the same turn: it needs no time to think, but a device needs some until a frame shows.
    pub reacts_within: u64,
    /// How late a timer of the captured server may have run out, in nanoseconds: ours waits so long
    /// for the moment in which something was captured. Zero: it runs out on time.
    pub timer_slack: u64,
}

/// What a SYN-ACK announces; None: what the captured one did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announces {
    /// The most text in a segment to us, in bytes.
    pub mss: Option<u16>,
    /// Whether timestamps are accepted. RFC 7323 §3.
    pub timestamps: Option<bool>,
    /// Whether window scaling is accepted. RFC 7323 §2.
    pub window_scaling: Option<bool>,
}

impl Profile {
    /// Our own server. What it was started with beside the defaults has to be said in a file.
    pub fn simoom() -> Self {
        Self {
            name: String::from("simoom"),
            tcp: tcp::Config::default(),
            announces: Announces::default(),
            mss_classes: simoom_core::content::Config::default().mss_classes,
            rules: Rules::OWN,
            push_ends_writes: true,
            reacts_within: 1_000_000,
            timer_slack: Rules::OWN.tolerance,
        }
    }

    /// Linux: TCP_INIT_CWND 10, TCP_RTO_MIN 200 ms, TCP_TIMEOUT_INIT 1 s, TCP_RTO_MAX 120 s,
    /// TCP_DELACK_MIN 40 ms, `tcp_synack_retries` 5, `tcp_retries2` 15, `tcp_fin_timeout` 60 s.
    pub fn linux() -> Self {
        Self::other(
            "linux",
            tcp::Config {
                initial_window_segments: 10,
                min_rto: Duration::from_millis(200),
                initial_rto: Duration::from_secs(1),
                max_rto: Duration::from_secs(120),
                delayed_ack: Duration::from_millis(40),
                syn_retries_max: 5,
                retries_max: 15,
                time_wait: Duration::from_secs(60),
                fin_wait_2: Duration::from_secs(60),
                congestion: cubic(),
                ..tcp::Config::default()
            },
        )
    }

    /// FreeBSD: `initcwnd_segments` 10, `rexmit_min` 30 ms with `rexmit_slop` 200 ms added to every
    /// timeout, `rexmit_initial` 1 s, 64 s at most, `delacktime` 40 ms, `syncache.rexmtlimit` 3,
    /// TCP_MAXRXTSHIFT 12, `msl` 30 s.
    pub fn freebsd() -> Self {
        Self::other(
            "freebsd",
            tcp::Config {
                initial_window_segments: 10,
                min_rto: Duration::from_millis(230),
                initial_rto: Duration::from_secs(1),
                max_rto: Duration::from_secs(64),
                delayed_ack: Duration::from_millis(40),
                syn_retries_max: 3,
                retries_max: 12,
                time_wait: Duration::from_secs(60),
                fin_wait_2: Duration::from_secs(60),
                congestion: cubic(),
                ..tcp::Config::default()
            },
        )
    }

    fn other(name: &str, tcp: tcp::Config) -> Self {
        Self {
            name: name.to_owned(),
            tcp,
            announces: Announces::default(),
            mss_classes: Vec::new(),
            rules: Rules::OTHER,
            push_ends_writes: false,
            reacts_within: 0,
            timer_slack: 0,
        }
    }

    /// The profile of a name: `simoom`, `linux` or `freebsd`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "simoom" => Some(Self::simoom()),
            "linux" => Some(Self::linux()),
            "freebsd" => Some(Self::freebsd()),
            _ => None,
        }
    }

    /// The profile that a file describes, in TOML: a `base`, and what differs from it.
    ///
    /// # Errors
    /// Where the file is no TOML, has a key that there is not, or a value out of bounds; in words.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|e| e.to_string())?;
        let base = file.base.as_deref().unwrap_or("simoom");
        let mut profile = Self::named(base)
            .ok_or_else(|| format!("base = {base:?}: there are simoom, linux and freebsd"))?;
        if let Some(name) = file.name {
            profile.name = name;
        }
        let tcp = &mut profile.tcp;
        let within = |what: &str, n: u64, least: u64, most: u64| {
            if (least..=most).contains(&n) {
                Ok(n)
            } else {
                Err(format!("{what} = {n}: it must be {least} to {most}"))
            }
        };
        let millis = |what: &str, n: u64| within(what, n, 0, 3_600_000).map(Duration::from_millis);
        if let Some(n) = file.initial_window_segments {
            tcp.initial_window_segments = within("initial_window_segments", n, 1, 1_000)? as u16;
        }
        if let Some(n) = file.min_rto_ms {
            tcp.min_rto = millis("min_rto_ms", n)?;
        }
        if let Some(n) = file.initial_rto_ms {
            tcp.initial_rto = millis("initial_rto_ms", n.max(1))?;
        }
        if let Some(n) = file.max_rto_ms {
            tcp.max_rto = millis("max_rto_ms", n.max(1))?;
        }
        if let Some(n) = file.delayed_ack_ms {
            tcp.delayed_ack = millis("delayed_ack_ms", n)?;
        }
        if let Some(n) = file.retries_max {
            tcp.retries_max = within("retries_max", n, 1, 255)? as u8;
        }
        if let Some(n) = file.syn_retries_max {
            tcp.syn_retries_max = within("syn_retries_max", n, 1, 255)? as u8;
        }
        if let Some(nagle) = file.nagle {
            tcp.nagle = nagle;
        }
        if let Some(name) = file.congestion {
            tcp.congestion = algorithm(&name).ok_or_else(|| {
                let names: Vec<_> = Algorithm::ALL.iter().map(|one| one.name()).collect();
                format!("congestion = {name:?}: there are {}", names.join(", "))
            })?;
        }
        if let Some(classes) = file.mss_classes {
            if classes.iter().any(|class| *class < 524) || !classes.is_sorted_by(|a, b| a > b) {
                return Err(String::from("mss_classes: they must descend, and be 524 or more"));
            }
            profile.mss_classes = classes;
        }
        profile.announces = Announces {
            mss: match file.mss {
                Some(n) => Some(within("mss", n, 64, 65_407)? as u16),
                None => None,
            },
            timestamps: file.timestamps,
            window_scaling: file.window_scaling,
        };
        if let Some(n) = file.tolerance_us {
            let nanos = within("tolerance_us", n, 0, 60_000_000)? * 1_000;
            profile.rules.tolerance = nanos;
            profile.timer_slack = profile.timer_slack.min(nanos);
        }
        if let Some(n) = file.timer_slack_us {
            profile.timer_slack = within("timer_slack_us", n, 0, 1_000_000)? * 1_000;
        }
        if let Some(n) = file.reacts_within_us {
            profile.reacts_within = within("reacts_within_us", n, 0, 1_000_000)? * 1_000;
        }
        if let Some(exact) = file.exact_acks {
            profile.rules.exact_acks = exact;
        }
        if let Some(counts) = file.push {
            profile.rules.push = counts;
        }
        if let Some(counts) = file.receive_window {
            profile.rules.receive_window = counts;
        }
        if let Some(ends) = file.push_ends_writes {
            profile.push_ends_writes = ends;
        }
        Ok(profile)
    }
}

fn algorithm(name: &str) -> Option<Algorithm> {
    Algorithm::ALL.iter().copied().find(|one| one.name() == name)
}

/// What both systems use, where our stack has it.
fn cubic() -> Algorithm {
    algorithm("cubic").unwrap_or_default()
}

/// A profile as a file has it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    name: Option<String>,
    base: Option<String>,
    initial_window_segments: Option<u64>,
    min_rto_ms: Option<u64>,
    initial_rto_ms: Option<u64>,
    max_rto_ms: Option<u64>,
    delayed_ack_ms: Option<u64>,
    retries_max: Option<u64>,
    syn_retries_max: Option<u64>,
    nagle: Option<bool>,
    congestion: Option<String>,
    mss: Option<u64>,
    timestamps: Option<bool>,
    window_scaling: Option<bool>,
    mss_classes: Option<Vec<u16>>,
    tolerance_us: Option<u64>,
    timer_slack_us: Option<u64>,
    reacts_within_us: Option<u64>,
    exact_acks: Option<bool>,
    push: Option<bool>,
    receive_window: Option<bool>,
    push_ends_writes: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_changes_what_it_names() {
        let text = "base = \"linux\"\nname = \"mine\"\nmin_rto_ms = 300\ntolerance_us = 500\n";
        let profile = Profile::from_toml(text).unwrap();
        let mut expected = Profile::linux();
        expected.name = String::from("mine");
        expected.tcp.min_rto = Duration::from_millis(300);
        expected.rules.tolerance = 500_000;
        assert_eq!(profile, expected);
    }

    #[test]
    fn what_a_file_may_not_say_is_named() {
        for (text, what) in [
            ("base = \"plan9\"", "plan9"),
            ("min_rto = 3", "min_rto"),
            ("min_rto_ms = 99999999", "3600000"),
            ("initial_window_segments = 0", "1 to 1000"),
            ("congestion = \"westwood\"", "new-reno"),
            ("mss_classes = [600, 1000]", "descend"),
            ("exact_acks = 3", "exact_acks"),
            ("mss = 20", "64 to 65407"),
            ("timestamps = 1", "timestamps"),
        ] {
            let error = Profile::from_toml(text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
