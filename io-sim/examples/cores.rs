//! Throughput and load of a server that serves objects of 22 KB over 10 GbE: over 2 to 512 connections
//! with one interface, and over 1 to 8 interfaces with a core each, in the modes *copy* and *copies
//! on demand*. Run with `--release`; the times are virtual, so the table is the same on every machine.
//!
//! `cores [COSTS.toml]`: without a file, the measured one of the repository.

use simoom_core::content::Mode;
use simoom_core::time::Duration;
use simoom_sim::machine::{CostFile, LoadPlan, LoadPoint};
use std::process::ExitCode;

fn main() -> ExitCode {
    let text = match std::env::args().nth(1) {
        None => Ok(include_str!("../../sim-scenarios/costs.toml").to_owned()),
        Some(path) => std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}")),
    };
    match text.and_then(|text| CostFile::parse(&text)).and_then(|costs| table(&costs)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("cores: {why}");
            ExitCode::FAILURE
        }
    }
}

fn table(costs: &CostFile) -> Result<(), String> {
    let base = LoadPlan { cost: costs.checksums_in_software, ..LoadPlan::default() };
    println!("objects of {} bytes, 10 Gb/s an interface", base.object_bytes);
    println!("interfaces connections mode               Gb/s  load of each core, %   median µs");
    let modes = [Mode::Copy, Mode::CopiesOnDemand];
    let by_connections = [2, 4, 8, 16, 32, 64, 128, 256, 512].map(|connections| (1, connections));
    let by_interfaces = [1, 2, 4, 8].map(|interfaces| (interfaces, 512));
    for (interfaces, connections) in by_connections.into_iter().chain(by_interfaces) {
        for mode in modes {
            let cores = usize::from(interfaces);
            let plan = LoadPlan { interfaces, connections, cores, mode, ..base };
            show(&plan, &plan.run().map_err(|error| error.to_string())?);
        }
    }
    println!("of 3,000 objects, which do not fit the cache:");
    for mode in modes {
        let warm_up = Duration::from_millis(80);
        let plan = LoadPlan { objects: 3_000, connections: 64, warm_up, mode, ..base };
        show(&plan, &plan.run().map_err(|error| error.to_string())?);
    }
    println!("one object, on one core:");
    for interfaces in [2, 4, 8] {
        for mode in modes {
            let plan = LoadPlan { interfaces, connections: 512, cores: 1, mode, ..base };
            show(&plan, &plan.run().map_err(|error| error.to_string())?);
        }
    }
    Ok(())
}

fn show(plan: &LoadPlan, point: &LoadPoint) {
    let mode = if plan.mode == Mode::Copy { "copy" } else { "copies on demand" };
    let loads: Vec<String> =
        point.core_load_ppm.iter().map(|ppm| format!("{}", ppm.div_ceil(10_000))).collect();
    println!(
        "{:10} {:11} {mode:16} {:6.2}  {:21} {:11}",
        plan.interfaces,
        plan.connections,
        point.bits_per_second as f64 / 1e9,
        loads.join(" "),
        point.latency_median.as_micros()
    );
}
