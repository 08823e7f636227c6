//! Payloads of every type and encoding, and what damage makes of them.

use crate::support::World;
use crate::support::reply::Resp;
use waterwheel::base::rng::Rng;
use waterwheel::persist::rdb::kind;
use waterwheel::resp::reply::encode_request;
use waterwheel::structures::listpack::{self, Listpack};

/// Version and checksum at the end of a payload.
const FOOTER_BYTES: usize = 10;

/// Bytes that begin something else than their neighbours do, in the dump format or in a listpack.
const BYTES: &[u8] = &[
    0x00, 0x01, 0x02, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0x82, 0xbf, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xdf, 0xe0,
    0xef, 0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xfd, 0xfe, 0xff,
];

/// Numbers on which lengths and arithmetic break.
const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    63,
    64,
    127,
    128,
    0x3fff,
    0x4000,
    0xffff,
    0x1_0000,
    0xff_ffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
    1 << 32,
    1 << 62,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

/// All types that are read.
const KINDS: &[u8] = &[
    kind::STRING,
    kind::LIST,
    kind::SET,
    kind::ZSET,
    kind::HASH,
    kind::ZSET_2,
    kind::HASH_ZIPMAP,
    kind::LIST_ZIPLIST,
    kind::SET_INTSET,
    kind::ZSET_ZIPLIST,
    kind::HASH_ZIPLIST,
    kind::LIST_QUICKLIST,
    kind::STREAM_LISTPACKS,
    kind::HASH_LISTPACK,
    kind::ZSET_LISTPACK,
    kind::LIST_QUICKLIST_2,
    kind::STREAM_LISTPACKS_2,
    kind::SET_LISTPACK,
    kind::STREAM_LISTPACKS_3,
    kind::HASH_2,
    kind::HASH_LISTPACK_EX_PRE_GA,
    kind::HASH_METADATA,
    kind::HASH_LISTPACK_EX,
    kind::MODULE_2,
];

// ---- sound payloads

/// Values of every type and encoding, as type and value without version and checksum.
pub fn values(rng: &mut Rng, world: &mut World) -> Vec<Vec<u8>> {
    let compress = if rng.below(4) == 0 { "yes" } else { "no" };
    world.run(&format!("CONFIG SET rdbcompression {compress}"));
    let depth = rng.below(3);
    world.run(&format!("CONFIG SET list-compress-depth {depth} list-max-listpack-size 6"));
    world.run("CONFIG SET hash-max-listpack-entries 8 set-max-listpack-entries 8 set-max-intset-entries 12");
    world.run("CONFIG SET zset-max-listpack-entries 8 stream-node-max-entries 4 hll-sparse-max-bytes 100");
    let mut values = Vec::new();
    for size in [1, 3, 6, 10, 20, 40] {
        for make in [list, set, hash, zset, stream, string, vectors] {
            make(rng, world, size);
            let Some(Resp::Bulk(mut payload)) = answer(world, &[b"DUMP", b"s"]) else { continue };
            payload.truncate(payload.len() - FOOTER_BYTES);
            values.push(payload);
            world.run("DEL s");
        }
    }
    values.extend((0..14).map(|i| old_form(rng, i)));
    values
}

fn answer(world: &mut World, words: &[&[u8]]) -> Option<Resp> {
    let mut bytes = Vec::new();
    encode_request(words, &mut bytes);
    world.send_bytes("a", &bytes);
    world.take_replies("a").0.pop()
}

/// Sends a command on the key `s` with random texts behind it.
fn send(world: &mut World, name: &[u8], rest: &[Vec<u8>]) {
    let words: Vec<&[u8]> = [name, b"s"].into_iter().chain(rest.iter().map(Vec::as_slice)).collect();
    answer(world, &words);
}

