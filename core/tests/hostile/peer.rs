//! A stack with a file server on a port in memory, and the far end of its wire. Frames are made
//! and read by hand here: the core's own writers and readers are what is tested.

use simoom_core::content::{self, ReadAt};
use simoom_core::port::Port;
use simoom_core::secrets::Secrets;
use simoom_core::server::bodies::pattern_fill;
use simoom_core::server::{
    Bodies, Catalogue, FileId, FileInfo, FileServer, MemoryBodies, ServerConfig,
};
use simoom_core::stack::app::App;
use simoom_core::stack::{Config, Deadline, Stack};
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::{self, Frame, MacAddr};
use simoom_port_conformance::vec_port::VecPort;

pub(crate) const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub(crate) const OUR_IP: [u8; 4] = [10, 66, 0, 2];
pub(crate) const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const PEER_IP: [u8; 4] = [10, 66, 0, 1];

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;

/// Name, bytes and pattern of what is served.
pub(crate) const FILES: [(&str, u64, u64); 3] =
    [("/small", 100, 3), ("/page", 22_000, 7), ("/big", 200_000, 9)];

/// Bodies that can be made to be late or gone.
#[derive(Clone)]
pub(crate) struct TestBodies {
    inner: MemoryBodies,
    pub(crate) answer: ReadAt,
}

impl Bodies for TestBodies {
    fn read_at(&mut self, file: FileId, offset: u64, out: &mut [u8]) -> ReadAt {
        match self.answer {
            ReadAt::Done => self.inner.read_at(file, offset, out),
            other => other,
        }
    }
}

/// A TCP segment, in the words of RFC 9293 §3.1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seg {
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

fn checksum(parts: &[&[u8]]) -> u16 {
    let mut total = 0u32;
    for part in parts {
        for pair in part.chunks(2) {
            total += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            total = (total & 0xffff) + (total >> 16);
        }
    }
    !(total as u16)
}

pub(crate) fn ethernet(dst: [u8; 6], src: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&dst[..], &src, &ethertype.to_be_bytes(), payload].concat()
}

/// An IPv4 packet; `fragment` is the word of flags and offset.
pub(crate) fn ipv4(
    src: [u8; 4],
    dst: [u8; 4],
    protocol: u8,
    fragment: u16,
    payload: &[u8],
) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend((20 + payload.len() as u16).to_be_bytes());
    header.extend([0, 7]);
    header.extend(fragment.to_be_bytes());
    header.extend([64, protocol, 0, 0]);
    header.extend(src);
    header.extend(dst);
    let sum = checksum(&[&header]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header.extend(payload);
    header
}

/// The segment's bytes with its checksum. Options must be a multiple of four bytes.
pub(crate) fn tcp(src: [u8; 4], dst: [u8; 4], seg: &Seg) -> Vec<u8> {
    let header_len = 20 + seg.options.len();
    let mut out = Vec::new();
    out.extend(seg.src_port.to_be_bytes());
    out.extend(seg.dst_port.to_be_bytes());
    out.extend(seg.seq.to_be_bytes());
    out.extend(seg.ack.to_be_bytes());
    out.extend([(header_len << 2) as u8, seg.flags]);
    out.extend(seg.window.to_be_bytes());
    out.extend([0; 4]);
    out.extend(&seg.options);
    out.extend(&seg.payload);
    let len = (out.len() as u16).to_be_bytes();
    let sum = checksum(&[&src, &dst, &[0, 6], &len, &out]);
    out[16..18].copy_from_slice(&sum.to_be_bytes());
    out
}

/// The segment as a frame from the peer to us.
pub(crate) fn frame(seg: &Seg) -> Vec<u8> {
    frame_from(PEER_IP, seg)
}

pub(crate) fn frame_from(src: [u8; 4], seg: &Seg) -> Vec<u8> {
    ethernet(OUR_MAC, PEER_MAC, 0x0800, &ipv4(src, OUR_IP, 6, 0, &tcp(src, OUR_IP, seg)))
}

/// A frame with an 802.1Q tag put in.
pub(crate) fn tagged(frame: &[u8], vlan: u16) -> Vec<u8> {
    [&frame[..12], &[0x81, 0], &vlan.to_be_bytes(), &frame[12..]].concat()
}

