//! Names of ports, as users of netmap write them.
//!
//! ```text
//! netmap:eth0         the one ring pair of a NIC
//! netmap:eth0-2       ring pair 2 of a NIC that has several
//! netmap:eth0^        the ring pair, and the host's rings: what is not ours goes to the kernel
//! netmap:name{1       the master's end of pipe 1 (of an interface, or of its own), where } is the slave's
//! vale0:srv           port srv of the switch vale0
//! ```
//!
//! Options follow, each after an `@`: `@conf:rings=2,slots=1024` asks for so many rings and slots,
//! `tx-rings`, `rx-rings`, `tx-slots` and `rx-slots` for one direction alone, `host-rings=2` for so many
//! pairs of the host's rings; `@buffers=8192` asks for so many extra buffers. Pure: knows no kernel.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// Bytes of an interface's or a switch port's name, at most: what the kernel has room for.
pub const NAME_BYTES_MAX: usize = 15;
/// Rings are numbered below this.
pub const RINGS_MAX: u16 = 4_096;
/// Slots that may be asked for in one ring.
pub const SLOTS_MAX: u32 = 65_536;
/// Extra buffers that may be asked for: 8 GiB of them.
pub const BUFFERS_MAX: u32 = 1 << 22;

/// A port, as named on a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortName {
    /// The VALE switch, `vale` included; None for `netmap:`.
    pub switch: Option<String>,
    /// The interface, the pipe's parent, or the port of the switch.
    pub name: String,
    /// Which end of which pipe.
    pub pipe: Option<Pipe>,
    /// Which ring pair; None: the only one.
    pub ring: Option<u16>,
    /// With the rings between the interface and the host's own stack.
    pub host: bool,
    /// What to ask the kernel for where it makes or configures the port.
    pub conf: Conf,
    /// Extra buffers to ask for; None: the caller's default.
    pub buffers: Option<u32>,
}

/// One end of a pipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipe {
    /// Which end.
    pub end: PipeEnd,
    /// The pipe's name among those of its parent.
    pub id: String,
}

/// Which end of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeEnd {
    /// `{`
    Master,
    /// `}`
    Slave,
}

impl PipeEnd {
    const fn sign(self) -> char {
        match self {
            Self::Master => '{',
            Self::Slave => '}',
        }
    }
}

/// Numbers of rings and slots to ask for; 0: as the kernel likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conf {
    /// Transmit rings.
    pub tx_rings: u16,
    /// Receive rings.
    pub rx_rings: u16,
    /// Slots of each transmit ring.
    pub tx_slots: u32,
    /// Slots of each receive ring.
    pub rx_slots: u32,
    /// Pairs of rings between the interface and the host's own stack; 0: as many as the NIC's. Counts for
    /// the first who opens the interface.
    pub host_rings: u16,
}

/// A text that names no port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError {
    /// The text.
    pub text: String,
    /// What is wrong with it, and what to write.
    pub why: String,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {:?}: {}", self.text, self.why)
    }
}

impl Error for NameError {}

impl PortName {
    /// The name without ring, host's rings and options: what requests to the kernel carry.
    pub fn request_name(&self) -> String {
        let mut name = match &self.switch {
            Some(switch) => format!("{switch}:{}", self.name),
            None => self.name.clone(),
        };
        if let Some(Pipe { end, id }) = &self.pipe {
            name.push(end.sign());
            name.push_str(id);
        }
        name
    }

