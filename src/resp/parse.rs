//! Requests, from bytes to spans.
//!
//! The parser has no buffer of its own: it is given the bytes from the start of the first unfinished request, and
//! says how far it came. What it knows about an unfinished request is kept in [`Progress`], so that a request of a
//! million arguments that comes in a thousand reads is not parsed a thousand times.
//!
//! A bulk string above [`LARGE_ARGUMENT_BYTES`] that is not there yet is reported as [`Step::Large`]: the caller
//! gives it a buffer of its own, into which the socket is read without a copy.
//!
//! Errors have Redis's texts. They end the connection, after the reply.

use super::args::Span;
use crate::base::limit::*;
use crate::base::number::parse_i64;
use crate::base::quote::split_args;
use std::fmt;

/// What is known about a request that is not complete.
#[derive(Debug, Default)]
pub struct Progress {
    /// Arguments that are still to come; meaningful when `begun`.
    remaining: usize,
    /// Whether the `*N` line was read.
    begun: bool,
    /// Offset of the next byte to look at, from the start of the request.
    at: usize,
    /// Arguments found so far, as offsets from the start of the request.
    spans: Vec<Span>,
}

impl Progress {
    /// Whether nothing of a request was read.
    pub fn is_fresh(&self) -> bool {
        !self.begun && self.at == 0
    }

    /// Memory held, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.spans.capacity() * size_of::<Span>()
    }
}

/// What bounds a request; both depend on the client and the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `proto-max-bulk-len`, in bytes.
    pub bulk_bytes_max: i64,
    /// The client has to authenticate and has not.
    pub unauthenticated: bool,
}

/// What the parser found at the start of its input.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A request; its spans were appended. It ends before this offset.
    Request(usize),
    /// A request in the inline form, whose arguments had to be unquoted. It ends before this offset.
    Inline(usize, Vec<Vec<u8>>),
    /// Nothing to run, like an empty line. It ends before this offset.
    Nothing(usize),
    /// The request is not complete.
    Incomplete,
    /// The request is not complete, and its next argument is a large one.
    Large {
        /// Arguments still to come, the large one included.
        remaining: usize,
        /// Where the large argument begins.
        at: usize,
        /// Its length in bytes.
        bytes: usize,
    },
}

/// Input that is not a request. `Display` is the text that the client is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtoError {
    /// No line end within the longest `*` line.
    LongCount,
    /// The `*` line holds no count in range.
    BadCount,
    /// More arguments than a client may send that has not authenticated.
    UnauthenticatedCount,
    /// No line end within the longest `$` line.
    LongBulkHeader,
    /// This byte stands where a `$` should.
    NoDollar(u8),
    /// The `$` line holds no length in range.
    BadBulk,
    /// A longer argument than a client may send that has not authenticated.
    UnauthenticatedBulk,
    /// An inline request without an end.
    LongInline,
    /// An inline request with a quote that does not close.
    Quotes,
}

impl fmt::Display for ProtoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        match self {
            ProtoError::LongCount => f.write_str("too big mbulk count string"),
            ProtoError::BadCount => f.write_str("invalid multibulk length"),
            ProtoError::UnauthenticatedCount => f.write_str("unauthenticated multibulk length"),
            ProtoError::LongBulkHeader => f.write_str("too big bulk count string"),
            ProtoError::NoDollar(byte) => write!(f, "expected '$', got '{}'", char::from(*byte)),
            ProtoError::BadBulk => f.write_str("invalid bulk length"),
            ProtoError::UnauthenticatedBulk => f.write_str("unauthenticated bulk length"),
            ProtoError::LongInline => f.write_str("too big inline request"),
            ProtoError::Quotes => f.write_str("unbalanced quotes in request"),
        }
    }
}

/// Looks at the first request of `input`.
///
/// The spans of a complete request are appended to `spans`, with `base` added to each. `progress` belongs to the
/// request at the start of `input`; it is fresh again after every result but [`Step::Incomplete`]. After
/// [`Step::Large`] the arguments before the large one are in `spans`.
///
/// # Errors
///
/// [`ProtoError`] when no continuation could make a request of the input.
pub fn parse(
    input: &[u8],
    base: usize,
    limits: Limits,
    progress: &mut Progress,
    spans: &mut Vec<Span>,
) -> Result<Step, ProtoError> {
    if progress.is_fresh() {
        match input.first() {
            None => return Ok(Step::Incomplete),
            Some(b'*') => {}
            Some(_) => return parse_inline(input),
        }
        return parse_fresh(input, base, limits, progress, spans);
    }
    let mut known = std::mem::take(&mut progress.spans);
    let before = spans.len();
    spans.extend(known.drain(..).map(|s| shifted(s, base)));
    parse_bulks(input, base, limits, progress, spans, before)
}

