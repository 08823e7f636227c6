//! What is said to another server while keys go there, and what it answers: bytes in, bytes out.
//!
//! AUTH and SELECT go first, where they are needed, and keys only when both were accepted: no key gets into the wrong
//! database, nor to a server that refuses who sends it. Then a RESTORE a key is sent as fast as the connection takes them,
//! and each is answered by a line.
//!
//! * A line that begins with `+` says that a key is there, one that begins with `-` that it is not. The other end is no
//!   server of this kind if it says anything else, or answers what it cannot have read: [`Nonsense`].
//! * Of a line [`LINE_BYTES_MAX`] bytes are kept, whatever is sent.

use super::{Login, Order};
use crate::base::lossless;
use crate::resp::reply::encode_request;

/// Bytes of an answer that its client is told. Redis: the buffers of `migrateCommand`.
const LINE_BYTES_MAX: usize = 1023;

/// The other end does not answer as a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nonsense;

/// A talk that brings keys to another server.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// The connection is there, and something may be said.
    has_begun: bool,
    /// Commands in front of the keys that are not answered yet.
    greetings: u32,
    /// One of them was refused, so no key is sent.
    is_refused: bool,
    /// The first key of the order that was not looked at.
    pub next: usize,
    /// Keys that were sent: the number of each in the order, and after which byte of all that was said its request ends.
    sent: Vec<(u32, u64)>,
    /// How many of them were answered.
    answered: usize,
    /// Keys that are there, by their numbers.
    pub acked: Vec<u32>,
    /// The first error that the other server answered.
    pub error: Option<String>,
    /// The answer that is not complete.
    line: Vec<u8>,
    /// Bytes that were said.
    said: u64,
    /// How many of them the connection has taken.
    taken: u64,
}

impl Exchange {
    /// Begins: says who sends the keys, and into which database they are to go if it has to be said.
    pub fn begin(login: Option<&Login>, db: Option<i64>, out: &mut Vec<u8>) -> Exchange {
        let before = out.len();
        let mut greetings = 0;
        if let Some(Login { user, password }) = login {
            let words = [&b"AUTH"[..], user.as_deref().unwrap_or_default(), password];
            match user {
                Some(_) => encode_request(&words, out),
                None => encode_request(&[words[0], words[2]], out),
            }
            greetings += 1;
        }
        if let Some(db) = db {
            encode_request(&["SELECT", &db.to_string()], out);
            greetings += 1;
        }
        let said = (out.len() - before) as u64;
        Exchange { has_begun: true, greetings, said, ..Exchange::default() }
    }

    /// Whether keys may be sent now.
    pub fn takes_keys(&self) -> bool {
        self.has_begun && self.greetings == 0 && !self.is_refused
    }

    /// A key of the order was sent, in so many bytes.
    pub fn note_sent(&mut self, key: usize, bytes: u64) {
        self.said += bytes;
        self.sent.push((key as u32, self.said));
    }

    /// The connection has taken so many bytes.
    pub fn note_taken(&mut self, bytes: usize) {
        self.taken += bytes as u64;
    }

    /// Whether nothing is left to be sent or answered.
    pub fn is_over(&self, order: &Order) -> bool {
        self.has_begun
            && self.greetings == 0
            && (self.is_refused || (self.next == order.keys.len() && self.answered == self.sent.len()))
    }

    /// Whether something is left to be sent.
    pub fn is_sending(&self, order: &Order) -> bool {
        !self.has_begun || self.taken < self.said || (self.takes_keys() && self.next < order.keys.len())
    }

    /// Whether nothing is known of any key, so that all may be said again.
    pub fn may_begin_again(&self) -> bool {
        self.answered == 0 && self.error.is_none()
    }

