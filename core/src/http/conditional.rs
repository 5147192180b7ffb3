//! Preconditions: whether the client's copy is good enough. RFC 9110 §13.

use super::date;
use super::request::{Method, Request};

/// What is known of the representation that would be sent.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// A strong entity tag, with its quotes.
    pub etag: &'a [u8],
    /// Seconds since 1970 of the last modification.
    pub modified: u64,
}

/// What follows from the preconditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answer as if there were none.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Evaluates the preconditions of a GET or HEAD in the order of RFC 9110 §13.2.2. `now` is in
/// seconds since 1970.
pub fn evaluate(request: &Request<'_>, of: Validators<'_>, now: u64) -> Verdict {
    if !request.conditional || !matches!(request.method, Method::Get | Method::Head) {
        return Verdict::Proceed;
    }
    let modified = i64::try_from(of.modified).unwrap_or(i64::MAX);
    match any_tag_matches(request, "if-match", of.etag, Comparison::Strong) {
        Some(false) => return Verdict::Failed,
        Some(true) => {}
        None => {
            if date_of(request, "if-unmodified-since", now).is_some_and(|at| modified > at) {
                return Verdict::Failed;
            }
        }
    }
    match any_tag_matches(request, "if-none-match", of.etag, Comparison::Weak) {
        Some(true) => Verdict::NotModified,
        Some(false) => Verdict::Proceed,
        None => match date_of(request, "if-modified-since", now) {
            Some(at) if modified <= at => Verdict::NotModified,
            _ => Verdict::Proceed,
        },
    }
}

/// RFC 9110 §8.8.3.2.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// A weak tag matches nothing.
    Strong,
    /// `W/` makes no difference.
    Weak,
}

/// Whether any tag of the field matches; None where the field is absent.
fn any_tag_matches(
    request: &Request<'_>,
    name: &str,
    etag: &[u8],
    how: Comparison,
) -> Option<bool> {
    let mut found = None;
    for value in request.values(name) {
        found = Some(found == Some(true) || list_matches(value, etag, how));
    }
    found
}

/// `*`, or a list of entity tags; commas may stand inside a tag. What is no tag ends the list.
fn list_matches(value: &[u8], etag: &[u8], how: Comparison) -> bool {
    if value == b"*" {
        return true;
    }
    let mut rest = value;
    loop {
        while let [b' ' | b'\t' | b',', after @ ..] = rest {
            rest = after;
        }
        let weak = rest.starts_with(b"W/");
        if weak {
            rest = rest.get(2..).unwrap_or(&[]);
        }
        let [b'"', inside @ ..] = rest else {
            return false;
        };
        let Some(end) = inside.iter().position(|b| *b == b'"') else {
            return false;
        };
        let (tag, after) = rest.split_at(end + 2);
        if tag == etag && !(weak && how == Comparison::Strong) {
            return true;
        }
        rest = after;
    }
}

/// The date in a field that is there once and valid; others are ignored (RFC 9110 §13.1.3).
fn date_of(request: &Request<'_>, name: &str, now: u64) -> Option<i64> {
    let mut values = request.values(name);
    match (values.next(), values.next()) {
        (Some(value), None) => date::parse(value, now),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Failed, NotModified, Proceed};
    use super::*;

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn verdict(method: &str, fields: &str) -> Verdict {
        let head = std::format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let request = Request::parse(head.as_bytes()).unwrap();
        evaluate(&request, Validators { etag: b"\"a,b\"", modified: 784_111_777 }, 1_767_225_600)
    }

    #[test]
    fn table_of_rfc_9110_section_13_2_2() {
        let ims = |d: &str| std::format!("If-Modified-Since: {d}\r\n");
        let ius = |d: &str| std::format!("If-Unmodified-Since: {d}\r\n");
        let both = |a: &str, b: &str| std::format!("{a}{b}");
        for (fields, expected) in [
            (std::string::String::new(), Proceed),
            ("If-None-Match: \"a,b\"\r\n".into(), NotModified),
            ("if-none-match: W/\"a,b\"\r\n".into(), NotModified),
            ("If-None-Match: *\r\n".into(), NotModified),
            ("If-None-Match: \"x\", W/\"y\" ,\t\"a,b\"\r\n".into(), NotModified),
            ("If-None-Match: \"x\"\r\nIf-None-Match: \"a,b\"\r\n".into(), NotModified),
            ("If-None-Match: \"a\", \"b\"\r\n".into(), Proceed),
            ("If-None-Match: a,b\r\n".into(), Proceed),
            ("If-None-Match: \"a,b\r\n".into(), Proceed),
            ("If-None-Match:\r\n".into(), Proceed),
            (ims(AT), NotModified),
            (ims(BEFORE), Proceed),
            (ims("Sunday, 06-Nov-94 08:49:37 GMT"), NotModified),
            (ims("yesterday"), Proceed),
            (both(&ims(AT), &ims(AT)), Proceed),
            // The tag decides where there is one.
            (both("If-None-Match: \"x\"\r\n", &ims(AT)), Proceed),
            (both("If-None-Match: \"a,b\"\r\n", &ims(BEFORE)), NotModified),
            ("If-Match: \"a,b\"\r\n".into(), Proceed),
            ("If-Match: *\r\n".into(), Proceed),
            ("If-Match: W/\"a,b\"\r\n".into(), Failed),
            ("If-Match: \"x\"\r\n".into(), Failed),
            (both("If-Match: \"a,b\"\r\n", &ius(BEFORE)), Proceed),
            (ius(BEFORE), Failed),
            (ius(AT), Proceed),
            (ius("never"), Proceed),
            ("If-Match: \"x\"\r\nIf-None-Match: \"a,b\"\r\n".into(), Failed),
            ("If-Match: *\r\nIf-None-Match: \"a,b\"\r\n".into(), NotModified),
        ] {
            assert_eq!(verdict("GET", &fields), expected, "{fields}");
            assert_eq!(verdict("HEAD", &fields), expected, "{fields}");
            assert_eq!(verdict("POST", &fields), Proceed, "{fields}");
        }
    }
}