    /// Whether this is an interface of the machine, by all that the name says.
    pub fn is_interface(&self) -> bool {
        self.switch.is_none() && self.pipe.is_none()
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.switch.is_none() {
            f.write_str("netmap:")?;
        }
        f.write_str(&self.request_name())?;
        if let Some(ring) = self.ring {
            write!(f, "-{ring}")?;
        }
        if self.host {
            f.write_str("^")?;
        }
        let Conf { tx_rings, rx_rings, tx_slots, rx_slots, host_rings } = self.conf;
        let both =
            [("rings", u32::from(tx_rings), u32::from(rx_rings)), ("slots", tx_slots, rx_slots)];
        let mut sign = "@conf:";
        for (what, tx, rx) in both {
            if tx == rx && tx != 0 {
                write!(f, "{sign}{what}={tx}")?;
                sign = ",";
                continue;
            }
            for (direction, count) in [("tx", tx), ("rx", rx)] {
                if count != 0 {
                    write!(f, "{sign}{direction}-{what}={count}")?;
                    sign = ",";
                }
            }
        }
        if host_rings != 0 {
            write!(f, "{sign}host-rings={host_rings}")?;
        }
        if let Some(buffers) = self.buffers {
            write!(f, "@buffers={buffers}")?;
        }
        Ok(())
    }
}

impl FromStr for PortName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        parse(text).map_err(|why| NameError { text: text.to_string(), why })
    }
}

fn parse(text: &str) -> Result<PortName, String> {
    let mut parts = text.split('@');
    let (subsystem, rest) = parts
        .next()
        .unwrap_or_default()
        .split_once(':')
        .ok_or("write netmap:NAME, or valeN:NAME for a port of a switch")?;
    let switch = match subsystem {
        "netmap" => None,
        _ if subsystem.starts_with("vale") => {
            Some(checked("the switch's name", subsystem)?.to_string())
        }
        _ => return Err(format!("{subsystem:?} is no kind of port: write netmap: or vale")),
    };
    let (rest, host) = match rest.strip_suffix('^') {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    if rest.contains(['^', '*', '+', '/']) {
        return Err(
            "of the signs that choose rings, write -RING, then ^ for the host's rings".into()
        );
    }
    let (rest, ring) = split_ring(rest)?;
    let (name, pipe) = match rest.split_once(['{', '}']) {
        Some((name, id)) => {
            let master = rest[name.len()..].starts_with('{');
            let end = if master { PipeEnd::Master } else { PipeEnd::Slave };
            (name, Some(Pipe { end, id: checked("the pipe's name", id)?.to_string() }))
        }
        None => (rest, None),
    };
    let name = checked("the name", name)?.to_string();
    if host && (switch.is_some() || pipe.is_some()) {
        return Err("only an interface of the machine has host rings: leave out the ^".into());
    }
    let mut port =
        PortName { switch, name, pipe, ring, host, conf: Conf::default(), buffers: None };
    for option in parts {
        parse_option(option, &mut port)?;
    }
    Ok(port)
}

/// Takes `-RING` off the end, where there is one.
fn split_ring(text: &str) -> Result<(&str, Option<u16>), String> {
    let Some((name, ring)) = text.rsplit_once('-') else { return Ok((text, None)) };
    if ring.is_empty() || !ring.bytes().all(|b| b.is_ascii_digit()) {
        // A name with a sign in it.
        return Ok((text, None));
    }
    match ring.parse() {
        Ok(ring) if ring < RINGS_MAX => Ok((name, Some(ring))),
        _ => Err(format!("ring {ring}: rings are numbered from 0 to {}", RINGS_MAX - 1)),
    }
}

/// What the kernel takes as a name.
fn checked<'a>(what: &str, name: &'a str) -> Result<&'a str, String> {
    if name.is_empty() {
        return Err(format!("{what} is missing: write one such as netmap:eth0"));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(format!("{what} is longer than {NAME_BYTES_MAX} bytes"));
    }
    let may_stand = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if !name.bytes().all(may_stand) {
        return Err(format!("{what} may have ASCII letters, digits, '_', '.' and '-' only"));
    }
    Ok(name)
}