pub(crate) fn arp(
    operation: u16,
    sender_mac: [u8; 6],
    sender: [u8; 4],
    target: [u8; 4],
) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4];
    packet.extend(operation.to_be_bytes());
    packet.extend(sender_mac);
    packet.extend(sender);
    packet.extend([0; 6]);
    packet.extend(target);
    ethernet([0xff; 6], sender_mac, 0x0806, &packet)
}

pub(crate) fn icmp(kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0];
    message.extend(rest);
    let sum = checksum(&[&message]);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    ethernet(OUR_MAC, PEER_MAC, 0x0800, &ipv4(PEER_IP, OUR_IP, 1, 0, &message))
}

/// Reads a frame that we sent, where it is TCP; checks addresses, lengths and both checksums.
pub(crate) fn read(frame: &[u8]) -> Option<Seg> {
    let word = |bytes: &[u8], at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let long = |bytes: &[u8], at| u32::from(word(bytes, at)) << 16 | u32::from(word(bytes, at + 2));
    assert!(frame.len() <= 1_514 && frame[6..12] == OUR_MAC, "a frame of ours");
    if word(frame, 12) != 0x0800 {
        return None;
    }
    let ip = &frame[14..];
    assert_eq!((ip[0], usize::from(word(ip, 2))), (0x45, ip.len()), "IPv4 lengths");
    assert_eq!(checksum(&[&ip[..20]]), 0, "IPv4 checksum");
    assert_eq!(ip[12..16], OUR_IP, "our address");
    if ip[9] != 6 {
        return None;
    }
    let tcp = &ip[20..];
    let len = (tcp.len() as u16).to_be_bytes();
    assert_eq!(checksum(&[&ip[12..20], &[0, 6], &len, tcp]), 0, "TCP checksum");
    let header_len = usize::from(tcp[12] >> 4) * 4;
    Some(Seg {
        src_port: word(tcp, 0),
        dst_port: word(tcp, 2),
        seq: long(tcp, 4),
        ack: long(tcp, 8),
        flags: tcp[13],
        window: word(tcp, 14),
        options: tcp[20..header_len].to_vec(),
        payload: tcp[header_len..].to_vec(),
    })
}

/// A connection as the peer sees it. Answers nothing by itself.
#[derive(Clone, Debug)]
pub(crate) struct Conn {
    pub(crate) port: u16,
    /// Next number that the peer sends.
    pub(crate) seq: u32,
    /// Next number that the peer expects.
    pub(crate) ack: u32,
    /// In-order bytes received.
    pub(crate) got: Vec<u8>,
    /// Lengths of the segments that brought them.
    pub(crate) lens: Vec<usize>,
    pub(crate) fin: bool,
    pub(crate) reset: bool,
    /// What every segment carries: timestamps, or nothing.
    pub(crate) options: Vec<u8>,
}

impl Conn {
    pub(crate) fn seg(&self, flags: u8) -> Seg {
        Seg {
            src_port: self.port,
            dst_port: 80,
            seq: self.seq,
            ack: self.ack,
            flags,
            window: 65_535,
            options: self.options.clone(),
            ..Seg::default()
        }
    }

    /// Takes what is in order.
    fn take(&mut self, seg: &Seg) {
        self.reset |= seg.flags & RST != 0;
        if seg.seq == self.ack && seg.flags & (SYN | RST) == 0 {
            self.ack = self.ack.wrapping_add(seg.payload.len() as u32);
            self.got.extend(&seg.payload);
            if !seg.payload.is_empty() {
                self.lens.push(seg.payload.len());
            }
            if seg.flags & FIN != 0 {
                self.ack = self.ack.wrapping_add(1);
                self.fin = true;
            }
        }
    }
}

pub(crate) struct Net {
    pub(crate) stack: Stack<FileServer<TestBodies>>,
    pub(crate) port: VecPort,
    pub(crate) now: Instant,
    pub(crate) deadline: Option<Deadline>,
    /// Frames that arrived, and those of them that may come to no counter of their own.
    arrived: u64,
    uncounted_max: u64,
    receive_buffers: usize,
}

