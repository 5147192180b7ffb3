//! `simoom content`: what it takes to prepare a directory's segments, before any is sent.

use crate::failure::{Failure, Kind};
use crate::human;
use crate::netmap_need::Need;
use crate::serve::{PortName, SHARDS_MAX, netmap_failure, parse_content_mode};
use crate::site::Site;
use clap::value_parser;
use serde_json::{Value, json};
use simoom_core::content::{Config, Mode, SEGMENTS_PER_RUN, Store};
use simoom_core::wire::emit::headers_len;
use simoom_netmap::error::NetmapError;
use simoom_netmap::name;
use simoom_netmap::probe::{Buffers, probe};
use std::fmt::Write;
use std::path::PathBuf;

/// Bytes of a packet buffer of a TAP port, and of netmap's default.
const BUFFER_BYTES: u64 = 2_048;

/// The longest frame that such a buffer is used for, by the usual MTU: Ethernet header in.
const MTU: u16 = 1_500;

/// The MSS that nearly every peer on an Ethernet announces. RFC 9293 §3.7.1.
const USUAL_MSS: u16 = MTU - 40;

/// What `simoom content` may be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory
    dir: PathBuf,
    /// Show one mode only: copy, copies-in-advance, copies-in-advance:N, copies-on-demand or gather
    #[arg(long, value_name = "MODE", value_parser = parse_content_mode)]
    content_mode: Option<Mode>,
    /// Objects to list, the longest first
    #[arg(long, value_name = "N", default_value_t = 20)]
    objects: usize,
    /// Say what the memory of this netmap port must have, and what is there
    #[arg(long, value_name = "KIND:NAME")]
    port: Option<PortName>,
    /// Shards that are to serve the port, each with a store of its own
    #[arg(long, value_name = "N", default_value_t = 1, requires = "port",
          value_parser = value_parser!(u16).range(1..=i64::from(SHARDS_MAX)))]
    shards: u16,
    /// Print one JSON object with everything
    #[arg(long)]
    json: bool,
}

/// Prints the tables.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let site = Site::scan(&args.dir)?;
    for line in &site.notes.lines {
        eprintln!("simoom: {line}");
    }
    let modes = match args.content_mode {
        Some(mode) => vec![mode],
        None => vec![Mode::Copy, Mode::CopiesInAdvance(4), Mode::CopiesOnDemand, Mode::Gather],
    };
    let plan = Plan::of(&site, &modes);
    let port = match &args.port {
        Some(PortName::Netmap(name)) => {
            let mode = args.content_mode.unwrap_or(Mode::CopiesOnDemand);
            Some((name, plan.need(name, mode, args.shards)?))
        }
        Some(port @ PortName::Tap(_)) => {
            let what = format!(
                "--port {port}: a TAP device's buffers are the process's own memory, of \
                                which the table speaks: leave it out"
            );
            return Err(Failure::new(Kind::Usage, what));
        }
        None => None,
    };
    let text = if args.json {
        let mut json = plan.json();
        if let Some((name, (need, have))) = &port {
            json["netmap"] = need.json(name, have);
        }
        format!("{json:#}\n")
    } else {
        let mut text = plan.table(args.objects);
        if let Some((name, (need, have))) = port {
            text.push_str(&need.text(name, have));
        }
        text
    };
    crate::human::print(&text)
        .map_err(|e| Failure::new(Kind::File, format!("cannot write the table: {e}")))
}

/// Segments of everything in a directory, cut for the MSS and options of most peers: as many packet
/// buffers hold a copy of each.
pub(crate) fn usual_segments(site: &Site) -> u64 {
    let plan = Plan::of(site, &[]);
    let usual = plan.variants.iter().find(|v| v.mss == USUAL_MSS && v.timestamps);
    usual.map_or(0, |variant| variant.segments)
}

struct Object {
    path: String,
    head_bytes: u64,
    body_bytes: u64,
}

impl Object {
    fn segments(&self, text_max: u64) -> u64 {
        (self.head_bytes + self.body_bytes).div_ceil(text_max)
    }
}

/// One way to cut every object.
struct Variant {
    /// As in the peer's MSS option.
    mss: u16,
    timestamps: bool,
    text_max: u64,
    segments: u64,
    runs: u64,
    /// Bytes of the frames, headers in.
    frame_bytes: u64,
}

/// What a mode takes for one variant of every object.
struct Memory {
    mode: Mode,
    buffers: u64,
    buffer_bytes: u64,
    table_bytes: u64,
}

struct Plan {
    objects: Vec<Object>,
    variants: Vec<Variant>,
    /// Of the variant that nearly every peer is served from.
    usual: Vec<Memory>,
    /// Of all variants at once: nothing is evicted.
    all: Vec<Memory>,
}

