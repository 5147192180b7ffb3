//! The large sweep: all scenarios under many seeds, or one of them under a great many.
//!
//! ```text
//! SIMOOM_SEEDS=0..100 SIMOOM_SCENARIO=standard \
//!     cargo test --release -p simoom-scenarios --test sweep -- --ignored --nocapture
//! ```

use simoom_scenarios::{RunOptions, Scenario, run};
use simoom_sim::seed::Seed;
use std::path::Path;

#[test]
#[ignore = "a sweep for release builds"]
fn sweep() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("standard.toml");
    let scenario = Scenario::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
    for case in scenario.cases() {
        for seed in 0..100 {
            let result = run(case, &RunOptions::new(Seed(seed)));
            if seed < 3 {
                println!("{result:#?}");
            }
            assert!(result.ok);
        }
    }
}
