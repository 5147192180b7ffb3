//! The few questions and changes about interfaces that ports need, asked of the kernel by
//! rtnetlink(7): is there an interface, what is it, bring it up, give it an address.
//!
//! Messages are built and read as bytes, in the machine's own byte order. Acts in the network
//! namespace of the thread that opened it. Never on the packet path.

use crate::prefix::Ipv4Prefix;
use crate::sys;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;

const HEADER_LEN: usize = 16;
const LINK_LEN: usize = 16;
const ADDR_LEN: usize = 8;
/// A link's message carries statistics and driver details; the kernel answers within 32 KiB.
const REPLY_MAX: usize = 32 * 1024;

const DONE: u16 = libc::NLMSG_DONE as u16;
const ERROR: u16 = libc::NLMSG_ERROR as u16;
const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const ACK: u16 = libc::NLM_F_ACK as u16;
const DUMP: u16 = libc::NLM_F_DUMP as u16;
const CREATE_NEW: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
const UP: u32 = libc::IFF_UP as u32;

/// A conversation with the kernel.
#[derive(Debug)]
pub struct Netlink {
    socket: File,
    sequence: u32,
    reply: Box<[u8]>,
}

/// An interface as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The interface's number within its namespace. A name can be given anew; a number stays.
    pub index: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// Bytes of the longest IP packet.
    pub mtu: u32,
    /// Frames that may wait to leave the host by this interface.
    pub queue_frames: u32,
    /// The host's end of the link; zero where it has no Ethernet address.
    pub mac: [u8; 6],
    /// The kind of virtual interface (`tun` for TUN and TAP, `veth`, `bridge`); empty for others.
    pub kind: String,
}

/// An IPv4 address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkAddr {
    /// Which interface: [`Link::index`].
    pub index: u32,
    /// The interface's name, or the label given with the address.
    pub label: String,
    /// The address.
    pub addr: Ipv4Addr,
    /// Bits of its prefix, 0 to 32.
    pub prefix_len: u8,
}

