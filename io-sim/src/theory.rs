//! What theory says TCP must do: formulae that runs are held against.
//!
//! Plain functions of numbers; `libm` alone, so that they give the same bits on every machine. Must
//! not know hosts, links or worlds.
//!
//! Symbols, after Padhye, Firoiu, Towsley and Kurose, "Modeling TCP Throughput: A Simple Model and
//! its Empirical Validation", SIGCOMM 1998:
//!
//! | symbol | here | what |
//! |---|---|---|
//! | p | [`Path::loss`] | chance that a packet is the first of its round to be lost |
//! | RTT | [`Path::rtt`] | round-trip time, independent of the window |
//! | T0 | [`Path::first_timeout`] | the retransmission timeout before any doubling |
//! | b | [`Path::packets_per_growth`] | rounds that the window takes to grow by one segment |
//! | Wmax | [`Path::window_max`] | the receiver's window in segments |
//! | W | the result | the window in segments, or segments sent a round trip |
//!
//! b is 2 in the paper, where every ACK covers two segments and is counted once. A sender that
//! counts bytes (RFC 3465, as this stack does) grows by a segment a round however the receiver
//! acknowledges: b is 1.

use simoom_core::time::Duration;

/// The path and the sender of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Path {
    /// p: in (0, 1).
    pub loss: f64,
    /// RTT, in seconds, not zero.
    pub rtt: f64,
    /// T0, in seconds.
    pub first_timeout: f64,
    /// b.
    pub packets_per_growth: f64,
    /// Wmax, in segments; infinite where nothing limits it.
    pub window_max: f64,
}

impl Path {
    /// A path that limits the window by loss alone; b is 1.
    pub fn lossy(loss: f64, rtt: f64, first_timeout: f64) -> Self {
        Self { loss, rtt, first_timeout, packets_per_growth: 1.0, window_max: f64::INFINITY }
    }
}

/// `E[Wu]`: the mean window at which a loss ends a period of growth. Padhye et al. equation (13).
pub fn peak_window(path: &Path) -> f64 {
    let (p, b) = (path.loss, path.packets_per_growth);
    let c = (2.0 + b) / (3.0 * b);
    c + libm::sqrt(8.0 * (1.0 - p) / (3.0 * b * p) + c * c)
}

/// Q(w): the chance that a loss in a window of `w` segments is found by a timeout, fewer than three
/// duplicate ACKs coming. Padhye et al. equation (24).
pub fn timeout_chance(p: f64, w: f64) -> f64 {
    let q = 1.0 - p;
    let three = 1.0 - q * q * q;
    let ratio = three * (1.0 + q * q * q * (1.0 - libm::pow(q, w - 3.0))) / (1.0 - libm::pow(q, w));
    ratio.clamp(0.0, 1.0)
}

/// f(p): the mean length of a run of timeouts, the doubling ending at 64 T0. Padhye et al.
/// equation (29).
pub fn backoff_factor(p: f64) -> f64 {
    // Horner: 1 + p + 2p² + 4p³ + 8p⁴ + 16p⁵ + 32p⁶.
    1.0 + p * (1.0 + p * (2.0 + p * (4.0 + p * (8.0 + p * (16.0 + p * 32.0)))))
}

/// B(p): segments sent a second, retransmissions among them, in the full model. Padhye et al.
/// equation (32).
pub fn padhye_rate(path: &Path) -> f64 {
    let Path { loss: p, rtt, first_timeout, packets_per_growth: b, window_max } = *path;
    let (q, peak) = (1.0 - p, peak_window(path));
    let waiting = |w: f64| timeout_chance(p, w) * first_timeout * backoff_factor(p) / q;
    if peak < window_max {
        let segments = q / p + peak + timeout_chance(p, peak) / q;
        segments / (rtt * (b / 2.0 * peak + 1.0) + waiting(peak))
    } else {
        let w = window_max;
        let segments = q / p + w + timeout_chance(p, w) / q;
        segments / (rtt * (b / 8.0 * w + q / (p * w) + 2.0) + waiting(w))
    }
}

