//! The commands of a debugger's client: arrays of bulk strings, within narrow bounds.

/// Words of a command, at most.
const WORDS_MAX: usize = 1024;
/// Bytes of a word, at most; there is no empty one.
const WORD_BYTES_MAX: usize = 1024;
/// Bytes of a number and its line end; whoever sends more has no line.
const LINE_BYTES_MAX: usize = 32;

/// What begins the bytes of a client.
#[derive(Debug, PartialEq, Eq)]
pub enum Begin {
    /// A command, and how many bytes it takes.
    Command(Vec<Vec<u8>>, usize),
    /// The beginning of one.
    Incomplete,
    /// Something else.
    Wrong,
}

/// The number after `mark`, and where the next line begins.
fn number(bytes: &[u8], mark: u8, max: usize) -> Result<(usize, usize), Begin> {
    if bytes.first().is_some_and(|byte| *byte != mark) {
        return Err(Begin::Wrong);
    }
    let Some(end) = bytes.windows(2).take(LINE_BYTES_MAX).position(|pair| pair == b"\r\n") else {
        return Err(if bytes.len() > LINE_BYTES_MAX { Begin::Wrong } else { Begin::Incomplete });
    };
    let digits = std::str::from_utf8(&bytes[1..end]).ok().and_then(|text| text.parse().ok());
    match digits {
        Some(number) if (1..=max).contains(&number) => Ok((number, end + 2)),
        _ => Err(Begin::Wrong),
    }
}

/// Looks at the first command of some bytes.
pub fn parse(bytes: &[u8]) -> Begin {
    let parsed = || -> Result<Begin, Begin> {
        let (count, mut at) = number(bytes, b'*', WORDS_MAX)?;
        let mut words = Vec::new();
        for _ in 0..count {
            let (len, start) = number(&bytes[at..], b'$', WORD_BYTES_MAX)?;
            let (start, end) = (at + start, at + start + len);
            let rest = bytes.get(start..).unwrap_or_default();
            match rest.get(len..len + 2) {
                Some(b"\r\n") => words.push(bytes[start..end].to_vec()),
                Some(_) => return Err(Begin::Wrong),
                None => return Err(Begin::Incomplete),
            }
            at = end + 2;
        }
        Ok(Begin::Command(words, at))
    };
    parsed().unwrap_or_else(|other| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_as_they_come_and_within_their_bounds() {
        let bytes = b"*2\r\n$1\r\nb\r\n$2\r\n12\r\n*1";
        for cut in 0..bytes.len() - 2 {
            assert_eq!(parse(&bytes[..cut]), Begin::Incomplete, "cut at {cut}");
        }
        assert_eq!(parse(bytes), Begin::Command(vec![b"b".to_vec(), b"12".to_vec()], bytes.len() - 2));
        let word = |len: usize| format!("*1\r\n${len}\r\n{}\r\n", "a".repeat(len)).into_bytes();
        assert!(matches!(parse(&word(1024)), Begin::Command(..)));
        let long_number = [b'*'; 1].iter().chain(&[b'1'; 40]).copied().collect::<Vec<u8>>();
        let wrong: [&[u8]; 9] = [
            b"help\r\n",
            b"\r\n",
            b"*0\r\n",
            b"*-1\r\n",
            b"*1025\r\n",
            b"*1\r\n$0\r\n\r\n",
            b"*1\r\n$3\r\nabcde\r\n",
            &word(1025),
            &long_number,
        ];
        for bytes in wrong {
            assert_eq!(parse(bytes), Begin::Wrong, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
