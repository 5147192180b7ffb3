//! The file of measured costs.

use super::{CostModel, Work};
use serde::Deserialize;

/// What the file of measured costs says: `sim-scenarios/costs.toml`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostFile {
    /// The largest error of the model over the rows of `measured`, in percent of what was measured.
    pub error_max_percent: f64,
    /// The stack computes and verifies checksums.
    pub checksums_in_software: CostModel,
    /// The device does.
    pub checksums_offloaded: CostModel,
    /// What was measured: the model was made from some rows, and held to all.
    pub measured: Vec<MeasuredRow>,
}

/// A measured row: what a request made the stack do, and how long that took.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredRow {
    /// The row, as `request_cost --row` takes it.
    pub row: String,
    /// Whether the model was made from it; else it was only held to it.
    pub fitted: bool,
    /// Whether the device took care of checksums.
    pub offloaded: bool,
    /// Nanoseconds a request, the median.
    pub ns: f64,
    /// Requests that the counts are for.
    pub requests: u64,
    /// Turns.
    pub turns: u64,
    /// Frames received.
    pub frames_in: u64,
    /// Requests read.
    pub texts_in: u64,
    /// Frames sent.
    pub frames_out: u64,
    /// Bytes copied from buffer to buffer.
    pub copied_bytes: u64,
    /// Frames copied from a master.
    pub copied_frames: u64,
    /// Frames filled from the source.
    pub filled_frames: u64,
    /// Connections opened.
    pub opened: u64,
    /// Bytes of prepared frames kept.
    pub kept_bytes: u64,
}

impl CostFile {
    /// Reads the file's text.
    ///
    /// # Errors
    /// What is wrong with it, with line and key.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// What the model says of a row, in nanoseconds a request. Doorbells are not measured: the port
    /// is memory.
    pub fn predicted_ns(&self, row: &MeasuredRow) -> f64 {
        let model =
            if row.offloaded { &self.checksums_offloaded } else { &self.checksums_in_software };
        let work = Work {
            turns: row.turns,
            frames_in: row.frames_in,
            texts_in: row.texts_in,
            frames_out: row.frames_out,
            copied_bytes: row.copied_bytes,
            copied_frames: row.copied_frames,
            filled_frames: row.filled_frames,
            opened: row.opened,
            doorbells: 0,
            kept_bytes: row.kept_bytes,
        };
        model.picoseconds_of(&work) as f64 / 1_000.0 / row.requests.max(1) as f64
    }
}