impl Plan {
    fn of(site: &Site, modes: &[Mode]) -> Self {
        let mut objects: Vec<_> = site
            .catalogue
            .files()
            .map(|item| Object {
                path: item.path.into(),
                head_bytes: item.head.len() as u64,
                body_bytes: item.total_len - item.head.len() as u64,
            })
            .collect();
        objects.sort_by(|a, b| b.body_bytes.cmp(&a.body_bytes).then(a.path.cmp(&b.path)));
        let config = Config::default();
        let mut variants = Vec::new();
        for &mss in config.mss_classes.iter().filter(|&&mss| mss <= USUAL_MSS) {
            for timestamps in [true, false] {
                variants.push(Variant::of(&objects, mss, timestamps));
            }
        }
        let memory =
            |segments, runs| modes.iter().map(|&m| Memory::of(m, segments, runs)).collect();
        let (mut usual, mut segments, mut runs) = (Vec::new(), 0, 0);
        for variant in &variants {
            segments += variant.segments;
            runs += variant.runs;
            if variant.mss == USUAL_MSS && variant.timestamps {
                usual = memory(variant.segments, variant.runs);
            }
        }
        Self { usual, all: memory(segments, runs), objects, variants }
    }

    /// What a port's memory needs for the variant that nearly every peer is served from, and what there
    /// is of it, or why that cannot be said.
    fn need(
        &self,
        name: &name::PortName,
        mode: Mode,
        shards: u16,
    ) -> Result<(Need, Result<Buffers, String>), Failure> {
        let prepared = self.usual.iter().find(|memory| memory.mode == mode);
        let prepared = prepared.map_or(0, |memory| memory.buffers);
        let is_interface = name.is_interface();
        let (rings, have) = match probe(name) {
            Ok(probe) => {
                let unsaid = "a port's own memory is made when it is opened";
                (probe.rings, probe.buffers.ok_or(unsaid.to_string()))
            }
            Err(error @ (NetmapError::NoNetmap | NetmapError::OldApi | NetmapError::Forbidden)) => {
                (None, Err(error.to_string()))
            }
            Err(error) => return Err(netmap_failure(&error)),
        };
        let rings = rings.unwrap_or_else(|| Need::usual_rings(name, shards));
        Ok((Need::of(prepared, shards, rings, is_interface), have))
    }

    fn table(&self, listed: usize) -> String {
        let mut out = String::new();
        let usual_text = (USUAL_MSS - TIMESTAMPS_BYTES).into();
        let _ = writeln!(out, "{:>12}  {:>6}  {:>9}  object", "body", "head", "segments");
        for object in self.objects.iter().take(listed) {
            let _ = writeln!(
                out,
                "{:>12}  {:>6}  {:>9}  {}",
                object.body_bytes,
                object.head_bytes,
                object.segments(usual_text),
                object.path
            );
        }
        if self.objects.len() > listed {
            let _ = writeln!(out, "{:>12}  and {} more", "", self.objects.len() - listed);
        }
        let _ = writeln!(
            out,
            "{}, {} of bodies, {} of heads\n",
            human::count(self.objects.len() as u64, "object"),
            human::bytes(self.objects.iter().map(|o| o.body_bytes).sum()),
            human::bytes(self.objects.iter().map(|o| o.head_bytes).sum()),
        );
        let _ = writeln!(
            out,
            "{:>6}  {:<10}  {:>6}  {:>12}  {:>12}",
            "MSS", "options", "text", "segments", "frames"
        );
        for v in &self.variants {
            let options = if v.timestamps { "timestamps" } else { "none" };
            let frames = human::bytes(v.frame_bytes);
            let _ = writeln!(
                out,
                "{:>6}  {options:<10}  {:>6}  {:>12}  {frames:>12}",
                v.mss, v.text_max, v.segments
            );
        }
        let _ = writeln!(out, "\nMemory with every segment prepared and none evicted:\n");
        let _ = writeln!(
            out,
            "{:<22}  {:<22}  {:>10}  {:>10}  {:>10}",
            "mode", "variants", "buffers", "memory", "tables"
        );
        let usual = format!("MSS {USUAL_MSS}, timestamps");
        for (what, rows) in [(usual.as_str(), &self.usual), ("all", &self.all)] {
            for row in rows {
                let (memory, tables) =
                    (human::bytes(row.buffer_bytes), human::bytes(row.table_bytes));
                let _ = writeln!(
                    out,
                    "{:<22}  {what:<22}  {:>10}  {memory:>10}  {tables:>10}",
                    mode_name(row.mode),
                    row.buffers
                );
            }
        }
        out.push_str(
            "\nVariants are cut as they are first asked for. copy keeps one master a segment and needs\n\
             a free buffer for each frame in flight besides; copies-on-demand starts with one copy a\n\
             segment and makes further ones while all are in flight; gather, where the device takes a\n\
             frame in two parts, keeps one payload a segment and needs a free buffer for the headers of\n\
             each frame in flight besides. With fewer buffers than this (serve --buffers), segments not\n\
             asked for lately make room.\n",
        );
        out
    }