/// A vector set in one of its three forms, with or without attributes and a projection.
fn vectors(rng: &mut Rng, world: &mut World, size: u64) {
    let dim = 1 + rng.below(9);
    let quant: &[u8] = [&b"NOQUANT"[..], b"Q8", b"BIN"][rng.below(3) as usize];
    let (reduces, has_attributes, m) = (rng.below(3) == 0, rng.below(2) == 0, 4 + rng.below(5));
    for _ in 0..size {
        let mut words: Vec<Vec<u8>> = Vec::new();
        if reduces {
            words.extend([b"REDUCE".to_vec(), dim.div_ceil(2).to_string().into_bytes()]);
        }
        words.extend([b"VALUES".to_vec(), dim.to_string().into_bytes()]);
        words.extend((0..dim).map(|_| (rng.below(2001) as i64 - 1000).to_string().into_bytes()));
        words.extend([text(rng), quant.to_vec(), b"M".to_vec(), m.to_string().into_bytes()]);
        if has_attributes && rng.below(2) == 0 {
            words.extend([b"SETATTR".to_vec(), text(rng)]);
        }
        send(world, b"VADD", &words);
    }
}

fn text(rng: &mut Rng) -> Vec<u8> {
    match rng.below(12) {
        0 => vec![b'x'; rng.below(100) as usize],
        1 if rng.below(8) == 0 => vec![b'y'; rng.below(6000) as usize],
        2 => (0..rng.below(70)).map(|_| rng.next_u64() as u8).collect(),
        3..7 => {
            let shift = rng.below(64);
            (rng.next_u64() as i64 >> shift).to_string().into_bytes()
        }
        _ => (0..1 + rng.below(10)).map(|_| b'a' + rng.below(26) as u8).collect(),
    }
}

fn texts(rng: &mut Rng, count: u64) -> Vec<Vec<u8>> {
    (0..count).map(|_| text(rng)).collect()
}

fn list(rng: &mut Rng, world: &mut World, size: u64) {
    let threshold = any(rng, &["0", "0", "20"]);
    world.run(&format!("DEBUG QUICKLIST-PACKED-THRESHOLD {threshold}"));
    for _ in 0..size {
        let name = if rng.below(3) == 0 { b"LPUSH" } else { b"RPUSH" };
        send(world, name, &[text(rng)]);
    }
}

fn set(rng: &mut Rng, world: &mut World, size: u64) {
    let bits = *any(rng, &[0, 6, 15, 31, 63]);
    let members = (0..size).map(|_| {
        if bits == 0 {
            return text(rng);
        }
        (rng.next_u64() as i64 >> (63 - bits)).to_string().into_bytes()
    });
    let members: Vec<Vec<u8>> = members.collect();
    send(world, b"SADD", &members);
}

fn hash(rng: &mut Rng, world: &mut World, size: u64) {
    let pairs = texts(rng, size * 2);
    send(world, b"HSET", &pairs);
    if rng.below(2) == 0 {
        for pair in pairs.chunks(2).filter(|_| rng.below(3) == 0).collect::<Vec<_>>() {
            let ms = (1000 + rng.below(1 << 30)).to_string().into_bytes();
            send(world, b"HPEXPIRE", &[ms, b"FIELDS".to_vec(), b"1".to_vec(), pair[0].clone()]);
        }
    }
}

fn zset(rng: &mut Rng, world: &mut World, size: u64) {
    for _ in 0..size {
        let score = match rng.below(6) {
            0 => "inf".to_owned(),
            1 => "-1e300".to_owned(),
            2 => format!("{}.5", rng.below(100)),
            _ => rng.below(100).to_string(),
        };
        send(world, b"ZADD", &[score.into_bytes(), text(rng)]);
    }
}

fn stream(rng: &mut Rng, world: &mut World, size: u64) {
    let mut ms = 1 + rng.below(1 << 40);
    let names = texts(rng, 2);
    for _ in 0..size {
        ms += rng.below(3) * rng.below(1000);
        let mut words = vec![format!("{ms}-*").into_bytes()];
        for name in &names[..1 + rng.below(2) as usize] {
            words.extend([if rng.below(6) == 0 { text(rng) } else { name.clone() }, text(rng)]);
        }
        send(world, b"XADD", &words);
        if rng.below(8) == 0 {
            send(world, b"XDEL", &[format!("{ms}-0").into_bytes()]);
        }
    }
    for group in 0..rng.below(3) {
        world.run(&format!("XGROUP CREATE s g{group} 0"));
        for consumer in 0..rng.below(3) {
            let count = 1 + rng.below(6);
            world.run(&format!("XREADGROUP GROUP g{group} c{consumer} COUNT {count} STREAMS s >"));
            if rng.below(2) == 0 {
                world.run(&format!("XGROUP CREATECONSUMER s g{group} idle"));
            }
        }
    }
}

