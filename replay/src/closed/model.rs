//! A fitted connection as a world needs it.

use crate::fit::losses::Loss;
use crate::fit::talk::{Said, Turn};
use crate::fit::windows::WindowStep;
use crate::fit::{Bursts, Fit, bursts};
use simoom_core::tcp;
use simoom_core::time::Duration;
use simoom_sim::lab::Rate;
use simoom_sim::link::{Displace, GilbertElliott, Jitter, LinkConfig, LoseByte, Variation};
use simoom_sim::seed::Chance;

/// Bytes that the simulator's frames carry of an Ethernet: the most text in a segment.
const MSS_MAX: u16 = 1_460;

/// Segments that a connection must have sent for its own losses to say how likely they are; with
/// fewer, those of the whole capture do.
pub const SEGMENTS_FOR_OWN_RATE: u64 = 200;

/// How losses come about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LossMode {
    /// The bytes that were lost are lost, as often as they were.
    #[default]
    Observed,
    /// By chance, as likely and in bursts as long as they were.
    Resampled,
}

/// The client's TCP.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ClientModel {
    pub(super) mss: u16,
    pub(super) syn_window: u16,
    pub(super) window_scale: Option<u8>,
    pub(super) timestamps: bool,
    pub(super) sack: bool,
    pub(super) ack_every: u32,
    pub(super) ack_delay: Duration,
    pub(super) windows: Vec<WindowStep>,
    pub(super) rto: Duration,
}

/// What a world is made of, beside the server's TCP.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) says: Vec<Said>,
    pub(super) writes: Vec<Said>,
    pub(super) turns: Vec<Turn>,
    pub(super) client_bytes: u64,
    pub(super) server_bytes: u64,
    pub(super) server_closes: bool,
    pub(super) client: ClientModel,
    pub(super) to_client: LinkConfig,
    pub(super) to_server: LinkConfig,
}

impl Model {
    /// `pooled`: segments, losses and runs of the whole capture.
    pub(super) fn new(fit: &Fit, mode: LossMode, pooled: (u64, u64, u64)) -> Self {
        let talk = &fit.talk;
        Self {
            says: talk.says.clone(),
            writes: talk.writes.clone(),
            turns: talk.turns.clone(),
            client_bytes: talk.client_bytes,
            server_bytes: talk.server_bytes,
            server_closes: talk.server_closes,
            client: client(fit),
            to_client: to_client(fit, mode, pooled),
            to_server: LinkConfig {
                rate: Rate::UNLIMITED,
                delay: Duration::from_nanos(fit.round_trip() - fit.round_trip() / 2),
                queue_frames_max: u32::MAX,
                ..LinkConfig::default()
            },
        }
    }
}

fn client(fit: &Fit) -> ClientModel {
    let (syn, side) = (&fit.client_side.syn, &fit.client_side);
    let mut windows = side.windows.clone();
    if side.windows_left_out > 0
        && let Some(last) = windows.last().copied()
    {
        // What is not known must not close for ever.
        windows.push(WindowStep { upto: last.upto, after: 0, window: side.window_max.value });
    }
    ClientModel {
        mss: syn.mss.unwrap_or(536).clamp(64, MSS_MAX),
        syn_window: syn.window.max(1),
        window_scale: syn.window_scale,
        timestamps: syn.timestamps.is_some(),
        sack: syn.sack_permitted,
        ack_every: side.ack_every.value.max(1),
        ack_delay: Duration::from_nanos(side.ack_delay.value),
        windows,
        rto: Duration::from_nanos(fit.round_trip().saturating_mul(2))
            .max(Duration::from_millis(200)),
    }
}

fn to_client(fit: &Fit, mode: LossMode, pooled: (u64, u64, u64)) -> LinkConfig {
    let path = &fit.path;
    let mut link = LinkConfig {
        rate: match path.rate.value {
            Some(rate) => Rate::bits_per_second(rate),
            None => Rate::UNLIMITED,
        },
        delay: Duration::from_nanos(fit.round_trip() / 2),
        queue_frames_max: u32::MAX,
        lose_frames: (1..=u64::from(path.syn_acks_lost)).collect(),
        ..LinkConfig::default()
    };
    if path.variation.value > 0 {
        // Frames keep their order, so the last of a flight comes with the latest of it: of so many
        // even draws the largest is as many times the mean as the harmonic number says.
        let flight = path.segments / (fit.talk.turns.len() as u64).max(1);
        let thousandths: u64 = (1..=flight.clamp(1, 10)).map(|n| 1_000 / n).sum();
        let mean = Duration::from_nanos(path.variation.value.saturating_mul(1_000) / thousandths);
        link.jitter = Jitter::InOrder(Variation::Exponential { mean });
    }
    if path.overtaken > 0 && path.segments > 0 {
        let chance = u64::from(path.overtaken) * 1_000_000 / path.segments;
        link.displace = Some(Displace {
            chance: Chance::ppm(chance.min(500_000) as u32),
            frames: path.overtaken_by.clamp(1, 64),
            time_max: Duration::from_nanos((fit.round_trip() / 4).max(1_000_000)),
        });
    }
    match mode {
        LossMode::Observed => {
            let lost =
                |loss: &Loss| LoseByte { offset: loss.offset, retransmission: loss.retransmission };
            link.lose_bytes = path.losses.iter().map(lost).collect();
        }
        LossMode::Resampled => link.burst_loss = resampled(fit, pooled),
    }
    link
}

fn resampled(fit: &Fit, pooled: (u64, u64, u64)) -> Option<GilbertElliott> {
    let path = &fit.path;
    let (segments, losses, runs) = match path.segments >= SEGMENTS_FOR_OWN_RATE {
        true => (path.segments, path.losses.len() as u64, u64::from(path.loss_runs)),
        false => pooled,
    };
    let Bursts { to_bad, to_good } = bursts(segments, losses, runs);
    (to_bad > 0).then_some(GilbertElliott {
        to_bad: Chance::per_2_32(to_bad),
        to_good: if to_good == u32::MAX { Chance::ALWAYS } else { Chance::per_2_32(to_good) },
        loss_good: Chance::NEVER,
        loss_bad: Chance::ALWAYS,
    })
}

/// The server's TCP of a connection: what it announced when it was captured, and for the rest `base`.
pub(super) fn captured_tcp(base: &tcp::Config, fit: &Fit) -> tcp::Config {
    let (syn, answer) = (&fit.client_side.syn, &fit.syn_ack);
    let window = fit.server_window.clamp(4_096, 1 << 22);
    tcp::Config {
        mss: answer.mss.unwrap_or(536).clamp(88, MSS_MAX),
        receive_window: window,
        timestamps: if syn.timestamps.is_some() {
            answer.timestamps.is_some()
        } else {
            base.timestamps
        },
        window_scaling: if syn.window_scale.is_some() {
            answer.window_scale.is_some()
        } else {
            base.window_scaling
        },
        window_shift_min: answer.window_scale.unwrap_or(0).min(14),
        ..base.clone()
    }
}
