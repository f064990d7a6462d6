//! Subject names (SPEC 2, rules §1): building them, and the slot at the end of a reply subject.

/// Why a name cannot be part of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// An empty name would make an empty token.
    #[error("building a subject: the name is empty")]
    Empty,
    /// The prefix is not tokens of `[A-Za-z0-9_-]` joined by dots.
    #[error("building a subject: the prefix has a character that is not allowed")]
    Prefix,
    /// A server would cut the connection of whoever says it.
    #[error("building a subject: it is longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// Not the escaped form of any name.
    #[error("reading a subject: the token is not an escaped name")]
    Token,
}

/// Longest subject, in bytes. Two of them share a line of the NATS protocol, and a server closes the connection of a client
/// whose line is longer than 4,096 bytes (`max_control_line`): all sessions on it would go down with the one long name.
pub const MAX_LENGTH: usize = 1_024;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// One name as one token: `[A-Za-z0-9_-]` stay, any other UTF-8 byte becomes `=` and two upper-case hex digits.
pub fn escape(name: &str) -> Result<String, SubjectError> {
    let mut token = String::with_capacity(name.len());
    push(&mut token, name)?;
    Ok(token)
}

fn push(out: &mut String, name: &str) -> Result<(), SubjectError> {
    if name.is_empty() {
        return Err(SubjectError::Empty);
    }
    for byte in name.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push('=');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    Ok(())
}

/// The name a token stands for. Every name has exactly one token: another spelling is refused.
pub fn unescape(token: &str) -> Result<String, SubjectError> {
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.bytes();
    let digit = |byte: Option<u8>| match byte {
        Some(byte @ b'0'..=b'9') => Ok(byte - b'0'),
        Some(byte @ b'A'..=b'F') => Ok(byte - b'A' + 10),
        _ => Err(SubjectError::Token),
    };
    while let Some(byte) = rest.next() {
        match byte {
            b'=' => {
                let value = digit(rest.next())? << 4 | digit(rest.next())?;
                if plain(value) {
                    return Err(SubjectError::Token);
                }
                bytes.push(value);
            }
            byte if plain(byte) => bytes.push(byte),
            _ => return Err(SubjectError::Token),
        }
    }
    if bytes.is_empty() {
        return Err(SubjectError::Empty);
    }
    String::from_utf8(bytes).map_err(|_| SubjectError::Token)
}

/// Checks a prefix: `nylon`, `team.nylon`.
pub fn check_prefix(prefix: &str) -> Result<(), SubjectError> {
    let token = |token: &str| !token.is_empty() && token.bytes().all(plain);
    if prefix.split('.').all(token) { Ok(()) } else { Err(SubjectError::Prefix) }
}

fn build(prefix: &str, kind: &str, names: &[&str]) -> Result<String, SubjectError> {
    check_prefix(prefix)?;
    let mut subject = String::with_capacity(64);
    subject.push_str(prefix);
    subject.push_str(".v1.");
    subject.push_str(kind);
    for name in names {
        if name.len() > MAX_LENGTH {
            return Err(SubjectError::TooLong);
        }
        subject.push('.');
        push(&mut subject, name)?;
    }
    checked(subject)
}

fn checked(subject: String) -> Result<String, SubjectError> {
    if subject.len() > MAX_LENGTH { Err(SubjectError::TooLong) } else { Ok(subject) }
}

/// `<p>.v1.open.<group>.<entry>`: opens through the queue group.
pub fn open(prefix: &str, group: &str, entry: &str) -> Result<String, SubjectError> {
    build(prefix, "open", &[group, entry])
}

/// `<p>.v1.w.<group>.<worker>`: everything to one worker.
pub fn worker(prefix: &str, group: &str, worker: &str) -> Result<String, SubjectError> {
    build(prefix, "w", &[group, worker])
}

/// Whether a subject is one that a worker listens on, and nothing else: it may come from somebody's message.
pub fn is_worker(prefix: &str, subject: &str) -> bool {
    let rest = subject.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(".v1.w."));
    let tokens = rest.and_then(|rest| rest.split_once('.'));
    let named = tokens.is_some_and(|(group, worker)| unescape(group).is_ok() && unescape(worker).is_ok());
    named && subject.len() <= MAX_LENGTH
}

/// `<p>.v1.h.<gateway>.<thread>.<slot>`: everything to one pending slot.
pub fn reply(prefix: &str, gateway: &str, thread: u32, slot: u32) -> Result<String, SubjectError> {
    checked(format!("{}.{thread}.{slot}", build(prefix, "h", &[gateway])?))
}

/// `<p>.v1.h.<gateway>.<thread>.*`: what a gateway thread subscribes to.
pub fn reply_wildcard(prefix: &str, gateway: &str, thread: u32) -> Result<String, SubjectError> {
    checked(format!("{}.{thread}.*", build(prefix, "h", &[gateway])?))
}

/// `<p>.v1.beat.<group>.<worker>`: a worker's beats.
pub fn beat(prefix: &str, group: &str, worker: &str) -> Result<String, SubjectError> {
    build(prefix, "beat", &[group, worker])
}

/// `<p>.v1.beat.<group>.*`: the beats of one group.
pub fn beat_wildcard(prefix: &str, group: &str) -> Result<String, SubjectError> {
    checked(format!("{}.*", build(prefix, "beat", &[group])?))
}

/// `<p>.v1.beat.>`: the beats of every group.
pub fn beat_all(prefix: &str) -> Result<String, SubjectError> {
    checked(format!("{}.>", build(prefix, "beat", &[])?))
}

/// Group and worker of a beat's subject: what NATS permissions vouch for, unlike the frame's own words.
pub fn parse_beat(subject: &str) -> Option<(String, String)> {
    let mut tokens = subject.rsplit('.');
    let (worker, group) = (tokens.next()?, tokens.next()?);
    if tokens.next()? != "beat" || tokens.next()? != "v1" {
        return None;
    }
    Some((unescape(group).ok()?, unescape(worker).ok()?))
}

/// `<p>.v1.room.<plugin>.<room>`: broadcasts to one room.
pub fn room(prefix: &str, plugin: &str, room: &str) -> Result<String, SubjectError> {
    build(prefix, "room", &[plugin, room])
}

/// The slot at the end of a reply subject; none if it is no plain decimal number below 2^32.
pub fn parse_slot(subject: &str) -> Option<u32> {
    let token = subject.rsplit_once('.')?.1;
    let canonical = token.bytes().all(|byte| byte.is_ascii_digit()) && (token == "0" || !token.starts_with('0'));
    if canonical { token.parse().ok() } else { None }
}

/// The name of a group in the NATS service protocol (ADR-32), which allows only `[A-Za-z0-9_-]` and no escape: other
/// characters become `_`, and a hash of the whole name keeps two such groups apart.
pub fn service_name(group: &str) -> Result<String, SubjectError> {
    if group.is_empty() {
        return Err(SubjectError::Empty);
    }
    if group.bytes().all(plain) {
        return Ok(group.to_owned());
    }
    let mapped: String = group.chars().map(|c| if c.is_ascii() && plain(c as u8) { c } else { '_' }).collect();
    // FNV-1a, 32 bits: the same in every SDK, in three lines.
    let hash = group.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    Ok(format!("{mapped}-{hash:08x}"))
}

#[cfg(test)]
mod tests;
