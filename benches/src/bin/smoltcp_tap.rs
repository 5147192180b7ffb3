//! smoltcp as an HTTP server over a TAP device: the peer that `simoom serve` is measured beside in
//! `benches/tap.sh`.
//!
//! `smoltcp_tap --tap NAME --addr ADDR/LEN FILE` answers every GET on port 80 with the bytes of
//! FILE and keeps the connection. The interface is joined, or made without an address: the host's
//! end is for `ip` to address and bring up. Ends by a signal.
//!
//! What it is given where there was a choice: whole answers in memory, each handed over as one
//! slice; buffers for two of them, so that no answer waits for the last acknowledgement of the one
//! before; more sockets than the script has connections; no Nagle, no congestion controller and no
//! timestamps (its defaults), so that an answer leaves at once and in as few segments as it can;
//! frames are read until there are none before any is answered.

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Device, Medium, TunTapInterface};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, Ipv4Cidr};
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

/// Locally administered, and none that `simoom serve` would choose for itself.
const MAC: EthernetAddress = EthernetAddress([0x02, 0, 0, 0, 0, 1]);
const PORT: u16 = 80;
/// Connections at once. The script opens 256; those that it just closed need not be gone.
const SOCKETS: usize = 300;
/// Bytes of a request head, at most; also the receive window. The script's have about 50.
const HEAD_MAX: usize = 4_096;
/// Where a head ends.
const BLANK_LINE: &[u8] = b"\r\n\r\n";

struct Args {
    tap: String,
    addr: Ipv4Cidr,
    file: PathBuf,
}

fn main() -> ExitCode {
    let done = parse_args().and_then(|args| {
        let body = fs::read(&args.file)
            .map_err(|e| format!("cannot read {}: {e}", args.file.display()))?;
        serve(&args, &body)
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("smoltcp_tap: {message}");
            ExitCode::FAILURE
        }
    }
}

fn parse_args() -> Result<Args, String> {
    let (mut tap, mut addr, mut file) = (None, None, None);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            // An interface's name has a terminating zero in 16 bytes.
            "--tap" => tap = Some(value()?).filter(|name| (1..16).contains(&name.len())),
            "--addr" => {
                let text = value()?;
                let parsed = Ipv4Cidr::from_str(&text);
                addr = Some(parsed.map_err(|_| format!("{text:?}: write it as 10.66.0.2/24"))?);
            }
            _ => file = Some(PathBuf::from(word)),
        }
    }
    match (tap, addr, file) {
        (Some(tap), Some(addr), Some(file)) => Ok(Args { tap, addr, file }),
        _ => Err("usage: smoltcp_tap --tap NAME --addr ADDR/LEN FILE".into()),
    }
}

/// Serves until a signal ends the process, or the device fails.
fn serve(args: &Args, body: &[u8]) -> Result<(), String> {
    let failed = |e: io::Error| format!("tap:{}: {e}", args.tap);
    let clock = Clock::start();
    let mut device = TunTapInterface::new(&args.tap, Medium::Ethernet).map_err(failed)?;
    let fd = device.as_raw_fd();
    let mut interface = Interface::new(Config::new(MAC.into()), &mut device, clock.now());
    interface.update_ip_addrs(|addrs| addrs.push(args.addr.into()).expect("room for one address"));
    let mut server = Server::new(body);
    println!(
        "serving {} bytes on http://{}/ through {}",
        body.len(),
        args.addr.address(),
        args.tap
    );
    io::stdout().flush().map_err(|e| e.to_string())?;
    loop {
        server.turn(clock.now(), &mut interface, &mut device);
        let now = clock.now();
        let delay = interface.poll_delay(now, &server.sockets);
        if delay.is_none_or(|delay| delay.total_micros() > 0) {
            match phy::wait(fd, delay) {
                Err(e) if e.kind() != io::ErrorKind::Interrupted => return Err(failed(e)),
                _ => (),
            }
        }
    }
}

/// Monotonic time, which smoltcp takes as an argument.
struct Clock(std::time::Instant);

#[allow(clippy::disallowed_methods, reason = "a live peer runs in real time")]
impl Clock {
    fn start() -> Self {
        Self(std::time::Instant::now())
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.0.elapsed().as_micros() as i64)
    }
}

/// All sockets, and the one answer.
struct Server {
    sockets: SocketSet<'static>,
    handles: Vec<SocketHandle>,
    /// Head and body.
    response: Vec<u8>,
}

impl Server {
    fn new(body: &[u8]) -> Self {
        let mut response = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        response.extend_from_slice(body);
        let tx_bytes = (2 * response.len()).next_power_of_two();
        let mut sockets = SocketSet::new(Vec::with_capacity(SOCKETS));
        let handles = (0..SOCKETS)
            .map(|_| {
                let rx = tcp::SocketBuffer::new(vec![0; HEAD_MAX]);
                let tx = tcp::SocketBuffer::new(vec![0; tx_bytes]);
                let mut socket = tcp::Socket::new(rx, tx);
                // As it is by default where no other package asks for its controllers.
                socket.set_congestion_control(tcp::CongestionControl::None);
                socket.set_nagle_enabled(false);
                socket.listen(PORT).expect("a new socket is closed");
                sockets.add(socket)
            })
            .collect();
        Self { sockets, handles, response }
    }

    /// Takes what came, answers it, sends.
    fn turn(&mut self, now: Instant, interface: &mut Interface, device: &mut impl Device) {
        interface.poll(now, device, &mut self.sockets);
        let mut answered = false;
        for &handle in &self.handles {
            answered |= answer(self.sockets.get_mut(handle), &self.response);
        }
        if answered {
            interface.poll(now, device, &mut self.sockets);
        }
    }
}

/// Answers whole requests while there is room for whole answers. Whether anything changed.
fn answer(socket: &mut tcp::Socket<'_>, response: &[u8]) -> bool {
    let has_room =
        |socket: &tcp::Socket<'_>| socket.send_capacity() - socket.send_queue() >= response.len();
    let mut changed = false;
    while socket.can_recv() && has_room(socket) {
        // Copied, because a head may lie across the end of the ring.
        let mut head = [0; HEAD_MAX];
        let len = socket.peek_slice(&mut head).unwrap_or(0);
        let Some(end) = head[..len].windows(BLANK_LINE.len()).position(|w| w == BLANK_LINE) else {
            if len == HEAD_MAX {
                socket.abort();
                changed = true;
            }
            break;
        };
        let taken = end + BLANK_LINE.len();
        assert_eq!(socket.recv_slice(&mut head[..taken]), Ok(taken));
        if !head.starts_with(b"GET ") {
            socket.abort();
            return true;
        }
        assert_eq!(socket.send_slice(response), Ok(response.len()), "there is room for it");
        changed = true;
    }
    match socket.state() {
        // No further whole request can come. What is in the buffer goes before the FIN.
        tcp::State::CloseWait if !socket.can_recv() || has_room(socket) => socket.close(),
        tcp::State::Closed => socket.listen(PORT).expect("the socket is closed"),
        _ => return changed,
    }
    true
}