pub(crate) fn config() -> Config {
    Config {
        connections_max: 8,
        half_open_max: 4,
        receive_buffers: 2,
        neighbours_max: 8,
        content: content::Config { reserve: 8, runs_max: 8, ..content::Config::default() },
        ..Config::new(MacAddr(OUR_MAC), OUR_IP.into(), 24)
    }
}

impl Net {
    pub(crate) fn new(config: Config, port: VecPort) -> Self {
        let mut bodies = TestBodies { inner: MemoryBodies::new(), answer: ReadAt::Done };
        let mut catalogue = Catalogue::builder(0);
        for (path, len, seed) in FILES {
            let file = bodies.inner.add_pattern(seed, len);
            let (content_type, modified, version) = ("text/plain", 0, 1);
            catalogue
                .add_file(FileInfo { path, content_type, modified, version, len, file })
                .expect("a good path");
        }
        let app = FileServer::new(catalogue.build(), bodies, ServerConfig::default());
        Self {
            receive_buffers: config.receive_buffers as usize,
            stack: Stack::new(config, Secrets::new([1, 2, 3, 4]), port.caps(), app),
            port,
            now: Instant::from_nanos(1_000_000_000),
            deadline: None,
            arrived: 0,
            uncounted_max: 0,
        }
    }

    pub(crate) fn bodies(&mut self) -> &mut TestBodies {
        self.stack.app_mut().content().bodies_mut()
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// A frame arrives; it is processed in the next turn.
    pub(crate) fn send(&mut self, frame: &[u8]) {
        self.arrived += 1;
        // Segments to connections that are there, accepted SYNs, and ARP without a question.
        let passes = matches!(wire::parse(frame, true), Ok(Frame::Tcp(_) | Frame::Arp { .. }));
        self.uncounted_max += u64::from(passes);
        self.port.arrive(frame);
    }

    /// One turn; what left. Everything that must hold between two turns is checked.
    pub(crate) fn turn(&mut self) -> Vec<Vec<u8>> {
        let Ok(deadline) = self.stack.turn(self.now, &mut self.port);
        self.deadline = deadline;
        self.port.work();
        self.check();
        let out = self.port.take_wire();
        out.iter().for_each(|frame| drop(read(frame)));
        out
    }

    /// Turns until nothing leaves and no work is left; what left.
    pub(crate) fn settle(&mut self) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for _ in 0..1_000 {
            let out = self.turn();
            let idle =
                out.is_empty() && self.deadline.is_none_or(|deadline| deadline.at > self.now);
            all.extend(out);
            if idle {
                assert_eq!(self.stack.stats().frames_in, self.arrived, "all were received");
                return all;
            }
        }
        panic!("the stack does not come to rest: {:?}", self.deadline);
    }

    /// The same; what left of TCP.
    pub(crate) fn segments(&mut self) -> Vec<Seg> {
        self.settle().iter().filter_map(|frame| read(frame)).collect()
    }

    pub(crate) fn check(&self) {
        let (stack, stats) = (&self.stack, self.stack.stats());
        stack.audit().expect("what holds between two turns");
        assert!(stack.connections() <= stack.config().connections_max);
        assert!(stack.half_open() <= stack.config().half_open_max.min(stack.connections()));
        assert!(stack.receive_buffers_lent() <= self.receive_buffers);
        assert_eq!(self.port.census().caller, stack.buffers_held(), "no buffer is lost");
        assert!(stats.frames_in <= self.arrived && self.port.overflows() == 0);
        let counted = stats.rx_malformed
            + stats.rx_bad_checksum
            + stats.rx_not_ours
            + stats.rx_other
            + stats.rx_no_connection
            + stats.rx_for_host
            + stats.syn_table_full
            + stats.syn_half_open_full
            + stats.arp_replies
            + stats.echo_replies
            + stats.replies_full;
        assert!(counted <= stats.frames_in, "no frame counts twice: {stats:?}");
        assert!(stats.frames_in - counted <= self.uncounted_max, "each frame counts: {stats:?}");
    }