/// Looks for a whole request of at most nine arguments of at most 99 bytes at `at`, as nearly all are. Its spans, as offsets
/// in `input`, are appended; the end of the request is returned. None: look closer by [`parse`].
///
/// No limit can be exceeded by such a request, so none is looked at.
#[inline(always)]
pub fn parse_plain(input: &[u8], at: usize, spans: &mut Vec<Span>) -> Option<usize> {
    let (first, mut at) = (spans.len(), at + 4);
    let [b'*', count, b'\r', b'\n'] = *input.get(at - 4..at)?.first_chunk::<4>()? else { return None };
    let count = count.wrapping_sub(b'0');
    if !(1..=9).contains(&count) {
        return None;
    }
    for _ in 0..count {
        let Some(span) = plain_argument(input, at) else {
            spans.truncate(first);
            return None;
        };
        spans.push(span);
        at = span.end as usize + 2;
    }
    Some(at)
}

/// The argument of at most 99 bytes whose `$` stands at `at`, if it is there as a whole, line end included.
#[inline(always)]
pub fn plain_argument(input: &[u8], at: usize) -> Option<Span> {
    // The shortest argument takes six bytes, so five are always there in a whole request.
    let [b'$', tens, ones, third, _] = *input.get(at..at + 5)?.first_chunk::<5>()? else { return None };
    let (tens, units) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    let (len, start) = match (ones, third) {
        (b'\r', _) if tens < 10 => (usize::from(tens), at + 4),
        (_, b'\r') if units < 10 && (1..10).contains(&tens) => (usize::from(tens * 10 + units), at + 5),
        _ => return None,
    };
    let end = start + len;
    (end + 2 <= input.len()).then_some(Span { start: start as u32, end: end as u32 })
}

fn shifted(span: Span, base: usize) -> Span {
    Span { start: span.start + base as u32, end: span.end + base as u32 }
}

/// A request of which nothing was read before: the common case.
#[inline]
fn parse_fresh(
    input: &[u8],
    base: usize,
    limits: Limits,
    progress: &mut Progress,
    spans: &mut Vec<Span>,
) -> Result<Step, ProtoError> {
    let Some((count, at)) = length_line(input, 1) else {
        if input.len() > INLINE_BYTES_MAX && !input[1..].contains(&b'\r') {
            return Err(ProtoError::LongCount);
        }
        return Ok(Step::Incomplete);
    };
    match count {
        None => return Err(ProtoError::BadCount),
        Some(n) if n > ARGUMENTS_MAX => return Err(ProtoError::BadCount),
        Some(n) if n > UNAUTHENTICATED_ARGUMENTS_MAX && limits.unauthenticated => {
            return Err(ProtoError::UnauthenticatedCount);
        }
        Some(n) if n <= 0 => return Ok(Step::Nothing(at)),
        Some(n) => progress.remaining = n as usize,
    }
    progress.begun = true;
    progress.at = at;
    let before = spans.len();
    parse_bulks(input, base, limits, progress, spans, before)
}

