//! What a replica says to its primary before the feed begins, and how it takes the dump: bytes in, bytes and news out.
//!
//! ```text
//! PING  ->  [AUTH]  REPLCONF ...  ->  PSYNC  ->  +CONTINUE                  the feed goes on
//!                                            ->  +FULLRESYNC id offset
//!                                                $<length> or $EOF:<mark>  then the dump, then the feed
//!                                            ->  -error                    SYNC, or later again
//! ```
//!
//! Newlines before an answer only say that the primary is there. What is longer than a line can be, or is no answer to what was
//! asked, ends the link with a reason.

use crate::base::limit::OFFSET_MAX;
use crate::resp::reply::encode_request;
use std::collections::VecDeque;
use std::mem;

/// The longest line that is looked at, in bytes.
const LINE_BYTES_MAX: usize = 8 * 1024;
/// Bytes of the mark before and after a dump whose length is not known. Redis: `CONFIG_RUN_ID_SIZE`.
pub const MARK_BYTES: usize = 40;

/// What a replica says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Introduction {
    /// User, which may be empty, and password.
    pub auth: Option<(Vec<u8>, Vec<u8>)>,
    /// The port on which it listens.
    pub port: u16,
    /// Its address; empty where it has nothing to say.
    pub address: String,
    /// The version of Valkey of which it reads dumps.
    pub version: &'static str,
    /// The history that it has, and how far; none where it has nothing.
    pub has: Option<(String, u64)>,
    /// The other one is to take over.
    pub is_failover: bool,
}

/// What was asked and is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Ping,
    Auth,
    Port,
    Address,
    Capabilities,
    Version,
    Psync,
    /// SYNC, which is answered by the dump.
    Sync,
    /// The dump that `+FULLRESYNC` has announced.
    Dump,
}

/// What there is to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The primary has answered PING.
    Pong,
    /// An option is not understood, which does not matter: the name of it and the answer.
    NotUnderstood(&'static str, String),
    /// PSYNC was sent.
    Asked,
    /// The feed goes on where this server was; the history may have another id by now.
    Continue(Option<String>),
    /// A dump comes, of this history at this offset; neither is known where SYNC was sent.
    Full(Option<(String, u64)>),
    /// PSYNC is not understood: SYNC was sent.
    Old(String),
    /// The dump begins.
    Dump(Length),
}

/// How long a dump is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many bytes.
    Bytes(u64),
    /// Up to this mark.
    Mark([u8; MARK_BYTES]),
}

/// Why a link is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The primary will be able to answer later.
    Later(String),
    /// The log has this.
    Failed(String),
    /// The other one does not take over.
    Refused(String),
}

/// The talk before the feed.
#[derive(Debug)]
pub struct Handshake {
    introduction: Introduction,
    asked: VecDeque<Asked>,
    line: Vec<u8>,
}

impl Handshake {
    /// Begins to talk; what is to be sent is appended.
    pub fn begin(introduction: Introduction, out: &mut Vec<u8>) -> Handshake {
        encode_request(&["PING"], out);
        Handshake { introduction, asked: VecDeque::from([Asked::Ping]), line: Vec::new() }
    }

    /// Whether a dump is to come next.
    pub fn awaits_dump(&self) -> bool {
        matches!(self.asked.front(), Some(Asked::Dump | Asked::Sync))
    }