fn string(rng: &mut Rng, world: &mut World, size: u64) {
    match rng.below(3) {
        0 => send(world, b"SET", &[text(rng)]),
        1 => {
            let text = texts(rng, size).concat();
            send(world, b"SET", &[text]);
        }
        // A HyperLogLog; above a hundred bytes it is a dense one.
        _ => {
            let elements = texts(rng, size / 2);
            send(world, b"PFADD", &elements);
        }
    }
}

/// A value in a form that is read only.
fn old_form(rng: &mut Rng, which: usize) -> Vec<u8> {
    let size = 2 * (1 + rng.below(8));
    let mut texts = texts(rng, size);
    // Members of sets, and the fields of hashes, are different.
    texts.iter_mut().enumerate().for_each(|(i, text)| text.push(b'a' + i as u8));
    let mut scored = texts.clone();
    for score in scored.iter_mut().skip(1).step_by(2) {
        *score = rng.below(1000).to_string().into_bytes();
    }
    let strings = |out: &mut Vec<u8>, texts: &[Vec<u8>]| texts.iter().for_each(|text| put_text(out, text));
    let mut out = Vec::new();
    match which {
        0 => {
            out.extend([kind::LIST, size as u8]);
            strings(&mut out, &texts);
        }
        1 => {
            out.extend([kind::SET, size as u8]);
            strings(&mut out, &texts);
        }
        2 => {
            out.extend([kind::ZSET, size as u8 / 2]);
            for pair in scored.chunks(2) {
                put_text(&mut out, &pair[0]);
                out.push(pair[1].len() as u8);
                out.extend_from_slice(&pair[1]);
            }
        }
        3 => {
            out.extend([kind::HASH, size as u8 / 2]);
            strings(&mut out, &texts);
        }
        4 => put_blob(&mut out, kind::HASH_ZIPMAP, &zipmap(rng, &texts)),
        5 => put_blob(&mut out, kind::LIST_ZIPLIST, &ziplist(&texts)),
        6 => put_blob(&mut out, kind::ZSET_ZIPLIST, &ziplist(&scored)),
        7 => put_blob(&mut out, kind::HASH_ZIPLIST, &ziplist(&texts)),
        8 => {
            out.extend([kind::LIST_QUICKLIST, 2]);
            put_text(&mut out, &ziplist(&texts));
            put_text(&mut out, &ziplist(&scored));
        }
        9 => put_blob(&mut out, kind::SET_LISTPACK, packed(&texts).bytes()),
        10 | 11 => {
            out.extend([kind::HASH_2, size as u8 / 2]);
            for pair in texts.chunks(2) {
                strings(&mut out, pair);
                let deadline = if rng.below(2) == 0 { -1 } else { 1 << 41 };
                out.extend_from_slice(&i64::to_le_bytes(deadline));
            }
        }
        12 => put_blob(&mut out, kind::HASH_LISTPACK, packed(&texts).bytes()),
        _ => {
            // A stream of the first form: one node with one entry, no groups.
            let mut node = Listpack::new();
            [1, 0, 1].iter().for_each(|value| node.push_int(*value));
            node.push(&texts[0]);
            [0, 2, 0, 0].iter().for_each(|value| node.push_int(*value));
            node.push(&texts[1]);
            node.push_int(4);
            out.extend([kind::STREAM_LISTPACKS, 1]);
            put_text(&mut out, &(5u128 << 64).to_be_bytes());
            put_text(&mut out, node.bytes());
            out.extend([1, 5, 0, 0]);
        }
    }
    out
}

