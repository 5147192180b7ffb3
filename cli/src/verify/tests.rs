//! The drive and the NIC's file, over the model of netmap.

use super::*;
use simoom_netmap::model::{Model, ModelConfig, ModelKernel};
use simoom_scenarios::NicFile;
use std::path::Path;

fn open_end(model: &Model, end: u16) -> NetmapPort<ModelKernel> {
    NetmapPort::over(model.bind(end, 128).unwrap(), &NetmapConfig::default()).unwrap()
}

fn pipe() -> (Model, NetmapPort<ModelKernel>, NetmapPort<ModelKernel>) {
    let model = Model::pipe(ModelConfig { tx_slots: 64, rx_slots: 64, ..ModelConfig::default() });
    let (a, b) = (open_end(&model, 0), open_end(&model, 1));
    (model, a, b)
}

#[test]
fn a_pipe_is_right_and_its_file_is_a_nic() {
    let (model, mut a, mut b) = pipe();
    let config = VerifyConfig { frames: 5_000, ..VerifyConfig::default() };
    let report = drive(&config, &mut a, &mut b, None, || false).unwrap();
    assert!(report.is_right() && report.right == 5_000, "{report:?}");
    let findings = nic_of(&report, &a, ["netmap:x{1", "netmap:x}1"]);
    let text = findings.to_toml();
    NicFile::parse(Path::new("nic.toml"), &text).unwrap_or_else(|e| panic!("{text}\n{e}"));
    assert_eq!((findings.tx_slots, findings.rx_slots), (63, Some(63)));
    let said = said::text(&report, &findings, Some(Path::new("nic.toml")));
    assert!(said.contains("        5000  came as they were sent"), "{said}");
    let json = said::json(&report, &findings, None);
    assert_eq!((json["right"].as_bool(), json["frames_right"].as_u64()), (Some(true), Some(5_000)));
    drop((a, b));
    assert_eq!((model.violations(), model.buffers_lost()), (Vec::new(), 0));
}

#[test]
fn a_run_ends_with_its_time_and_with_a_signal() {
    let (_model, mut a, mut b) = pipe();
    let config = VerifyConfig { frames: 1_000_000, ..VerifyConfig::default() };
    let limit = Some(Duration::from_millis(5));
    let report = drive(&config, &mut a, &mut b, limit, || false).unwrap();
    assert!(report.submitted < 100_000 && report.right == report.submitted, "{report:?}");
    let (_model, mut a, mut b) = pipe();
    let report = drive(&config, &mut a, &mut b, None, || true).unwrap();
    assert_eq!((report.submitted, report.is_right()), (0, false));
}

#[test]
fn an_interface_that_goes_away_is_said() {
    let (model, mut a, mut b) = pipe();
    model.remove();
    let failure = drive(&VerifyConfig::default(), &mut a, &mut b, None, || false).unwrap_err();
    assert!(!failure.to_string().is_empty());
}

#[test]
fn what_came_wrong_and_what_never_came_are_told_apart() {
    let [from, to] = ["netmap:e1", "netmap:e2"].map(|name| name.parse().unwrap());
    let silent = Report { submitted: 9, missing: 9, ..Report::default() };
    assert!(said::wrong(&silent, &from, &to).contains("none of 9 frames from netmap:e1 came"));
    let findings = vec![simoom_port_conformance::verify::Finding::NotSent { number: 3 }];
    let wrong = Report { right: 5, wrong: 7, findings, ..Report::default() };
    let said = said::wrong(&wrong, &from, &to);
    assert!(said.contains("frame 3: ") && said.ends_with("and 6 more"), "{said}");
}

#[test]
fn the_completion_policy_is_that_of_the_hold() {
    assert_eq!(completion_of(40, 255), CompletionPolicy::AtSent);
    assert_eq!(completion_of(128, 255), CompletionPolicy::HalfRing);
    assert_eq!(completion_of(255, 255), CompletionPolicy::WholeRing);
}