impl Netlink {
    /// Opens a conversation. Needs no privilege: asking is free, changing needs CAP_NET_ADMIN.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            socket: sys::netlink_socket()?,
            sequence: 0,
            reply: vec![0; REPLY_MAX].into_boxed_slice(),
        })
    }

    /// The interface of that name; None where there is none.
    pub fn link(&mut self, name: &str) -> io::Result<Option<Link>> {
        let mut body = link_header(0, 0, 0);
        push_attr(&mut body, libc::IFLA_IFNAME, &[name.as_bytes(), &[0]].concat());
        let mut found = None;
        let answer = self.transact(libc::RTM_GETLINK, ACK, &body, |kind, body| {
            if kind == libc::RTM_NEWLINK {
                found = read_link(body);
            }
        });
        match answer {
            Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(e) => Err(e),
            Ok(()) => Ok(found),
        }
    }

    /// All IPv4 addresses of all interfaces.
    pub fn addresses(&mut self) -> io::Result<Vec<LinkAddr>> {
        let mut found = Vec::new();
        let body = addr_header(0, 0);
        self.transact(libc::RTM_GETADDR, DUMP, &body, |kind, body| {
            if kind == libc::RTM_NEWADDR {
                found.extend(read_addr(body));
            }
        })?;
        Ok(found)
    }

    /// Brings an interface up or down.
    pub fn set_up(&mut self, index: u32, up: bool) -> io::Result<()> {
        let body = link_header(index, if up { UP } else { 0 }, UP);
        self.transact(libc::RTM_NEWLINK, ACK, &body, |_, _| ())
    }

    /// Sets the longest IP packet, in bytes.
    pub fn set_mtu(&mut self, index: u32, mtu: u32) -> io::Result<()> {
        let mut body = link_header(index, 0, 0);
        push_attr(&mut body, libc::IFLA_MTU, &mtu.to_ne_bytes());
        self.transact(libc::RTM_NEWLINK, ACK, &body, |_, _| ())
    }

    /// Sets how many frames may wait to leave the host by an interface.
    pub fn set_queue_frames(&mut self, index: u32, frames: u32) -> io::Result<()> {
        let mut body = link_header(index, 0, 0);
        push_attr(&mut body, libc::IFLA_TXQLEN, &frames.to_ne_bytes());
        self.transact(libc::RTM_NEWLINK, ACK, &body, |_, _| ())
    }

    /// Removes a virtual interface, whoever uses it.
    pub fn delete_link(&mut self, index: u32) -> io::Result<()> {
        self.transact(libc::RTM_DELLINK, ACK, &link_header(index, 0, 0), |_, _| ())
    }

    /// Gives an interface one more address, with a route to its subnet once the interface is up.
    pub fn add_address(&mut self, index: u32, addr: Ipv4Prefix) -> io::Result<()> {
        let body = addr_body(index, addr);
        self.transact(libc::RTM_NEWADDR, ACK | CREATE_NEW, &body, |_, _| ())
    }

    /// Takes an address from an interface.
    pub fn remove_address(&mut self, index: u32, addr: Ipv4Prefix) -> io::Result<()> {
        self.transact(libc::RTM_DELADDR, ACK, &addr_body(index, addr), |_, _| ())
    }

    /// Sends one request and shows each message of the answer, without its header, up to the end
    /// that ACK (an error message, zero for success) or DUMP (a final message) promises.
    fn transact(
        &mut self,
        kind: u16,
        flags: u16,
        body: &[u8],
        mut on_message: impl FnMut(u16, &[u8]),
    ) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = Vec::with_capacity(HEADER_LEN + body.len());
        request.extend(((HEADER_LEN + body.len()) as u32).to_ne_bytes());
        request.extend(kind.to_ne_bytes());
        request.extend((REQUEST | flags).to_ne_bytes());
        request.extend(self.sequence.to_ne_bytes());
        request.extend(0u32.to_ne_bytes());
        request.extend(body);
        self.socket.write_all(&request)?;
        loop {
            let received = match self.socket.read(&mut self.reply) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            let mut rest = &self.reply[..received];
            while let (Some(len), Some(kind), Some(sequence)) =
                (u32_at(rest, 0), u16_at(rest, 4), u32_at(rest, 8))
            {
                let len = len as usize;
                let Some(body) = rest.get(HEADER_LEN..len) else {
                    return Err(malformed());
                };
                rest = rest.get(align(len)..).unwrap_or_default();
                if sequence != self.sequence {
                    continue; // the tail of an answer that was given up
                }
                match kind {
                    DONE => return Ok(()),
                    ERROR => match u32_at(body, 0).ok_or_else(malformed)? as i32 {
                        0 => return Ok(()),
                        errno => return Err(io::Error::from_raw_os_error(-errno)),
                    },
                    _ => on_message(kind, body),
                }
            }
        }
    }
}

fn link_header(index: u32, flags: u32, change: u32) -> Vec<u8> {
    let mut body = vec![0; LINK_LEN];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body[8..12].copy_from_slice(&flags.to_ne_bytes());
    body[12..16].copy_from_slice(&change.to_ne_bytes());
    body
}

fn addr_header(index: u32, prefix_len: u8) -> Vec<u8> {
    let mut body = vec![libc::AF_INET as u8, prefix_len, 0, 0];
    body.extend(index.to_ne_bytes());
    body
}

fn addr_body(index: u32, addr: Ipv4Prefix) -> Vec<u8> {
    let mut body = addr_header(index, addr.len());
    push_attr(&mut body, libc::IFA_LOCAL, &addr.addr().octets());
    push_attr(&mut body, libc::IFA_ADDRESS, &addr.addr().octets());
    if addr.len() <= 30 {
        push_attr(&mut body, libc::IFA_BROADCAST, &addr.broadcast().octets());
    }
    body
}

