//! A request head, parsed once into a checked view. `httparse` takes it apart; what RFC 9112 asks
//! beyond that (one `Host`, one unambiguous length, known codings, versions) is checked here.
//!
//! Past [`Request::parse`] nothing returns a parse error.

use super::bytes::{self, HOST, TOKEN};
use super::response::Status;
use core::mem::MaybeUninit;
use httparse::Header;

/// Field lines of a request at most; more is 431. Browsers send 10 to 20.
pub const HEADERS_MAX: usize = 64;

/// Bytes of a request target at most; more is 414. RFC 9112 §3 recommends request lines of 8,000.
pub const TARGET_BYTES_MAX: usize = 8000;

/// What is wrong with a request, or with the wait for one. It is the peer's fault in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestError {
    /// A CR without its LF.
    BareCr,
    /// A LF without its CR.
    BareLf,
    /// Another control byte, NUL among them.
    ControlByte,
    /// The request line is none.
    RequestLine,
    /// A field line is none: no colon, space before it, a folded line, a bad byte.
    FieldLine,
    /// HTTP/1.1 asks for a `Host` field. RFC 9112 §3.2.
    HostAbsent,
    /// More than one `Host` field.
    HostDoubled,
    /// `Host`, or the authority of the target, is no host and port.
    HostInvalid,
    /// The target has none of the forms of RFC 9112 §3.2, or its path is not decodable.
    TargetInvalid,
    /// `Content-Length` with `Transfer-Encoding`. RFC 9112 §6.1.
    LengthAndCoding,
    /// `Content-Length` is no number, or several, or there are several of it.
    LengthInvalid,
    /// `Transfer-Encoding` of an HTTP/1.0 request, or with chunked twice, or not last.
    CodingInvalid,
    /// The chunks of a body make no sense.
    ChunkInvalid,
    /// The method is known and not for this server.
    MethodNotAllowed,
    /// The rest of a request did not come in time.
    TimedOut,
    /// The target is longer than [`TARGET_BYTES_MAX`].
    TargetTooLong,
    /// The head is longer than its bound.
    HeadTooLong,
    /// More than [`HEADERS_MAX`] field lines.
    TooManyHeaders,
    /// Nobody knows this method.
    MethodUnknown,
    /// A transfer coding other than chunked.
    CodingUnknown,
    /// Another major version of HTTP.
    VersionUnknown,
}

impl RequestError {
    /// The status to answer with.
    pub const fn status(self) -> Status {
        match self {
            Self::MethodNotAllowed => Status::MethodNotAllowed,
            Self::TimedOut => Status::RequestTimeout,
            Self::TargetTooLong => Status::UriTooLong,
            Self::HeadTooLong | Self::TooManyHeaders => Status::FieldsTooLarge,
            Self::MethodUnknown | Self::CodingUnknown => Status::NotImplemented,
            Self::VersionUnknown => Status::VersionNotSupported,
            _ => Status::BadRequest,
        }
    }

    /// Whether the connection ends with the answer: wherever it is uncertain where the next
    /// request would begin.
    pub const fn closes(self) -> bool {
        !matches!(self, Self::MethodNotAllowed | Self::MethodUnknown)
    }
}

/// The method, as far as a server of files tells methods apart. RFC 9110 §9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST, PUT, DELETE, CONNECT, OPTIONS, TRACE (RFC 9110) and PATCH (RFC 5789).
    Other,
    /// Any other token.
    Unknown,
}

/// What is asked for. RFC 9112 §3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// Path and query of the origin-form or absolute-form, as sent: starts with `/`. What the path
    /// means, and whether it means anything, is for [`super::path`] to say.
    Path(&'a [u8]),
    /// `*`, or the authority of a CONNECT: nothing that has a name here.
    Server,
}

/// How long the body is. RFC 9112 §6.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes, at least 1.
    Length(u64),
    /// Chunked.
    Chunked,
}

/// A request head.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// The target.
    pub target: Target<'a>,
    /// The connection ends after the answer: asked for, or HTTP/1.0 that did not ask otherwise.
    pub close: bool,
    /// The body.
    pub framing: Framing,
    /// The client waits for `100 (Continue)` before it sends the body. RFC 9110 §10.1.1.
    pub expect_continue: bool,
    /// One of the fields of RFC 9110 §13.1 is there: [`super::conditional`] has work.
    pub conditional: bool,
    /// The field lines, each with its line ending, then the empty line.
    fields: &'a [u8],
}

