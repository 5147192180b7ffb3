//! The file of measured costs: that the model says what was measured, and what it does to a run.

use simoom_core::content::Mode;
use simoom_core::time::Duration;
use simoom_sim::machine::{CostFile, CostModel, LoadPlan};

const FILE: &str = include_str!("../../sim-scenarios/costs.toml");

fn costs() -> CostFile {
    CostFile::parse(FILE).unwrap_or_else(|error| panic!("{error}"))
}

/// The rows that the model was not made from are those that say something.
#[test]
fn the_model_comes_within_its_stated_error_of_every_row() {
    let file = costs();
    assert!(file.error_max_percent <= 20.0, "an error of {} %", file.error_max_percent);
    for row in &file.measured {
        let error = (file.predicted_ns(row) / row.ns - 1.0) * 100.0;
        assert!(error.abs() <= file.error_max_percent + 0.05, "{error:.1} % at {}", row.row);
    }
    assert!(file.measured.iter().filter(|row| !row.fitted).count() >= 12);
    assert!(file.measured.iter().filter(|row| row.offloaded).count() >= 12);
}

#[test]
fn every_term_was_measured() {
    let file = costs();
    for model in [file.checksums_in_software, file.checksums_offloaded] {
        let CostModel { turn_ps, frame_in_ps, text_in_ps, frame_out_ps, copied_byte_ps, .. } =
            model;
        let CostModel { filled_frame_ps, connection_ps, doorbell_ps, .. } = model;
        let CostModel { cold_frame_ps, cold_copy_ps, cache_bytes, .. } = model;
        for term in [
            turn_ps,
            frame_in_ps,
            text_in_ps,
            frame_out_ps,
            copied_byte_ps,
            filled_frame_ps,
            connection_ps,
            doorbell_ps,
            cold_frame_ps,
            cold_copy_ps,
            cache_bytes,
        ] {
            assert!(term > 0, "{model:?}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_line_and_key() {
    let error = |from: &str, to: &str| {
        assert!(FILE.contains(from));
        CostFile::parse(&FILE.replacen(from, to, 1)).unwrap_err()
    };
    let unknown = error("frame_in_ps", "frames_in_ps");
    assert!(
        unknown.contains("unknown field `frames_in_ps`") && unknown.contains("line "),
        "{unknown}"
    );
    let negative = error("frame_in_ps = ", "frame_in_ps = -");
    assert!(negative.contains("frame_in_ps = -") && negative.contains("line "), "{negative}");
    let missing = error("turn_ps = ", "# ");
    assert!(missing.contains("missing field `turn_ps`"), "{missing}");
}

fn plan(mode: Mode) -> LoadPlan {
    LoadPlan {
        cost: costs().checksums_in_software,
        mode,
        warm_up: Duration::from_millis(4),
        measured: Duration::from_millis(4),
        connections: 32,
        ..LoadPlan::default()
    }
}

/// One interface at line rate leaves most of a core free; copying takes more of it.
#[test]
fn copies_on_demand_fill_the_line_for_less_than_copying() {
    let run = |mode| plan(mode).run().unwrap_or_else(|error| panic!("{error}"));
    let (demand, copy) = (run(Mode::CopiesOnDemand), run(Mode::Copy));
    assert!(demand.bits_per_second > 9_200_000_000 && copy.bits_per_second > 9_200_000_000);
    let (light, heavy) = (demand.core_load_ppm[0], copy.core_load_ppm[0]);
    assert!((10_000..250_000).contains(&light), "{light} ppm");
    assert!(heavy > light * 11 / 10, "{heavy} ppm for copying, {light} ppm on demand");
    assert_eq!(demand, run(Mode::CopiesOnDemand), "the same twice");
}

#[test]
fn interfaces_with_a_core_each_add_up_and_a_core_that_is_full_bounds_them() {
    let many = |interfaces: u16, cores, slower: u64| {
        let mut plan = plan(Mode::CopiesOnDemand);
        let CostModel { turn_ps, frame_in_ps, frame_out_ps, text_in_ps, doorbell_ps, .. } =
            plan.cost;
        plan.cost = CostModel {
            turn_ps: turn_ps * slower,
            frame_in_ps: frame_in_ps * slower,
            frame_out_ps: frame_out_ps * slower,
            text_in_ps: text_in_ps * slower,
            doorbell_ps: doorbell_ps * slower,
            ..plan.cost
        };
        let plan = LoadPlan { interfaces, cores, connections: 16 * u32::from(interfaces), ..plan };
        plan.run().unwrap_or_else(|error| panic!("{error}"))
    };
    let (one, two) = (many(1, 1, 1), many(2, 2, 1));
    assert!(two.bits_per_second * 100 >= one.bits_per_second * 198, "{two:?}");
    let [first, second] = two.core_load_ppm[..] else { panic!("two cores") };
    assert!(first.abs_diff(second) < first / 5, "{first} and {second} ppm");
    // Forty times slower, one core does not fill one line, and two interfaces on it no more.
    let (slow, shared) = (many(1, 1, 40), many(2, 1, 40));
    assert!(slow.core_load_ppm[0] > 900_000 && slow.bits_per_second < 9_000_000_000, "{slow:?}");
    assert!(shared.bits_per_second < slow.bits_per_second * 13 / 10, "{shared:?}");
    let split = many(2, 2, 40);
    assert!(split.bits_per_second > shared.bits_per_second * 3 / 2, "{split:?}");
}
