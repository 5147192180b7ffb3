//! The scripted client: frames, not a TCP. It knows what a right server will answer, so all frames
//! of a batch of requests are written before the batch is measured.
//!
//! Every frame is valid when it arrives: sequence and acknowledgement numbers, window, timestamps
//! (val and echo) and checksums. Every second segment is acknowledged; the last segments of an
//! answer by the next request, unless [`Script::ack_last`] says otherwise.

use crate::counting;
use crate::memory_port::HEADERS;
use crate::subject::{Clock, Stage, Subject, measured_region};
use simoom_core::seq::SeqNumber;
use simoom_core::wire::checksum::sum;
use simoom_core::wire::tcp::{SynOptions, TcpFlags, Timestamps};
use simoom_core::wire::{self, Frame, HeaderTemplate, MacAddr, TcpHeader, write_tcp_frame};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// The server's hardware address.
pub const SERVER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
/// The server's address; its subnet is 10.0.0.0/8.
pub const SERVER_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The hardware address of all clients.
pub const CLIENT_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

/// Bytes of text in a full segment: an MSS of 1460 less the timestamps.
pub const TEXT_MAX: u64 = 1_448;

/// Connections of one client address.
const PORTS: u32 = 50_000;
const FIRST_PORT: u32 = 10_000;

/// Connections that shake hands together: few enough for one turn.
const HANDSHAKES: usize = 31;

/// The address of client `n`.
pub fn client_ip(n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 1, 0, 1).to_bits() + n)
}

/// The client's end of connection `number`, counted from the first one opened.
pub fn client_end(number: u32) -> SocketAddrV4 {
    SocketAddrV4::new(client_ip(number / PORTS), (FIRST_PORT + number % PORTS) as u16)
}

/// The path of an object.
pub fn object_path(object: u32) -> String {
    format!("/o/{object:06}.html")
}

/// The object that a request asks for, from the digits in its path.
pub fn object_of_request(head: &[u8]) -> Option<u32> {
    let digits = head.strip_prefix(b"GET /o/")?.first_chunk::<6>()?;
    Some(digits.iter().fold(0, |n, b| n * 10 + u32::from(b - b'0')))
}

/// A connection as the client sees it.
#[derive(Clone, Copy, Debug, Default)]
struct Conn {
    /// Names its address and port.
    number: u32,
    snd_nxt: u32,
    /// The next octet of the server.
    rcv_nxt: u32,
    /// What the server's timestamp clock shows beyond the milliseconds of virtual time.
    ts_offset: u32,
    requests: u32,
}

/// A client of one server: its connections and the script being written.
pub struct Script<S> {
    /// The server.
    pub subject: S,
    /// Virtual time.
    pub clock: Clock,
    /// Whether the end of each answer is acknowledged at once, by a frame of its own.
    pub ack_last: bool,
    /// Segments from one acknowledgement to the next, once windows are open: 2 as RFC 9293 has it, 1
    /// for a client that is in a hurry, more for one whose interface merges segments.
    pub ack_every: u32,
    conns: Vec<Conn>,
    template: Vec<HeaderTemplate>,
    stages: Vec<Stage>,
    active: Vec<u32>,
    /// Virtual time at the current stage of what is being written: a lower bound.
    at: u64,
    /// When the answers under way were sent.
    sent_at: u64,
    next_number: u32,
    next_object: u32,
}

/// What a batch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Time in the measured region.
    pub time: Duration,
    /// Frames received by the server.
    pub frames_in: u64,
    /// Frames sent by it.
    pub frames_out: u64,
    /// Calls of the global allocator in the measured region, where it counts.
    pub allocations: u64,
    /// Regions entered: each adds what it costs to read the clock.
    pub regions: u32,
}

impl std::ops::AddAssign for Done {
    fn add_assign(&mut self, more: Self) {
        self.time += more.time;
        self.frames_in += more.frames_in;
        self.frames_out += more.frames_out;
        self.allocations += more.allocations;
        self.regions += more.regions;
    }
}