impl<'a> Request<'a> {
    /// Parses a head as [`super::head::find_end`] cuts it.
    pub fn parse(head: &'a [u8]) -> Result<Self, RequestError> {
        let mut lines = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut []);
        let fault = match parsed.parse_with_uninit_headers(head, &mut lines) {
            Ok(httparse::Status::Complete(len)) if len == head.len() => {
                let (Some(method), Some(target), Some(minor)) =
                    (parsed.method, parsed.path, parsed.version)
                else {
                    return Err(RequestError::RequestLine);
                };
                return Self::check(head, method, target, minor, parsed.headers);
            }
            Ok(_) => return Err(RequestError::FieldLine),
            Err(fault) => fault,
        };
        match fault {
            httparse::Error::Version => Self::parse_other_version(head),
            httparse::Error::TooManyHeaders => Err(RequestError::TooManyHeaders),
            httparse::Error::HeaderName | httparse::Error::HeaderValue => {
                Err(RequestError::FieldLine)
            }
            _ if parsed.version.is_some() => Err(RequestError::FieldLine),
            _ => Err(RequestError::RequestLine),
        }
    }

    /// A head whose version is neither 1.0 nor 1.1. A later minor version of HTTP/1 is read as 1.1
    /// (RFC 9110 §2.5); another major version is refused; what is no version is no request line.
    fn parse_other_version(head: &'a [u8]) -> Result<Self, RequestError> {
        let line_len = head.iter().position(|b| *b == b'\r').unwrap_or(head.len());
        let (line, rest) = head.split_at(line_len);
        let line = core::str::from_utf8(line).map_err(|_| RequestError::RequestLine)?;
        let mut words = line.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(RequestError::RequestLine);
        };
        match version.as_bytes() {
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                if *major != b'1' {
                    return Err(RequestError::VersionUnknown);
                }
            }
            _ => return Err(RequestError::RequestLine),
        }
        if target.is_empty() || target.bytes().any(|b| !matches!(b, 0x21..=0x7e | 0x80..)) {
            return Err(RequestError::RequestLine);
        }
        let mut lines = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let fields = rest.get(2..).ok_or(RequestError::RequestLine)?;
        match httparse::parse_headers(fields, &mut lines) {
            Ok(httparse::Status::Complete((len, lines))) if len == fields.len() => {
                Self::check(head, method, target, 1, lines)
            }
            Err(httparse::Error::TooManyHeaders) => Err(RequestError::TooManyHeaders),
            _ => Err(RequestError::FieldLine),
        }
    }

    /// What the RFCs ask beyond the grammar.
    fn check(
        head: &'a [u8],
        method: &'a str,
        target: &'a str,
        minor: u8,
        lines: &[Header<'a>],
    ) -> Result<Self, RequestError> {
        if target.len() > TARGET_BYTES_MAX {
            return Err(RequestError::TargetTooLong);
        }
        // `METHOD SP target SP HTTP/1.x CRLF`; the parser allowed for single spaces only.
        let line_len = method.len() + target.len() + " ".len() * 2 + "HTTP/1.1\r\n".len();
        let mut request = Request {
            method: Method::from_token(method).ok_or(RequestError::RequestLine)?,
            target: Target::Server,
            close: false,
            framing: Framing::None,
            expect_continue: false,
            conditional: false,
            fields: head.get(line_len..).unwrap_or(&[]),
        };
        let mut persistence = Persistence::default();
        let mut host = false;
        let mut length = None;
        let mut coding = None;
        for line in lines {
            let is = |name: &str| line.name.eq_ignore_ascii_case(name);
            // By length first: most fields of a request are none of these.
            match line.name.len() {
                4 if is("host") => {
                    if host {
                        return Err(RequestError::HostDoubled);
                    }
                    host = true;
                    check_authority(line.value)?;
                }
                6 if is("expect") => {
                    request.expect_continue |= line.value.eq_ignore_ascii_case(b"100-continue");
                }
                10 if is("connection") => persistence.read(line.value),
                14 if is("content-length") => {
                    if length.is_some() {
                        return Err(RequestError::LengthInvalid);
                    }
                    length = Some(parse_length(line.value)?);
                }
                17 if is("transfer-encoding") => {
                    coding = Some(read_codings(coding.unwrap_or_default(), line.value)?);
                }
                8 if is("if-match") => request.conditional = true,
                13 if is("if-none-match") => request.conditional = true,
                17 if is("if-modified-since") => request.conditional = true,
                19 if is("if-unmodified-since") => request.conditional = true,
                _ => {}
            }
        }
        if !host && minor > 0 {
            return Err(RequestError::HostAbsent);
        }
        request.framing = match (length, coding) {
            (Some(_), Some(_)) => return Err(RequestError::LengthAndCoding),
            (None, Some(_)) if minor == 0 => return Err(RequestError::CodingInvalid),
            (None, Some(coding)) => coding.framing()?,
            (Some(0), None) | (None, None) => Framing::None,
            (Some(n), None) => Framing::Length(n),
        };
        request.close = persistence.closes(minor);
        request.target = parse_target(method, target)?;
        Ok(request)
    }

    /// The values of all lines of a field, in order. Walks the head again: for rare fields.
    pub fn values(&self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.split(|b| *b == b'\n').filter_map(move |line| {
            let colon = line.iter().position(|b| *b == b':')?;
            let (found, value) = line.split_at(colon);
            found.eq_ignore_ascii_case(name.as_bytes()).then(|| value[1..].trim_ascii())
        })
    }
}