/// The mean window of the full model: segments sent in a round trip.
pub fn padhye_window(path: &Path) -> f64 {
    padhye_rate(path) * path.rtt
}

/// The square-root law: mean window in segments where every loss is repaired without a timeout,
/// W = C / √p with C = √(3 / 2b). Mathis, Semke, Mahdavi and Ott, "The Macroscopic Behavior of the
/// TCP Congestion Avoidance Algorithm", CCR 27(3), 1997.
pub fn mathis_window(p: f64, packets_per_growth: f64) -> f64 {
    libm::sqrt(3.0 / (2.0 * packets_per_growth * p))
}

/// Jain's fairness index of the shares of several users: 1 where all are equal, 1/n where one has
/// everything. Jain, Chiu and Hawe, "A Quantitative Measure of Fairness and Discrimination for
/// Resource Allocation in Shared Computer Systems", DEC TR-301, 1984. There is at least one share,
/// and one is not zero.
pub fn jain_index(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|x| x * x).sum();
    sum * sum / (shares.len() as f64 * squares)
}

/// The share of a bottleneck that one Reno flow fills whose buffer holds `buffer` bandwidth-delay
/// products, in the fluid model: the window grows by one segment a round from half its peak,
/// (1 + β) BDP / 2, to the peak, and the link idles while the window is below the BDP. 1 from
/// one BDP of buffer on. Appenzeller, Keslassy and McKeown, "Sizing Router Buffers", SIGCOMM 2004,
/// gives the condition; the integral is elementary:
///
/// Rounds below the BDP last one RTT and carry w; rounds above are as long as what they carry.
pub fn single_flow_utilisation(buffer: f64) -> f64 {
    let low = (1.0 + buffer) / 2.0;
    if low >= 1.0 {
        return 1.0;
    }
    let high = 1.0 + buffer;
    // In units of BDP and RTT, dw per round constant: time below is 1 - low, above it ∫ w dw.
    let below = (1.0 - low * low) / 2.0;
    let above = (high * high - 1.0) / 2.0;
    (below + above) / ((1.0 - low) + above)
}

/// RTO after the first sample of the round-trip time, nothing else being known: R + max(G, 4 R/2),
/// within bounds. RFC 6298 (2.2), (2.4), (2.5). G is the clock's granularity.
pub fn first_rto(rtt: Duration, granularity: Duration, min: Duration, max: Duration) -> Duration {
    let variation = (2 * rtt.as_nanos()).max(granularity.as_nanos());
    Duration::from_nanos(rtt.as_nanos() + variation).max(min).min(max)
}

/// From one transmission of a segment to the next, where nobody answers, and at last from the
/// latest to the connection's end: each twice the one before, up to `max`. RFC 6298 (2.5), (5.5);
/// `retries` retransmissions are made (R2 of RFC 9293 §3.8.3).
pub fn rto_sequence(first: Duration, max: Duration, retries: u32) -> Vec<Duration> {
    let doubled = |n: u32| first.as_nanos().saturating_mul(1u64.checked_shl(n).unwrap_or(u64::MAX));
    (0..=retries).map(|n| Duration::from_nanos(doubled(n)).min(max)).collect()
}

/// Slope of the line through the points (x, y) with the least squares in y. At least two different x.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / n;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / n;
    let covariance: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - mean_x) * (x - mean_x)).sum();
    covariance / variance
}

