//! A deterministic simulator of hosts, NICs and lossy links, where the stack is proven.
//!
//! This crate may not read a clock or draw from the system's randomness: one [`seed::Seed`]
//! decides everything, and the same seed gives the same [`hash::EventHash`] on every machine.
//! A world of the stack's own hosts is plain data and can be cloned at any event.
//!
//! # A test in a dozen lines
//!
//! A [`lab::Lab`] is a world with defaults. This one has a file server and a client that fetches a page
//! fifty times over a link that loses one frame in a hundred, each way. Every byte is compared, and after
//! every event the [`oracle`]s look for what must never happen; [`check::check`] repeats it for twenty
//! seeds.
//!
//! ```
//! use simoom_sim::lab::{Chance, Duration, Lab, LinkConfig, check};
//!
//! # // In a test of your own this is a `#[test]`.
//! check(0..20, |seed| {
//!     let mut lab = Lab::new(seed);
//!     let server = lab.serve(&[("/page", 22_000)]);
//!     let client = lab.fetch(server, "/page", 50);
//!     lab.join(client, server, LinkConfig { loss: Chance::ppm(10_000), ..LinkConfig::default() });
//!     let seen = lab.run().unwrap();
//!     assert_eq!(seen[client].stats().succeeded, 50);
//!     assert!(seen.goodput(server) > 1e6, "a megabit a second at least");
//!     assert!(seen.retransmissions(server) < 40, "of about 800 segments");
//!     let slowest = seen.completion_times(client).into_iter().max();
//!     assert!(slowest < Some(Duration::from_secs(3)));
//! });
//! ```
//!
//! Have dependencies optimised in tests too, which makes this ten times as fast: in `Cargo.toml`,
//! `opt-level = 3` under `[profile.dev.package."*"]`.
//!
//! What can be asserted on is in [`lab::Seen`]: bytes, goodput, completion times, retransmissions, the
//! congestion window over time, the digest of all events. The wire is counted for every host
//! ([`observe::FlowStats`]); our own stacks tell besides why they sent each segment
//! ([`observe::Probe`]); [`observe::Timeline`] keeps every segment, for drawing.
//!
//! # A protocol of your own
//!
//! HTTP is one application of several. This one answers every line with its length. Bytes
//! stay with the application until they are acknowledged, since it may be asked for them again; [`lab::Lab::talk`] is a client for any protocol.
//!
//! ```
//! use simoom_sim::lab::{Chance, Lab, LinkConfig, check};
//! use simoom_sim::simoom_core::content::NoContent;
//! use simoom_sim::simoom_core::stack::app::{App, CloseReason, Cx, Peer, Source};
//!
//! #[derive(Default)]
//! struct Lengths {
//!     lines: u64,
//!     /// Of each connection, the answers not yet acknowledged, and the stream offset of the first.
//!     answers: Vec<(Vec<u8>, u64)>,
//!     content: NoContent,
//! }
//!
//! impl App for Lengths {
//!     type Conn = usize; // Which of `answers`.
//!     type Content = NoContent; // Nothing prepared: it makes its bytes itself.
//!
//!     fn content(&mut self) -> &mut NoContent {
//!         &mut self.content
//!     }
//!
//!     fn on_open(&mut self, _cx: &mut Cx<'_>, _peer: Peer) -> usize {
//!         self.answers.push((Vec::new(), 0));
//!         self.answers.len() - 1
//!     }
//!
//!     fn on_bytes(&mut self, _cx: &mut Cx<'_>, conn: &mut usize, bytes: &[u8]) -> usize {
//!         // What is not a whole line is not taken: it is shown again with what follows.
//!         let taken = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
//!         for line in bytes[..taken].split_inclusive(|byte| *byte == b'\n') {
//!             self.answers[*conn].0.extend(format!("{}\n", line.len() - 1).bytes());
//!             self.lines += 1;
//!         }
//!         taken
//!     }
//!
//!     // May be asked for the same offset again: a retransmission is no concern of the application.
//!     fn source(&mut self, conn: &usize, at: u64, _max: u32) -> Source<'_> {
//!         let (bytes, start) = &self.answers[*conn];
//!         match &bytes[(at - start) as usize..] {
//!             [] => Source::Pending,
//!             bytes => Source::Bytes { bytes, fin: false },
//!         }
//!     }
//!
//!     fn on_acked(&mut self, _cx: &mut Cx<'_>, conn: &mut usize, upto: u64) {
//!         let (bytes, start) = &mut self.answers[*conn];
//!         let done = ((upto - *start) as usize).min(bytes.len());
//!         bytes.drain(..done);
//!         *start += done as u64;
//!     }
//!
//!     fn on_close(&mut self, _conn: usize, _why: CloseReason) {}
//! }
//!
//! check(0..20, |seed| {
//!     let mut lab = Lab::new(seed);
//!     let server = lab.host(Lengths::default());
//!     let client = lab.talk(server, "one\n\nthree\n".repeat(1000), "3\n0\n5\n".repeat(1000));
//!     let lossy = LinkConfig {
//!         loss: Chance::ppm(50_000),
//!         reorder: Chance::ppm(50_000),
//!         corrupt: Chance::ppm(20_000),
//!         ..LinkConfig::default()
//!     };
//!     lab.join(client, server, lossy);
//!     let seen = lab.run().unwrap();
//!     assert_eq!(seen[server].lines, 3000);
//!     assert_eq!(seen.delivered(server), 6000);
//! });
//! ```
//!
//! # A stack of your own
//!
//! Whatever takes frames and gives frames joins by the trait [`endpoint::Endpoint`]: a frame in, frames
//! out, a deadline. It need not be TCP, nor IP. This one sends numbers, each again until it is
//! acknowledged; the same type is the other end.
//!
//! ```
//! use simoom_sim::lab::{Chance, Duration, Endpoint, Instant, Lab, LinkConfig, check};
//!
//! #[derive(Default)]
//! struct StopAndWait {
//!     to_send: u8,
//!     next: u8,
//!     sent_at: Option<Instant>,
//!     ack: Option<u8>,
//!     came: Vec<u8>,
//! }
//!
//! const RETRY: Duration = Duration::from_millis(10);
//!
//! /// An Ethernet frame of the type for local experiments: D or A, and a number.
//! fn frame(kind: u8, number: u8) -> [u8; 60] {
//!     let mut frame = [0; 60];
//!     frame[12..16].copy_from_slice(&[0x88, 0xb5, kind, number]);
//!     frame
//! }
//!
//! impl Endpoint for StopAndWait {
//!     fn on_frame(&mut self, _now: Instant, frame: &[u8]) {
//!         match (frame[14], frame[15]) {
//!             (b'A', number) if number == self.next => {
//!                 self.next += 1;
//!                 self.sent_at = None;
//!             }
//!             (b'D', number) => {
//!                 // Acknowledged each time it comes, taken once.
//!                 self.ack = Some(number);
//!                 if self.came.last() != Some(&number) {
//!                     self.came.push(number);
//!                 }
//!             }
//!             _ => {}
//!         }
//!     }
//!
//!     fn poll(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
//!         if let Some(number) = self.ack.take() {
//!             out(&frame(b'A', number));
//!         }
//!         if self.next == self.to_send {
//!             return None;
//!         }
//!         if self.sent_at.is_none_or(|at| at + RETRY <= now) {
//!             out(&frame(b'D', self.next));
//!             self.sent_at = Some(now);
//!         }
//!         self.sent_at.map(|at| at + RETRY)
//!     }
//! }
//!
//! check(0..20, |seed| {
//!     let mut lab = Lab::new(seed);
//!     // The closure is told which address the lab has for the host: this protocol needs none.
//!     let one = lab.endpoint(|_| StopAndWait { to_send: 50, ..StopAndWait::default() });
//!     let other = lab.endpoint(|_| StopAndWait::default());
//!     lab.join(one, other, LinkConfig { loss: Chance::ppm(100_000), ..LinkConfig::default() });
//!     let seen = lab.run().unwrap(); // Without a client of the lab's: until nothing is to come.
//!     assert!(seen[other].came.iter().copied().eq(0..50));
//! });
//! ```
//!
//! smoltcp joins in the same way, with the feature `smoltcp`: `lab.fetch_smoltcp(…)` and
//! `lab.serve_smoltcp(…)` are another TCP at either end, over the same files; the module
//! `smoltcp_host` shows how little it takes.
//!
//! # When a test fails
//!
//! A failure prints the line that repeats its seed. Then the list of what went wrong on the links is
//! made smaller until nothing can be left out. Had the protocol above forgotten to acknowledge what comes
//! a second time, the test would say, below its panic:
//!
//! ```text
//! seed v1:0 failed; to repeat it:
//!     SIMOOM_SEED=v1:0 cargo test -p my-protocol every_number_arrives
//! making it smaller; SIMOOM_REDUCE=0 does without
//! of 5 faults 1 is enough (4 runs):
//!     drop frame 27 of link 0 backward
//! which ends with: 27 of 50 numbers arrived
//! to run with these alone:
//!     SIMOOM_SEED=v1:0 SIMOOM_FAULTS=0b:27:lost cargo test -p my-protocol every_number_arrives
//! ```
//!
//! For TCP it says which bytes of which connection the frame carried. [`check`](mod@check) has the rest:
//! the variables of the environment, what takes part, when it gives up.
//!
//! # Worlds of your own making
//!
//! A lab is a [`world::World`] with boxed hosts. Build the world itself where you want to fork it (a
//! world of our own hosts is plain data, and can be cloned at any event), where hosts are many, or for a
//! tap of your own.
//!
//! Read in this order: [`seed`] (chance), [`link`] (what happens to a frame on the way), [`fault`]
//! (what went wrong there, as a list that a run can be given), [`nic`] (the port that reads late),
//! [`endpoint`] (what a host is), [`world`] (the loop), [`oracle`] (what must never happen),
//! [`hash`] (what two runs are compared by), [`hosts`] (who can stand around a server), [`machine`]
//! (hosts with cores).
//!
//! ```
//! use simoom_sim::endpoint::EndpointHost;
//! use simoom_sim::link::LinkConfig;
//! use simoom_sim::seed::{Chance, Seed};
//! use simoom_sim::simoom_core::time::Duration;
//! use simoom_sim::world::World;
//! # use simoom_sim::endpoint::Endpoint;
//! # use simoom_sim::simoom_core::time::Instant;
//!
//! /// Sends one frame when the world starts, and counts what comes.
//! #[derive(Clone, Default)]
//! struct Hello(bool, u32);
//! # impl Endpoint for Hello {
//! #     fn on_frame(&mut self, _now: Instant, _frame: &[u8]) {
//! #         self.1 += 1;
//! #     }
//! #     fn poll(&mut self, _now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
//! #         if !std::mem::replace(&mut self.0, true) {
//! #             out(&[0xff; 60]);
//! #         }
//! #         None
//! #     }
//! # }
//!
//! let mut world = World::new(Seed(1));
//! let one = world.add_host(EndpointHost::new(Hello::default()));
//! let other = world.add_host(EndpointHost::new(Hello::default()));
//! let link = LinkConfig { duplicate: Chance::ALWAYS, ..LinkConfig::default() };
//! world.connect((one, 0), (other, 0), link, LinkConfig::default());
//! world.step().unwrap();
//! let mut fork = world.clone();
//! world.run_to_end().unwrap();
//! assert_eq!(world.host(other).endpoint.1, 2, "doubled on the way there");
//! assert_eq!(world.host(one).endpoint.1, 1, "and not on the way back");
//! fork.run_for(Duration::from_secs(1)).unwrap();
//! assert_eq!(fork.hash(), world.hash());
//! ```
#![forbid(unsafe_code)]

pub use simoom_core;

#[cfg(feature = "pcap")]
pub mod capture;
mod case;
pub mod check;
pub mod endpoint;
pub mod exhaust;
pub mod fault;
pub mod frames;
pub mod hash;
pub mod hosts;
pub mod lab;
pub mod link;
pub mod machine;
pub mod nic;
pub mod observe;
pub mod oracle;
pub mod panics;
pub mod port_host;
pub mod print;
pub mod queue;
pub mod seed;
#[cfg(feature = "smoltcp")]
pub mod smoltcp_host;
pub mod stack_host;
pub mod theory;
pub mod world;

#[cfg(feature = "marks")]
pub use simoom_core::marks;
#[cfg(feature = "mutants")]
pub use simoom_core::mutants;