/// The `$` parts of a request whose `*` line was read. Spans from `before` on belong to this request.
#[inline]
fn parse_bulks(
    input: &[u8],
    base: usize,
    limits: Limits,
    progress: &mut Progress,
    spans: &mut Vec<Span>,
    before: usize,
) -> Result<Step, ProtoError> {
    let mut at = progress.at;
    while progress.remaining > 0 {
        if at >= input.len() {
            return Ok(pause(progress, at, base, spans, before));
        }
        let Some((length, start)) = length_line(input, at + 1) else {
            if input.len() - at > INLINE_BYTES_MAX && !input[at..].contains(&b'\r') {
                return Err(ProtoError::LongBulkHeader);
            }
            return Ok(pause(progress, at, base, spans, before));
        };
        if input[at] != b'$' {
            return Err(ProtoError::NoDollar(input[at]));
        }
        let length = match length {
            Some(n) if n < 0 || n > limits.bulk_bytes_max => return Err(ProtoError::BadBulk),
            None => return Err(ProtoError::BadBulk),
            Some(n) if n > UNAUTHENTICATED_ARGUMENT_BYTES_MAX && limits.unauthenticated => {
                return Err(ProtoError::UnauthenticatedBulk);
            }
            Some(n) => n as usize,
        };
        if input.len() - start < length + 2 {
            if length > LARGE_ARGUMENT_BYTES {
                let remaining = progress.remaining;
                *progress = Progress::default();
                return Ok(Step::Large { remaining, at: start, bytes: length });
            }
            return Ok(pause(progress, at, base, spans, before));
        }
        spans.push(Span { start: (base + start) as u32, end: (base + start + length) as u32 });
        at = start + length + 2;
        progress.remaining -= 1;
    }
    progress.begun = false;
    progress.at = 0;
    Ok(Step::Request(at))
}

/// Continues a request whose large argument was read apart: `remaining` arguments follow at the start of `input`.
pub fn resume(remaining: usize) -> Progress {
    Progress { remaining, begun: true, at: 0, spans: Vec::new() }
}

/// Moves the spans of an unfinished request into its progress.
fn pause(progress: &mut Progress, at: usize, base: usize, spans: &mut Vec<Span>, before: usize) -> Step {
    progress.at = at;
    progress.spans = spans
        .drain(before..)
        .map(|s| Span { start: s.start - base as u32, end: s.end - base as u32 })
        .collect();
    Step::Incomplete
}

/// Reads a number up to `\r\n`: the number (None: not one) and the offset after the line. None: no line end yet.
#[inline]
fn length_line(input: &[u8], from: usize) -> Option<(Option<i64>, usize)> {
    // One or two digits make nearly all lines.
    if let Some(&[a, b'\r', _]) = input.get(from..from + 3)
        && a.is_ascii_digit()
    {
        return Some((Some(i64::from(a - b'0')), from + 3));
    }
    if let Some(&[a, b, b'\r', _]) = input.get(from..from + 4)
        && a.is_ascii_digit()
        && b.is_ascii_digit()
        && a != b'0'
    {
        return Some((Some(i64::from(a - b'0') * 10 + i64::from(b - b'0')), from + 4));
    }
    let rest = input.get(from..)?;
    let end = rest.iter().position(|&b| b == b'\r')?;
    if rest.len() < end + 2 {
        return None;
    }
    Some((parse_i64(&rest[..end]), from + end + 2))
}

