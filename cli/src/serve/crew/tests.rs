//! Threads that serve nothing: what becomes of the others.

use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

type Log = Arc<Mutex<Vec<String>>>;

fn note(log: &Log, text: impl Into<String>) {
    log.lock().unwrap().push(text.into());
}

/// Says that it is dropped, as a port gives everything back.
struct Device(Log, String);

impl Drop for Device {
    fn drop(&mut self) {
        note(&self.0, format!("{} is given back", self.1));
    }
}

/// A shard of the port that is named before the sign.
fn member(
    name: &str,
    log: &Log,
    serve: impl FnOnce(&Post) -> Option<Failure> + Send + 'static,
) -> Member {
    let device = Device(Arc::clone(log), name.into());
    Member {
        name: name.into(),
        port: name.split('-').next().unwrap().into(),
        core: None,
        open: Box::new(move |post| {
            note(&device.0, format!("{} is open", device.1));
            Ok(Box::new(move || {
                let failure = serve(&post);
                let mut report = Report::new(failure);
                report.summary = format!("{}: its summary\n", device.1);
                report.counted.requests = 1;
                report
            }))
        }),
    }
}

fn until(stop: &StopFlag) -> impl FnOnce(&Post) -> Option<Failure> + Send + use<> {
    let stop = stop.clone();
    move |_| {
        while !stop.is_raised() {
            thread::yield_now();
        }
        None
    }
}

fn fails() -> Option<Failure> {
    Some(Failure::new(Kind::Runtime, "the cable was eaten"))
}

/// Serves; what was said, and what came of it. `on_say` sees each text first.
fn serve(
    members: Vec<Member>,
    stop: &StopFlag,
    mut on_say: impl FnMut(&str),
) -> (Vec<String>, Result<(), Failure>) {
    let mut said = Vec::new();
    let crew = Crew::open(members, stop).unwrap();
    let done = crew.serve(&mut |text| {
        on_say(text);
        said.push(text.to_string());
    });
    (said, done)
}

#[test]
fn shard_that_fails_is_said_at_once_and_the_others_go_on_until_the_signal() {
    let (log, stop) = (Log::default(), StopFlag::new().unwrap());
    let members = vec![
        member("p-0", &log, until(&stop)),
        member("p-1", &log, |_| fails()),
        member("q", &log, until(&stop)),
    ];
    let (said, done) = serve(members, &stop, |text| {
        if text.contains("serves no more") {
            assert!(!stop.is_raised(), "nobody ended the others");
            stop.raise();
        }
    });
    assert_eq!(said[0], "simoom: p-1 serves no more, 2 others go on: the cable was eaten\n");
    let failure = done.unwrap_err();
    assert_eq!(failure.kind(), Kind::Runtime);
    assert_eq!(failure.to_string(), "1 of 3 shards ended by a failure, said above");
    let summaries: Vec<_> = said.iter().filter(|text| text.contains("its summary")).collect();
    assert_eq!(summaries, ["p-0: its summary\n", "p-1: its summary\n", "q: its summary\n"]);
    let skew = said.iter().find(|text| text.contains("largest over mean")).unwrap();
    assert!(skew.starts_with("p: 2 requests"), "{skew}");
    assert!(said.last_chunk().is_some_and(|[all, end]: &[String; 2]| {
        all.starts_with("all ports: 0 connections, 3 requests") && end == "\n"
    }));
}

#[test]
fn when_all_have_failed_it_ends_by_itself() {
    let (log, stop) = (Log::default(), StopFlag::new().unwrap());
    let members = (0..4).map(|n| member(&format!("p-{n}"), &log, |_| fails())).collect();
    let (said, done) = serve(members, &stop, |_| {});
    assert!(!stop.is_raised());
    assert!(said[2].contains("serves no more, 1 other goes on"), "{said:?}");
    assert!(said[3].contains("serves no more, none is left"), "{said:?}");
    assert!(done.unwrap_err().to_string().starts_with("4 of 4 shards"));
}

#[test]
fn only_shard_that_fails_is_the_programs_last_word() {
    let (log, stop) = (Log::default(), StopFlag::new().unwrap());
    let (said, done) = serve(vec![member("p", &log, |_| fails())], &stop, |_| {});
    assert_eq!(said, ["p: its summary\n"]);
    assert_eq!(done.unwrap_err().to_string(), "the cable was eaten");
}

