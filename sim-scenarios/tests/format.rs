//! The format as the README describes it: its example is a scenario, its reference names every key,
//! and the seeds that are kept are run again.

use simoom_scenarios::{RunOptions, Scenario, reference, run};
use simoom_sim::seed::Seed;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

#[test]
fn the_example_of_the_readme_runs_and_meets_its_expectations() {
    let readme = read("README.md");
    let (_, rest) = readme.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let scenario =
        Scenario::parse(Path::new("README.md"), example).unwrap_or_else(|e| panic!("\n{e}"));
    assert_eq!(scenario.cases().len(), 6);
    assert_eq!(scenario.cases()[1].name, "delay_ms=5,loss_percent=0.5");
    for case in scenario.cases() {
        let result = run(case, &RunOptions::new(Seed(1)));
        assert!(result.ok, "{}: {:?}", case.name, result.violations);
        for column in &scenario.columns {
            assert!(result.measure(column).is_some(), "{column}");
        }
    }
}

/// `INSTA_UPDATE=always` writes it.
#[test]
fn the_reference_of_the_readme_is_what_the_reader_checks_with() {
    let path = folder().join("README.md");
    let readme = read("README.md");
    let marker = readme.lines().find(|line| line.starts_with("<!-- reference")).unwrap();
    let (text, _) = readme.split_once(marker).unwrap();
    let wanted = format!("{text}{marker}\n\n{}", reference());
    if std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always") {
        std::fs::write(path, &wanted).unwrap();
    } else {
        assert!(readme == wanted, "the README's reference is not the present one");
    }
}

#[test]
fn seeds_that_found_something_find_nothing_any_more() {
    let mut lines = 0;
    for (n, line) in read("seeds.txt").lines().enumerate() {
        let (what, found) = line.split_once('#').unwrap_or((line, ""));
        let words: Vec<&str> = what.split_whitespace().collect();
        let [name, case, seed] = words[..] else {
            assert!(words.is_empty(), "seeds.txt:{}: scenario, case, seed", n + 1);
            continue;
        };
        assert!(!found.trim().is_empty(), "seeds.txt:{}: say what it found", n + 1);
        let scenario = Scenario::load(&folder().join(format!("{name}.toml")))
            .unwrap_or_else(|e| panic!("seeds.txt:{}: {e}", n + 1));
        let case = scenario.cases().iter().find(|known| known.name == case);
        let case = case.unwrap_or_else(|| panic!("seeds.txt:{}: no such case", n + 1));
        let seed: Seed = seed.parse().unwrap_or_else(|e| panic!("seeds.txt:{}: {e}", n + 1));
        let result = run(case, &RunOptions::new(seed));
        assert!(result.ok, "seeds.txt:{}: {:?}", n + 1, result.violations);
        lines += 1;
    }
    assert!(lines > 0);
}
