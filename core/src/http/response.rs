//! What goes back: status lines, heads with two fixed-width fields, and small pages for errors.
//!
//! Every head starts with the same three lines, so that a response made in advance differs from
//! the one on the wire in two fields of constant width only:
//!
//! ```text
//! HTTP/1.1 200 OK
//! Date: Sun, 06 Nov 1994 08:49:37 GMT      <- 29 bytes, the second the request was accepted in
//! Connection: keep-alive                   <- 10 bytes; "close" is filled up with optional space
//! ```

use super::date::{DATE_LEN, ImfFixdate};
use alloc::vec::Vec;

/// Status codes that this server sends. RFC 9110 §15.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Status {
    /// 200.
    Ok,
    /// 301: a directory was asked for without its slash.
    MovedPermanently,
    /// 304.
    NotModified,
    /// 400.
    BadRequest,
    /// 404.
    NotFound,
    /// 405, with `Allow`.
    MethodNotAllowed,
    /// 408.
    RequestTimeout,
    /// 412.
    PreconditionFailed,
    /// 414.
    UriTooLong,
    /// 431. RFC 6585 §5.
    FieldsTooLarge,
    /// 501.
    NotImplemented,
    /// 505.
    VersionNotSupported,
}

impl Status {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Ok,
        Self::MovedPermanently,
        Self::NotModified,
        Self::BadRequest,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::PreconditionFailed,
        Self::UriTooLong,
        Self::FieldsTooLarge,
        Self::NotImplemented,
        Self::VersionNotSupported,
    ];

    /// Code and reason phrase as they stand in a status line.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::MovedPermanently => "301 Moved Permanently",
            Self::NotModified => "304 Not Modified",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::RequestTimeout => "408 Request Timeout",
            Self::PreconditionFailed => "412 Precondition Failed",
            Self::UriTooLong => "414 URI Too Long",
            Self::FieldsTooLarge => "431 Request Header Fields Too Large",
            Self::NotImplemented => "501 Not Implemented",
            Self::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }

    /// The three digits as a number.
    pub const fn code(self) -> u16 {
        let t = self.text().as_bytes();
        (t[0] - b'0') as u16 * 100 + (t[1] - b'0') as u16 * 10 + (t[2] - b'0') as u16
    }

    /// Bytes of the status line and of `Date: `: where the date starts in a head of this status.
    pub const fn date_at(self) -> u16 {
        (VERSION.len() + self.text().len() + DATE_NAME.len()) as u16
    }

    /// Where the value of `Connection` starts in a head of this status.
    pub const fn connection_at(self) -> u16 {
        self.date_at() + (DATE_LEN + CONNECTION_NAME.len()) as u16
    }

    /// Bytes of the three lines that open a head of this status.
    pub const fn opening_len(self) -> u16 {
        self.connection_at() + (CONNECTION_LEN + 2) as u16
    }
}

const VERSION: &str = "HTTP/1.1 ";
const DATE_NAME: &str = "\r\nDate: ";
const CONNECTION_NAME: &str = "\r\nConnection: ";
/// Bytes of the value of `Connection`, filled up with spaces.
pub const CONNECTION_LEN: usize = 10;
/// Methods that this server answers with content, as in `Allow`. RFC 9110 §10.2.1.
pub const ALLOW: &str = "GET, HEAD";

/// The value of `Connection`, at constant width. The spaces are optional whitespace at a value's
/// end, which is no part of it (RFC 9110 §5.5).
pub const fn connection_value(close: bool) -> &'static [u8; CONNECTION_LEN] {
    if close { b"close     " } else { b"keep-alive" }
}

/// Appends the three lines that open every head, with placeholders in the two fields.
pub fn begin_head(out: &mut Vec<u8>, status: Status) {
    out.extend_from_slice(VERSION.as_bytes());
    out.extend_from_slice(status.text().as_bytes());
    out.extend_from_slice(DATE_NAME.as_bytes());
    out.extend_from_slice(&ImfFixdate::from_unix(0).0);
    out.extend_from_slice(CONNECTION_NAME.as_bytes());
    out.extend_from_slice(connection_value(false));
    out.extend_from_slice(b"\r\n");
}

