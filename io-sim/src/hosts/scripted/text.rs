//! Scripts as text: one step a line, `#` begins a comment.
//!
//! ```text
//! [at TIME | after TIME] send PACKET
//! [at TIME | after TIME] expect [within TIME] PACKET
//! [at TIME | after TIME] silence TIME
//!
//! TIME     a whole number and ns, us, ms or s
//! PACKET   FLAGS [FROM..UPTO] [seq N] [len N] [ack N] [win N] [mss N] [ws N] [sackok] [ts N] [ecr N]
//!          [sack FROM..UPTO]... [text "..."]
//! FLAGS    letters of S F R P U E W and . for ACK, - for none, or any
//! ```

use super::script::{LETTERS, Packet, Script, Step, WITHIN, What, When};
use simoom_core::time::Duration;
use simoom_core::wire::TcpFlags;
use std::fmt;
use std::str::FromStr;

/// What is wrong with a script, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub what: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for ScriptError {}

/// Reads a script.
///
/// # Errors
/// The first line that says nothing.
pub fn parse(text: &str) -> Result<Script, ScriptError> {
    let mut script = Script::new();
    for (n, line) in (1..).zip(text.lines()) {
        let error = |what| ScriptError { line: n, what };
        let words = words(line).map_err(error)?;
        if !words.is_empty() {
            let mut words = Words { words: words.into_iter().peekable() };
            let (when, what) = words.step().map_err(error)?;
            script.steps.push(Step { when, what, line: Some(n) });
        }
    }
    Ok(script)
}

/// A word of a line: bare, or what stood between quotation marks.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Bare(String),
    Quoted(Vec<u8>),
}

/// Cuts a line into words; what follows `#` is a comment.
fn words(line: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    while let Some(&c) = chars.peek() {
        match c {
            '#' => break,
            '"' => {
                chars.next();
                words.push(Word::Quoted(quoted(&mut chars)?));
            }
            c if c.is_whitespace() => {
                chars.next();
            }
            _ => {
                let mut word = String::new();
                while let Some(c) = chars.next_if(|c| !c.is_whitespace() && *c != '#') {
                    word.push(c);
                }
                words.push(Word::Bare(word));
            }
        }
    }
    Ok(words)
}

