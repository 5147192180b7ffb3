//! What was said: a conversation as causes and effects instead of times, so that it can be held again
//! over another path and with another server.
//!
//! A client says something once it has so much of the server's stream and has thought for a while; a
//! server writes something once it has so much of the client's. What merely waited for a window is
//! no thought: text goes on with what was said before where the segment before it was full, or where
//! an acknowledgement let it go.

/// Things said, and turns, that are kept for one connection. Where it has more it ends there.
pub const SAID_MAX: usize = 512;

/// Text that follows its like so soon, in nanoseconds, was said together with it.
const TOGETHER: u64 = 1_000_000;

/// Text that follows an acknowledgement so soon was let go by it.
const LET_GO: u64 = 500_000;

/// Something that one side said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Offset of its first byte in its own stream. It ends where the next begins.
    pub from: u64,
    /// Bytes of the other side's stream that had come first.
    pub after: u64,
    /// Nanoseconds from when they had come (a client: or from when it last said something, whichever
    /// was later).
    pub think: u64,
}

/// A request and its answer: from the client's first byte to the arrival of the last byte that the
/// server sent before the client, having it all, said something again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Offset of the request's first byte. The same as that of the next turn where the server spoke
    /// unasked.
    pub request_from: u64,
    /// Behind its last byte.
    pub request_upto: u64,
    /// Offset behind the answer.
    pub response_upto: u64,
    /// When its first byte passed the capture, in nanoseconds since 1970.
    pub asked_at: u64,
    /// Nanoseconds until the client had the answer.
    pub took: u64,
}

/// A conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Talk {
    /// What the client said.
    pub says: Vec<Said>,
    /// What the server wrote.
    pub writes: Vec<Said>,
    /// Turns whose answer arrived whole.
    pub turns: Vec<Turn>,
    /// Bytes of the client's stream that are played.
    pub client_bytes: u64,
    /// Bytes of the server's.
    pub server_bytes: u64,
    /// Turns that are not played, for want of room or because their answer never arrived.
    pub turns_left_out: u32,
    /// The server's FIN came first.
    pub server_closes: bool,
}

/// How things stand when text comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) at: u64,
    /// From the capture to the server and back.
    pub(super) to_server: u64,
    /// Bytes of the client's stream that the server has, and when the last of them passed.
    pub(super) asked: u64,
    pub(super) asked_at: u64,
    /// Server text acknowledged, and when that last grew; its highest byte.
    pub(super) una: i64,
    pub(super) una_at: u64,
    pub(super) max: i64,
    /// When the client had all below `una`, as seen from the capture.
    pub(super) had_at: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Side {
    /// Whether the segment before was no whole number of full ones, and when it was sent.
    was_short: bool,
    sent_at: u64,
    /// When something was last said.
    said_at: u64,
}

/// Follows a conversation.
#[derive(Clone, Debug, Default)]
pub(super) struct Listener {
    talk: Talk,
    sides: [Side; 2],
    /// The present turn, and when its answer was whole, as far as it is.
    turn: Option<Turn>,
    whole_at: Option<u64>,
    /// No more is kept.
    full: bool,
    client_next: u64,
    server_next: u64,
}

impl Listener {
    /// New text of the client: `from..upto`, which had `had` bytes of the server's then.
    pub(super) fn on_client(&mut self, from: u64, upto: u64, had: u64, mss: u32, now: Moment) {
        let side = self.sides[0];
        let answered = |turn: Turn| had >= self.server_next && self.answers(&turn);
        let begins_turn = self.turn.is_none_or(answered);
        let let_go = now.at.saturating_sub(side.sent_at) > TOGETHER;
        if begins_turn || side.was_short && let_go {
            let waited_from = match self.talk.says.is_empty() {
                true => now.had_at,
                false => now.had_at.max(side.said_at),
            };
            let think = now.at.saturating_sub(waited_from);
            self.full |= self.talk.says.len() == SAID_MAX;
            if !self.full {
                self.talk.says.push(Said { from, after: had, think });
            }
            self.sides[0].said_at = now.at;
        }
        if begins_turn {
            self.end_turn();
            let response_upto = self.server_next;
            self.turn = Some(Turn {
                request_from: from,
                request_upto: upto,
                response_upto,
                asked_at: now.at,
                took: 0,
            });
        } else if let Some(turn) = &mut self.turn {
            turn.request_upto = turn.request_upto.max(upto);
        }
        self.sides[0].was_short = !(upto - from).is_multiple_of(u64::from(mss.max(1)));
        self.sides[0].sent_at = now.at;
        self.client_next = self.client_next.max(upto);
    }