    fn json(&self) -> Value {
        let usual_text = (USUAL_MSS - TIMESTAMPS_BYTES).into();
        let memory = |rows: &[Memory]| -> Vec<Value> {
            rows.iter()
                .map(|row| {
                    json!({
                        "mode": mode_name(row.mode),
                        "buffers": row.buffers,
                        "buffer_bytes": row.buffer_bytes,
                        "table_bytes": row.table_bytes,
                    })
                })
                .collect()
        };
        let objects = self.objects.iter().map(|o| {
            json!({
                "path": o.path,
                "body_bytes": o.body_bytes,
                "head_bytes": o.head_bytes,
                "segments": o.segments(usual_text),
            })
        });
        let variants = self.variants.iter().map(|v| {
            json!({
                "mss": v.mss,
                "timestamps": v.timestamps,
                "text_bytes_max": v.text_max,
                "segments": v.segments,
                "frame_bytes": v.frame_bytes,
            })
        });
        json!({
            "objects": objects.collect::<Vec<_>>(),
            "variants": variants.collect::<Vec<_>>(),
            "memory_usual_variant": memory(&self.usual),
            "memory_all_variants": memory(&self.all),
            "bytes_per_buffer": BUFFER_BYTES,
        })
    }
}

/// Bytes that the timestamps option takes of every segment, padding in. RFC 7323 appendix A.
const TIMESTAMPS_BYTES: u16 = (headers_len(false, true) - headers_len(false, false)) as u16;

impl Variant {
    fn of(objects: &[Object], mss: u16, timestamps: bool) -> Self {
        let text_max = u64::from(if timestamps { mss - TIMESTAMPS_BYTES } else { mss });
        let (mut segments, mut runs, mut text) = (0, 0, 0);
        for object in objects {
            let of_object = object.segments(text_max);
            segments += of_object;
            runs += of_object.div_ceil(SEGMENTS_PER_RUN as u64);
            text += object.head_bytes + object.body_bytes;
        }
        let frame_bytes = text + segments * headers_len(false, timestamps) as u64;
        Self { mss, timestamps, text_max, segments, runs, frame_bytes }
    }
}

impl Memory {
    fn of(mode: Mode, segments: u64, runs: u64) -> Self {
        let buffers = match mode {
            Mode::Copy | Mode::CopiesOnDemand | Mode::Gather => segments,
            Mode::CopiesInAdvance(copies) => segments * u64::from(copies),
        };
        Self {
            mode,
            buffers,
            buffer_bytes: buffers * BUFFER_BYTES,
            table_bytes: Store::table_bytes_for(runs, buffers),
        }
    }
}

fn mode_name(mode: Mode) -> String {
    match mode {
        Mode::Copy => "copy".into(),
        Mode::CopiesInAdvance(copies) => format!("copies-in-advance:{copies}"),
        Mode::CopiesOnDemand => "copies-on-demand".into(),
        Mode::Gather => "gather".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdir::TestDir;
    use std::fs;

    /// Adds up by walking every object segment by segment what [`Plan`] divides.
    #[test]
    fn segments_are_those_that_cutting_gives() {
        let dir = TestDir::new("content");
        for len in [0_usize, 1, 1_200, 1_447, 1_448, 22_000, 70_000] {
            fs::write(dir.path().join(format!("{len}.bin")), vec![7; len]).unwrap();
        }
        let site = Site::scan(dir.path()).unwrap();
        let plan = Plan::of(&site, &[Mode::Copy, Mode::CopiesInAdvance(3)]);
        assert_eq!(plan.objects.len(), 7);
        for variant in &plan.variants {
            let (mut segments, mut runs) = (0, 0);
            for item in site.catalogue.files() {
                let mut left = item.total_len;
                let mut in_run = 0;
                while left > 0 {
                    left = left.saturating_sub(variant.text_max);
                    segments += 1;
                    runs += u64::from(in_run == 0);
                    in_run = (in_run + 1) % SEGMENTS_PER_RUN;
                }
            }
            assert_eq!((variant.segments, variant.runs), (segments, runs), "{}", variant.mss);
        }
        assert_eq!(plan.usual[1].buffers, 3 * plan.usual[0].buffers);
        assert_eq!(plan.usual[0].buffer_bytes, plan.usual[0].buffers * 2_048);
        let all: u64 = plan.variants.iter().map(|v| v.segments).sum();
        assert_eq!(plan.all[0].buffers, all);
    }
}
