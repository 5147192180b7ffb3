//! Instructions, by running a program of this package again under `valgrind --tool=callgrind`.
//!
//! Only the measured region is collected; two runs with different numbers of requests are
//! subtracted, so that what the region costs once does not count.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Instructions by function, over a whole run.
pub type Profile = BTreeMap<String, Cost>;

/// What a function cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Instructions in the function itself.
    pub own: u64,
    /// The same with all that it called.
    pub inclusive: u64,
}

/// What a request cost, in instructions.
#[derive(Clone, Debug, Default)]
pub struct Instructions {
    /// Without those of the copying of memory.
    pub without_memcpy: f64,
    /// In `memcpy`, `memmove` and `memset`: counted by the byte moved, not by time.
    pub memcpy: f64,
    /// By function: own and inclusive, a request.
    pub functions: Vec<(String, f64, f64)>,
}

/// Runs this program twice under callgrind as `--worker NAME --requests N` and gives the
/// difference for a request; or says why it could not. What is collected is `measured_region`.
pub fn count(name: &str, few: u32, many: u32) -> Result<Instructions, String> {
    count_within("*measured_region*", name, few, many)
}

/// The same for the functions that match `region`, which must not call each other.
pub fn count_within(region: &str, name: &str, few: u32, many: u32) -> Result<Instructions, String> {
    let few_profile = profile(region, name, few)?;
    let many_profile = profile(region, name, many)?;
    let requests = f64::from(many - few);
    let mut result = Instructions::default();
    for (function, cost) in &many_profile {
        let before = few_profile.get(function).copied().unwrap_or_default();
        let own = (cost.own as f64 - before.own as f64) / requests;
        let inclusive = (cost.inclusive as f64 - before.inclusive as f64) / requests;
        if is_memcpy(function) {
            result.memcpy += own;
        } else {
            result.without_memcpy += own;
        }
        if own > 0.0 || inclusive > 0.0 {
            result.functions.push((function.clone(), own, inclusive));
        }
    }
    result.functions.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(result)
}

fn is_memcpy(function: &str) -> bool {
    ["memcpy", "memmove", "memset"].iter().any(|name| function.contains(name))
}

fn profile(region: &str, name: &str, requests: u32) -> Result<Profile, String> {
    let program = std::env::current_exe().map_err(|e| format!("this program: {e}"))?;
    let out = scratch_file(requests);
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={region}"))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args(["--worker", name, "--requests", &requests.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("valgrind: {e}"))?;
    let text = std::fs::read_to_string(&out);
    // The file may never have been made.
    let _ = std::fs::remove_file(&out);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default().to_owned();
        return Err(format!("valgrind ended with {}: {last}", output.status));
    }
    Ok(parse(&text.map_err(|e| format!("callgrind's file: {e}"))?))
}

fn scratch_file(requests: u32) -> PathBuf {
    let name = format!("simoom-callgrind-{}-{requests}.out", std::process::id());
    Path::new(&std::env::temp_dir()).join(name)
}

/// Reads callgrind's format: `fn=` begins a function, a line of numbers is a cost of its own, and
/// the one after `calls=` is what was called, inclusive.
pub fn parse(text: &str) -> Profile {
    let mut names: BTreeMap<u32, String> = BTreeMap::new();
    let mut profile = Profile::new();
    let mut current = String::new();
    let mut callee = String::new();
    let mut after_calls = false;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            current = resolve(&mut names, name);
        } else if let Some(name) = line.strip_prefix("cfn=") {
            callee = resolve(&mut names, name);
        } else if line.starts_with("calls=") {
            after_calls = true;
        } else if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) {
            let cost = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0u64);
            let entry = profile.entry(current.clone()).or_default();
            entry.inclusive += cost;
            if std::mem::take(&mut after_calls) {
                // A function that calls itself must not count its own twice.
                if callee == current {
                    entry.inclusive -= cost;
                }
            } else {
                entry.own += cost;
            }
        }
    }
    profile
}

/// `(12) name` names function 12, `(12)` means it again.
fn resolve(names: &mut BTreeMap<u32, String>, text: &str) -> String {
    let Some((id, name)) = text.strip_prefix('(').and_then(|rest| rest.split_once(')')) else {
        return text.to_owned();
    };
    let Ok(id) = id.parse() else { return text.to_owned() };
    let name = name.trim();
    if !name.is_empty() {
        names.insert(id, name.to_owned());
    }
    names.get(&id).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_and_called_costs_are_kept_apart() {
        let text = "events: Ir\n\nfn=(1) turn\n10 100\ncfn=(2) memcpy\ncalls=3 0\n+1 30\n12 5\n\
                    \nfn=(2)\n0 30\n\ntotals: 135\n";
        let profile = parse(text);
        assert_eq!(profile["turn"], Cost { own: 105, inclusive: 135 });
        assert_eq!(profile["memcpy"], Cost { own: 30, inclusive: 30 });
    }
}