fn parse_option(option: &str, port: &mut PortName) -> Result<(), String> {
    const KNOWN: &str = "write @conf:rings=N,slots=N (or tx-rings, rx-rings, tx-slots, rx-slots, \
                         host-rings), or @buffers=N";
    if let Some(count) = option.strip_prefix("buffers=") {
        if port.buffers.is_some() {
            return Err("@buffers is there twice".into());
        }
        port.buffers = Some(number("buffers", count, BUFFERS_MAX)?);
        return Ok(());
    }
    let keys = option.strip_prefix("conf:").ok_or_else(|| format!("@{option}: {KNOWN}"))?;
    for key in keys.split(',') {
        let (key, count) = key.split_once('=').ok_or_else(|| format!("{key:?}: {KNOWN}"))?;
        let rings = |count| number(key, count, u32::from(RINGS_MAX)).map(|n| n as u16);
        let slots = |count| number(key, count, SLOTS_MAX);
        let Conf { tx_rings, rx_rings, tx_slots, rx_slots, host_rings } = &mut port.conf;
        // As in libnetmap, a key for one direction stands above one for both, in any order; here no
        // key may say what another has said.
        let set = match key {
            "rings" => once(tx_rings, rings(count)?) & once(rx_rings, rings(count)?),
            "tx-rings" => once(tx_rings, rings(count)?),
            "rx-rings" => once(rx_rings, rings(count)?),
            "slots" => once(tx_slots, slots(count)?) & once(rx_slots, slots(count)?),
            "tx-slots" => once(tx_slots, slots(count)?),
            "rx-slots" => once(rx_slots, slots(count)?),
            "host-rings" => once(host_rings, rings(count)?),
            _ => return Err(format!("{key:?}: {KNOWN}")),
        };
        if !set {
            return Err(format!("{key} says what was said before"));
        }
    }
    if port.conf.host_rings != 0 && !port.host {
        return Err("host-rings is of a port with the host's rings: write netmap:NAME^".into());
    }
    Ok(())
}

/// Sets what was not set.
fn once<N: Default + PartialEq>(place: &mut N, value: N) -> bool {
    let fresh = *place == N::default();
    *place = value;
    fresh
}

