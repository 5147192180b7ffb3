//! Makes the turn logs of `testvectors/turn-logs` again, but for those of live servers, and the table of
//! what all must give.
//!
//! ```text
//! cargo run -p simoom-port-conformance --example record_turn_logs
//! ```

mod scenarios;

use simoom_core::port::turn_log::TurnLog;
use std::error::Error;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testvectors/turn-logs");
    fs::create_dir_all(&folder)?;
    let mut table = String::from(scenarios::TABLE_HEAD);
    for scenario in scenarios::ALL {
        let log = scenario.record();
        let file = log.encode().ok_or("the log is larger than its format allows")?;
        table.push_str(&scenarios::table_row(scenario.name, &log));
        println!("{}: {} turns, {} bytes", scenario.name, log.turns.len(), file.len());
        fs::write(folder.join(scenario.name).with_extension("turnlog"), file)?;
    }
    for name in scenarios::LIVE {
        let log = TurnLog::decode(&fs::read(folder.join(name).with_extension("turnlog"))?)?;
        table.push_str(&scenarios::table_row(name, &log));
    }
    fs::write(folder.join("expected.tsv"), table)?;
    Ok(())
}