fn packed(texts: &[Vec<u8>]) -> Listpack {
    let mut list = Listpack::new();
    texts.iter().for_each(|text| list.push(text));
    list
}

fn ziplist(texts: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    let mut before = 0;
    for text in texts {
        let start = body.len();
        if before < 254 {
            body.push(before as u8);
        } else {
            body.push(254);
            body.extend_from_slice(&(before as u32).to_le_bytes());
        }
        let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i16>().ok());
        match number.filter(|number| number.to_string().as_bytes() == text) {
            Some(number) => {
                body.push(0xc0);
                body.extend_from_slice(&number.to_le_bytes());
            }
            None if text.len() < 64 => body.push(text.len() as u8),
            None => body.extend_from_slice(&[0x40 | (text.len() >> 8) as u8, text.len() as u8]),
        }
        if number.is_none() {
            body.extend_from_slice(text);
        }
        before = body.len() - start;
    }
    let mut out = ((body.len() + 11) as u32).to_le_bytes().to_vec();
    out.extend_from_slice(&((body.len() + 10 - before) as u32).to_le_bytes());
    out.extend_from_slice(&(texts.len() as u16).to_le_bytes());
    out.extend_from_slice(&body);
    out.push(0xff);
    out
}

fn zipmap(rng: &mut Rng, texts: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![(texts.len() / 2) as u8];
    for (i, text) in texts.iter().enumerate() {
        if text.len() < 254 {
            out.push(text.len() as u8);
        } else {
            out.push(254);
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        }
        let unused = rng.below(3) as usize;
        if i % 2 == 1 {
            out.push(unused as u8);
        }
        out.extend_from_slice(text);
        if i % 2 == 1 {
            out.resize(out.len() + unused, b'?');
        }
    }
    out.push(0xff);
    out
}