    /// Bytes came from the other server.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Nonsense> {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.keep(&bytes[..end]);
            bytes = &bytes[end + 1..];
            self.take_answer()?;
        }
        self.keep(bytes);
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn take_answer(&mut self) -> Result<(), Nonsense> {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        let is_error = match line.first() {
            Some(b'+') => false,
            Some(b'-') => true,
            _ => return Err(Nonsense),
        };
        if is_error && self.error.is_none() {
            self.error = Some(lossless::from_bytes(&line[1..]).into_owned());
        }
        if self.greetings > 0 {
            self.greetings -= 1;
            self.is_refused |= is_error;
            return Ok(());
        }
        let taken = self.taken;
        let Some(&(key, _)) = self.sent.get(self.answered).filter(|(_, end)| *end <= taken) else {
            return Err(Nonsense);
        };
        self.answered += 1;
        if !is_error {
            self.acked.push(key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn order(keys: usize) -> Order {
        Order { keys: vec![Bytes::from_static(b"k"); keys], ..Order::default() }
    }

    fn all_sent(keys: usize) -> Exchange {
        let mut exchange = Exchange::begin(None, None, &mut Vec::new());
        (0..keys).for_each(|key| exchange.note_sent(key, 10));
        exchange.note_taken(10 * keys);
        exchange.next = keys;
        exchange
    }

    #[test]
    fn keys_wait_until_the_greeting_is_accepted() {
        let login = Login { user: Some("u".into()), password: "p".into() };
        let mut out = Vec::new();
        let mut exchange = Exchange::begin(Some(&login), Some(3), &mut out);
        assert_eq!(out, b"*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$1\r\np\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n");
        assert!(!exchange.takes_keys() && exchange.is_sending(&order(1)));
        exchange.note_taken(out.len());
        assert!(!exchange.is_sending(&order(1)));
        assert_eq!(exchange.feed(b"+OK\r\n+O"), Ok(()));
        assert!(!exchange.takes_keys());
        assert_eq!(exchange.feed(b"K\r\n"), Ok(()));
        assert!(exchange.takes_keys() && exchange.is_sending(&order(1)) && !exchange.is_over(&order(1)));
    }

    #[test]
    fn a_password_alone_is_said_alone() {
        let mut out = Vec::new();
        Exchange::begin(Some(&Login { user: None, password: "p".into() }), None, &mut out);
        assert_eq!(out, b"*2\r\n$4\r\nAUTH\r\n$1\r\np\r\n");
    }

    #[test]
    fn nothing_is_sent_after_a_refusal() {
        let mut out = Vec::new();
        let mut exchange = Exchange::begin(None, Some(99), &mut out);
        exchange.note_taken(out.len());
        assert_eq!(exchange.feed(b"-ERR DB index is out of range\r\n"), Ok(()));
        assert!(!exchange.takes_keys() && exchange.is_over(&order(2)));
        assert_eq!(exchange.error.as_deref(), Some("ERR DB index is out of range"));
        assert!(exchange.acked.is_empty());
    }

    #[test]
    fn keys_behind_an_error_count_all_the_same() {
        let mut exchange = all_sent(3);
        assert_eq!(exchange.feed(b"+OK\r\n-BUSYKEY a\r\n+OK\r\n"), Ok(()));
        assert_eq!((exchange.acked.clone(), exchange.is_over(&order(3))), (vec![0, 2], true));
        assert_eq!(exchange.error.as_deref(), Some("BUSYKEY a"));
    }

    #[test]
    fn what_was_not_read_cannot_be_answered() {
        let mut exchange = Exchange::begin(None, None, &mut Vec::new());
        exchange.note_sent(0, 100);
        exchange.note_taken(99);
        assert_eq!(exchange.feed(b"+OK\r\n"), Err(Nonsense));
        let mut exchange = all_sent(1);
        assert_eq!(exchange.feed(b"+OK\r\n+OK\r\n"), Err(Nonsense));
        for lie in [&b"$2\r\nOK\r\n"[..], b"HTTP/1.1 200 OK\r\n", b":1\r\n", b"\r\n", b"\n"] {
            assert_eq!(all_sent(1).feed(lie), Err(Nonsense));
        }
    }

    #[test]
    fn a_long_line_is_cut_and_stays_one() {
        let mut exchange = all_sent(2);
        for _ in 0..1000 {
            assert_eq!(exchange.feed(&[b'-'; 1000]), Ok(()));
        }
        assert_eq!(exchange.feed(b"\r\n+OK\r\n"), Ok(()));
        assert_eq!(exchange.error.as_ref().map(String::len), Some(LINE_BYTES_MAX - 1));
        assert_eq!(exchange.acked, [1]);
    }
}
