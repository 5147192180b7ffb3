//! `simoom doctor` as others see it.

mod common;

use common::{TestDir, run, stderr, stdout};
use serde_json::Value;
use std::path::Path;

#[test]
fn kernel_without_netmap_is_one_finding_with_its_fix_and_exit_code_3() {
    if Path::new("/dev/netmap").exists() {
        return println!("skipped: this kernel has netmap");
    }
    let output = run(&["doctor", "--port", "netmap:eth0"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(said.starts_with("netmap:eth0: FAIL  ") && said.contains(" -> "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(stderr(&output).contains("1 finding to mend"), "{}", stderr(&output));
}

#[test]
fn interface_that_is_no_tap_device_is_exit_code_5() {
    let output = run(&["doctor", "--port", "tap:lo", "--json"]);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let findings = report["ports"][0]["findings"].as_array().unwrap();
    let found = |about: &str| findings.iter().find(|f| f["about"] == about).unwrap();
    assert_eq!(found("interface")["level"], "fail");
    assert!(found("interface")["fix"].is_string());
    // Where the driver is missing too, that comes first.
    let expected = if found("driver")["level"] == "ok" { 5 } else { 3 };
    assert_eq!(output.status.code(), Some(expected), "{}", stderr(&output));
}

#[test]
fn content_is_counted_and_what_cannot_be_read_is_exit_code_4() {
    let dir = TestDir::new("doctor-content");
    dir.file("a.bin", &[1; 1_000_000]);
    let content = dir.path().to_str().unwrap();
    let output =
        run(&["doctor", "--port", "tap:doctor0", "--content", content, "--buffers", "256"]);
    let said = stdout(&output);
    assert!(said.contains("warn  the content is 691 segments"), "{said}");
    let output = run(&["doctor", "--port", "tap:doctor0", "--content", "/no/such/directory"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let output = run(&["doctor", "--port", "dpdk:0"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
