//! `--what-if`: what can be changed of our stack, by name, unit and bounds; and the variants that lists
//! of values make.

use simoom_core::tcp;
use simoom_core::tcp::congestion::Algorithm;
use simoom_core::time::Duration;

/// Variants at most, the captured one not counted.
pub const VARIANTS_MAX: usize = 64;

/// The longest time that may be asked for.
const TIME_MAX: Duration = Duration::from_secs(3600);

/// The largest window: RFC 7323 §2.3 allows 1 GiB; a world has room for this.
const WINDOW_MAX: u64 = 16 << 20;

/// One option of the stack.
pub struct Knob {
    /// Its name.
    pub name: &'static str,
    /// What it is, with its bounds.
    pub help: &'static str,
    set: fn(&mut tcp::Config, &str) -> Result<(), String>,
}

impl std::fmt::Debug for Knob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Every one. `every_option_of_tcp_can_be_asked_for` holds it to [`tcp::Config`].
pub const KNOBS: [Knob; 17] = [
    Knob {
        name: "iw",
        help: "initial congestion window, in segments: 1 to 1000",
        set: |tcp, text| set(&mut tcp.initial_window_segments, number(text, 1, 1_000)?),
    },
    Knob {
        name: "min-rto",
        help: "the shortest retransmission timeout: 1ms to 1h",
        set: |tcp, text| time(text, Duration::from_millis(1)).map(|time| tcp.min_rto = time),
    },
    Knob {
        name: "initial-rto",
        help: "the timeout before the first sample: 1ms to 1h",
        set: |tcp, text| time(text, Duration::from_millis(1)).map(|time| tcp.initial_rto = time),
    },
    Knob {
        name: "max-rto",
        help: "the longest timeout: 1ms to 1h",
        set: |tcp, text| time(text, Duration::from_millis(1)).map(|time| tcp.max_rto = time),
    },
    Knob {
        name: "cc",
        help: "congestion control, by name",
        set: |tcp, text| algorithm(text).map(|found| tcp.congestion = found),
    },
    Knob {
        name: "mss",
        help: "the MSS that the server announces: 88 to 1460 bytes; the client's bounds what is sent",
        set: |tcp, text| set(&mut tcp.mss, number(text, 88, 1_460)?),
    },
    Knob {
        name: "window",
        help: "the server's receive window: 1024 to 16777216 bytes",
        set: |tcp, text| set(&mut tcp.receive_window, number(text, 1_024, WINDOW_MAX)?),
    },
    Knob {
        name: "window-scaling",
        help: "whether windows are scaled: on or off",
        set: |tcp, text| switch(text).map(|on| tcp.window_scaling = on),
    },
    Knob {
        name: "window-shift-min",
        help: "the smallest shift that is offered: 0 to 14",
        set: |tcp, text| set(&mut tcp.window_shift_min, number(text, 0, 14)?),
    },
    Knob {
        name: "timestamps",
        help: "whether timestamps are used: on or off",
        set: |tcp, text| switch(text).map(|on| tcp.timestamps = on),
    },
    Knob {
        name: "delayed-ack",
        help: "how long the server holds acknowledgements back: 0 to 500ms",
        set: |tcp, text| match time(text, Duration::ZERO)? {
            held if held <= Duration::from_millis(500) => {
                tcp.delayed_ack = held;
                Ok(())
            }
            _ => Err(String::from("at most 500ms, by RFC 9293 §3.8.6.3")),
        },
    },
    Knob {
        name: "nagle",
        help: "whether short segments wait for acknowledgements: on or off",
        set: |tcp, text| switch(text).map(|on| tcp.nagle = on),
    },
    Knob {
        name: "retries",
        help: "timeouts in a row before a connection is given up: 1 to 255",
        set: |tcp, text| set(&mut tcp.retries_max, number(text, 1, 255)?),
    },
    Knob {
        name: "syn-retries",
        help: "timeouts in a row before a SYN-ACK is given up: 1 to 255",
        set: |tcp, text| set(&mut tcp.syn_retries_max, number(text, 1, 255)?),
    },
    Knob {
        name: "time-wait",
        help: "how long TIME-WAIT lasts: 0 to 1h",
        set: |tcp, text| time(text, Duration::ZERO).map(|time| tcp.time_wait = time),
    },
    Knob {
        name: "fin-wait-2",
        help: "how long FIN-WAIT-2 waits: 1ms to 1h",
        set: |tcp, text| time(text, Duration::from_millis(1)).map(|time| tcp.fin_wait_2 = time),
    },
    Knob {
        name: "challenge-ack-interval",
        help: "the shortest time between challenge ACKs: 0 to 1h",
        set: |tcp, text| time(text, Duration::ZERO).map(|time| tcp.challenge_ack_interval = time),
    },
];

