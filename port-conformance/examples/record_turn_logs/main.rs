//! Makes the turn logs of `testvectors/turn-logs` again, and the table of what they must give.
//!
//! ```text
//! cargo run -p simoom-port-conformance --example record_turn_logs
//! ```

mod scenarios;

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
    fs::write(folder.join("expected.tsv"), table)?;
    Ok(())
}