fn parse_inline(input: &[u8]) -> Result<Step, ProtoError> {
    let Some(end) = input.iter().position(|&b| b == b'\n') else {
        if input.len() > INLINE_BYTES_MAX {
            return Err(ProtoError::LongInline);
        }
        return Ok(Step::Incomplete);
    };
    let line = &input[..end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match split_args(line) {
        None => Err(ProtoError::Quotes),
        Some(words) if words.is_empty() => Ok(Step::Nothing(end + 1)),
        Some(words) => Ok(Step::Inline(end + 1, words)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Limits = Limits { bulk_bytes_max: 512 << 20, unauthenticated: false };
    const SHUT: Limits = Limits { bulk_bytes_max: 512 << 20, unauthenticated: true };

    #[test]
    fn a_plain_request_is_what_the_careful_parser_says() {
        let mut rng = crate::base::rng::Rng::from_seed(11);
        let mut plain = 0;
        for _ in 0..20_000 {
            let count = 1 + rng.below(10) as usize;
            let mut input = b"before".to_vec();
            let words: Vec<Vec<u8>> = (0..count).map(|_| vec![b'x'; rng.below(120) as usize]).collect();
            crate::resp::reply::encode_request(&words, &mut input);
            match rng.below(4) {
                0 => input.truncate(6 + rng.below(input.len() as u64 - 5) as usize),
                1 => {
                    let at = 6 + rng.below(input.len() as u64 - 6) as usize;
                    input[at] = b"*$0129\r\n"[rng.below(8) as usize];
                }
                2 => input.extend_from_slice(b"*1\r\n$4\r\nPING\r\n"),
                _ => {}
            }
            let (mut found, mut spans) = (vec![Span::default()], Vec::new());
            let Some(end) = parse_plain(&input, 6, &mut found) else {
                assert_eq!(found.len(), 1);
                continue;
            };
            plain += 1;
            let step = parse(&input[6..], 6, OPEN, &mut Progress::default(), &mut spans);
            assert_eq!(step, Ok(Step::Request(end - 6)));
            assert_eq!(found[1..], spans);
        }
        assert!(plain > 1000);
    }

    fn once(input: &[u8], limits: Limits) -> Result<Step, String> {
        parse(input, 0, limits, &mut Progress::default(), &mut Vec::new()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_request_cut_at_every_byte_is_the_same_request() {
        let input = b"*3\r\n$3\r\nSET\r\n$12\r\nkey:00000001\r\n$0\r\n\r\n";
        for cut in 0..input.len() {
            let mut progress = Progress::default();
            let mut spans = Vec::new();
            for end in [cut, cut + (input.len() - cut) / 2] {
                let step = parse(&input[..end], 7, OPEN, &mut progress, &mut spans).unwrap();
                assert_eq!((step, spans.len()), (Step::Incomplete, 0), "cut at {cut}");
            }
            let step = parse(input, 7, OPEN, &mut progress, &mut spans).unwrap();
            assert_eq!(step, Step::Request(input.len()));
            let words: Vec<&[u8]> =
                spans.iter().map(|s| &input[s.start as usize - 7..s.end as usize - 7]).collect();
            assert_eq!(words, [&b"SET"[..], b"key:00000001", b""]);
            assert!(progress.is_fresh());
        }
    }

    #[test]
    fn errors_have_the_texts_of_redis() {
        for (input, limits, text) in [
            (&b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n"[..], OPEN, "expected '$', got 'f'"),
            (b"*3\r\n$3\r\nSET\r\n$-10\r\n", OPEN, "invalid bulk length"),
            (b"*1\r\n$2000000000\r\n", OPEN, "invalid bulk length"),
            (b"*1\r\n$blabla\r\n", OPEN, "invalid bulk length"),
            (b"*3000000000\r\n", OPEN, "invalid multibulk length"),
            (b"*x\r\n", OPEN, "invalid multibulk length"),
            (b"*11\r\n", SHUT, "unauthenticated multibulk length"),
            (b"*1\r\n$16385\r\n", SHUT, "unauthenticated bulk length"),
            (b"set \"\"\"test-key\"\"\" x\r\n", OPEN, "unbalanced quotes in request"),
        ] {
            assert_eq!(once(input, limits), Err(format!("Protocol error: {text}")));
        }
        let long = vec![b'1'; INLINE_BYTES_MAX + 10];
        let with = |head: &[u8]| once(&[head, &long].concat(), OPEN).unwrap_err();
        assert_eq!(with(b"*"), "Protocol error: too big mbulk count string");
        assert_eq!(with(b"*1\r\n$"), "Protocol error: too big bulk count string");
        assert_eq!(with(b"x"), "Protocol error: too big inline request");
        // Only what has no end yet is too long; the end of a longer line is found.
        let ended = |head: &[u8]| once(&[head, &long, b"\r\n"].concat(), OPEN).unwrap_err();
        assert_eq!(ended(b"*1\r\n"), "Protocol error: expected '$', got '1'");
        assert_eq!(ended(b"*1\r\n$"), "Protocol error: invalid bulk length");
        assert_eq!(ended(b"*"), "Protocol error: invalid multibulk length");
    }

    #[test]
    fn nothing_to_run_is_skipped() {
        assert_eq!(once(b"*0\r\n", OPEN), Ok(Step::Nothing(4)));
        assert_eq!(once(b"*-10\r\n", OPEN), Ok(Step::Nothing(6)));
        assert_eq!(once(b"\r\n", OPEN), Ok(Step::Nothing(2)));
        assert_eq!(once(b"   \n", OPEN), Ok(Step::Nothing(4)));
    }

    #[test]
    fn a_large_argument_is_announced_before_it_is_there() {
        let mut spans = Vec::new();
        let input = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\nabc";
        let step = parse(input, 0, OPEN, &mut Progress::default(), &mut spans).unwrap();
        assert_eq!(step, Step::Large { remaining: 1, at: input.len() - 3, bytes: 100_000 });
        assert_eq!(spans.len(), 2);
    }
}
