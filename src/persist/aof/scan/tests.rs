//! The scanner: pieces of any size, every place at which a file may end, damage.

use super::*;
use crate::base::rng::Rng;

/// What came out of a scan.
#[derive(Debug, PartialEq, Eq)]
struct Scan {
    items: Vec<String>,
    end: Result<(), BadAof>,
    valid_up_to: u64,
    whole_up_to: u64,
    lines: u64,
}

fn scan_of(bytes: &[u8], piece: usize, knows_length: bool) -> Scan {
    let file_bytes = knows_length.then_some(bytes.len() as u64);
    let mut scanner = Scanner::new(ReadOptions::default(), file_bytes);
    let mut pieces = bytes.chunks(piece);
    let tuning = Tuning::default();
    let (mut items, mut calls) = (Vec::new(), 0);
    let end = loop {
        calls += 1;
        assert!(calls < 100_000 + 10 * bytes.len(), "it gets on");
        match scanner.next(&tuning) {
            Ok(Next::Need) => match pieces.next() {
                Some(piece) => scanner.feed(piece),
                None => scanner.finish(),
            },
            Ok(Next::More) => {}
            Ok(Next::Item(item)) => items.push(format!("{item:?}")),
            Ok(Next::End) => break Ok(()),
            Err(bad) => break Err(bad),
        }
    };
    assert!(scanner.valid_up_to() <= scanner.whole_up_to());
    assert!(scanner.whole_up_to() <= bytes.len() as u64 && scanner.offset() <= bytes.len() as u64);
    let (valid_up_to, whole_up_to, lines) = (scanner.valid_up_to(), scanner.whole_up_to(), scanner.lines());
    Scan { items, end, valid_up_to, whole_up_to, lines }
}

/// Scans in several pieces; all come to the same.
#[track_caller]
fn scan(bytes: &[u8]) -> Scan {
    let whole = scan_of(bytes, bytes.len().max(1), false);
    for (piece, knows_length) in [(1, false), (7, false), (1000, true)] {
        assert_eq!(scan_of(bytes, piece, knows_length), whole, "pieces of {piece}: {}", bytes.escape_ascii());
    }
    whole
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    crate::resp::reply::encode_request(words, &mut bytes);
    bytes
}

#[track_caller]
fn check_bad(bytes: &[u8], at: u64, text: &str, valid_up_to: u64) {
    let found = scan(bytes);
    let bad = found.end.expect_err("it is wrong");
    assert_eq!((bad.at, &bad.cause.to_string()[..], found.valid_up_to), (at, text, valid_up_to));
}

/// Commands of all kinds: short, of many arguments, long, and large; a transaction; lines with a time and without.
fn sample() -> Vec<u8> {
    let many: Vec<Vec<u8>> = (0..40).map(|i| vec![b'0' + i; usize::from(i) * 7]).collect();
    let many: Vec<&[u8]> = std::iter::once(&b"RPUSH"[..]).chain(many.iter().map(|word| &word[..])).collect();
    [
        &b"#TS:1790000000\r\n"[..],
        &command(&[b"SELECT", b"0"]),
        &command(&[b"SET", b"k", b"#TS:1\r\n*1\r\n"]),
        b"# a remark\r\n#TS:soon\r\n",
        &command(&many),
        &command(&[b"multi"]),
        &command(&[b"SET", b"k", &[b'v'; 300]]),
        b"#TS:1790000001\r\n",
        &command(&[b"DEL", b""]),
        &command(&[b"EXEC"]),
        b"#end\r\n",
    ]
    .concat()
}

