//! Replies from bytes back to values, and values as `redis-cli` shows them.

use waterwheel::base::quote::repr;

/// One value of the protocol, version 2 or 3.
#[derive(Clone, Debug, PartialEq)]
pub enum Resp {
    Status(String),
    Error(String),
    Int(i64),
    Bulk(Vec<u8>),
    /// Text with the three letters of its format.
    Verbatim(String, Vec<u8>),
    Null,
    /// The one of version 2 that clients take for an array.
    NullArray,
    Double(String),
    BigNumber(String),
    Bool(bool),
    Array(Vec<Resp>),
    Set(Vec<Resp>),
    Push(Vec<Resp>),
    Map(Vec<(Resp, Resp)>),
}

impl Resp {
    /// All values in a buffer.
    ///
    /// # Panics
    ///
    /// When the bytes are no whole values: the server must never send such.
    pub fn all(bytes: &[u8]) -> Vec<Resp> {
        let mut rest = bytes;
        let mut values = Vec::new();
        while !rest.is_empty() {
            values.push(read(&mut rest));
        }
        values
    }

    /// The first value in a buffer and its length; none while it is not whole.
    pub fn first(bytes: &[u8]) -> Option<(Resp, usize)> {
        let len = extent(bytes)?;
        let mut rest = &bytes[..len];
        Some((read(&mut rest), len))
    }

    /// The value as `redis-cli` shows it, and what that hides: null arrays, and formats of verbatim text.
    pub fn shown(&self) -> String {
        match self {
            Resp::Status(text) => text.clone(),
            Resp::Error(text) => format!("(error) {text}"),
            Resp::Int(value) => format!("(integer) {value}"),
            Resp::Bulk(bytes) => repr(bytes),
            Resp::Verbatim(format, bytes) => format!("({format}) {}", repr(bytes)),
            Resp::Null => "(nil)".to_owned(),
            Resp::NullArray => "(nil array)".to_owned(),
            Resp::Double(text) => format!("(double) {text}"),
            Resp::BigNumber(text) => format!("(big number) {text}"),
            Resp::Bool(true) => "(true)".to_owned(),
            Resp::Bool(false) => "(false)".to_owned(),
            Resp::Array(values) => list(values, ')', "(empty array)"),
            Resp::Set(values) => list(values, '~', "(empty set)"),
            Resp::Push(values) => format!("-> {}", list(values, ')', "(empty push)").replace('\n', "\n   ")),
            Resp::Map(pairs) if pairs.is_empty() => "(empty hash)".to_owned(),
            Resp::Map(pairs) => numbered(
                pairs.iter().map(|(key, value)| {
                    let key = format!("{} => ", key.shown());
                    let indented = value.shown().replace('\n', &format!("\n{}", " ".repeat(key.len())));
                    format!("{key}{indented}")
                }),
                '#',
                pairs.len(),
            ),
        }
    }

    /// The words of a request.
    ///
    /// # Panics
    ///
    /// When it is none.
    pub fn words(&self) -> Vec<String> {
        let Resp::Array(values) = self else { panic!("{self:?} is no request") };
        let word = |value: &Resp| match value {
            Resp::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("{other:?} is no word of a request"),
        };
        values.iter().map(word).collect()
    }
}

fn list(values: &[Resp], mark: char, empty: &str) -> String {
    if values.is_empty() {
        return empty.to_owned();
    }
    numbered(values.iter().map(Resp::shown), mark, values.len())
}

/// Lines with their numbers in front; what lies within is indented by the width of the number.
fn numbered(items: impl Iterator<Item = String>, mark: char, count: usize) -> String {
    let width = count.to_string().len();
    let indent = format!("\n{}", " ".repeat(width + 2));
    let lines = items.enumerate().map(|(i, item)| {
        let number = i + 1;
        format!("{number:>width$}{mark} {}", item.replace('\n', &indent))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Bytes of the first value in a buffer, the attributes in front of it included; none while it is not whole.
pub fn extent(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut missing) = (0, 1i64);
    while missing > 0 {
        let line_len = bytes.get(at..)?.iter().position(|&byte| byte == b'\r')?;
        if at + line_len + 2 > bytes.len() {
            return None;
        }
        let line = &bytes[at..at + line_len];
        at += line_len + 2;
        let number = || -> i64 {
            let text = std::str::from_utf8(&line[1..]).expect("a number is text");
            text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
        };
        missing -= 1;
        match line.first() {
            Some(b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(') => {}
            Some(b'$' | b'=') => {
                let len = number();
                if len >= 0 {
                    at += len as usize + 2;
                }
            }
            Some(b'*' | b'~' | b'>') => missing += number().max(0),
            Some(b'%') => missing += 2 * number(),
            Some(b'|') => missing += 2 * number() + 1,
            _ => panic!("{:?} begins no reply", String::from_utf8_lossy(line)),
        }
    }
    (at <= bytes.len()).then_some(at)
}

fn read(rest: &mut &[u8]) -> Resp {
    let line = read_line(rest);
    let (sigil, text) = line.split_at(1);
    let int = || text.parse::<i64>().unwrap_or_else(|_| panic!("{line} has no number"));
    let mut many = |per: i64| (0..int() * per).map(|_| read(rest)).collect::<Vec<Resp>>();
    match sigil {
        "+" => Resp::Status(text.to_owned()),
        "-" => Resp::Error(text.to_owned()),
        ":" => Resp::Int(int()),
        "_" => Resp::Null,
        "," => Resp::Double(text.to_owned()),
        "(" => Resp::BigNumber(text.to_owned()),
        // Attributes are not shown.
        "|" => {
            many(2);
            read(rest)
        }
        "#" => Resp::Bool(text == "t"),
        "$" if text == "-1" => Resp::Null,
        "*" if text == "-1" => Resp::NullArray,
        "*" => Resp::Array(many(1)),
        "~" => Resp::Set(many(1)),
        ">" => Resp::Push(many(1)),
        "%" => {
            let values = many(2);
            Resp::Map(values.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
        }
        "$" => Resp::Bulk(read_bytes(rest, int() as usize)),
        "=" => {
            let mut bytes = read_bytes(rest, int() as usize);
            let text = bytes.split_off(4);
            Resp::Verbatim(String::from_utf8_lossy(&bytes[..3]).into_owned(), text)
        }
        _ => panic!("{line} begins no reply"),
    }
}

fn read_line(rest: &mut &[u8]) -> String {
    let end = rest.windows(2).position(|pair| pair == b"\r\n").expect("a line of a reply ends");
    let mut line = String::new();
    for chunk in rest[..end].utf8_chunks() {
        line.push_str(chunk.valid());
        line.push_str(&chunk.invalid().escape_ascii().to_string());
    }
    *rest = &rest[end + 2..];
    line
}

fn read_bytes(rest: &mut &[u8], len: usize) -> Vec<u8> {
    let bytes = rest[..len].to_vec();
    assert_eq!(&rest[len..len + 2], b"\r\n", "a bulk string ends with its line");
    *rest = &rest[len + 2..];
    bytes
}