fn set<T: TryFrom<u64>>(field: &mut T, n: u64) -> Result<(), String> {
    *field = T::try_from(n).map_err(|_| format!("{n} is too much"))?;
    Ok(())
}

fn number(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let n: u64 = text.parse().map_err(|_| format!("a number from {least} to {most}"))?;
    if (least..=most).contains(&n) {
        Ok(n)
    } else {
        Err(format!("a number from {least} to {most}"))
    }
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(String::from("on or off")),
    }
}

fn time(text: &str, least: Duration) -> Result<Duration, String> {
    let wrong = || String::from("a time with its unit, as 200ms, 1s, 500us, or 0");
    if text == "0" && least == Duration::ZERO {
        return Ok(Duration::ZERO);
    }
    let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let n: u64 = text[..at].parse().map_err(|_| wrong())?;
    let unit = match &text[at..] {
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        _ => return Err(wrong()),
    };
    let time = n.checked_mul(unit).map(Duration::from_nanos).filter(|time| *time <= TIME_MAX);
    let time = time.ok_or_else(|| String::from("at most an hour: 3600s"))?;
    if time < least { Err(format!("at least {}us", least.as_micros())) } else { Ok(time) }
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    let plain = |name: &str| name.replace('-', "");
    Algorithm::ALL.into_iter().find(|one| plain(one.name()) == plain(text)).ok_or_else(|| {
        let names: Vec<_> = Algorithm::ALL.iter().map(|one| one.name()).collect();
        format!("there is {}", names.join(", "))
    })
}

/// One way to set up the stack: what is otherwise than captured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variant {
    /// Places in [`KNOBS`], and values as they were written.
    changes: Vec<(usize, String)>,
}

impl Variant {
    /// As captured.
    pub fn is_base(&self) -> bool {
        self.changes.is_empty()
    }