    /// Takes bytes up to the next news; what is to be sent is appended. Returns how many were taken.
    ///
    /// # Errors
    ///
    /// Why the link is to be given up.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(usize, Option<News>), Failure> {
        let mut taken = 0;
        while let Some(end) = bytes[taken..].iter().position(|&byte| byte == b'\n') {
            self.line.extend_from_slice(&bytes[taken..taken + end]);
            taken += end + 1;
            let mut line = mem::take(&mut self.line);
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if line.is_empty() {
                continue;
            }
            if let Some(news) = self.answer(&line, out)? {
                return Ok((taken, Some(news)));
            }
        }
        self.line.extend_from_slice(&bytes[taken..]);
        if self.line.len() > LINE_BYTES_MAX {
            let shown = self.line[..64].escape_ascii();
            return Err(Failure::Failed(format!("The primary sends no line: '{shown}...'")));
        }
        Ok((bytes.len(), None))
    }

    /// Says what this server is, and asks for the feed.
    fn introduce(&mut self, out: &mut Vec<u8>) {
        let Introduction { auth, port, address, version, .. } = &self.introduction;
        if let Some((user, password)) = auth {
            match user.is_empty() {
                true => encode_request(&[b"AUTH", &password[..]], out),
                false => encode_request(&[b"AUTH", &user[..], &password[..]], out),
            }
            self.asked.push_back(Asked::Auth);
        }
        encode_request(&["REPLCONF", "listening-port", &port.to_string()], out);
        self.asked.push_back(Asked::Port);
        if !address.is_empty() {
            encode_request(&["REPLCONF", "ip-address", address], out);
            self.asked.push_back(Asked::Address);
        }
        encode_request(&["REPLCONF", "capa", "eof", "capa", "psync2", "capa", "stream-idmp"], out);
        self.asked.push_back(Asked::Capabilities);
        encode_request(&["REPLCONF", "version", version], out);
        self.asked.push_back(Asked::Version);
    }

    fn ask_for_feed(&mut self, out: &mut Vec<u8>) {
        let is_failover = self.introduction.is_failover;
        match &self.introduction.has {
            Some((id, offset)) if is_failover => {
                encode_request(&["PSYNC", id, &(offset + 1).to_string(), "FAILOVER"], out);
            }
            Some((id, offset)) => encode_request(&["PSYNC", id, &(offset + 1).to_string()], out),
            None => encode_request(&["PSYNC", "?", "-1"], out),
        }
        self.asked.push_back(Asked::Psync);
    }

    /// Takes the answer to what was asked first.
    fn answer(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<Option<News>, Failure> {
        let text = String::from_utf8_lossy(line).into_owned();
        let is_error = line[0] == b'-';
        let Some(asked) = self.asked.pop_front() else {
            return Err(Failure::Failed(format!("The primary answers what was not asked: {text}")));
        };
        let news = match asked {
            Asked::Ping => {
                let means_well = ["+", "-NOAUTH", "-NOPERM", "-ERR operation not permitted"]
                    .iter()
                    .any(|begin| text.starts_with(begin));
                if !means_well {
                    return Err(Failure::Failed(format!("Error reply to PING from master: '{text}'")));
                }
                self.introduce(out);
                Some(News::Pong)
            }
            Asked::Auth if is_error => {
                return Err(Failure::Failed(format!("Unable to AUTH to MASTER: {text}")));
            }
            Asked::Port if is_error => Some(News::NotUnderstood("listening-port", text)),
            Asked::Address if is_error => Some(News::NotUnderstood("ip-address", text)),
            Asked::Capabilities if is_error => Some(News::NotUnderstood("capa", text)),
            // Redis knows no such option.
            Asked::Version => {
                self.ask_for_feed(out);
                Some(News::Asked)
            }
            Asked::Psync => Some(self.answer_to_psync(line, text, out)?),
            Asked::Sync | Asked::Dump => Some(News::Dump(length(line, &text)?)),
            _ => None,
        };
        Ok(news)
    }

    fn answer_to_psync(&mut self, line: &[u8], text: String, out: &mut Vec<u8>) -> Result<News, Failure> {
        let mut words = text.split_ascii_whitespace();
        match words.next() {
            Some("+FULLRESYNC") => {
                let id = words.next().filter(|id| is_id(id));
                let offset = words.next().and_then(|offset| offset.parse::<i64>().ok());
                let offset = offset.and_then(|offset| u64::try_from(offset).ok());
                let (Some(id), Some(offset)) = (id, offset.filter(|offset| *offset <= OFFSET_MAX)) else {
                    return Err(Failure::Failed("Master replied with wrong +FULLRESYNC syntax.".to_owned()));
                };
                self.asked.push_back(Asked::Dump);
                Ok(News::Full(Some((id.to_owned(), offset))))
            }
            Some("+CONTINUE") if self.introduction.has.is_some() => match words.next() {
                Some(id) if !is_id(id) => {
                    Err(Failure::Failed(format!("Master replied with a wrong replication ID: {text}")))
                }
                id => Ok(News::Continue(id.map(str::to_owned))),
            },
            Some("-NOMASTERLINK" | "-LOADING") => Err(Failure::Later(text)),
            _ if line[0] == b'-' && self.introduction.is_failover => Err(Failure::Refused(text)),
            _ if line[0] == b'-' => {
                encode_request(&["SYNC"], out);
                self.asked.push_back(Asked::Sync);
                Ok(News::Old(text))
            }
            _ => Err(Failure::Failed(format!("Unexpected reply to PSYNC from master: {text}"))),
        }
    }
}

