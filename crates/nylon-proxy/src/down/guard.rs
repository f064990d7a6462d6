//! Stands between the socket and the codec: holds a head back until all of it is here and checked, and follows
//! the bodies, so that both always agree where a message ends.

use crate::framing::{ChunkError, Chunked, Framing, HeadLimits, Piece, Refusal, check_head, find_head_end, too_long};

/// What stands where in the bytes of one connection.
pub(crate) struct Guard {
    limits: HeadLimits,
    state: State,
    /// An unfinished head, or what follows a refused one.
    held: Vec<u8>,
    /// How much of `held` was searched for the end of the head.
    searched: usize,
    /// Empty lines before the head.
    empty_lines: u8,
}

enum State {
    Head,
    Length(u64),
    Chunked(Chunked),
    Refused,
}

/// What became of the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// How many bytes the codec may see.
    pub(crate) pass: usize,
    /// Why no further byte may pass.
    pub(crate) stop: Option<Stop>,
}

/// Why a connection's input ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A head was refused.
    Head(Refusal),
    /// A body was badly framed.
    Body(ChunkError),
}

/// Where the input stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// Between two messages.
    Between,
    /// In a head.
    Head,
    /// In a body.
    Body,
    /// Nothing more will be read.
    Refused,
}

impl Guard {
    pub(crate) fn new(limits: HeadLimits) -> Self {
        Self { limits, state: State::Head, held: Vec::new(), searched: 0, empty_lines: 0 }
    }

    pub(crate) fn position(&self) -> Position {
        match self.state {
            State::Head if self.held.is_empty() => Position::Between,
            State::Head => Position::Head,
            State::Length(_) | State::Chunked(_) => Position::Body,
            State::Refused => Position::Refused,
        }
    }

    /// Whether bytes are held back: then new ones go to [`Guard::resume`].
    pub(crate) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Judges bytes from the socket when nothing is held. What may not pass yet is kept.
    pub(crate) fn feed(&mut self, input: &[u8]) -> Verdict {
        let verdict = self.judge(input, 0);
        if verdict.stop.is_none() {
            self.held.extend_from_slice(&input[verdict.pass..]);
            self.searched = self.held.len();
        }
        verdict
    }

    /// Judges bytes from the socket while a head is held; what passes is moved to `output`.
    pub(crate) fn resume(&mut self, input: &[u8], output: &mut Vec<u8>) -> Option<Stop> {
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(input);
        let verdict = self.judge(&held, self.searched);
        if verdict.pass == 0 && verdict.stop.is_none() {
            self.searched = held.len();
            self.held = held;
        } else {
            output.extend_from_slice(&held[..verdict.pass]);
            held.drain(..verdict.pass);
            self.searched = held.len();
            self.held = held;
        }
        verdict.stop
    }

    /// What is held back.
    pub(crate) fn take_held(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// Refuses everything that follows.
    pub(crate) fn refuse(&mut self) {
        self.state = State::Refused;
        self.held = Vec::new();
    }

    fn judge(&mut self, input: &[u8], mut searched: usize) -> Verdict {
        let mut pass = 0;
        let stop = loop {
            let rest = &input[pass..];
            if rest.is_empty() {
                break None;
            }
            match &mut self.state {
                State::Head => match self.head(rest, std::mem::take(&mut searched)) {
                    Ok(Some(length)) => pass += length,
                    Ok(None) => break None,
                    Err(refusal) => break Some(Stop::Head(refusal)),
                },
                State::Length(left) => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    pass += here;
                    *left -= here as u64;
                    if *left == 0 {
                        self.state = State::Head;
                    }
                }
                State::Chunked(chunked) => match chunked.next(rest) {
                    Ok(Piece::Framing(length) | Piece::Data(length)) => pass += length,
                    Ok(Piece::End(length)) => {
                        pass += length;
                        self.state = State::Head;
                    }
                    Err(error) => break Some(Stop::Body(error)),
                },
                State::Refused => break None,
            }
        };
        if stop.is_some() {
            self.state = State::Refused;
        }
        Verdict { pass, stop }
    }

    /// How many bytes the head that `input` begins with has; `None` while it is not complete.
    fn head(&mut self, input: &[u8], searched: usize) -> Result<Option<usize>, Refusal> {
        if let [b'\r', rest @ ..] = input {
            return match rest {
                [] => Ok(None),
                // RFC 9112 §2.2: at least one empty line is forgiven.
                [b'\n', ..] if self.empty_lines < 2 => {
                    self.empty_lines += 1;
                    Ok(Some(2))
                }
                _ => {
                    Err(Refusal { code: nylon_wire::ErrorCode::BadRequest, reason: "empty lines instead of a request" })
                }
            };
        }
        // A head that comes in pieces is not looked at before its end is here: it would be again and again.
        let whole = searched == 0 || find_head_end(input, searched).is_some();
        let Some((end, framing)) = (if whole { check_head(input, self.limits)? } else { None }) else {
            return if input.len() > self.limits.bytes { Err(too_long(input)) } else { Ok(None) };
        };
        self.state = match framing {
            Framing::None => State::Head,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunked::new()),
        };
        self.empty_lines = 0;
        Ok(Some(end))
    }
}

#[cfg(test)]
mod tests;