    /// `iw=20 min-rto=1s`; `as captured` where nothing is otherwise.
    pub fn name(&self) -> String {
        if self.is_base() {
            return String::from("as captured");
        }
        let one = |(knob, value): &(usize, String)| format!("{}={value}", KNOBS[*knob].name);
        self.changes.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    /// A configuration with its changes.
    #[must_use]
    pub fn applied(&self, base: &tcp::Config) -> tcp::Config {
        let mut tcp = base.clone();
        for (knob, value) in &self.changes {
            (KNOBS[*knob].set)(&mut tcp, value).expect("checked when it was read");
        }
        // What was asked for comes before what was not.
        let sets = |name: &str| self.changes.iter().any(|(knob, _)| KNOBS[*knob].name == name);
        if sets("min-rto") && !sets("max-rto") {
            tcp.max_rto = tcp.max_rto.max(tcp.min_rto);
        }
        if sets("max-rto") && !sets("min-rto") {
            tcp.min_rto = tcp.min_rto.min(tcp.max_rto);
        }
        if !sets("initial-rto") {
            tcp.initial_rto = tcp.initial_rto.min(tcp.max_rto);
        }
        tcp
    }
}

/// The variants that these make: `["iw=10,20", "min-rto=200ms,1s"]` makes four. The last changes
/// first.
///
/// # Errors
/// What is not understood, with what would be; more than [`VARIANTS_MAX`].
pub fn variants<S: AsRef<str>>(texts: &[S]) -> Result<Vec<Variant>, String> {
    let mut all = vec![Variant::default()];
    let mut named: Vec<usize> = Vec::new();
    for text in texts {
        let text = text.as_ref();
        let (name, values) = text
            .split_once('=')
            .ok_or_else(|| format!("{text}: an option and its values are wanted, as iw=10,20"))?;
        let knob = KNOBS.iter().position(|knob| knob.name == name).ok_or_else(|| {
            let names: Vec<_> = KNOBS.iter().map(|knob| knob.name).collect();
            format!("{name}: there are {}", names.join(", "))
        })?;
        if named.contains(&knob) {
            return Err(format!("{name} is named twice: give it a list, as iw=10,20"));
        }
        named.push(knob);
        let mut more = Vec::new();
        let mut probe = tcp::Config::default();
        let values: Vec<&str> = values.split(',').collect();
        for (n, value) in values.iter().enumerate() {
            (KNOBS[knob].set)(&mut probe, value)
                .map_err(|what| format!("{name}={value}: {what} ({})", KNOBS[knob].help))?;
            if values[..n].contains(value) {
                return Err(format!("{name}={value} is there twice"));
            }
        }
        if all.len() * values.len() > VARIANTS_MAX {
            return Err(format!("more than {VARIANTS_MAX} variants: fewer values, or two runs"));
        }
        for variant in &all {
            for value in &values {
                let mut variant = variant.clone();
                variant.changes.push((knob, (*value).to_owned()));
                more.push(variant);
            }
        }
        all = more;
    }
    all.retain(|variant| !variant.is_base());
    for variant in &all {
        let tcp = variant.applied(&tcp::Config::default());
        if tcp.min_rto > tcp.max_rto {
            return Err(format!("{}: min-rto is above max-rto", variant.name()));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_tcp_can_be_asked_for() {
        // A new field does not compile here until it has a knob.
        let tcp::Config {
            mss: _,
            receive_window: _,
            timestamps: _,
            window_scaling: _,
            window_shift_min: _,
            initial_window_segments: _,
            min_rto: _,
            initial_rto: _,
            max_rto: _,
            delayed_ack: _,
            time_wait: _,
            fin_wait_2: _,
            retries_max: _,
            syn_retries_max: _,
            nagle: _,
            challenge_ack_interval: _,
            congestion: _,
        } = tcp::Config::default();
        let base = tcp::Config {
            mss: 500,
            receive_window: 2_000,
            window_shift_min: 1,
            initial_window_segments: 1,
            min_rto: Duration::from_millis(3),
            initial_rto: Duration::from_millis(3),
            delayed_ack: Duration::from_millis(3),
            time_wait: Duration::from_millis(3),
            fin_wait_2: Duration::from_millis(3),
            retries_max: 1,
            syn_retries_max: 1,
            challenge_ack_interval: Duration::from_millis(3),
            ..tcp::Config::default()
        };
        for (name, value) in [
            ("iw", "20"),
            ("min-rto", "1s"),
            ("initial-rto", "2s"),
            ("max-rto", "5s"),
            ("mss", "1000"),
            ("window", "65536"),
            ("window-scaling", "off"),
            ("window-shift-min", "7"),
            ("timestamps", "off"),
            ("delayed-ack", "0"),
            ("nagle", "on"),
            ("retries", "5"),
            ("syn-retries", "5"),
            ("time-wait", "0"),
            ("fin-wait-2", "1s"),
            ("challenge-ack-interval", "0"),
        ] {
            let all = variants(&[format!("{name}={value}")]).unwrap();
            assert_eq!(all.len(), 1);
            assert_ne!(all[0].applied(&base), base, "{name} changes nothing");
        }
        for one in Algorithm::ALL {
            let all = variants(&[format!("cc={}", one.name())]).unwrap();
            assert_eq!(all[0].applied(&base).congestion, one);
        }
    }

    #[test]
    fn lists_make_every_combination_in_order() {
        let all = variants(&["iw=10,20", "min-rto=200ms,1s"]).unwrap();
        let names: Vec<_> = all.iter().map(Variant::name).collect();
        let expected =
            ["iw=10 min-rto=200ms", "iw=10 min-rto=1s", "iw=20 min-rto=200ms", "iw=20 min-rto=1s"];
        assert_eq!(names, expected);
        assert_eq!(Variant::default().name(), "as captured");
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, what) in [
            ("iw", "iw=10,20"),
            ("speed=3", "there are iw"),
            ("iw=", "1 to 1000"),
            ("iw=0", "1 to 1000"),
            ("iw=10,1001", "iw=1001"),
            ("iw=10,10", "twice"),
            ("min-rto=200", "unit"),
            ("min-rto=0", "unit"),
            ("min-rto=0ms", "at least"),
            ("max-rto=2h", "unit"),
            ("max-rto=3601s", "hour"),
            ("max-rto=99999999999999999999s", "unit"),
            ("cc=vegas", "new-reno"),
            ("mss=1461", "88 to 1460"),
            ("window=1", "1024"),
            ("delayed-ack=501ms", "500ms"),
            ("nagle=yes", "on or off"),
            ("window-shift-min=15", "0 to 14"),
        ] {
            let error = variants(&[text]).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
        let twice = variants(&["iw=10", "iw=20"]).unwrap_err();
        assert!(twice.contains("twice"), "{twice}");
        let crossed = variants(&["min-rto=10s", "max-rto=1s"]).unwrap_err();
        assert!(crossed.contains("above"), "{crossed}");
    }

    #[test]
    fn more_variants_than_the_bound_are_refused() {
        let list = |n: u32| (1..=n).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        assert_eq!(variants(&[format!("iw={}", list(64))]).unwrap().len(), 64);
        assert!(variants(&[format!("iw={}", list(65))]).is_err());
        let retries = format!("retries={}", list(9));
        assert!(variants(&[format!("iw={}", list(8)), retries]).is_err());
    }
}