#[test]
fn port_that_cannot_be_had_gives_back_those_before_it_and_none_has_served() {
    let (log, stop) = (Log::default(), StopFlag::new().unwrap());
    let never = || |_: &Post| panic!("it was not let go");
    let refused = Member {
        open: Box::new(|_| Err(Failure::new(Kind::Taken, "somebody has it"))),
        ..member("q", &log, never())
    };
    let members = vec![
        member("p-0", &log, never()),
        member("p-1", &log, never()),
        refused,
        member("r", &log, never()),
    ];
    let Err(failure) = Crew::open(members, &stop) else { panic!("it was opened") };
    assert_eq!((failure.kind(), failure.to_string().as_str()), (Kind::Taken, "somebody has it"));
    let log = log.lock().unwrap();
    let opened: Vec<_> = log.iter().filter(|line| line.ends_with("open")).collect();
    assert_eq!(opened, ["p-0 is open", "p-1 is open"]);
    for name in ["p-0", "p-1"] {
        assert!(log.contains(&format!("{name} is given back")), "{log:?}");
    }
}

#[test]
fn core_that_cannot_be_had_is_a_failure_to_open() {
    let (log, stop) = (Log::default(), StopFlag::new().unwrap());
    let far = Member { core: Some(1 << 20), ..member("p", &log, |_| None) };
    let Err(failure) = Crew::open(vec![far], &stop) else { panic!("it was opened") };
    assert!(failure.to_string().contains("kept on core 1048576"), "{failure}");
}

#[test]
fn panic_lets_the_others_put_their_devices_back_and_goes_on_upwards() {
    let (log, stop) = (Log::default(), StopFlag::new().unwrap());
    let members = vec![
        member("p-0", &log, until(&stop)),
        member("p-1", &log, |_| panic!("p-1 is broken")),
        member("p-2", &log, until(&stop)),
    ];
    let crew = Crew::open(members, &stop).unwrap();
    let caught = catch_unwind(AssertUnwindSafe(|| crew.serve(&mut |_| {})));
    let panic = caught.expect_err("it goes on upwards");
    assert_eq!(panic.downcast_ref(), Some(&"p-1 is broken"));
    for n in 0..3 {
        assert!(log.lock().unwrap().contains(&format!("p-{n} is given back")), "{n}");
    }
}

#[test]
fn panic_while_opening_ends_those_that_are_open() {
    let (log, stop) = (Log::default(), StopFlag::new().unwrap());
    let broken =
        Member { open: Box::new(|_| panic!("cannot open")), ..member("p-1", &log, |_| None) };
    let members = vec![member("p-0", &log, |_| None), broken];
    let caught = catch_unwind(AssertUnwindSafe(|| Crew::open(members, &stop)));
    assert!(caught.is_err());
    assert!(log.lock().unwrap().contains(&"p-0 is given back".to_string()));
}

#[test]
fn line_of_counters_is_one_a_port_once_all_its_shards_have_told() {
    let (log, stop) = (Log::default(), StopFlag::new().unwrap());
    let tells = |requests: &'static [u64]| {
        move |post: &Post| {
            for &requests in requests {
                post.counted(Snapshot { requests, connections: 2, ..Snapshot::default() });
            }
            None
        }
    };
    // The second tells after the first has ended: those that are gone are not waited for.
    let (ended, wait) = mpsc::channel::<()>();
    let first = move |post: &Post| {
        let told = tells(&[30, 70])(post);
        drop(ended);
        told
    };
    let second = move |post: &Post| {
        assert!(wait.recv().is_err());
        tells(&[10, 10])(post)
    };
    let (said, done) =
        serve(vec![member("p-0", &log, first), member("p-1", &log, second)], &stop, |_| {});
    assert!(done.is_ok());
    let lines: Vec<_> = said.iter().filter(|text| text.contains(" turns")).collect();
    assert!(lines[0].starts_with("p: 2 connections, 30 requests, "), "{lines:?}");
    assert!(
        lines[0].contains("; most by p-0: 100.0 % of requests, 2.00 times the mean"),
        "{lines:?}"
    );
    assert!(lines[1].starts_with("p: 4 connections, 50 requests, "), "{lines:?}");
    assert!(
        lines[1].contains("; most by p-0: 80.0 % of requests, 1.60 times the mean"),
        "{lines:?}"
    );
    assert!(lines[2].starts_with("p: 4 connections, 0 requests, "), "{lines:?}");
    assert!(lines.iter().all(|line| line.ends_with('\n') && line.lines().count() == 1));
}