fn push_attr(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend((4 + value.len() as u16).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(align(body.len()), 0);
}

fn read_link(body: &[u8]) -> Option<Link> {
    let mut link = Link {
        index: u32_at(body, 4)?,
        up: u32_at(body, 8)? & UP != 0,
        mtu: 0,
        queue_frames: 0,
        mac: [0; 6],
        kind: String::new(),
    };
    for (kind, value) in attrs(body.get(LINK_LEN..)?) {
        match kind {
            libc::IFLA_MTU => link.mtu = u32_at(value, 0)?,
            libc::IFLA_TXQLEN => link.queue_frames = u32_at(value, 0)?,
            libc::IFLA_ADDRESS => link.mac = value.try_into().unwrap_or_default(),
            libc::IFLA_LINKINFO => {
                let name = attrs(value).find(|(kind, _)| *kind == libc::IFLA_INFO_KIND);
                link.kind = name.map(|(_, value)| text(value)).unwrap_or_default();
            }
            _ => (),
        }
    }
    Some(link)
}

fn read_addr(body: &[u8]) -> Option<LinkAddr> {
    let (mut local, mut label) = (None, String::new());
    for (kind, value) in attrs(body.get(ADDR_LEN..)?) {
        match kind {
            libc::IFA_LOCAL => local = <[u8; 4]>::try_from(value).ok(),
            libc::IFA_LABEL => label = text(value),
            _ => (),
        }
    }
    Some(LinkAddr {
        index: u32_at(body, 4)?,
        label,
        addr: Ipv4Addr::from(local?),
        prefix_len: *body.get(1)?,
    })
}

/// The attributes in `rest`, up to the first that is cut.
fn attrs(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & !(libc::NLA_F_NESTED as u16);
        let value = rest.get(4..len)?;
        rest = rest.get(align(len)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|&b| b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

fn align(len: usize) -> usize {
    len.next_multiple_of(4)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the kernel's netlink answer cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_loopback_interface_and_no_other_of_a_made_up_name() {
        let mut netlink = Netlink::open().unwrap();
        let lo = netlink.link("lo").unwrap().expect("every namespace has lo");
        assert_eq!(lo.mac, [0; 6]);
        assert_eq!(lo.kind, "");
        assert!(lo.index >= 1 && lo.mtu > 0);
        assert_eq!(netlink.link("nosuchdev").unwrap(), None);
        // The conversation goes on after an error.
        assert_eq!(netlink.link("lo").unwrap(), Some(lo));
    }

    #[test]
    fn lists_addresses_with_prefix_and_label() {
        let mut netlink = Netlink::open().unwrap();
        let lo = netlink.link("lo").unwrap().unwrap();
        let found = netlink.addresses().unwrap();
        let of_lo: Vec<_> = found.iter().filter(|a| a.index == lo.index).collect();
        if lo.up {
            assert!(
                of_lo.iter().any(|a| a.addr == Ipv4Addr::LOCALHOST && a.prefix_len == 8),
                "{found:?}"
            );
        }
        assert!(of_lo.iter().all(|a| a.label.starts_with("lo")), "{of_lo:?}");
    }

    #[test]
    fn attributes_that_are_cut_end_the_list() {
        let mut bytes = Vec::new();
        push_attr(&mut bytes, 7, b"abcde");
        push_attr(&mut bytes, 8, b"");
        push_attr(&mut bytes, 9, b"wxyz");
        let whole: Vec<_> = attrs(&bytes).collect();
        assert_eq!(whole, [(7, &b"abcde"[..]), (8, b""), (9, b"wxyz")]);
        for cut in 0..bytes.len() {
            let some: Vec<_> = attrs(&bytes[..cut]).collect();
            assert!(some.len() < 3 && whole.starts_with(&some), "cut at {cut}");
        }
    }
}
