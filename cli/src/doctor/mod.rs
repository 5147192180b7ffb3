//! `simoom doctor`: what would keep a port from serving, before it serves.
//!
//! [`facts`] asks the system and changes nothing; [`findings`] judges what it heard, and knows no
//! system.

mod facts;
mod findings;

use crate::content_table::usual_segments;
use crate::failure::{Failure, Kind};
use crate::serve::{PortName, SHARDS_MAX};
use crate::site::Site;
use clap::value_parser;
use facts::Facts;
use findings::{Finding, Level, judge};
use serde_json::{Value, json};
use simoom_netmap::port::{NetmapConfig, NetmapPort};
use std::fmt::Write;
use std::path::PathBuf;

/// What to type, as `--help` shows it.
pub(crate) const EXAMPLE: &str = "\
Example:
  simoom doctor --port netmap:eth0 --content public/

One finding a line: ok, note (good to know), warn (serves, but less well) or FAIL (mend it first),
and after an arrow what to do. The exit code is 0 where nothing fails; else that with which
`simoom serve` would end.";

/// What `simoom doctor` may be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A network port, as tap:NAME, netmap:NAME or valeN:NAME; may repeat
    #[arg(long = "port", value_name = "KIND:NAME", required = true)]
    ports: Vec<PortName>,
    /// What is to be served: says how many packet buffers it takes
    #[arg(long, value_name = "DIR")]
    content: Option<PathBuf>,
    /// Shards that `simoom serve` will be told to make of each port
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=i64::from(SHARDS_MAX)))]
    shards: Option<u16>,
    /// Packet buffers that `simoom serve` will be told to use, for each shard
    #[arg(long, value_name = "N", default_value_t = 16_384,
          value_parser = value_parser!(u32).range(256..=1_048_576))]
    buffers: u32,
    /// Also open netmap ports for a moment: shows who holds them and how many buffers are free, and
    /// takes an interface away from the kernel meanwhile
    #[arg(long)]
    open: bool,
    /// Print one JSON object with everything
    #[arg(long)]
    json: bool,
}

/// Looks at every port and says what was found.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let need = match &args.content {
        Some(dir) => Some(usual_segments(&Site::scan(dir)?)),
        None => None,
    };
    let mut all = Vec::new();
    for port in &args.ports {
        let mut facts = Facts::gather(port, args.buffers, args.shards, need);
        facts.ports = args.ports.len();
        if let (true, PortName::Netmap(name)) = (args.open, port) {
            let config = NetmapConfig { buffers: args.buffers, ..NetmapConfig::default() };
            // Closing without waiting: nothing was sent.
            let opened = NetmapPort::open(name, &config);
            facts.opened = Some(opened.map(|port| args.buffers - port.buffers_missing()));
        }
        all.push((port, judge(&facts)));
    }
    let text = if args.json { format!("{:#}\n", to_json(&all)) } else { to_text(&all) };
    crate::human::print(&text)
        .map_err(|e| Failure::new(Kind::File, format!("cannot write the findings: {e}")))?;
    verdict(&all)
}

type All<'a> = [(&'a PortName, Vec<Finding>)];

fn to_text(all: &All<'_>) -> String {
    let mut out = String::new();
    for (port, findings) in all {
        for finding in findings {
            let _ = write!(out, "{port}: {:<4}  {}", finding.level.word(), finding.what);
            if let Some(fix) = &finding.fix {
                let _ = write!(out, " -> {fix}");
            }
            out.push('\n');
        }
    }
    out
}

fn to_json(all: &All<'_>) -> Value {
    let ports = all.iter().map(|(port, findings)| {
        let findings = findings.iter().map(|finding| {
            json!({
                "level": finding.level.word().to_lowercase(),
                "about": finding.about,
                "what": finding.what,
                "fix": finding.fix,
            })
        });
        json!({ "port": port.to_string(), "findings": findings.collect::<Vec<_>>() })
    });
    json!({ "ports": ports.collect::<Vec<_>>() })
}

/// The kind of the first thing that fails.
fn verdict(all: &All<'_>) -> Result<(), Failure> {
    let fails = || {
        all.iter().flat_map(|(_, findings)| findings).filter_map(|finding| match finding.level {
            Level::Fail(kind) => Some(kind),
            _ => None,
        })
    };
    let Some(kind) = fails().next() else { return Ok(()) };
    let count = crate::human::count(fails().count() as u64, "finding");
    Err(Failure::new(kind, format!("{count} to mend before serving: see the lines with FAIL")))
}
