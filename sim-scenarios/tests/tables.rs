//! Every scenario under a few seeds: nothing may be violated, and the table of results must be the
//! one that is kept (`snapshots/`). A change of it is reviewed as a diff; `INSTA_UPDATE=always`
//! writes it.
//!
//! The table holds the hash of every run's events, and each case is run twice under its first seed:
//! the same in one process, and in every build profile in which this test runs.

use simoom_scenarios::{RunOptions, Scenario, pairs, run, table};
use simoom_sim::seed::Seed;
use std::collections::BTreeSet;
use std::path::Path;

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn load(name: &str) -> Scenario {
    Scenario::load(&folder().join(format!("{name}.toml"))).unwrap_or_else(|e| panic!("\n{e}"))
}

fn check(file: &str) {
    let name = file.replace('_', "-");
    let scenario = load(&name);
    let run_one = |case, seed| run(case, &RunOptions::new(seed));
    let results: Vec<_> =
        pairs(&scenario, scenario.seed_range()).map(|pair| run_one(pair.case, pair.seed)).collect();
    let first = scenario.cases().iter().zip(&results);
    // A scenario of one seed is a long one: half of its cases are enough to run twice.
    let step = if scenario.seeds == 1 { 2 } else { 1 };
    for (case, result) in first.step_by(step) {
        assert_eq!(
            &run_one(case, Seed(scenario.seed_first)),
            result,
            "{} differs in a second run",
            case.name
        );
    }
    let table = table(&scenario, &results);
    assert!(results.iter().all(|result| result.ok), "\n{table}");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, table));
}

macro_rules! scenarios {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*

        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

scenarios! {
    aborts
    ack_bunching
    ack_division
    ack_loss
    asymmetric
    blind_resets
    browser
    buffer
    bufferbloat
    codel
    cores
    corruption
    delayed_ack
    displacement
    dumbbell
    duplication
    ecn
    everything_at_once
    few_buffers
    five_hundred_connections
    flapping
    forged
    full_table
    half_close
    incast
    initial_window
    jain
    jitter
    keep_alive
    late_server
    loss_bursts
    loss_half
    loss_iid
    loss_iid_smoltcp
    loss_list
    loss_of_acks
    loss_periodic
    many_clients
    min_rto
    mixed_controllers
    modes
    mss
    mss_smoltcp
    mtu_black_hole
    mtu_icmp
    nagle
    nic_cores
    nic_policies
    nics
    optimistic_acks
    options
    outage
    outage_held
    path_longer
    path_narrows
    presets
    random_segments
    rate
    receive_window
    reordering
    ring_overflow
    ring_stalls
    rings
    rto
    rtt
    script_handshake
    script_opens
    script_rude
    short_connections
    silly_window
    size
    size_100mb
    slow_headers
    slow_reader
    smoltcp_client
    smoltcp_server
    standard
    syn_flood
    think_time
    trace
    truncation
    utilisation
    window_shrink
    zero_window
}

#[test]
fn every_file_has_a_test() {
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "Cargo" && name != "costs")
        .collect();
    let tested: BTreeSet<String> = NAMES.iter().map(|name| name.replace('_', "-")).collect();
    assert_eq!(files, tested);
}