/// Mean and standard deviation (of the sample, n - 1) of at least one value.
pub fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
    (mean, if values.len() > 1 { libm::sqrt(squares / (n - 1.0)) } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64, tolerance: f64) -> bool {
        (a - b).abs() <= tolerance * b.abs()
    }

    #[test]
    fn the_full_model_is_the_square_root_law_for_small_losses() {
        for b in [1.0, 2.0] {
            for p in [1e-6, 1e-7, 1e-8] {
                let path = Path { packets_per_growth: b, ..Path::lossy(p, 0.1, 0.2) };
                assert!(near(padhye_window(&path), mathis_window(p, b), 0.01), "{p} {b}");
            }
        }
        let at = |p| libm::log(padhye_window(&Path::lossy(p, 0.1, 0.2)));
        let points: Vec<_> = [1e-6, 1e-7, 1e-8].map(|p| (libm::log(p), at(p))).into();
        assert!(near(slope(&points), -0.5, 0.01));
    }

    #[test]
    fn the_full_model_by_hand() {
        // b = 2, p = 0.02: E[W] = 2/3 + √(8·0.98/0.12 + 4/9).
        let path = Path { packets_per_growth: 2.0, ..Path::lossy(0.02, 0.1, 0.5) };
        let peak = 2.0 / 3.0 + libm::sqrt(8.0 * 0.98 / 0.12 + 4.0 / 9.0);
        assert!(near(peak_window(&path), peak, 1e-12));
        // Q ≈ 3 / E[W], as the paper says of its approximation.
        assert!(near(timeout_chance(0.02, peak), 3.0 / peak, 0.3));
        assert!(near(backoff_factor(0.5), 1.0 + 0.5 + 0.5 + 0.5 + 0.5 + 0.5 + 0.5, 1e-12));
    }

    #[test]
    fn a_window_of_the_receiver_bounds_the_model() {
        let path = Path { window_max: 20.0, ..Path::lossy(1e-6, 0.1, 0.2) };
        let window = padhye_window(&path);
        assert!(window < 20.0 && near(window, 20.0, 0.01), "{window}");
        let more_loss = Path { loss: 1e-3, ..path };
        assert!(padhye_window(&more_loss) < window);
    }

    #[test]
    fn a_timeout_is_certain_in_a_window_of_three() {
        assert_eq!(timeout_chance(0.01, 3.0), 1.0);
        assert!(timeout_chance(0.01, 100.0) < 0.1);
    }

    #[test]
    fn jain_is_one_for_equals_and_one_over_n_for_a_tyrant() {
        assert_eq!(jain_index(&[3.0; 7]), 1.0);
        assert_eq!(jain_index(&[0.0, 0.0, 5.0, 0.0]), 0.25);
        assert!(near(jain_index(&[1.0, 2.0, 3.0]), 36.0 / 42.0, 1e-12));
    }

    #[test]
    fn a_buffer_of_one_bdp_fills_the_link_and_none_three_quarters() {
        assert_eq!(single_flow_utilisation(1.0), 1.0);
        assert!(near(single_flow_utilisation(0.0), 0.75, 1e-12));
        assert!(single_flow_utilisation(0.5) > 0.9);
    }

    #[test]
    fn timeouts_double_up_to_the_longest() {
        let ms = Duration::from_millis;
        assert_eq!(first_rto(ms(100), ms(1), ms(1), ms(60_000)), ms(300));
        assert_eq!(first_rto(ms(1), ms(5), ms(0), ms(60_000)), ms(6));
        assert_eq!(first_rto(ms(10), ms(1), ms(200), ms(60_000)), ms(200));
        let sequence = rto_sequence(ms(300), ms(2_000), 4);
        assert_eq!(sequence, [300, 600, 1_200, 2_000, 2_000].map(ms));
        assert_eq!(rto_sequence(ms(1), ms(9), 80).last(), Some(&ms(9)));
    }

    #[test]
    fn statistics_by_hand() {
        assert_eq!(slope(&[(1.0, 2.0), (2.0, 4.0), (3.0, 6.0)]), 2.0);
        let (mean, deviation) = mean_and_deviation(&[1.0, 2.0, 3.0]);
        assert_eq!((mean, deviation), (2.0, 1.0));
        assert_eq!(mean_and_deviation(&[4.0]), (4.0, 0.0));
    }
}