impl Method {
    /// None where it is no token. Methods are case-sensitive (RFC 9110 §9.1).
    fn from_token(token: &str) -> Option<Self> {
        Some(match token {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH" => Self::Other,
            _ if token.is_empty() || !is_token(token.as_bytes()) => return None,
            _ => Self::Unknown,
        })
    }
}

/// What `Connection` lines say. RFC 9112 §9.3.
#[derive(Clone, Copy, Default)]
struct Persistence {
    close: bool,
    keep_alive: bool,
}

impl Persistence {
    fn read(&mut self, value: &[u8]) {
        for option in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// `close` wins; HTTP/1.0 closes unless asked not to.
    fn closes(self, minor: u8) -> bool {
        self.close || (minor == 0 && !self.keep_alive)
    }
}

/// What `Transfer-Encoding` lines say so far. RFC 9112 §6.1.
#[derive(Clone, Copy, Default)]
struct Codings {
    chunked: bool,
    unknown: bool,
}

/// Reads one line more. Nothing may follow chunked, itself included.
fn read_codings(mut so_far: Codings, value: &[u8]) -> Result<Codings, RequestError> {
    for coding in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
        let name = coding.split(|b| *b == b';').next().unwrap_or(&[]).trim_ascii();
        if so_far.chunked || name.is_empty() || !is_token(name) {
            return Err(RequestError::CodingInvalid);
        }
        if name.eq_ignore_ascii_case(b"chunked") {
            if name.len() != coding.len() {
                // Chunked has no parameters: RFC 9112 §7.
                return Err(RequestError::CodingInvalid);
            }
            so_far.chunked = true;
        } else {
            so_far.unknown = true;
        }
    }
    Ok(so_far)
}

impl Codings {
    fn framing(self) -> Result<Framing, RequestError> {
        if self.unknown { Err(RequestError::CodingUnknown) } else { Ok(Framing::Chunked) }
    }
}

/// `1*DIGIT`, no sign, no list. A number beyond 64 bits is no length of anything here.
fn parse_length(value: &[u8]) -> Result<u64, RequestError> {
    if value.is_empty() {
        return Err(RequestError::LengthInvalid);
    }
    value
        .iter()
        .try_fold(0u64, |n, d| {
            let d = d.is_ascii_digit().then(|| u64::from(d - b'0'))?;
            n.checked_mul(10)?.checked_add(d)
        })
        .ok_or(RequestError::LengthInvalid)
}

/// The four forms of RFC 9112 §3.2.
fn parse_target<'a>(method: &str, target: &'a str) -> Result<Target<'a>, RequestError> {
    let bytes = target.as_bytes();
    if method == "CONNECT" {
        check_authority(bytes)?;
        return Ok(Target::Server);
    }
    match bytes {
        [b'/', ..] => Ok(Target::Path(bytes)),
        b"*" if method == "OPTIONS" => Ok(Target::Server),
        _ => {
            let (scheme, rest) = target.split_once("://").ok_or(RequestError::TargetInvalid)?;
            if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
                return Err(RequestError::TargetInvalid);
            }
            let rest = rest.as_bytes();
            let end = rest.iter().position(|b| b"/?#".contains(b)).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            check_authority(authority)?;
            match path {
                _ if authority.is_empty() => Err(RequestError::TargetInvalid),
                [] | [b'?', ..] => Ok(Target::Path(b"/")),
                [b'/', ..] => Ok(Target::Path(path)),
                _ => Err(RequestError::TargetInvalid),
            }
        }
    }
}

/// `uri-host [ ":" port ]` (RFC 9110 §7.2). Empty is a host too; user information is not allowed.
fn check_authority(authority: &[u8]) -> Result<(), RequestError> {
    let host_len = match authority {
        [b'[', inside @ ..] => {
            let valid = |b: &u8| b.is_ascii_hexdigit() || *b == b':' || *b == b'.';
            let len = inside.iter().take_while(|b| valid(b)).count();
            if len == 0 || inside.get(len) != Some(&b']') {
                return Err(RequestError::HostInvalid);
            }
            len + 2
        }
        _ => bytes::span(authority, HOST),
    };
    match authority.get(host_len..) {
        Some([]) => Ok(()),
        Some([b':', port @ ..]) if port.len() <= 5 && port.iter().all(u8::is_ascii_digit) => Ok(()),
        _ => Err(RequestError::HostInvalid),
    }
}

fn is_token(bytes: &[u8]) -> bool {
    bytes::span(bytes, TOKEN) == bytes.len()
}