fn quoted(chars: &mut impl Iterator<Item = char>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    loop {
        match chars.next() {
            None => return Err(String::from("a text without its closing quotation mark")),
            Some('"') => return Ok(bytes),
            Some('\\') => bytes.push(match chars.next() {
                Some('r') => b'\r',
                Some('n') => b'\n',
                Some('t') => b'\t',
                Some('x') => {
                    let digits: String = chars.by_ref().take(2).collect();
                    u8::from_str_radix(&digits, 16)
                        .map_err(|_| format!("\\x{digits} is no byte: two hexadecimal digits"))?
                }
                Some(c @ ('"' | '\\' | '\'')) => c as u8,
                c => {
                    return Err(format!(
                        "\\{} : write \\r \\n \\t \\xNN \\\" or \\\\",
                        c.unwrap_or(' ')
                    ));
                }
            }),
            Some(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

struct Words {
    words: std::iter::Peekable<std::vec::IntoIter<Word>>,
}

impl Words {
    fn step(&mut self) -> Result<(When, What), String> {
        let mut verb = self.bare("at, after, send, expect or silence")?;
        let when = match &*verb {
            "at" => When::At(self.time("at")?),
            "after" => When::After(self.time("after")?),
            _ => When::Next,
        };
        if when != When::Next {
            verb = self.bare("send, expect or silence")?;
        }
        let what = match &*verb {
            "send" => What::Send(self.packet()?),
            "silence" => What::Silence(self.time("silence")?),
            "expect" => {
                let limit = Word::Bare(String::from("within"));
                let within = match self.words.next_if_eq(&limit) {
                    Some(_) => self.time("within")?,
                    None => WITHIN,
                };
                What::Expect { packet: self.packet()?, within }
            }
            _ => return Err(format!("{verb:?}: write send, expect or silence")),
        };
        match self.words.next() {
            None => Ok((when, what)),
            Some(word) => Err(format!("{word:?} is too much")),
        }
    }

    fn packet(&mut self) -> Result<Packet, String> {
        let flags = self.bare("flags, like S, S. or P.")?;
        let mut packet = Packet { flags: flags_of(&flags)?, ..Packet::default() };
        while let Some(word) = self.words.next() {
            let Word::Bare(name) = word else {
                return Err(String::from("a quoted text stands behind the word text"));
            };
            match &*name {
                "sackok" => packet.sack_permitted = true,
                "seq" => packet.seq = Some(self.number(&name)?),
                "len" => packet.len = Some(self.number(&name)?),
                "ack" => packet.ack = Some(self.number(&name)?),
                "win" => packet.window = Some(self.number(&name)?),
                "mss" => packet.mss = Some(self.number(&name)?),
                "ws" => packet.window_scale = Some(self.number(&name)?),
                "ts" => packet.ts_val = Some(self.number(&name)?),
                "ecr" => packet.ts_ecr = Some(self.number(&name)?),
                "sack" => {
                    let block = self.bare("a SACK block, like 1001..2001")?;
                    packet.sack.push(range(&block)?);
                }
                "text" => match self.words.next() {
                    Some(Word::Quoted(text)) => {
                        packet.len = Some(text.len() as u32);
                        packet.text = Some(text);
                    }
                    _ => return Err(String::from("text: write it between quotation marks")),
                },
                name if name.contains("..") => {
                    let (from, upto) = range(name)?;
                    (packet.seq, packet.len) = (Some(from), Some(upto - from));
                }
                name => {
                    return Err(format!(
                        "{name:?}: write FROM..UPTO, seq, len, ack, win, mss, ws, sackok, ts, ecr, sack or \
                         text"
                    ));
                }
            }
        }
        Ok(packet)
    }

    fn bare(&mut self, what: &str) -> Result<String, String> {
        match self.words.next() {
            Some(Word::Bare(word)) => Ok(word),
            _ => Err(format!("missing: {what}")),
        }
    }

    fn number<T: FromStr>(&mut self, name: &str) -> Result<T, String> {
        let word = self.bare(&format!("a number behind {name}"))?;
        word.parse().map_err(|_| {
            let bits = 8 * size_of::<T>();
            format!("{name} {word}: write a whole number below 2^{bits}")
        })
    }

    fn time(&mut self, name: &str) -> Result<Duration, String> {
        let word = self.bare(&format!("a time behind {name}, like 100ms"))?;
        let digits = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
        let unit = match &word[digits..] {
            "ns" => Some(1),
            "us" => Some(1_000),
            "ms" => Some(1_000_000),
            "s" => Some(1_000_000_000),
            _ => None,
        };
        let nanos =
            word[..digits].parse::<u64>().ok().zip(unit).and_then(|(n, u)| n.checked_mul(u));
        nanos
            .map(Duration::from_nanos)
            .ok_or_else(|| format!("{name} {word}: write a whole number and ns, us, ms or s"))
    }
}

fn flags_of(text: &str) -> Result<Option<TcpFlags>, String> {
    match text {
        "any" => return Ok(None),
        "-" => return Ok(Some(TcpFlags::NONE)),
        _ => {}
    }
    let mut flags = TcpFlags::NONE;
    for c in text.chars() {
        let Some((_, flag)) = LETTERS.iter().find(|(letter, _)| *letter == c) else {
            return Err(format!("flags {text:?}: letters of S F R P U E W, . for ACK, - or any"));
        };
        flags = flags | *flag;
    }
    Ok(Some(flags))
}

fn range(text: &str) -> Result<(u32, u32), String> {
    let ends = text.split_once("..").and_then(|(from, upto)| {
        let (from, upto) = (from.parse::<u32>().ok()?, upto.parse::<u32>().ok()?);
        (from <= upto).then_some((from, upto))
    });
    ends.ok_or_else(|| format!("{text}: write FROM..UPTO, like 1001..2001"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packet_reads_as_it_is_written() {
        for line in [
            "S mss 1460 ws 7 ts 5 sackok",
            "S. 0..0 ack 1",
            "P. text \"GET / HTTP/1.1\\r\\n\\x00\\\"\"",
            ". 1001..2001 ack 7 win 0 sack 1..5 sack 9..10",
            "- seq 4 ecr 9",
            "any len 5",
            "FRPUEW. seq 4294967295",
        ] {
            let script = parse(&format!("expect {line}")).unwrap();
            let What::Expect { packet, within: WITHIN } = &script.steps[0].what else {
                panic!("{script:?}");
            };
            let again = parse(&format!("expect {packet}")).unwrap();
            assert_eq!(again, script, "{line}, written {packet}");
        }
    }

    #[test]
    fn times_and_lines_are_kept() {
        let script = parse("\n# nothing\n at 5ms send S # first\nafter 2s silence 3us").unwrap();
        let [first, second] = &script.steps[..] else { panic!("{script:?}") };
        assert_eq!((first.line, first.when), (Some(3), When::At(Duration::from_millis(5))));
        assert_eq!((second.line, second.when), (Some(4), When::After(Duration::from_secs(2))));
        assert_eq!(second.what, What::Silence(Duration::from_micros(3)));
    }

    #[test]
    fn an_error_names_its_line_and_what_would_be_right() {
        for (line, says) in [
            ("sned S", "write send, expect or silence"),
            ("send", "missing: flags"),
            ("send X", "letters of S F R P"),
            ("at 5 send S", "ns, us, ms or s"),
            ("at 99999999999s send S", "ns, us, ms or s"),
            ("send S win 65536", "below 2^16"),
            ("send S ws -1", "below 2^8"),
            ("send . 9..3", "FROM..UPTO"),
            ("send . sack 9", "like 1001..2001"),
            ("send . text hello", "quotation marks"),
            ("send . text \"hello", "closing"),
            ("send . text \"\\q\"", "\\xNN"),
            ("send . frob 3", "sackok"),
            ("silence 1s 2s", "too much"),
        ] {
            let error = parse(&format!("send S\n{line}")).unwrap_err();
            assert!(error.line == 2 && error.what.contains(says), "{line}: {error}");
        }
    }
}