#[test]
fn commands_come_as_they_were_written() {
    let found = scan(&sample());
    assert_eq!(found.end, Ok(()));
    assert_eq!(found.items[0], "Timestamp(Some(1790000000))");
    assert_eq!(found.items[2], r##"["SET", "k", "#TS:1\r\n*1\r\n"]"##);
    assert_eq!(found.items[3], "Timestamp(None)");
    assert_eq!(found.items.len(), 10);
    assert_eq!(found.whole_up_to, sample().len() as u64);
    assert_eq!(found.valid_up_to, sample().len() as u64 - 6);
    assert_eq!(scan(b"").end, Ok(()));
    check_bad(b"# no line end", 0, "Reached EOF within a line", 0);
}

#[test]
fn wherever_the_file_ends_it_is_known_what_can_be_kept() {
    let sample = sample();
    let text = String::from_utf8_lossy(&sample).into_owned();
    let transaction = text.find("*1\r\n$5\r\nmulti").expect("there is one") as u64;
    let behind = text.find("#end").expect("it is there") as u64;
    let mut kept = 0;
    for end in 0..sample.len() {
        let found = scan(&sample[..end]);
        match &found.end {
            Ok(()) => assert!(found.whole_up_to == end as u64, "{end}"),
            Err(bad) => assert!(bad.is_short() && bad.at <= end as u64, "{end}: {bad}"),
        }
        assert!(found.valid_up_to >= kept, "what was whole stays whole");
        kept = found.valid_up_to;
        assert!(kept <= transaction || kept >= behind, "{end}: a transaction is whole or not there");
        assert!(scan(&sample[..kept as usize]).end.is_ok(), "{end}: what is kept can be read");
    }
    assert_eq!(kept, behind);
}

#[test]
fn causes_have_the_words_of_the_checker() {
    let set = command(&[b"SET", b"k", b"v"]);
    let with = |tail: &[u8]| [&set[..], tail].concat();
    let at = set.len() as u64;
    check_bad(&with(b"hello"), at, "Expected a command, got: 'h'", at);
    check_bad(&with(b"*1\r\n:3\r\nDEL\r\n"), at + 4, "Expected prefix '$', got: ':'", at);
    check_bad(&with(b"*1\n$3\r\nDEL\r\n"), at, "Expected \\r\\n, got: 0a00", at);
    check_bad(&with(b"*x\r\n"), at, "Expected \\r\\n, got: 780d", at);
    check_bad(&with(b"*1\r\n$3\r\nDELx\xff\r\n"), at + 8, "Expected \\r\\n, got: 78ffffffff", at);
    check_bad(&with(b"*1\r\n$3\r*DEL\r\n"), at + 4, "Expected \\r\\n, got: 0d2a", at);
    check_bad(&with(b"*0\r\n"), at, "A command of 0 arguments", at);
    check_bad(&with(b"*99999999999\r\n"), at, "A command of 99999999999 arguments", at);
    let length = "Expected to read string of -1 bytes, which is not in the suitable range";
    check_bad(&with(b"*1\r\n$-1\r\n"), at + 4, length, at);
    check_bad(&with(b"*1\r\n$10\r\nabc"), at + 9, "Expected to read 12 bytes, got 3 bytes", at);
    let huge = b"*1\r\n$9223372036854775807\r\nabc";
    check_bad(&with(huge), at + 26, "Expected to read 9223372036854775807 bytes, got 3 bytes", at);
    let multi = [&set[..], &command(&[b"MULTI"]), &set].concat();
    let last = multi.len() as u64 - 3;
    check_bad(&multi, last, "Reached EOF before reading EXEC for MULTI", at);
    let long = [&b"*"[..], &[b'1'; 200], b"\r\n"].concat();
    assert!(!scan(&long).end.expect_err("it is wrong").is_short());
}

#[test]
fn zeros_at_the_end_are_told_from_other_damage() {
    let set = command(&[b"SET", b"k", b"v"]);
    for keep in 0..=set.len() {
        let zeros = [&set[..], &set[..keep], &[0; 3000]].concat();
        let bad = scan(&zeros).end.expect_err("it is wrong");
        assert!(bad.is_zeros && !bad.is_short(), "{keep}: {bad}");
        assert_eq!(scan(&zeros).valid_up_to, if keep == set.len() { 2 * keep } else { set.len() } as u64);
        let other = [&zeros[..], b"x"].concat();
        let other = scan(&other).end.expect_err("it is wrong");
        assert!(!other.is_zeros && other.cause == bad.cause && other.at == bad.at, "{keep}: {other}");
    }
}

#[test]
fn a_large_argument_is_gathered() {
    let large = vec![b'x'; 300_000];
    let bytes = [command(&[b"SET", b"k", &large, b"GET"]), command(&[b"DEL", b"k"])].concat();
    let found = scan(&bytes);
    assert_eq!((found.end, found.items.len(), found.lines), (Ok(()), 2, 14));
    assert!(found.items[0].ends_with(r#"xxx", "GET"]"#) && found.items[1] == r#"["DEL", "k"]"#);
    let short = scan(&bytes[..200_000]).end.expect_err("it is cut off");
    assert_eq!(short.to_string(), "offset 29: Expected to read 300002 bytes, got 199971 bytes");
    let mut damaged = bytes.clone();
    damaged[29 + 300_000] = b'x';
    assert_eq!(scan(&damaged).end.expect_err("it is wrong").cause, Cause::LineEnd(b'x', b'\n'));
}

#[test]
fn a_dump_at_the_beginning_is_read_as_one() {
    // A key of an integer, no checksum.
    let dump = b"REDIS0011\xfe\x00\x00\x01k\xc0\x07\xff\0\0\0\0\0\0\0\0";
    let bytes = [&dump[..], &command(&[b"DEL", b"k"])].concat();
    let found = scan(&bytes);
    assert_eq!(found.end, Ok(()));
    assert_eq!(found.items.last().map(|item| &item[..]), Some(r#"["DEL", "k"]"#));
    assert!(found.items[0].starts_with("Dump(Header"), "{}", found.items[0]);
    for end in 1..dump.len() {
        let bad = scan(&bytes[..end]).end.expect_err("it is cut off");
        assert!(!bad.is_short() && bad.at <= end as u64, "{end}: {bad}");
    }
    let cut = scan(&bytes[..dump.len() + 5]);
    assert!(cut.end.expect_err("it is cut off").is_short());
    assert_eq!((cut.valid_up_to, cut.whole_up_to), (dump.len() as u64, dump.len() as u64));
}

#[test]
fn damage_is_found_or_harmless() {
    let (mut rng, sample) = (Rng::from_seed(7), sample());
    for _ in 0..3000 {
        let mut bytes = sample.clone();
        for _ in 0..1 + rng.below(4) {
            let at = rng.below(bytes.len() as u64) as usize;
            match rng.below(4) {
                0 => bytes[at] = rng.next_u64() as u8,
                1 => bytes[at] = b"*$#\r\n0123456789-"[rng.below(16) as usize],
                2 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, b"*$#\r\n0\0"[rng.below(7) as usize]),
            }
        }
        let found = scan(&bytes);
        if let Err(bad) = &found.end {
            assert!(bad.at <= bytes.len() as u64 && !bad.refusal("f").is_empty());
        }
        assert!(scan(&bytes[..found.valid_up_to as usize]).end.is_ok());
    }
}

#[test]
fn refusals_have_the_lines_of_redis() {
    let short = BadAof::new(1, Cause::Ends(Within::Command)).refusal("a.aof");
    assert!(short.starts_with("Unexpected end of file reading the append only file a.aof. You can: 1) "));
    let bad = BadAof::new(1, Cause::NoCommand(b'x')).refusal("a.aof");
    assert_eq!(
        bad,
        "Bad file format reading the append only file a.aof: make a backup of your AOF file, then use ./redis-check-aof \
         --fix <filename.manifest>"
    );
}

/// Batches after their integrity lines, and where each of the lines begins; the end of the file last.
fn lined(batches: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
    lined_with(batches, |_| None)
}

/// As [`lined`], with what the line of a batch says was durable where it begins.
fn lined_with(batches: &[Vec<u8>], synced: impl Fn(u64) -> Option<u64>) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut at, mut sum) = (Vec::new(), Vec::new(), 0);
    for batch in batches {
        at.push(bytes.len());
        let (line, next) = integrity::line(sum, synced(bytes.len() as u64), &[batch]);
        bytes.extend([&line[..], batch].concat());
        sum = next;
    }
    at.push(bytes.len());
    (bytes, at)
}

/// Batches of all kinds.
fn batches() -> Vec<Vec<u8>> {
    let transaction = [
        &b"#TS:1790000001\r\n"[..],
        &command(&[b"MULTI"]),
        &command(&[b"SET", b"k", &[0; 40]]),
        &command(&[b"DEL", b"z"]),
        &command(&[b"EXEC"]),
    ];
    vec![
        [&b"#TS:1790000000\r\n"[..], &command(&[b"SELECT", b"0"]), &command(&[b"SET", b"k", b"v"])].concat(),
        transaction.concat(),
        command(&[b"SET", b"lines", b"\r\n*1\r\n#HDR:v1;len:3;checksum:1;\r\n"]),
        [command(&[b"SET", b"a", &[b'x'; 150]]), command(&[b"INCR", b"n"])].concat(),
        command(&[b"DEL", b"k"]),
    ]
}

#[test]
fn a_batch_behind_an_integrity_line_comes_as_it_was_written() {
    let (bytes, at) = lined(&batches());
    let plain = scan(&batches().concat());
    let found = scan(&bytes);
    assert_eq!((&found.end, &found.items), (&Ok(()), &plain.items));
    assert_eq!((found.valid_up_to, found.lines), (bytes.len() as u64, plain.lines));
    // Some were written without lines, then the sum goes on or begins anew.
    let without = [&bytes[..at[2]], &command(&[b"SET", b"b", b"1"]), &bytes[at[2]..]].concat();
    assert_eq!(scan(&without).end, Ok(()));
    assert_eq!(scan(&[&bytes[..], &command(&[b"DEL", b"b"]), &bytes].concat()).end, Ok(()));
    // A line without a checksum is a remark.
    let unchecked = [&b"#HDR:v1;len:3;reploff:7;\r\n"[..], &bytes].concat();
    assert_eq!(scan(&unchecked).items, plain.items);
}

#[test]
fn no_flipped_bit_among_batches_is_passed_over() {
    for is_synced in [false, true] {
        flip_every_bit(is_synced);
    }
}

fn flip_every_bit(is_synced: bool) {
    let (bytes, at) = lined_with(&batches(), |at| is_synced.then_some(at));
    let sound = scan(&bytes).items;
    let last = at[at.len() - 2];
    for bit in 0..8 * bytes.len() {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let found = scan_of(&damaged, 1000, true);
        let bad = found.end.as_ref().expect_err("it is found");
        assert_eq!(scan_of(&damaged, 7, false).end.as_ref(), Err(bad), "bit {bit}");
        assert!(found.items == sound[..found.items.len()], "bit {bit}: no damaged command comes out");
        let is_cut = (bad.is_short() || bad.is_hole() || bad.is_in_batch()) && !bad.is_followed;
        assert!(!is_cut || found.valid_up_to >= last as u64, "bit {bit}: {bad} loses {}", found.valid_up_to);
        // A first line that has lost the word may be one of those that do not say it.
        let is_told = bad.is_followed == bad.synced.is_some();
        assert!(!is_synced || is_told || bit / 8 < at[1], "bit {bit}: {bad}");
        assert!(bad.is_followed || bit / 8 >= last, "bit {bit}: {bad}");
        // What was whole before is not lost.
        let before = at.iter().rev().find(|&&at| at <= bit / 8).copied().unwrap_or(0);
        assert_eq!(found.valid_up_to, before as u64, "bit {bit}: {bad}");
        if bit / 8 >= bytes.len() - batches()[4].len() {
            assert!(is_cut, "bit {bit}: {bad} lies in the last batch");
        }
    }
}

#[test]
fn a_torn_batch_is_cut_before_its_line() {
    let (bytes, at) = lined(&batches());
    for end in 0..=bytes.len() {
        let found = scan(&bytes[..end]);
        let before = at.iter().rev().find(|&&at| at <= end).copied().unwrap_or(0);
        assert_eq!(found.valid_up_to, before as u64, "{end}");
        match &found.end {
            Ok(()) => assert_eq!(end, before),
            Err(bad) => assert!(end > before && bad.is_short() && !bad.is_followed, "{end}: {bad}"),
        }
    }
    // A batch is missing.
    for gap in at[..at.len() - 1].windows(2) {
        let found = scan(&[&bytes[..gap[0]], &bytes[gap[1]..]].concat());
        let bad = found.end.expect_err("it is noticed");
        assert!(matches!(bad.cause, Cause::Checksum { .. }), "{bad}");
        assert_eq!(bad.is_followed, gap[1] != at[at.len() - 2], "{bad}");
    }
}

#[test]
fn a_hole_among_batches_is_the_end_unless_a_whole_batch_follows() {
    let (bytes, at) = lined(&batches());
    let last = at[at.len() - 2];
    for from in 0..bytes.len() {
        for upto in [from + 8, from + 100, bytes.len()] {
            let mut damaged = bytes.clone();
            damaged.iter_mut().take(upto).skip(from).for_each(|byte| *byte = 0);
            if damaged == bytes {
                continue;
            }
            let found = scan_of(&damaged, 50, true);
            let Err(bad) = found.end else { panic!("{from}..{upto}: {}", damaged.escape_ascii()) };
            assert!(bad.is_followed || upto > last, "{from}..{upto}: {bad}");
            if upto == bytes.len() {
                assert!(!bad.is_followed || bad.cause == Cause::Line, "{from}..{upto}: {bad}");
            }
        }
    }
}

#[test]
fn a_hole_in_what_was_not_durable_is_the_end_and_in_what_was_is_told() {
    let last_two = |at: &[usize]| at[at.len() - 3];
    for durable in [0, 1, 2, 3] {
        // Up to the batch of this number the file was durable when the last were written.
        let plain = lined_with(&batches(), |_| Some(0)).1;
        let upto = plain[durable] as u64;
        let (bytes, at) = lined_with(&batches(), |at| Some(if at < upto { 0 } else { upto }));
        let said = upto;
        for from in 0..bytes.len() {
            for end in [from + 8, from + 100] {
                let mut damaged = bytes.clone();
                damaged.iter_mut().take(end).skip(from).for_each(|byte| *byte = 0);
                if damaged == bytes {
                    continue;
                }
                let found = scan_of(&damaged, 50, true);
                let Err(bad) = found.end.clone() else { panic!("{from}..{end}: it is noticed") };
                assert_eq!(scan_of(&damaged, 2000, false), found, "{from}..{end}");
                if bad.at >= said {
                    assert!(!bad.is_followed && (bad.is_hole() || bad.is_in_batch()), "{from}..{end}: {bad}");
                } else if end <= last_two(&at) {
                    assert!(bad.synced.is_some_and(|synced| synced > bad.at), "{from}..{end}: {bad}");
                }
            }
        }
    }
}

#[test]
fn a_value_that_looks_like_a_line_says_nothing_of_what_was_durable() {
    let fake =
        b"#HDR:v1;len:2;synced:99999999;checksum:7;\r\n\r\n#HDR:v1;len:2;checksum:7;\r\n\r\n".repeat(20);
    let all =
        [vec![command(&[b"SET", b"a", b"b"])], vec![command(&[b"SET", b"k", &fake])], batches()].concat();
    let (bytes, at) = lined_with(&all, |_| Some(0));
    for batch in [1, 2] {
        let mut damaged = bytes.clone();
        damaged[at[batch] + 50..][..30].fill(0);
        let bad = scan_of(&damaged, 100, false).end.expect_err("it is found");
        assert!((bad.is_hole() || bad.is_in_batch()) && !bad.is_followed, "{bad}");
    }
}