    /// Whether the server said anything in a turn.
    fn answers(&self, turn: &Turn) -> bool {
        let before = self.talk.turns.last().map_or(0, |last| last.response_upto);
        turn.response_upto > before
    }

    /// New text of the server.
    pub(super) fn on_server(&mut self, from: u64, upto: u64, mss: u32, now: Moment) {
        let side = self.sides[1];
        // What passed the capture this long ago had reached the server when it sent this.
        let since_ack = now.at.saturating_sub(now.una_at);
        let is_idle = now.una >= now.max && since_ack >= now.to_server;
        let was_let_go = since_ack <= now.to_server.saturating_add(LET_GO) && !is_idle;
        let last = self.talk.writes.last().copied();
        let begins = match last {
            None => true,
            Some(last) if now.asked > last.after => side.was_short || is_idle,
            Some(_) => {
                let apart = now.at.saturating_sub(side.sent_at) > TOGETHER;
                let by_itself = since_ack > now.to_server.saturating_add(LET_GO);
                apart && (side.was_short && !was_let_go || is_idle && by_itself)
            }
        };
        if begins {
            let sent_at = now.at.saturating_sub(now.to_server);
            self.full |= self.talk.writes.len() == SAID_MAX;
            if !self.full {
                let think = sent_at.saturating_sub(now.asked_at);
                self.talk.writes.push(Said { from, after: now.asked, think });
            }
            self.sides[1].said_at = now.at;
        }
        let turn = self.turn.get_or_insert(Turn {
            request_from: self.client_next,
            request_upto: self.client_next,
            response_upto: 0,
            asked_at: now.had_at,
            took: 0,
        });
        turn.response_upto = turn.response_upto.max(upto);
        self.whole_at = None;
        self.sides[1].was_short = !(upto - from).is_multiple_of(u64::from(mss.max(1)));
        self.sides[1].sent_at = now.at;
        self.server_next = self.server_next.max(upto);
    }

    /// The client had all of the server's text below `upto` at this time.
    pub(super) fn on_had(&mut self, upto: i64, had_at: u64) {
        if upto >= self.server_next as i64 && self.whole_at.is_none() {
            self.whole_at = Some(had_at);
        }
    }

    /// FIN of a side.
    pub(super) fn on_fin(&mut self, of_server: bool, other_came: bool) {
        self.talk.server_closes |= of_server && !other_came;
    }

    fn end_turn(&mut self) {
        let Some(mut turn) = self.turn.take() else { return };
        let whole_at = self.whole_at.take();
        if !self.answers(&turn) {
            // Nothing came for it: a last word, or the capture ends.
            return;
        }
        let broken = self.talk.turns_left_out > 0;
        match whole_at {
            Some(at) if !self.full && !broken && self.talk.turns.len() < SAID_MAX => {
                turn.took = at.saturating_sub(turn.asked_at);
                self.talk.turns.push(turn);
            }
            _ => self.talk.turns_left_out += 1,
        }
    }

    /// The conversation, up to the last answer that arrived whole.
    pub(super) fn finish(mut self) -> Talk {
        self.end_turn();
        let mut talk = self.talk;
        let last = talk.turns.last().copied().unwrap_or_default();
        talk.client_bytes = last.request_upto;
        talk.server_bytes = last.response_upto;
        talk.says.retain(|said| said.from < talk.client_bytes);
        talk.writes.retain(|said| said.from < talk.server_bytes);
        talk.says.shrink_to_fit();
        talk.writes.shrink_to_fit();
        talk.turns.shrink_to_fit();
        talk
    }
}