/// Writes the two fields of a head of `status`. Heads that [`begin_head`] did not open stay as
/// they are where they are too short.
pub fn fill_in(head: &mut [u8], status: Status, date: &ImfFixdate, close: bool) {
    let (date_at, connection_at) =
        (usize::from(status.date_at()), usize::from(status.connection_at()));
    if let Some(field) = head.get_mut(date_at..date_at + DATE_LEN) {
        field.copy_from_slice(&date.0);
    }
    if let Some(field) = head.get_mut(connection_at..connection_at + CONNECTION_LEN) {
        field.copy_from_slice(connection_value(close));
    }
}

/// The whole response of a status that has no content of its own, made once.
#[derive(Clone, Debug)]
pub struct Page {
    /// Head and body; the two fields hold placeholders.
    pub bytes: Vec<u8>,
    /// Bytes of the head: what a HEAD request gets.
    pub head_len: u16,
}

/// One [`Page`] for each status.
#[derive(Clone, Debug)]
pub struct Pages([Page; Status::ALL.len()]);

impl Pages {
    /// Makes them all.
    pub fn new() -> Self {
        Self(Status::ALL.map(page))
    }

    /// The page of a status.
    pub fn get(&self, status: Status) -> &Page {
        &self.0[status as usize]
    }
}

impl Default for Pages {
    fn default() -> Self {
        Self::new()
    }
}

fn page(status: Status) -> Page {
    let mut bytes = Vec::new();
    let body_len = status.text().len() + 1;
    begin_head(&mut bytes, status);
    if status == Status::MethodNotAllowed {
        bytes.extend_from_slice(b"Allow: ");
        bytes.extend_from_slice(ALLOW.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"Content-Type: text/plain\r\nContent-Length: ");
    push_decimal(&mut bytes, body_len as u64);
    bytes.extend_from_slice(b"\r\n\r\n");
    let head_len = bytes.len() as u16;
    bytes.extend_from_slice(status.text().as_bytes());
    bytes.push(b'\n');
    Page { bytes, head_len }
}

/// Appends a number in decimal.
pub fn push_decimal(out: &mut Vec<u8>, n: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut left = n;
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};

    #[test]
    fn status_numbers_are_their_indexes_and_codes_their_digits() {
        for (i, status) in Status::ALL.into_iter().enumerate() {
            assert_eq!(status as usize, i);
            assert_eq!(status.code().to_string(), status.text()[..3]);
        }
    }

    #[test]
    fn filled_in_page_reads_as_a_whole_response() {
        let pages = Pages::new();
        let page = pages.get(Status::MethodNotAllowed);
        let mut bytes = page.bytes.clone();
        fill_in(&mut bytes, Status::MethodNotAllowed, &ImfFixdate::from_unix(784_111_777), true);
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "HTTP/1.1 405 Method Not Allowed\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Connection: close     \r\nAllow: GET, HEAD\r\nContent-Type: text/plain\r\n\
             Content-Length: 23\r\n\r\n405 Method Not Allowed\n"
        );
    }

    #[test]
    fn every_page_has_its_fields_where_the_status_says_and_its_length_right() {
        for status in Status::ALL {
            let page = Pages::new().get(status).clone();
            let mut bytes = page.bytes.clone();
            fill_in(&mut bytes, status, &ImfFixdate::from_unix(1), true);
            let text = String::from_utf8(bytes).unwrap();
            let (head, body) = text.split_at(usize::from(page.head_len));
            assert!(head.starts_with(&std::format!("HTTP/1.1 {}\r\n", status.text())));
            assert!(head.contains("\r\nDate: Thu, 01 Jan 1970 00:00:01 GMT\r\n"), "{head}");
            assert!(head.contains("\r\nConnection: close     \r\n"));
            assert!(head.contains(&std::format!("\r\nContent-Length: {}\r\n\r\n", body.len())));
            assert_eq!(
                &head[..usize::from(status.opening_len())][head.find("\r\nConn").unwrap()..],
                "\r\nConnection: close     \r\n"
            );
            assert_eq!(head.contains("Allow:"), status == Status::MethodNotAllowed);
        }
    }

    #[test]
    fn decimals() {
        for n in [0, 9, 10, 1234567890, u64::MAX] {
            let mut v = Vec::new();
            push_decimal(&mut v, n);
            assert_eq!(String::from_utf8(v).unwrap(), n.to_string());
        }
    }
}