fn number(what: &str, text: &str, most: u32) -> Result<u32, String> {
    match text.parse() {
        Ok(n) if (1..=most).contains(&n) && !text.starts_with('+') => Ok(n),
        _ => Err(format!("{what}={text}: write a number from 1 to {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(name: &str) -> PortName {
        PortName {
            switch: None,
            name: name.into(),
            pipe: None,
            ring: None,
            host: false,
            conf: Conf::default(),
            buffers: None,
        }
    }

    fn pipe(name: &str, end: PipeEnd, id: &str) -> PortName {
        PortName { pipe: Some(Pipe { end, id: id.into() }), ..plain(name) }
    }

    #[test]
    fn names_mean_what_users_of_netmap_mean() {
        let conf = |tx_rings, rx_rings, tx_slots, rx_slots| Conf {
            tx_rings,
            rx_rings,
            tx_slots,
            rx_slots,
            host_rings: 0,
        };
        for (text, meant, request) in [
            ("netmap:eth0", plain("eth0"), "eth0"),
            ("netmap:eth0-2", PortName { ring: Some(2), ..plain("eth0") }, "eth0"),
            ("netmap:eth0^", PortName { host: true, ..plain("eth0") }, "eth0"),
            ("netmap:eth0-3^", PortName { ring: Some(3), host: true, ..plain("eth0") }, "eth0"),
            ("netmap:eth0.100", plain("eth0.100"), "eth0.100"),
            ("netmap:br-lan", plain("br-lan"), "br-lan"),
            ("netmap:x{1", pipe("x", PipeEnd::Master, "1"), "x{1"),
            ("netmap:x}1", pipe("x", PipeEnd::Slave, "1"), "x}1"),
            ("vale0:srv", PortName { switch: Some("vale0".into()), ..plain("srv") }, "vale0:srv"),
            (
                "vale:a{b",
                PortName { switch: Some("vale".into()), ..pipe("a", PipeEnd::Master, "b") },
                "vale:a{b",
            ),
            (
                "netmap:eth0@conf:rings=2,slots=1024@buffers=8192",
                PortName { conf: conf(2, 2, 1024, 1024), buffers: Some(8192), ..plain("eth0") },
                "eth0",
            ),
            (
                "netmap:eth0-1^@conf:host-rings=2",
                PortName {
                    ring: Some(1),
                    host: true,
                    conf: Conf { host_rings: 2, ..Conf::default() },
                    ..plain("eth0")
                },
                "eth0",
            ),
            (
                "netmap:eth0@conf:tx-slots=512,rx-rings=4",
                PortName { conf: conf(0, 4, 512, 0), ..plain("eth0") },
                "eth0",
            ),
        ] {
            assert_eq!(text.parse::<PortName>().as_ref(), Ok(&meant), "{text}");
            assert_eq!(meant.request_name(), request);
        }
    }

    #[test]
    fn what_names_nothing_is_refused_with_what_to_write() {
        for (text, why) in [
            ("eth0", "write netmap:NAME"),
            ("tap:eth0", "no kind of port"),
            ("netmap:", "missing"),
            ("netmap:-2", "missing"),
            ("netmap:x{", "pipe's name is missing"),
            ("netmap:eth0*", "signs that choose rings"),
            ("netmap:eth0^2", "signs that choose rings"),
            ("netmap:eth0-4096", "numbered from 0 to 4095"),
            ("netmap:eth0-99999999999", "numbered from 0 to 4095"),
            ("netmap:sixteen-letters-", "longer than 15"),
            ("netmap:a b", "ASCII letters"),
            ("netmap:a{b{c", "ASCII letters"),
            ("vale0:srv^", "leave out the ^"),
            ("netmap:eth0@", "@conf:rings=N"),
            ("netmap:eth0@conf:slots", "@conf:rings=N"),
            ("netmap:eth0@conf:host-rings=2", "write netmap:NAME^"),
            ("netmap:eth0@conf:slots=0", "from 1 to 65536"),
            ("netmap:eth0@conf:slots=+5", "from 1 to 65536"),
            ("netmap:eth0@conf:slots=5,tx-slots=6", "said before"),
            ("netmap:eth0@buffers=1@buffers=2", "twice"),
            ("netmap:eth0@buffers=4194305", "from 1 to 4194304"),
        ] {
            let error = text.parse::<PortName>().expect_err(text).to_string();
            assert!(error.contains(why) && error.contains(text), "{text}: {error}");
        }
    }

    fn names() -> impl Strategy<Value = PortName> {
        // No sign at the end of the name: `x-1` is ring 1 of x, which the tests above show.
        let name = "[a-z][a-z0-9_.]{0,9}";
        let end = prop_oneof![Just(PipeEnd::Master), Just(PipeEnd::Slave)];
        let pipe = prop::option::of((end, "[a-z0-9]{1,5}"));
        let conf = (0..4_u16, 0..4_u16, 0..3_000_u32, 0..3_000_u32, 0..4_u16);
        let switch = prop::option::of("vale[0-9]{0,3}");
        let ring = prop::option::of(0..RINGS_MAX);
        let buffers = prop::option::of(1..=BUFFERS_MAX);
        (name, switch, pipe, ring, any::<bool>(), conf, buffers).prop_map(
            |(
                name,
                switch,
                pipe,
                ring,
                host,
                (tx_rings, rx_rings, tx_slots, rx_slots, host_rings),
                buffers,
            )| {
                let host = host && switch.is_none() && pipe.is_none();
                let pipe = pipe.map(|(end, id)| Pipe { end, id });
                let host_rings = if host { host_rings } else { 0 };
                let conf = Conf { tx_rings, rx_rings, tx_slots, rx_slots, host_rings };
                PortName { switch, name, pipe, ring, host, conf, buffers }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(name in names()) {
            prop_assert_eq!(name.to_string().parse::<PortName>(), Ok(name));
        }

        #[test]
        fn any_text_is_refused_or_read_back_as_it_means(text in "(netmap|vale0|.{0,6}):?[a-z0-9{}^*@=:,+-]{0,30}|.{0,40}") {
            if let Ok(name) = text.parse::<PortName>() {
                prop_assert!(name.request_name().len() < 64);
                prop_assert_eq!(name.to_string().parse::<PortName>(), Ok(name));
            }
        }
    }
}
