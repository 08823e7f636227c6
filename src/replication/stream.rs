//! The feed of a primary as it comes: raw bytes, in which requests are found.
//!
//! The bytes stay as they are, since what was run is passed on to sub-replicas byte for byte, and an offset counts all of them.
//! A request may be as long as it likes; of a long one nothing is looked at twice.

use crate::resp::Span;

/// Digits of a number that somebody may send.
const DIGITS_MAX: usize = 20;
/// Arguments of one request.
const ARGUMENTS_MAX: usize = 1 << 30;

/// See the head of the file.
#[derive(Debug, Default)]
pub struct Stream {
    bytes: Vec<u8>,
    /// Bytes at the front that were run.
    used: usize,
    /// Arguments of the request at `used` that are found.
    spans: Vec<Span>,
    /// Where its next argument begins, from `used` on; 0: at its count.
    at: usize,
    /// Arguments that are still to come.
    left: usize,
}

/// The bytes are no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadStream {
    /// Bytes from the start of the request on.
    pub at: usize,
    /// What is wrong.
    pub what: &'static str,
}

impl Stream {
    /// Bytes came.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.used > 0 && self.used * 2 > self.bytes.len() {
            self.bytes.drain(..self.used);
            self.used = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes that came and were not run.
    pub fn waiting(&self) -> usize {
        self.bytes.len() - self.used
    }

    /// Memory that it holds, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * size_of::<Span>()
    }

    /// Looks for a whole request. Returns its length in bytes; its arguments are [`Stream::args`]. A request without arguments is
    /// a line end that means nothing.
    ///
    /// # Errors
    ///
    /// [`BadStream`].
    pub fn find(&mut self) -> Result<Option<usize>, BadStream> {
        let input = &self.bytes[self.used..];
        if self.at == 0 {
            match input.first() {
                None => return Ok(None),
                Some(b'\n') => return Ok(Some(1)),
                Some(b'\r') if input.len() < 2 => return Ok(None),
                Some(b'\r') if input[1] == b'\n' => return Ok(Some(2)),
                Some(b'*') => {}
                Some(_) => return Err(BadStream { at: 0, what: "a request that does not begin with '*'" }),
            }
            let Some((count, at)) = number(input, 1)? else { return Ok(None) };
            if count > ARGUMENTS_MAX {
                return Err(BadStream { at: 1, what: "a number of arguments out of range" });
            }
            (self.left, self.at) = (count, at);
        }
        while self.left > 0 {
            match input.get(self.at) {
                None => return Ok(None),
                Some(b'$') => {}
                Some(_) => {
                    return Err(BadStream { at: self.at, what: "an argument that does not begin with '$'" });
                }
            }
            let Some((bytes, start)) = number(input, self.at + 1)? else { return Ok(None) };
            let end = start.saturating_add(bytes);
            if end > u32::MAX as usize - 2 {
                return Err(BadStream { at: self.at, what: "an argument out of range" });
            }
            if input.len() < end + 2 {
                return Ok(None);
            }
            if &input[end..end + 2] != b"\r\n" {
                return Err(BadStream { at: end, what: "no line end behind an argument" });
            }
            self.spans.push(Span { start: start as u32, end: end as u32 });
            (self.at, self.left) = (end + 2, self.left - 1);
        }
        Ok(Some(self.at))
    }

    /// The bytes from the first that was not run on, and in them the arguments that [`Stream::find`] has found.
    pub fn args(&self) -> (&[u8], &[Span]) {
        (&self.bytes[self.used..], &self.spans)
    }

    /// The request that was found is run: goes on after its `bytes`.
    pub fn pass(&mut self, bytes: usize) {
        self.used += bytes;
        self.spans.clear();
        (self.at, self.left) = (0, 0);
        if self.used == self.bytes.len() {
            self.bytes.clear();
            self.used = 0;
        }
    }
}

/// The number that stands at `at` with its line end, and where the next byte is; none where more has to come.
fn number(input: &[u8], at: usize) -> Result<Option<(usize, usize)>, BadStream> {
    let rest = &input[at.min(input.len())..];
    let digits = rest.iter().take(DIGITS_MAX + 1).take_while(|byte| byte.is_ascii_digit()).count();
    let bad = BadStream { at, what: "a number that is none" };
    let ends = [rest.get(digits), rest.get(digits + 1)];
    match ends {
        _ if digits > DIGITS_MAX => Err(bad),
        [None, _] | [Some(b'\r'), None] => Ok(None),
        [Some(b'\r'), Some(b'\n')] if digits > 0 => {
            let text = std::str::from_utf8(&rest[..digits]).map_err(|_| bad.clone())?;
            let number = text.parse().map_err(|_| bad)?;
            Ok(Some((number, at + digits + 2)))
        }
        _ => Err(bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Args;
    use crate::resp::reply::encode_request;

    #[test]
    fn requests_are_found_however_they_are_cut() {
        let long = vec![b'x'; 100_000];
        let mut bytes = Vec::new();
        encode_request(&[&b"SET"[..], b"a", b"1"], &mut bytes);
        bytes.extend_from_slice(b"\n\r\n*0\r\n");
        encode_request(&[&b"SET"[..], b"b", &long], &mut bytes);
        encode_request(&[&b"PING"[..]], &mut bytes);
        for step in [1, 2, 3, 1000, 1 << 20] {
            let (mut stream, mut found, mut total) = (Stream::default(), Vec::new(), 0);
            for piece in bytes.chunks(step) {
                stream.push(piece);
                while let Some(n) = stream.find().unwrap() {
                    let (source, spans) = stream.args();
                    let args = Args::Spans(source, spans);
                    found.push((0..args.len()).map(|i| args.at(i).len()).collect::<Vec<_>>());
                    stream.pass(n);
                    total += n;
                }
            }
            let nothing = Vec::new();
            assert_eq!(
                found,
                [vec![3, 1, 1], nothing.clone(), nothing.clone(), nothing, vec![3, 1, 100_000], vec![4]]
            );
            assert_eq!((total, stream.waiting()), (bytes.len(), 0));
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for bad in [
            "*x\r\n",
            "*1\r\n+OK\r\n",
            "PING\r\n",
            "*1\r\n$1\r\nabc",
            "*1\r\n$-1\r\n",
            "*99999999999999999999999\r\n",
            "*1\r\n$9999999999\r\n",
            "*1\r\n$18446744073709551615\r\n",
        ] {
            let mut stream = Stream::default();
            stream.push(bad.as_bytes());
            assert!(stream.find().is_err(), "{bad}");
        }
    }
}