impl<S: Subject> Script<S> {
    /// A client without connections.
    pub fn new(subject: S, step_nanos: u64) -> Self {
        Self {
            subject,
            clock: Clock { now: 1_000_000_000, step: step_nanos },
            ack_last: false,
            ack_every: 2,
            conns: Vec::new(),
            template: (0..64)
                .map(|n| HeaderTemplate::new(CLIENT_MAC, None, client_ip(n), 64))
                .collect(),
            stages: Vec::new(),
            active: Vec::new(),
            at: 0,
            sent_at: 0,
            next_number: 0,
            next_object: 0,
        }
    }

    /// Opens connections. What it says about time and frames is the handshakes'.
    pub fn open(&mut self, count: u32) -> Done {
        let mut done = Done::default();
        let first = self.conns.len();
        self.conns.reserve(count as usize);
        for start in (first..first + count as usize).step_by(HANDSHAKES) {
            let end = (start + HANDSHAKES).min(first + count as usize);
            done += self.shake_hands(start, end);
            self.begin_script();
            for conn in start..end {
                self.push(conn, TcpFlags::ACK, 0, &[]);
            }
            self.end_stage(0);
            done += self.measure(0);
        }
        done
    }

    /// Receives any frames, up to 32 a turn.
    pub fn inject<'a>(&mut self, frames: impl IntoIterator<Item = &'a [u8]>) -> Done {
        self.begin_script();
        for frame in frames {
            self.subject.rx().push(frame);
        }
        self.end_stage(0);
        self.measure(0)
    }

    /// A frame of a connection with text that begins `ahead` octets beyond what is expected.
    pub fn frame(&mut self, conn: u32, flags: TcpFlags, ahead: u32, text: &[u8]) -> Vec<u8> {
        self.begin_script();
        let due = self.conns[conn as usize].snd_nxt;
        self.conns[conn as usize].snd_nxt = due.wrapping_add(ahead);
        self.push(conn as usize, flags, 0, text);
        self.conns[conn as usize].snd_nxt = due;
        self.subject.rx().release(1);
        let frame = self.subject.rx().pop().map(<[u8]>::to_vec);
        self.subject.rx().clear();
        frame.unwrap_or_default()
    }

    /// A SYN of a connection that does not exist, by number.
    pub fn syn(&mut self, number: u32) -> Vec<u8> {
        self.conns.push(Conn { number, ..Conn::default() });
        let frame = self.frame(self.conns.len() as u32 - 1, TcpFlags::SYN, 0, &[]);
        self.conns.pop();
        frame
    }

    /// Turns without frames until so much virtual time has passed.
    pub fn pass(&mut self, nanos: u64, turns: u32) -> Done {
        let mut done = Done::default();
        let step = std::mem::replace(&mut self.clock.step, nanos / u64::from(turns));
        self.begin_script();
        self.stages.push(Stage { frames_end: 0, active: (0, 0) });
        for _ in 0..turns {
            done += self.measure(0);
        }
        self.clock.step = step;
        done
    }

    /// Connections `start` to `end` send SYN and learn the server's numbers.
    fn shake_hands(&mut self, start: usize, end: usize) -> Done {
        self.conns.truncate(start);
        self.begin_script();
        for _ in start..end {
            let number = self.next_number;
            self.next_number = (number + 1) % (PORTS * 40);
            let snd_nxt = number.wrapping_mul(0x9e37_79b9);
            self.conns.push(Conn { number, snd_nxt, ..Conn::default() });
            self.push(self.conns.len() - 1, TcpFlags::SYN, 0, &[]);
        }
        self.end_stage(0);
        let done = self.measure(0);
        let first = self.conns[start].number;
        let now_ms = (self.clock.now / 1_000_000) as u32;
        let conns = &mut self.conns[start..end];
        let mut answered = 0;
        self.subject.last_frames(&mut |frame| {
            let Ok(Frame::Tcp(answer)) = wire::parse(frame, false) else { return };
            let number = number_of(answer.ip.dst, answer.tcp.dst_port);
            let syn_ack = TcpFlags::SYN | TcpFlags::ACK;
            let conn = conns.get_mut(number.wrapping_sub(first) as usize);
            if let (true, Some(conn)) = (answer.tcp.flags == syn_ack, conn) {
                conn.snd_nxt = conn.snd_nxt.wrapping_add(1);
                conn.rcv_nxt = answer.tcp.seq.0.wrapping_add(1);
                let val = answer.tcp.options.timestamps.map_or(0, |ts| ts.val);
                conn.ts_offset = val.wrapping_sub(now_ms);
                answered += 1;
            }
        });
        assert_eq!(answered, end - start, "a SYN without answer: {}", self.subject.diagnosis());
        done
    }

    /// One batch of requests, `active` at a time, each round on the next connections and objects
    /// of `pick`. Checks that the answers were sent once and whole.
    pub fn keep_alive(
        &mut self,
        rounds: u32,
        active: u32,
        warm: bool,
        mut pick: impl FnMut() -> (u32, u32),
    ) -> Done {
        self.begin_script();
        let mut text = 0;
        let mut chosen = Vec::with_capacity(active as usize);
        for _ in 0..rounds {
            chosen.clear();
            chosen.extend((0..active).map(|_| pick()));
            text += self.write_round(&chosen, warm, false);
        }
        self.measure(text)
    }

    /// Writes one request of the first connection and the acknowledgements of its answer, to be
    /// run by [`Script::run_stage`] stage by stage: 0 and 1.
    pub fn stage_request(&mut self) {
        // What was written before may not have been received to its end.
        for stage in 0..self.stages.len() {
            self.run_stage(stage);
        }
        self.begin_script();
        self.write_round(&[(0, 0)], false, false);
    }

    /// Runs one stage of what [`Script::stage_request`] wrote.
    pub fn run_stage(&mut self, stage: usize) {
        let stages = &self.stages[stage..=stage];
        measured_region(&mut self.subject, stages, &self.active, &mut self.clock);
    }

    /// One request on a connection of its own: SYN, request and FIN, the client's FIN first.
    pub fn close(&mut self, objects: u32) -> Done {
        let mut done = self.shake_hands(0, 1);
        let object = self.next_object;
        self.next_object = (object + 1) % objects;
        self.begin_script();
        self.push(0, TcpFlags::ACK, 0, &[]);
        let text = self.write_round(&[(0, object)], true, true);
        // The server's FIN takes a number.
        self.conns[0].rcv_nxt = self.conns[0].rcv_nxt.wrapping_add(1);
        self.push(0, TcpFlags::ACK, 0, &[]);
        self.active.push(0);
        self.end_stage(self.active.len() - 1);
        done += self.measure(text);
        done
    }

    /// Requests for (connection, object) that arrive together, and the acknowledgements of the
    /// answers: in one stage, or growing ones while the congestion window is small (`slow`).
    /// Answers how many bytes of text the server will send.
    fn write_round(&mut self, chosen: &[(u32, u32)], slow: bool, fin: bool) -> u64 {
        let active_start = self.active.len();
        self.active.extend(chosen.iter().map(|&(conn, _)| conn));
        let (mut text, mut longest) = (0, 0);
        let mut request = Vec::with_capacity(256);
        for &(conn, object) in chosen {
            request.clear();
            write_request(&mut request, object);
            self.push(conn as usize, TcpFlags::ACK | TcpFlags::PSH, 0, &request);
            let conn = &mut self.conns[conn as usize];
            conn.snd_nxt = conn.snd_nxt.wrapping_add(request.len() as u32);
            conn.requests += 1;
            let len = self.subject.response_len(object);
            text += len;
            longest = longest.max(len);
        }
        self.end_stage(active_start);
        let last = longest.div_ceil(TEXT_MAX);
        let every = if slow { 2 } else { u64::from(self.ack_every) };
        // Acknowledgements of segments 2, 4, … before the last. `sent` is what the congestion window
        // has let out: RFC 6928 at first, then two segments more for each batch of acknowledgements,
        // which is the least that RFC 5681 asks for.
        let (mut from, mut window) = (every, if slow { 10 } else { last });
        let mut sent = window;
        while from < last {
            let to = last.min(sent + 1);
            for &(conn, object) in chosen {
                let segments = self.subject.response_len(object).div_ceil(TEXT_MAX);
                for segment in (from..to.min(segments)).step_by(every as usize) {
                    self.push(conn as usize, TcpFlags::ACK, segment * TEXT_MAX, &[]);
                }
            }
            self.end_stage(active_start);
            let acks = (to - from).div_ceil(every);
            from += every * acks;
            window += 2;
            sent = from - 2 + window;
        }
        for &(conn, object) in chosen {
            let len = self.subject.response_len(object) as u32;
            let conn = &mut self.conns[conn as usize];
            conn.rcv_nxt = conn.rcv_nxt.wrapping_add(len);
        }
        if fin || self.ack_last {
            for &(conn, _) in chosen {
                let flags = if fin { TcpFlags::ACK | TcpFlags::FIN } else { TcpFlags::ACK };
                self.push(conn as usize, flags, 0, &[]);
                let conn = &mut self.conns[conn as usize];
                conn.snd_nxt = conn.snd_nxt.wrapping_add(u32::from(fin));
            }
            self.end_stage(active_start);
        }
        text
    }

    fn begin_script(&mut self) {
        self.subject.rx().clear();
        self.stages.clear();
        self.active.clear();
        self.at = self.clock.now + self.clock.step;
        self.sent_at = self.clock.now;
    }

    fn end_stage(&mut self, active_start: usize) {
        let frames_end = self.subject.rx().len();
        if self.stages.last().is_some_and(|stage| stage.frames_end == frames_end) {
            return;
        }
        self.stages.push(Stage { frames_end, active: (active_start, self.active.len()) });
        self.sent_at = self.at;
        self.at += self.clock.step;
    }

    /// Writes a frame; `beyond` is what is acknowledged beyond `rcv_nxt`.
    fn push(&mut self, conn: usize, flags: TcpFlags, beyond: u64, text: &[u8]) {
        let conn = &self.conns[conn];
        let is_syn = flags.contains(TcpFlags::SYN);
        let ms = |nanos: u64| (nanos / 1_000_000) as u32;
        let ack = if is_syn { 0 } else { conn.rcv_nxt.wrapping_add(beyond as u32) };
        let ecr = if is_syn { 0 } else { conn.ts_offset.wrapping_add(ms(self.sent_at)) };
        let header = TcpHeader {
            dst_mac: SERVER_MAC,
            dst_ip: SERVER_IP,
            src_port: (FIRST_PORT + conn.number % PORTS) as u16,
            dst_port: 80,
            seq: SeqNumber(conn.snd_nxt),
            ack: SeqNumber(ack),
            flags,
            window: u16::MAX,
            timestamps: Some(Timestamps { val: ms(self.at).wrapping_add(7_000), ecr }),
            syn: is_syn.then_some(SynOptions {
                mss: 1_460,
                window_scale: Some(7),
                sack_permitted: true,
            }),
        };
        let mut frame = [0; 512];
        let template = &self.template[(conn.number / PORTS) as usize];
        let start = write_tcp_frame(template, &mut frame, &header, text.len(), sum(text), false);
        frame[start..start + text.len()].copy_from_slice(text);
        debug_assert!(is_syn || start as u64 == HEADERS);
        self.subject.rx().push(&frame[..start + text.len()]);
    }

    #[allow(clippy::disallowed_methods, reason = "a bench measures time")]
    fn measure(&mut self, text: u64) -> Done {
        let before = self.subject.sent();
        let allocations = counting::allocations();
        let start = std::time::Instant::now();
        measured_region(&mut self.subject, &self.stages, &self.active, &mut self.clock);
        let time = start.elapsed();
        let allocations = counting::allocations() - allocations;
        let frames_in = self.subject.rx().len() as u64;
        let frames_out = self.subject.sent().0 - before.0;
        if text > 0 {
            self.check_text(before.1, text);
        }
        Done { time, frames_in, frames_out, allocations, regions: 1 }
    }

    /// Retransmissions and missing segments both show in the sum.
    fn check_text(&self, before: u64, expected: u64) {
        let sent = self.subject.sent().1 - before;
        assert_eq!(sent, expected, "bytes of answers sent: {}", self.subject.diagnosis());
    }
}

fn number_of(ip: Ipv4Addr, port: u16) -> u32 {
    (ip.to_bits() - client_ip(0).to_bits()) * PORTS + u32::from(port) - FIRST_PORT
}

/// A request as curl makes it.
fn write_request(out: &mut Vec<u8>, object: u32) {
    out.extend_from_slice(b"GET ");
    out.extend_from_slice(object_path(object).as_bytes());
    out.extend_from_slice(
        b" HTTP/1.1\r\nHost: 10.0.0.1\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n",
    );
}