/// What the line before a dump says.
fn length(line: &[u8], text: &str) -> Result<Length, Failure> {
    if line[0] == b'-' {
        return Err(Failure::Failed(format!("MASTER aborted replication with an error: {}", &text[1..])));
    }
    let bad = || {
        Failure::Failed(format!(
            "Bad protocol from MASTER, the first byte is not '$' (we received '{text}'), are you sure the host and port are \
             right?"
        ))
    };
    let rest = line.strip_prefix(b"$").ok_or_else(bad)?;
    if let Some(mark) = rest.strip_prefix(b"EOF:") {
        return mark.try_into().map(Length::Mark).map_err(|_| bad());
    }
    std::str::from_utf8(rest).ok().and_then(|digits| digits.parse().ok()).map(Length::Bytes).ok_or_else(bad)
}

fn is_id(text: &str) -> bool {
    text.len() == MARK_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The bytes of a dump on their way.
#[derive(Debug)]
pub struct Transfer {
    length: Length,
    /// Bytes that were taken out.
    pub taken: u64,
    /// The last bytes, which may be the mark.
    held: Vec<u8>,
}

impl Transfer {
    /// A dump begins.
    pub fn new(length: Length) -> Transfer {
        Transfer { length, taken: 0, held: Vec::new() }
    }

    /// Bytes of the dump, where that is known.
    pub fn bytes(&self) -> Option<u64> {
        match self.length {
            Length::Bytes(bytes) => Some(bytes),
            Length::Mark(_) => None,
        }
    }

    /// Takes bytes of the link and appends those of the dump. Returns how many were taken, and whether the dump is whole. A mark
    /// is looked for at the end of what came, after which a primary says nothing before it is told that the dump is there.
    pub fn feed(&mut self, bytes: &[u8], dump: &mut Vec<u8>) -> (usize, bool) {
        let before = dump.len();
        let (used, is_whole) = match self.length {
            Length::Bytes(all) => {
                let used = (all - self.taken).min(bytes.len() as u64) as usize;
                dump.extend_from_slice(&bytes[..used]);
                (used, self.taken + used as u64 == all)
            }
            Length::Mark(mark) => {
                self.held.extend_from_slice(bytes);
                let is_whole = self.held.ends_with(&mark);
                let keep = if is_whole { 0 } else { MARK_BYTES.min(self.held.len()) };
                let out = self.held.len() - if is_whole { MARK_BYTES } else { keep };
                dump.extend_from_slice(&self.held[..out]);
                self.held.drain(..out);
                (bytes.len(), is_whole)
            }
        };
        self.taken += (dump.len() - before) as u64;
        (used, is_whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk(has: Option<(String, u64)>) -> (Handshake, Vec<u8>) {
        let mut out = Vec::new();
        let introduction = Introduction { port: 7000, version: "9.1.0", has, ..Introduction::default() };
        (Handshake::begin(introduction, &mut out), out)
    }

    /// All news of an answer that comes in pieces of `step` bytes, and what was said.
    fn hear(
        handshake: &mut Handshake,
        bytes: &[u8],
        step: usize,
    ) -> (Vec<News>, Result<usize, Failure>, Vec<u8>) {
        let (mut news, mut out, mut used) = (Vec::new(), Vec::new(), 0);
        for piece in bytes.chunks(step) {
            let mut rest = piece;
            while !rest.is_empty() {
                match handshake.feed(rest, &mut out) {
                    Ok((taken, some)) => {
                        news.extend(some);
                        used += taken;
                        rest = &rest[taken..];
                    }
                    Err(failure) => return (news, Err(failure), out),
                }
            }
        }
        (news, Ok(used), out)
    }

    #[test]
    fn a_primary_is_asked_for_what_is_missing_however_its_answers_are_cut() {
        let id = "a".repeat(40);
        let answers = format!("\n+PONG\r\n\n+OK\r\n+OK\r\n-ERR what\r\n\n+FULLRESYNC {id} 17\r\n\n\n$5\r\n");
        for step in [1, 2, 7, 1000] {
            let (mut handshake, first) = talk(Some(("b".repeat(40), 16)));
            assert_eq!(first, b"*1\r\n$4\r\nPING\r\n");
            let (news, used, out) = hear(&mut handshake, answers.as_bytes(), step);
            assert_eq!(used, Ok(answers.len()));
            let expected =
                [News::Pong, News::Asked, News::Full(Some((id.clone(), 17))), News::Dump(Length::Bytes(5))];
            assert_eq!(news, expected);
            let text = String::from_utf8_lossy(&out).into_owned();
            assert!(
                text.contains("capa\r\n$3\r\neof")
                    && text.contains("version")
                    && text.contains("$2\r\n17\r\n")
            );
        }
    }

    #[test]
    fn what_is_no_answer_ends_the_link() {
        let greeting = "+PONG\r\n+OK\r\n+OK\r\n+OK\r\n";
        let failed = |answers: String| {
            let (mut handshake, _) = talk(None);
            matches!(hear(&mut handshake, answers.as_bytes(), 3).1, Err(Failure::Failed(_)))
        };
        assert!(failed("-ERR max number of clients reached\r\n".to_owned()));
        assert!(failed("x".repeat(LINE_BYTES_MAX + 1)));
        assert!(failed(format!("{greeting}+FULLRESYNC short 17\r\n")));
        assert!(failed(format!("{greeting}+FULLRESYNC {} -3\r\n", "a".repeat(40))));
        // Nothing was there with which it could go on.
        assert!(failed(format!("{greeting}+CONTINUE\r\n")));
        assert!(failed(format!("{greeting}+FULLRESYNC {} 1\r\n*1\r\n", "a".repeat(40))));
        let (mut handshake, _) = talk(None);
        let later = hear(&mut handshake, format!("{greeting}-LOADING wait\r\n").as_bytes(), 9).1;
        assert_eq!(later, Err(Failure::Later("-LOADING wait".to_owned())));
    }

    #[test]
    fn an_old_primary_is_asked_by_sync() {
        let (mut handshake, _) = talk(None);
        let answers = b"+PONG\r\n-ERR\r\n-ERR\r\n-ERR\r\n-ERR unknown command\r\n$3\r\nabc";
        let mut used = 0;
        let mut news = Vec::new();
        let mut out = Vec::new();
        while !matches!(news.last(), Some(News::Dump(_))) {
            let (taken, some) = handshake.feed(&answers[used..], &mut out).unwrap();
            used += taken;
            news.extend(some);
        }
        assert!(matches!(news[1], News::NotUnderstood("listening-port", _)));
        assert_eq!(&answers[used..], b"abc");
        assert!(out.ends_with(b"*1\r\n$4\r\nSYNC\r\n"));
    }

    #[test]
    fn a_dump_ends_with_its_length_or_its_mark() {
        let mark = *b"0123456789012345678901234567890123456789";
        let dump: Vec<u8> = (0..1000u32).flat_map(|i| i.to_le_bytes()).collect();
        let marked = [&dump[..], &mark].concat();
        for step in [1, 39, 40, 41, 1000, 10_000] {
            let (mut transfer, mut got, mut is_whole) =
                (Transfer::new(Length::Mark(mark)), Vec::new(), false);
            for piece in marked.chunks(step) {
                assert!(!is_whole);
                let (used, whole) = transfer.feed(piece, &mut got);
                assert_eq!(used, piece.len());
                is_whole = whole;
            }
            assert!(is_whole && got == dump && transfer.taken == 4000);
        }
        let (mut transfer, mut got) = (Transfer::new(Length::Bytes(4000)), Vec::new());
        assert_eq!(transfer.feed(&dump[..3999], &mut got), (3999, false));
        assert_eq!(transfer.feed(&[dump[3999], b'*', b'1'], &mut got), (1, true));
        assert_eq!(got, dump);
    }
}
