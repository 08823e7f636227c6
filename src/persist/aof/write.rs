//! What happens, to the bytes of an increment.
//!
//! A change comes as the encoded command that replicas get, without any framing. The file has its own: a SELECT where the
//! database is another than that of the command before, MULTI and EXEC around the commands of one outermost command, so that
//! a cut keeps all of them or none, and a line with the time where that is wanted (`aof-timestamp-enabled`).

use crate::resp::reply::encode_request;
use std::fmt::Write as _;

/// Knows what the last command of an increment has left behind.
#[derive(Debug, Default)]
pub struct Framer {
    /// The database of the last command; none before the first.
    db: Option<u32>,
    /// The last time that was written.
    second: Option<i64>,
}

impl Framer {
    /// A new increment begins: it says again which database it is about and when, for it may be read without those before.
    pub fn restart(&mut self) {
        (self.db, self.second) = (None, None);
    }

    /// Appends what one outermost command and all that it caused have changed: the database and the encoded command of each
    /// change, at this time, as Unix time in seconds, where times are to be written.
    pub fn batch<'a>(
        &mut self,
        frames: impl Iterator<Item = (u32, &'a [u8])> + Clone,
        second: Option<i64>,
        out: &mut Vec<u8>,
    ) {
        let several = frames.clone().nth(1).is_some();
        for (i, (db, command)) in frames.enumerate() {
            if i == 0 {
                self.time(second, out);
                if several {
                    encode_request(&["MULTI"], out);
                }
            }
            if self.db.replace(db) != Some(db) {
                encode_request(&["SELECT", &db.to_string()], out);
            }
            out.extend_from_slice(command);
        }
        if several {
            encode_request(&["EXEC"], out);
        }
    }

    /// Whether what happens at this time begins with a line that says so.
    pub fn is_later(&self, second: Option<i64>) -> bool {
        second > self.second
    }

    /// Appends the time, if it is later than the last.
    fn time(&mut self, second: Option<i64>, out: &mut Vec<u8>) {
        if self.is_later(second) {
            self.second = second;
            second.iter().for_each(|second| timestamp(*second, out));
        }
    }
}

/// Appends the line that says when what follows happened, as Unix time in seconds.
pub fn timestamp(second: i64, out: &mut Vec<u8>) {
    let mut line = String::new();
    write!(line, "#TS:{second}\r\n").expect("a string takes every write");
    out.extend_from_slice(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(framer: &mut Framer, frames: &[(u32, &str)], second: Option<i64>) -> String {
        let encode = |text: &&str| {
            let mut bytes = Vec::new();
            encode_request(&text.split(' ').collect::<Vec<_>>(), &mut bytes);
            bytes
        };
        let frames: Vec<(u32, Vec<u8>)> = frames.iter().map(|(db, text)| (*db, encode(text))).collect();
        let mut out = Vec::new();
        framer.batch(frames.iter().map(|(db, bytes)| (*db, &bytes[..])), second, &mut out);
        let text = String::from_utf8(out).expect("it is text");
        let words: Vec<&str> =
            text.split("\r\n").filter(|word| !word.is_empty() && !word.starts_with(['*', '$'])).collect();
        words.join(" ")
    }

    #[test]
    fn a_command_stands_alone_and_several_are_a_transaction() {
        let mut framer = Framer::default();
        assert_eq!(text(&mut framer, &[], None), "");
        assert_eq!(text(&mut framer, &[(0, "SET a 1")], None), "SELECT 0 SET a 1");
        assert_eq!(text(&mut framer, &[(0, "DEL a")], None), "DEL a");
        let both = [(0, "DEL b"), (3, "SET c 2")];
        assert_eq!(text(&mut framer, &both, None), "MULTI DEL b SELECT 3 SET c 2 EXEC");
        framer.restart();
        assert_eq!(text(&mut framer, &[(3, "DEL c")], None), "SELECT 3 DEL c");
    }

    #[test]
    fn a_time_is_written_once_a_second_and_never_twice() {
        let mut framer = Framer::default();
        assert_eq!(text(&mut framer, &[(0, "DEL a")], Some(7)), "#TS:7 SELECT 0 DEL a");
        assert_eq!(text(&mut framer, &[(0, "DEL a")], Some(7)), "DEL a");
        assert_eq!(text(&mut framer, &[(0, "DEL a")], Some(6)), "DEL a");
        let both = [(0, "DEL b"), (0, "DEL c")];
        assert_eq!(text(&mut framer, &both, Some(8)), "#TS:8 MULTI DEL b DEL c EXEC");
        framer.restart();
        assert_eq!(text(&mut framer, &[(0, "DEL a")], Some(8)), "#TS:8 SELECT 0 DEL a");
    }
}
