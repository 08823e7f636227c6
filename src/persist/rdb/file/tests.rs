//! Files made here, fed in pieces, cut and damaged.

use super::*;
use crate::base::crc::crc64;
use crate::base::rng::Rng;
use crate::keyspace::{Value, ValueRef};
use crate::persist::rdb::encode::Writer;
use crate::persist::rdb::tests::{contents_of_new, tuning, values};
use crate::persist::rdb::{Options, encode, kind};

/// A file in the making.
struct Made(Vec<u8>);

impl Made {
    fn new(magic: &[u8; 9]) -> Made {
        Made(magic.to_vec())
    }

    fn bytes(mut self, bytes: &[u8]) -> Made {
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(mut self, text: &[u8]) -> Made {
        Writer::new(&mut self.0, Options { compress: false }).blob(text);
        self
    }

    /// A key whose type and value are these bytes.
    fn key(mut self, name: &[u8], typed: &[u8]) -> Made {
        self.0.push(typed[0]);
        self.text(name).bytes(&typed[1..])
    }

    fn end(mut self) -> Vec<u8> {
        self.0.push(opcode::EOF);
        let crc = crc64(0, &self.0);
        self.bytes(&crc.to_le_bytes()).0
    }
}

fn typed(value: ValueRef<'_>, compress: bool) -> Vec<u8> {
    let mut out = Vec::new();
    encode(value, Options { compress }, &mut out);
    out
}

/// A file with values of every type, and everything else that a file can have.
fn sample(rng: &mut Rng) -> Vec<u8> {
    let mut made = Made::new(b"REDIS0012")
        .bytes(&[opcode::AUX])
        .text(b"redis-ver")
        .text(b"8.0.6")
        .bytes(&[opcode::AUX])
        .text(b"ctime")
        .bytes(&[0xc2, 1, 2, 3, 4, opcode::FUNCTION_2])
        .text(b"#!lua name=l\n")
        .bytes(&[opcode::SELECT_DB, 3, opcode::RESIZE_DB, 22, 1, opcode::SLOT_INFO, 1, 2, 3]);
    for (i, value) in values(rng).iter().enumerate() {
        made = match i % 4 {
            0 => made.bytes(&[opcode::EXPIRE_TIME_MS, 1, 2, 3, 4, 5, 6, 0, 0]),
            1 => made.bytes(&[opcode::EXPIRE_TIME, 1, 2, 3, 4, opcode::FREQ, 200]),
            2 => made.bytes(&[opcode::IDLE, 0x41, 0]),
            _ => made,
        };
        made = made.key(format!("key {i}").as_bytes(), &typed(value.view(), i % 2 == 0));
    }
    made.bytes(&[opcode::SELECT_DB, 5]).key(b"gone", &[kind::SET, 0]).key(b"n", &[0, 0xc0, 0xff]).end()
}

/// What an item says.
fn shown(item: Item<'_>) -> String {
    match item {
        Item::Key(Key { db, key, deadline, idle_s, frequency, value }) => {
            let contents = contents_of_new(&value);
            let encoding = if let NewValue::Whole(value) = &value { value.view().encoding() } else { "" };
            format!(
                "{db} {} {deadline:?} {idle_s:?} {frequency:?} {encoding} {contents:?}",
                String::from_utf8_lossy(key)
            )
        }
        item => format!("{item:?}"),
    }
}

/// All items of a file that is fed in pieces of so many bytes, and what was wrong with it.
fn read(bytes: &[u8], piece: usize, options: ReadOptions) -> (Vec<String>, Result<u64, BadData>) {
    let mut reader = FileReader::new(options);
    let (mut items, mut pieces) = (Vec::new(), bytes.chunks(piece));
    let tuning = tuning();
    loop {
        match reader.next(&tuning) {
            Err(bad) => return (items, Err(bad)),
            Ok(Next::Need) => match pieces.next() {
                Some(piece) => reader.feed(piece),
                None => reader.finish(),
            },
            Ok(Next::More) => {}
            Ok(Next::End) => return (items, Ok(reader.offset())),
            Ok(Next::Item(item)) => items.push(shown(item)),
        }
    }
}

fn read_whole(bytes: &[u8]) -> (Vec<String>, Result<u64, BadData>) {
    read(bytes, bytes.len().max(1), ReadOptions::default())
}

/// What is wrong with a file.
fn fault(bytes: &[u8]) -> (u64, String) {
    let bad = read_whole(bytes).1.expect_err("it is wrong");
    (bad.at, bad.what.into_owned())
}

#[test]
fn a_file_reads_the_same_however_it_is_cut() {
    let mut rng = Rng::from_seed(3);
    for _ in 0..4 {
        let bytes = sample(&mut rng);
        let (whole, end) = read_whole(&bytes);
        assert_eq!(end, Ok(bytes.len() as u64));
        assert_eq!(whole.len(), 1 + 2 + 1 + 2 + 31 + 1 + 2 + 1, "{whole:#?}");
        for piece in [1, 7, 4096] {
            let (items, end) = read(&bytes, piece, ReadOptions::default());
            assert_eq!((items == whole, end), (true, Ok(bytes.len() as u64)), "pieces of {piece}");
        }
    }
}

#[test]
fn values_in_a_file_are_what_they_were() {
    let mut rng = Rng::from_seed(4);
    for value in values(&mut rng) {
        for compress in [false, true] {
            let bytes = Made::new(b"REDIS0012").key(b"k", &typed(value.view(), compress)).end();
            let mut reader = FileReader::new(ReadOptions::default());
            reader.feed(&bytes);
            let tuning = tuning();
            let found = loop {
                match reader.next(&tuning).expect("the file is whole") {
                    Next::Item(Item::Key(key)) => break contents_of_new(&key.value),
                    Next::Need | Next::End => panic!("the key is there"),
                    _ => {}
                }
            };
            let wanted = contents_of_new(&NewValue::Whole(value.clone()));
            assert_eq!(found, wanted);
        }
    }
}

#[test]
fn a_file_that_ends_early_is_refused_at_its_end() {
    let bytes = sample(&mut Rng::from_seed(5));
    let tuning = tuning();
    // The values are large: not every place in them is tried.
    let cuts = (0..bytes.len()).filter(|cut| cut % 20_011 == 0 || *cut < 200 || bytes.len() - cut < 100);
    for cut in cuts {
        let (_, end) = read_whole(&bytes[..cut]);
        assert_eq!(
            end,
            Err(BadData { at: cut as u64, what: "Unexpected EOF reading RDB file".into() }),
            "cut at {cut}"
        );
        // Without a word that it ends there, more may come.
        let mut reader = FileReader::new(ReadOptions::default());
        reader.feed(&bytes[..cut]);
        while !matches!(reader.next(&tuning).expect("nothing is wrong yet"), Next::Need) {}
    }
}

#[test]
fn a_damaged_file_is_refused_or_read_and_nothing_worse() {
    let mut rng = Rng::from_seed(6);
    for round in 0..400 {
        let mut bytes = sample(&mut rng);
        for _ in 0..=rng.below(4) {
            let at = rng.below(bytes.len() as u64) as usize;
            match rng.below(4) {
                0 => bytes[at] ^= 1 << rng.below(8),
                1 => bytes[at] = [0, 0x7f, 0x80, 0x81, 0xc3, 0xf5, 0xfe, 0xff][rng.below(8) as usize],
                2 => {
                    let behind = (at + 1 + rng.below(30) as usize).min(bytes.len());
                    bytes.drain(at..behind);
                }
                _ => bytes.truncate(at.max(1)),
            }
        }
        let piece = [1 << 20, 1000][round % 2];
        let options = ReadOptions { check_crc: false, later_versions: true, pass_over_modules: true };
        let (_, end) = read(&bytes, piece, options);
        if let Err(bad) = end {
            assert!(bad.at <= bytes.len() as u64, "{bad}");
        }
    }
}

#[test]
fn only_known_versions_are_read() {
    let version = |magic: &[u8; 9], later_versions| {
        let bytes = Made::new(magic).end();
        let options = ReadOptions { later_versions, ..ReadOptions::default() };
        read(&bytes, 100, options).1.map_err(|bad| bad.what.into_owned())
    };
    for magic in [b"REDIS0005", b"REDIS0012", b"REDIS0013", b"VALKEY080"] {
        assert_eq!(version(magic, false), Ok(18), "{magic:?}");
    }
    for (magic, number) in [(b"REDIS0014", 14), (b"REDIS0079", 79), (b"VALKEY081", 81), (b"VALKEY999", 999)] {
        assert_eq!(version(magic, false), Err(format!("Can't handle RDB format version {number}")));
        assert_eq!(version(magic, true), Ok(18), "{magic:?}");
    }
    for (magic, number) in [(b"REDIS0000", 0), (b"REDIS0080", 80), (b"VALKEY079", 79), (b"REDISabcd", 0)] {
        assert_eq!(version(magic, true), Err(format!("Can't handle RDB format version {number}")));
    }
    assert_eq!(version(b"REDIX0012", true), Err("Wrong signature trying to load DB from file".to_owned()));
    // There was no checksum yet.
    assert_eq!(read_whole(b"REDIS0004\xff").1, Ok(10));
    assert_eq!(fault(b"REDIS"), (5, "Unexpected EOF reading RDB file".to_owned()));
}

#[test]
fn a_wrong_checksum_is_told_as_redis_tells_it() {
    let mut bytes = Made::new(b"REDIS0012").key(b"k", b"\x00\x01v").end();
    let at = bytes.len() - 8;
    let right = u64::from_le_bytes(bytes[at..].try_into().expect("eight bytes"));
    assert_eq!(read_whole(&bytes).0.last().expect("an item"), "Checksum { is_there: true }");
    bytes[at..].copy_from_slice(&0x1234_u64.to_le_bytes());
    let told = format!("Wrong RDB checksum expected: ({right:x}) but got (1234). Aborting now.");
    assert_eq!(fault(&bytes), (at as u64, told));
    let unchecked = ReadOptions { check_crc: false, ..ReadOptions::default() };
    assert!(read(&bytes, 100, unchecked).1.is_ok());
    bytes[at..].fill(0);
    assert_eq!(read_whole(&bytes).0.last().expect("an item"), "Checksum { is_there: false }");
}

#[test]
fn what_stands_behind_the_end_is_left_alone() {
    let mut bytes = Made::new(b"REDIS0012").end();
    bytes.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    let mut reader = FileReader::new(ReadOptions::default());
    reader.feed(&bytes);
    while !matches!(reader.next(&tuning()).expect("it is whole"), Next::End) {}
    assert_eq!(reader.behind_end(), b"*1\r\n$4\r\nPING\r\n");
}

#[test]
fn a_large_collection_takes_many_calls_and_no_memory_for_promises() {
    // Of so many members that the file promises, ten thousand come.
    let mut bytes = Made::new(b"REDIS0012").bytes(&[kind::SET]).text(b"k").bytes(&[0x81]).0;
    bytes.extend_from_slice(&(1_u64 << 40).to_be_bytes());
    for i in 0..10_000 {
        let text = format!("member {i}");
        bytes.push(text.len() as u8);
        bytes.extend_from_slice(text.as_bytes());
    }
    let mut reader = FileReader::new(ReadOptions::default());
    reader.feed(&bytes);
    let (mut calls, tuning, mut before) = (0, tuning(), 0);
    loop {
        match reader.next(&tuning).expect("nothing is wrong yet") {
            Next::More => calls += 1,
            Next::Need => break,
            _ => {}
        }
        assert!(reader.offset() - before < 8192, "a call reads a bounded number of members");
        before = reader.offset();
    }
    assert_eq!(calls, 10_000 / 256);
    let place = reader.place();
    assert_eq!((place.doing, place.key, place.kind), ("read-object-value", Some(&b"k"[..]), Some(kind::SET)));
}

#[test]
fn a_large_string_grows_as_it_comes() {
    let text: Vec<u8> = (0..300_000_u32).map(|i| (i / 1000) as u8).collect();
    for compress in [false, true] {
        let value = typed(Value::String(text.clone().into()).view(), compress);
        let bytes = Made::new(b"REDIS0012").key(b"k", &value).end();
        for piece in [100, 70_000, 1 << 20] {
            let (items, end) = read(&bytes, piece, ReadOptions::default());
            assert_eq!(end, Ok(bytes.len() as u64));
            assert!(items[1].ends_with(&format!("{:?}", [&text])), "pieces of {piece}");
        }
    }
    // A gigabyte is promised, and a few bytes come.
    let promise = Made::new(b"REDIS0012").bytes(&[kind::STRING]).text(b"k").bytes(b"\x80\x40\0\0\0few").0;
    assert_eq!(fault(&promise), (promise.len() as u64, "Unexpected EOF reading RDB file".to_owned()));
}

#[test]
fn times_come_in_seconds_or_milliseconds() {
    let read_deadline = |head: &[u8]| {
        let bytes = Made::new(b"REDIS0012").bytes(head).key(b"k", b"\x00\x01v").end();
        read_whole(&bytes).0[1].split(' ').nth(2).expect("the deadline").to_owned()
    };
    assert_eq!(read_deadline(b"\xfc\xe8\x03\0\0\0\0\0\0"), "Some(1000)");
    assert_eq!(read_deadline(b"\xfd\x02\0\0\0"), "Some(2000)");
    // Before 1970.
    assert_eq!(read_deadline(b"\xfd\xfe\xff\xff\xff"), "Some(0)");
    assert_eq!(read_deadline(b"\xfc\xff\xff\xff\xff\xff\xff\xff\xff"), "None");
}

#[test]
fn the_same_number_is_another_type_in_a_file_of_valkey() {
    let field = b"\x01f\x01v";
    let contents = |magic, value: &[u8]| {
        let (items, end) = read_whole(&Made::new(magic).key(b"k", value).end());
        end.map(|_| items[1].clone()).map_err(|bad| bad.what.into_owned())
    };
    // Valkey writes the deadline after the value, in eight bytes; the release candidate wrote it in front.
    let valkey = [&[22, 1][..], field, &1000_u64.to_le_bytes()].concat();
    let candidate = [&[22, 1, 0x43, 0xe8][..], field].concat();
    let wanted = "0 k None None None listpackex [";
    for (magic, value) in [(b"VALKEY080", &valkey), (b"REDIS0012", &candidate)] {
        let shown = contents(magic, value).expect("it is whole");
        assert!(shown.starts_with(wanted), "{shown}");
    }
    let packed = b"\x17\x10\x10\0\0\0\x03\0\x81f\x02\x81v\x02\xc3\xe8\x02\xff";
    assert!(contents(b"REDIS0012", packed).expect("it is whole").starts_with(wanted));
    assert_eq!(contents(b"VALKEY080", packed), Err("Unknown RDB encoding type 23".to_owned()));
}

#[test]
fn what_modules_wrote_is_named() {
    // The name in six bits a letter, then ten bits of version; two parts, and the end.
    let id = b"hellotype".iter().fold(0_u64, |id, letter| {
        let place = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
            .iter()
            .position(|l| l == letter);
        id << 6 | place.expect("it is one of the letters") as u64
    }) << 10;
    let id = [&[0x81][..], &id.to_be_bytes()].concat();
    let parts = b"\x02\x07\x05\x03abc\x04........\x03....\x00";
    let value = Made::new(b"REDIS0012").key(b"k", &[&[7][..], &id, parts].concat()).end();
    let aux = Made::new(b"REDIS0012").bytes(&[247]).bytes(&id).bytes(b"\x02\x01").bytes(parts).end();
    assert_eq!(
        fault(&value).1,
        "The RDB file contains module data I can't load: no matching module type 'hellotype'"
    );
    assert_eq!(
        fault(&aux).1,
        "The RDB file contains AUX module data I can't load: no matching module 'hellotype'"
    );
    let passing = ReadOptions { pass_over_modules: true, ..ReadOptions::default() };
    assert_eq!(read(&value, 1, passing).0[1], "ModuleKey { deadline: None }");
    assert_eq!(read(&aux, 1, passing).0[1], "ModuleAux(\"hellotype\")");
    let old = Made::new(b"REDIS0012").key(b"k", &[6]).end();
    assert_eq!(fault(&old).1, "Pre-release module format not supported");
}

#[test]
fn an_error_names_the_place() {
    let file = |typed: &[u8]| Made::new(b"REDIS0012").key(b"k", typed).end();
    for (typed, at, what) in [
        (&b"\x0b\x03abc"[..], 12, "Intset integrity check failed."),
        (b"\x02\x02\x01a\x01a", 15, "Duplicate set members detected"),
        (b"\x10\x80\0\0\0\x01x", 12, "Hash listpack integrity check failed."),
        (b"\x02\x82", 12, "Unknown length encoding 2 in rdbLoadLen()"),
        (b"\x1b\x01", 12, "Unknown RDB encoding type 27"),
    ] {
        let (found_at, found) = fault(&file(typed));
        assert_eq!(found, what);
        assert!(found_at.abs_diff(at) <= 2, "{what}: {found_at} is not near {at}");
    }
    assert_eq!(fault(b"REDIS0012\xf6").1, "Pre-release function format not supported.");
}

#[test]
fn the_header_names_a_version_of_redis_or_of_valkey() {
    assert_eq!(&write::header(7), b"REDIS0007");
    assert_eq!(&write::header(12), b"REDIS0012");
    assert_eq!(&write::header(80), b"VALKEY080");
}
