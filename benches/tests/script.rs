//! The script is fair: both servers accept every frame of it and send the same answer, whole.

use simoom_benches::client::Script;
use simoom_benches::row::{Row, Stack};
use simoom_benches::run::{responses, simoom_of, smol_of};
use simoom_benches::subject::Subject;
use simoom_core::http::response::Status;
use simoom_core::wire::{self, Frame};
use std::process::Command;

/// The text of the answer that one turn sent, every checksum verified.
fn answer<S: Subject>(subject: S) -> (Vec<u8>, u64) {
    let mut script = Script::new(subject, 1_000);
    script.open(1);
    for _ in 0..16 {
        let done = script.keep_alive(1, 1, true, || (0, 0));
        assert_eq!((done.frames_in, done.frames_out), (8, 16));
    }
    script.stage_request();
    script.run_stage(0);
    let mut text = Vec::new();
    let mut frames = 0;
    script.subject.last_frames(&mut |bytes| {
        let Ok(Frame::Tcp(frame)) = wire::parse(bytes, true) else { panic!("a bad frame") };
        text.extend_from_slice(frame.tcp.payload);
        frames += 1;
    });
    (text, frames)
}

#[test]
fn both_servers_send_the_same_answer_in_sixteen_frames() {
    let expected = responses(Row::BASE.object_bytes, 1).remove(0);
    let (smol, smol_frames) = answer(smol_of(&Row { stack: Stack::Smoltcp, ..Row::BASE }));
    assert!(smol == expected, "smoltcp sends what it was given");
    let (mut simoom, simoom_frames) = answer(simoom_of(&Row::BASE));
    assert_eq!((smol_frames, simoom_frames), (16, 16));
    // What differs between answers is pinned per response: the date and the connection's fate.
    assert_eq!(simoom.len(), expected.len());
    for (at, len) in [(Status::Ok.date_at(), 29), (Status::Ok.connection_at(), 10)] {
        let field = usize::from(at)..usize::from(at) + len;
        simoom[field.clone()].copy_from_slice(&expected[field]);
    }
    assert!(simoom == expected, "simoom sends its object");
}

#[test]
fn every_name_of_a_row_reads_back() {
    let odd =
        "stack=smoltcp bytes=1 objects=2 open=3 active=1 set=moving mode=close checksums=false";
    for row in [Row::BASE, Row::parse(odd).unwrap(), Row::parse("content=copy pages=4KB").unwrap()]
    {
        assert_eq!(Row::parse(&row.name()).map(|r| r.name()), Some(row.name()));
    }
    assert_eq!(Row::parse("stack=linux"), None);
    assert_eq!(Row::parse("colour=blue"), None);
}

#[test]
fn a_row_is_one_object_with_every_column() {
    let output = Command::new(env!("CARGO_BIN_EXE_request_cost"))
        .args(["--json", "--quick", "--no-instructions", "--row", "bytes=1024"])
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let columns = [
        "stack",
        "object_bytes",
        "objects",
        "open",
        "active",
        "mode",
        "checksums",
        "content_mode",
        "memory",
        "ns",
        "instructions",
        "instructions_null_because",
        "allocations",
        "machine",
    ];
    for column in columns {
        assert_eq!(text.matches(&format!("\"{column}\":")).count(), 1, "{column} in {text}");
    }
    assert!(text.contains("\"allocations\":0.000"), "{text}");
    assert_eq!((text.matches('{').count(), text.matches('}').count()), (1, 1), "{text}");
}

#[test]
fn words_that_mean_nothing_are_refused() {
    for args in [&["--row", "stack=linux"][..], &["--speed"], &["--rows"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_request_cost")).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!output.stderr.is_empty());
    }
}