fn put_len(out: &mut Vec<u8>, len: usize) {
    match len {
        0..64 => out.push(len as u8),
        64..0x4000 => out.extend_from_slice(&[0x40 | (len >> 8) as u8, len as u8]),
        _ => {
            out.push(0x80);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_len(out, text.len());
    out.extend_from_slice(text);
}

fn put_blob(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    out.push(kind);
    put_text(out, bytes);
}

// ---- damage

/// Damages a value in a few places; `others` lend their parts.
pub fn damage(rng: &mut Rng, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
    loop {
        if rng.below(2) == 0 {
            damage_inside(rng, bytes, others);
        } else {
            damage_bytes(rng, bytes, others);
        }
        if rng.below(2) == 0 {
            return;
        }
    }
}

/// One change that knows nothing of what the bytes mean.
pub fn damage_bytes(rng: &mut Rng, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
    let at = rng.below(bytes.len() as u64 + 1) as usize;
    let end = at + rng.below((bytes.len() - at) as u64 + 1).min(24) as usize;
    match rng.below(12) {
        0..3 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
        3 if at < bytes.len() => bytes[at] = rng.next_u64() as u8,
        4 | 5 if at < bytes.len() => bytes[at] = *any(rng, BYTES),
        6 if rng.below(4) == 0 => bytes.truncate(at),
        6 | 7 => drop(bytes.drain(at..end)),
        8 => {
            let copy = bytes[at..end].to_vec();
            let to = rng.below(bytes.len() as u64 + 1) as usize;
            bytes.splice(to..to, copy);
        }
        9 => {
            let other = any(rng, others);
            let from = rng.below(other.len() as u64 + 1) as usize;
            let to = from + rng.below((other.len() - from) as u64 + 1).min(200) as usize;
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        10 => {
            // A length, or an integer, at its limits.
            let number = *any(rng, NUMBERS);
            let long: Vec<u8> = match rng.below(6) {
                0 => [&[0x80][..], &(number as u32).to_be_bytes()].concat(),
                1 => [&[0x81][..], &number.to_be_bytes()].concat(),
                2 => (number as u32).to_le_bytes().to_vec(),
                3 => number.to_le_bytes().to_vec(),
                4 => [&[0xc3, 4, 0x80][..], &(number as u32).to_be_bytes()].concat(),
                _ => vec![0x40 | (number >> 8) as u8 & 0x3f, number as u8],
            };
            let end = if rng.below(2) == 0 { (at + long.len()).min(bytes.len()) } else { end.min(at + 1) };
            bytes.splice(at..end, long);
        }
        _ => {
            let end = (at + (1 << rng.below(5))).min(bytes.len());
            bytes[at..end].fill(*any(rng, &[0, 0x7f, 0xff]));
            if rng.below(8) == 0 && !bytes.is_empty() {
                bytes[0] = *any(rng, KINDS);
            }
        }
    }
}

/// A string in a value that says its own length: a listpack or a ziplist.
struct Inner {
    /// Where its length is written, in front of it.
    at: usize,
    start: usize,
    end: usize,
}

fn find_inner(bytes: &[u8], at: usize) -> Option<Inner> {
    let (start, len) = match *bytes.get(at)? {
        first @ 0..0x40 => (at + 1, usize::from(first)),
        first @ 0x40..0x80 => (at + 2, usize::from(first & 0x3f) << 8 | usize::from(*bytes.get(at + 1)?)),
        _ => return None,
    };
    let end = start.checked_add(len).filter(|end| len >= 7 && *end <= bytes.len())?;
    let says = u32::from_le_bytes(bytes[start..start + 4].try_into().ok()?);
    (says as usize == len && bytes[end - 1] == 0xff).then_some(Inner { at, start, end })
}

/// Changes a listpack or ziplist inside a value, and mostly makes right again what it and the value say of its length, so
/// that its reader is met by more than a wrong length.
fn damage_inside(rng: &mut Rng, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
    let begin = rng.below(bytes.len() as u64 + 1) as usize;
    let Some(inner) = (begin..bytes.len()).chain(0..begin).find_map(|at| find_inner(bytes, at)) else {
        return damage_bytes(rng, bytes, others);
    };
    let mut content = bytes[inner.start..inner.end].to_vec();
    if rng.below(3) > 0 && listpack::validate(&content, true).is_ok() {
        content = damage_elements(rng, content);
    } else {
        damage_bytes(rng, &mut content, others);
        if content.len() >= 7 {
            if rng.below(8) > 0 {
                let len = content.len() as u32;
                content[..4].copy_from_slice(&len.to_le_bytes());
            }
            if rng.below(8) > 0 {
                *content.last_mut().expect("it has bytes") = 0xff;
            }
            // The number of elements is then unknown, in a listpack or in a ziplist.
            match rng.below(4) {
                0 => content[4..6].fill(0xff),
                1 if content.len() > 10 => content[8..10].fill(0xff),
                _ => {}
            }
        }
    }
    let mut written = Vec::with_capacity(content.len() + 5);
    put_text(&mut written, &content);
    bytes.splice(inner.at..inner.end, written);
}

/// Another listpack that is right as such.
fn damage_elements(rng: &mut Rng, content: Vec<u8>) -> Vec<u8> {
    let mut list = Listpack::from_bytes(content);
    for _ in 0..=rng.below(2) {
        let Some(pos) = list.seek(rng.below(list.len() as u64 + 1) as i64) else { continue };
        match rng.below(7) {
            0 => drop(list.remove(pos, 1 + rng.below(3) as usize)),
            1 => list.replace(pos, &text(rng)),
            2 => list.replace_int(pos, *any(rng, NUMBERS) as i64),
            3 => list.replace_int(pos, rng.below(6) as i64),
            4 => list.insert_int_before(pos, rng.below(4) as i64),
            5 => list.insert_before(pos, &text(rng)),
            _ => {
                let copy = list.get(pos).to_vec();
                list.push(&copy);
            }
        }
    }
    list.into_bytes()
}

/// One of several.
pub fn any<'a, T>(rng: &mut Rng, values: &'a [T]) -> &'a T {
    &values[rng.below(values.len() as u64) as usize]
}