    /// A SYN with these options, and what it brought.
    pub(crate) fn syn(&mut self, port: u16, options: &[u8]) -> Option<Conn> {
        let syn = Seg {
            src_port: port,
            dst_port: 80,
            seq: 1_000,
            flags: SYN,
            window: 65_535,
            options: options.to_vec(),
            ..Seg::default()
        };
        self.send(&frame(&syn));
        let answer = self
            .segments()
            .into_iter()
            .find(|seg| seg.dst_port == port && seg.flags == SYN | ACK && seg.ack == 1_001)?;
        let ack = answer.seq.wrapping_add(1);
        // Where timestamps were agreed on, ours stands still and theirs is echoed.
        let stamps = answer.options.windows(2).position(|kind| kind == [8, 10]);
        let options = stamps.map_or(Vec::new(), |at| {
            [&[1, 1, 8, 10, 0, 0, 0, 77], &answer.options[at + 2..at + 6]].concat()
        });
        let (got, lens) = (Vec::new(), Vec::new());
        Some(Conn { port, seq: 1_001, ack, got, lens, fin: false, reset: false, options })
    }

    /// The whole handshake, with an MSS.
    pub(crate) fn open(&mut self, port: u16, mss: u16) -> Conn {
        let [high, low] = mss.to_be_bytes();
        let conn = self.syn(port, &[2, 4, high, low]).expect("SYN is answered");
        self.send(&frame(&conn.seg(ACK)));
        self.settle();
        conn
    }

    pub(crate) fn request(&mut self, conn: &mut Conn, path: &str) {
        let payload = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
        let seg = Seg { payload, ..conn.seg(ACK | PSH) };
        conn.seq = conn.seq.wrapping_add(seg.payload.len() as u32);
        self.send(&frame(&seg));
    }

    /// One exchange: takes what came, acknowledges it.
    pub(crate) fn exchange(&mut self, conn: &mut Conn) -> usize {
        let before = conn.got.len();
        let port = conn.port;
        for seg in self.segments().iter().filter(|seg| seg.dst_port == port) {
            conn.take(seg);
        }
        if conn.got.len() > before {
            self.send(&frame(&conn.seg(ACK)));
        }
        conn.got.len() - before
    }

    /// Takes what comes until nothing does.
    pub(crate) fn drain(&mut self, conn: &mut Conn) {
        while self.exchange(conn) > 0 {}
    }

    /// Fetches a file over a connection and compares it.
    pub(crate) fn fetch(&mut self, conn: &mut Conn, path: &str) {
        conn.got.clear();
        self.request(conn, path);
        self.drain(conn);
        check_answer(&conn.got, path);
    }

    /// Lets time pass, from deadline to deadline, until no connection is left.
    pub(crate) fn outlive(&mut self) {
        let end = self.now + Duration::from_secs(4 * 3_600);
        while self.stack.connections() > 0 {
            self.turn();
            if let Some(deadline) = self.deadline {
                self.now = self.now.max(deadline.at);
            } else {
                assert_eq!(self.stack.connections(), 0, "connections without a deadline");
            }
            assert!(self.now < end, "connections that nobody uses stay for ever");
        }
    }

    /// Shuts down; every buffer must come home.
    pub(crate) fn end(mut self) {
        self.settle();
        let Ok(()) = self.stack.shut_down(self.now, &mut self.port);
        self.port.work();
        self.turn();
        // Copies that were away have come home since.
        let Ok(()) = self.stack.shut_down(self.now, &mut self.port);
        assert_eq!((self.stack.connections(), self.stack.half_open()), (0, 0));
        assert_eq!(self.stack.receive_buffers_lent(), 0);
        assert_eq!(self.port.census().caller, 0);
    }
}

/// Compares an answer with the file.
pub(crate) fn check_answer(got: &[u8], path: &str) {
    let (_, len, seed) = *FILES.iter().find(|file| file.0 == path).expect("a file");
    assert!(
        got.starts_with(b"HTTP/1.1 200 "),
        "{:?}",
        String::from_utf8_lossy(&got[..got.len().min(80)])
    );
    let head = got.windows(4).position(|w| w == b"\r\n\r\n").expect("a whole head") + 4;
    let mut expected = vec![0; len as usize];
    pattern_fill(seed, 0, &mut expected);
    assert!(got[head..] == expected[..], "the body of {path}, {} bytes", got.len() - head);
}
