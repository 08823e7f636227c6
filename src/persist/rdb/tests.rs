//! Values of every type there and back, damaged payloads, and payloads of other servers.

use super::*;
use crate::base::rng::Rng;
use crate::keyspace::types::hash::FieldDeadline;
use crate::keyspace::types::stream::{Group, Pending, StreamId};
use crate::keyspace::types::vector::Shape;
use crate::keyspace::types::{Hash, List, Set, Stream, VectorSet, Zset, zset};
use crate::keyspace::{Collection, NewValue, Tuning, Value, ValueRef};
use crate::structures::hnsw::{Placement, Quant};

pub(super) fn tuning() -> Tuning {
    Tuning {
        list_max_listpack_size: 16,
        hash_max_listpack_entries: 16,
        hash_max_listpack_value_bytes: 64,
        set_max_intset_entries: 16,
        set_max_listpack_entries: 16,
        set_max_listpack_value_bytes: 64,
        zset_max_listpack_entries: 16,
        zset_max_listpack_value_bytes: 64,
        ..Tuning::default()
    }
}

/// A list of these settings is packed up to so many bytes.
const LIST_BYTES_MAX: usize = 8192;

fn text(rng: &mut Rng) -> Vec<u8> {
    match rng.below(4) {
        0 => (rng.next_u64() as i64 >> rng.below(64)).to_string().into_bytes(),
        1 => vec![b'x'; rng.below(100) as usize],
        2 => vec![b'y'; rng.below(20_000) as usize],
        _ => (0..rng.below(30)).map(|_| rng.next_u64() as u8).collect(),
    }
}

/// Values of every type and encoding.
pub(super) fn values(rng: &mut Rng) -> Vec<Value> {
    let tuning = tuning();
    let mut values = vec![Value::String(text(rng).into())];
    for size in [1, 10, 40] {
        let (mut list, mut set, mut ints) = (List::new(), Set::new(), Set::new());
        let (mut hash, mut with_ttl, mut zset) = (Hash::new(), Hash::new(), Zset::new());
        for i in 0..size {
            let (value, short) = (text(rng), format!("{i}"));
            list.expect(value.len(), 1, &tuning);
            list.push(&value, false);
            set.add(&value, &tuning);
            ints.add(short.as_bytes(), &tuning);
            for (hash, deadline) in [
                (&mut hash, FieldDeadline::Clear),
                (
                    &mut with_ttl,
                    if i % 3 == 0 { FieldDeadline::At(1 << 40 | i) } else { FieldDeadline::Clear },
                ),
            ] {
                hash.make_room(1, value.len(), value.len(), &tuning);
                hash.set(short.as_bytes(), &value, deadline, &tuning);
            }
            zset.change(i as f64 / 3.0, &value, zset::Change::default(), &tuning);
        }
        values.push(stream(rng, size).into());
        for quant in [Quant::None, Quant::Q8, Quant::Bin] {
            values.push(Value::Vector(vectors(rng, size, quant)));
        }
        values.extend([list.into(), set.into(), ints.into(), hash.into(), with_ttl.into(), zset.into()]);
    }
    values
}

/// A vector set, with attributes and a projection or without, of which some elements were removed.
pub(crate) fn vectors(rng: &mut Rng, size: u64, quant: Quant) -> Box<VectorSet> {
    let reduced = (rng.below(2) == 0).then_some(9);
    let mut set = Box::new(VectorSet::new(Shape { dim: 12, reduced, quant, m: 4 }, 1));
    let has_attributes = rng.below(2) == 0;
    for i in 0..size * 2 {
        let mut numbers: Vec<f32> = (0..12).map(|_| rng.below(2001) as f32 - 1000.0).collect();
        if let Some(projection) = set.projection() {
            numbers = projection.apply(&numbers);
        }
        let graph = set.graph();
        let level = graph.random_level(rng);
        let mut placement = Placement::new(graph, graph.encoding().encode(&numbers), 20, level);
        while placement.step(graph, 100) {}
        let attributes = if has_attributes && i % 3 == 0 { text(rng) } else { Vec::new() };
        set.add(format!("{i}").as_bytes(), &attributes, placement);
        if i % 2 == 1 {
            set.remove(rng.below(set.len() as u64) as u32);
        }
    }
    set
}

/// A stream with gaps, and two groups of which one has given everything away.
fn stream(rng: &mut Rng, size: u64) -> Box<Stream> {
    let tuning = Tuning { stream_node_max_entries: 7, ..tuning() };
    let mut stream = Box::<Stream>::default();
    for i in 0..size {
        let (value, other) = (text(rng), text(rng));
        let fields = [(&b"name"[..], &value[..]), (&b"other"[..], &other[..])];
        let count = 1 + rng.below(2) as usize;
        stream.append(StreamId::new(1 << 40 | i, rng.below(3)), fields.into_iter().take(count), &tuning);
    }
    let gone = stream.log.edge(rng.below(2) == 0).expect("it has entries");
    stream.log.delete(gone);
    stream.log.note_deleted(&[gone]);
    let mut group = Group::new(stream.log.last_id, Some(size));
    for (i, name) in [&b"alice"[..], b"bob", b"carol"].into_iter().enumerate() {
        let consumer = group.add_consumer(name, rng.below(1 << 40));
        group.consumer_mut(consumer).active_ms =
            if rng.below(2) == 0 { None } else { Some(group.consumer(consumer).seen_ms) };
        for seq in 0..size.min(5) * i as u64 {
            let pending = Pending { delivered_ms: rng.below(1 << 40), deliveries: rng.below(300), consumer };
            group.assign(StreamId::new(rng.below(50), seq), pending);
        }
    }
    stream.add_group(b"busy", group);
    stream.add_group(b"idle", Group::new(StreamId::ZERO, None));
    if rng.below(2) == 0 {
        stream.idempotence.duration_s = 1 + rng.below(86_400) as u32;
        for i in 0..size {
            stream.idempotence.note(&text(rng), &text(rng), StreamId::new(i, rng.below(1 << 40)));
        }
    }
    stream
}

/// What a value holds, in an order that does not depend on chance.
fn contents(value: ValueRef<'_>) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = match value {
        ValueRef::List(list) => {
            let mut all = Vec::new();
            list.walk(0, true, |item| {
                all.push(item.to_vec());
                true
            });
            return all;
        }
        ValueRef::Set(set) => set.iter().map(|member| member.to_vec()).collect(),
        ValueRef::Hash(hash) => hash
            .iter()
            .map(|f| {
                format!("{:?} {:?} {:?}", f.name.to_vec(), f.value.element().to_vec(), f.deadline)
                    .into_bytes()
            })
            .collect(),
        ValueRef::Zset(zset) => {
            return zset.iter().map(|(m, score)| format!("{score} {:?}", m.to_vec()).into_bytes()).collect();
        }
        ValueRef::Inline(bytes, _) => vec![bytes.to_vec()],
        ValueRef::Shared(bytes) => vec![bytes.to_vec()],
        ValueRef::Int(value) => vec![value.to_string().into_bytes()],
        ValueRef::Vector(_) => {
            let mut payload = Vec::new();
            encode(value, Options { compress: false }, &mut payload);
            return vec![payload];
        }
        ValueRef::Stream(stream) => {
            stream.log.walk(StreamId::ZERO, StreamId::MAX, false, |entry| entry.fields.count() < usize::MAX);
            let mut payload = Vec::new();
            encode(value, Options { compress: false }, &mut payload);
            return vec![payload];
        }
    };
    all.sort();
    all
}

pub(super) fn contents_of_new(value: &NewValue<'_>) -> Vec<Vec<u8>> {
    match value {
        NewValue::Whole(value) => contents(value.view()),
        NewValue::Int(value) => contents(ValueRef::Int(*value)),
        NewValue::Copied(bytes) => contents(ValueRef::Inline(bytes, false)),
        NewValue::Raw(bytes) | NewValue::Shared(bytes) => contents(ValueRef::Shared(bytes)),
    }
}

fn encoded(value: &Value, compress: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let version = encode(value.view(), Options { compress }, &mut out);
    seal(&mut out, version);
    out
}

#[test]
fn what_was_encoded_is_decoded() {
    let mut rng = Rng::from_seed(1);
    for _ in 0..20 {
        for value in values(&mut rng) {
            for compress in [false, true] {
                let payload = encoded(&value, compress);
                let (bytes, dialect) = unseal(&payload).expect("the checksum is right");
                let back = decode(bytes, dialect, &tuning()).expect("it was encoded just now");
                assert_eq!(contents_of_new(&back), contents(value.view()));
                // What a list may grow to is estimated before each element, and looked at as it is here, as in Redis.
                let is_at_the_limit = match &value {
                    Value::List(List::Quick(quick)) => quick.nodes() == 1,
                    Value::List(List::Packed(packed)) => packed.bytes().len() > LIST_BYTES_MAX,
                    _ => false,
                };
                if let NewValue::Whole(back) = &back
                    && !is_at_the_limit
                {
                    assert_eq!(back.view().encoding(), value.view().encoding());
                }
            }
        }
    }
}

#[test]
fn damaged_payloads_are_refused_or_harmless() {
    let mut rng = Rng::from_seed(9);
    for _ in 0..30 {
        for value in values(&mut rng) {
            let payload = encoded(&value, rng.below(2) == 0);
            let (bytes, dialect) = unseal(&payload).expect("the checksum is right");
            for _ in 0..20 {
                let mut damaged = bytes.to_vec();
                for _ in 0..=rng.below(3) {
                    let at = rng.below(damaged.len() as u64) as usize;
                    match rng.below(3) {
                        0 => damaged.truncate(at.max(1)),
                        1 => damaged[at] ^= 1 << rng.below(8),
                        _ => damaged[at] = [0, 0x7f, 0x80, 0xc3, 0xff][rng.below(5) as usize],
                    }
                }
                if let Ok(value) = decode(&damaged, dialect, &tuning()) {
                    // Whatever came out has to be whole.
                    contents_of_new(&value);
                }
            }
        }
    }
}

#[test]
fn a_payload_needs_a_known_version_and_the_right_checksum() {
    let payload = encoded(&Value::String("text".into()), false);
    assert_eq!(unseal(&payload), Some((&b"\x00\x04text"[..], Dialect::Redis)));
    for at in 0..payload.len() {
        let mut damaged = payload.clone();
        damaged[at] ^= 1;
        assert_eq!(unseal(&damaged), None, "byte {at}");
        assert_eq!(unseal(&payload[..at]), None);
    }
    let mut newer = b"\x00\x04text".to_vec();
    seal(&mut newer, VERSION_MAX + 1);
    assert_eq!(unseal(&newer), None);
    let mut other = b"\x00\x04text".to_vec();
    seal(&mut other, VERSION_OF_VALKEY);
    assert_eq!(unseal(&other), Some((&b"\x00\x04text"[..], Dialect::Valkey)));
}

#[test]
fn what_a_stream_remembers_of_producers_is_written_where_the_reader_knows_it() {
    let mut stream = Box::<Stream>::default();
    let version_of = |stream: &Stream, version: Version| {
        super::version_of(&payload_as(ValueRef::Stream(stream), Options { compress: false }, version))
    };
    stream.append(StreamId::new(1, 1), [(&b"f"[..], &b"v"[..])].into_iter(), &tuning());
    assert_eq!(version_of(&stream, Version::Lowest), 10);
    stream.idempotence.note(b"p", b"i", StreamId::new(1, 1));
    stream.idempotence.duplicates = 3;
    assert_eq!(version_of(&stream, Version::Lowest), 13);
    for version in [Version::LowestOf8, Version::Redis(12), Version::Valkey] {
        assert_eq!(version_of(&stream, version), 10);
    }
    let payload = payload(ValueRef::Stream(&stream), Options { compress: false });
    let (bytes, dialect) = unseal(&payload).expect("it was sealed just now");
    let Ok(NewValue::Whole(Value::Stream(back))) = decode(bytes, dialect, &tuning()) else {
        panic!("it was encoded just now")
    };
    assert_eq!(back.idempotence, stream.idempotence);
    // Bounds that no stream can have.
    for (duration_s, ids_max) in [(0, 5), (86_401, 5), (5, 0), (5, 10_001)] {
        stream.idempotence.duration_s = duration_s;
        stream.idempotence.ids_max = ids_max;
        let mut bytes = Vec::new();
        encode(ValueRef::Stream(&stream), Options { compress: false }, &mut bytes);
        assert!(decode(&bytes, Dialect::Redis, &tuning()).is_err(), "{duration_s} {ids_max}");
    }
}

#[test]
fn payloads_of_old_servers_are_read() {
    let show = |bytes: &[u8]| {
        contents_of_new(&decode(bytes, Dialect::Redis, &tuning()).expect("it is whole"))
            .into_iter()
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(show(b"\x01\x02\x01a\xc0\x05"), ["a", "5"]);
    assert_eq!(show(b"\x03\x01\x01a\x031.5"), ["1.5 [97]"]);
    let ziplist = b"\x10\x00\x00\x00\x0e\x00\x00\x00\x02\x00\x00\x02hi\x04\xf3\xff";
    let ziplist = [&[ziplist.len() as u8][..], &[ziplist.len() as u8], &ziplist[1..]].concat();
    let with_type = |kind: u8| [&[kind][..], &ziplist].concat();
    assert_eq!(show(&with_type(10)), ["hi", "2"]);
    assert_eq!(show(&with_type(12)), ["2 [104, 105]"]);
    assert_eq!(show(&[&[14, 1][..], &ziplist].concat()), ["hi", "2"]);
}

/// A stream with one field an entry; each node is an id and the ids of its entries.
fn stream_payload(nodes: &[(StreamId, &[StreamId])], first_id: StreamId, last_id: StreamId) -> Vec<u8> {
    let mut out = vec![kind::STREAM_LISTPACKS_2, nodes.len() as u8];
    let mut len = 0;
    for (id, entries) in nodes {
        let mut list = crate::structures::listpack::Listpack::new();
        [entries.len() as i64, 0, 1].iter().for_each(|value| list.push_int(*value));
        list.push(b"name");
        list.push_int(0);
        for entry in *entries {
            let ms = entry.ms.wrapping_sub(id.ms) as i64;
            [2, ms, entry.seq.wrapping_sub(id.seq) as i64, 7, 4]
                .iter()
                .for_each(|value| list.push_int(*value));
        }
        out.push(16);
        out.extend_from_slice(&id.number().to_be_bytes());
        out.push(list.bytes_len() as u8);
        out.extend_from_slice(list.bytes());
        len += entries.len() as u8;
    }
    out.push(len);
    for id in [last_id, first_id, StreamId::ZERO] {
        out.extend([id.ms as u8, id.seq as u8]);
    }
    // Entries ever added, and groups.
    out.extend([len, 0]);
    out
}

#[test]
fn a_stream_whose_ids_do_not_ascend_is_refused() {
    let id = |ms| StreamId::new(ms, 1);
    let read = |nodes: &[(StreamId, &[StreamId])], last| {
        decode(&stream_payload(nodes, id(2), last), Dialect::Redis, &tuning()).is_ok()
    };
    assert!(read(&[(id(2), &[id(2), id(5)]), (id(6), &[id(6)])], id(6)));
    for (nodes, last) in [
        // Within a node, before its own id, in another node, and after the last id.
        (&[(id(2), &[id(2), id(2)][..])][..], id(6)),
        (&[(id(2), &[id(5), id(3)])], id(6)),
        (&[(id(2), &[id(1), id(3)])], id(6)),
        (&[(id(2), &[id(2), id(6)]), (id(6), &[id(7)])], id(8)),
        (&[(id(2), &[id(2), id(6)])], id(5)),
    ] {
        assert!(!read(nodes, last), "{nodes:?} {last:?}");
    }
}

#[test]
fn the_first_id_of_a_stream_is_that_of_its_first_entry() {
    let id = |ms| StreamId::new(ms, 1);
    let payload = stream_payload(&[(id(2), &[id(2), id(5)])], id(4), id(6));
    let Ok(NewValue::Whole(Value::Stream(stream))) = decode(&payload, Dialect::Redis, &tuning()) else {
        panic!("it is whole")
    };
    assert_eq!((stream.log.first_id, stream.log.last_id), (id(2), id(6)));
}

#[test]
fn the_sign_of_a_score_of_zero_survives_in_a_table() {
    let mut zset = Zset::new();
    zset.make_room(40, &tuning());
    for member in 0..40 {
        zset.change(-0.0, format!("{member}").as_bytes(), zset::Change::default(), &tuning());
    }
    let payload = encoded(&zset.into(), false);
    let (bytes, dialect) = unseal(&payload).expect("the checksum is right");
    let Ok(NewValue::Whole(Value::Zset(back))) = decode(bytes, dialect, &tuning()) else {
        panic!("it is whole")
    };
    assert!(back.view().iter().all(|(_, score)| score.is_sign_negative()));
}

#[test]
fn a_hash_whose_deadlines_are_out_of_order_or_too_late_is_refused() {
    let with_ttl = |deadlines: &[i64]| {
        let mut list = crate::structures::listpack::Listpack::new();
        for (number, deadline) in deadlines.iter().enumerate() {
            [number as i64, 7, *deadline].iter().for_each(|value| list.push_int(*value));
        }
        [&[kind::HASH_LISTPACK_EX][..], &[1; 8], &[list.bytes_len() as u8], list.bytes()].concat()
    };
    let refusal = |bytes: &[u8]| decode(bytes, Dialect::Redis, &tuning()).err().map(|bad| bad.what);
    const LATEST: i64 = (1 << 48) - 1;
    for sound in [&[5, 5, LATEST][..], &[5, 0, 0], &[0], &[LATEST]] {
        assert_eq!(refusal(&with_ttl(sound)), None, "{sound:?}");
    }
    for damaged in [&[5, 4][..], &[0, 5], &[5, 0, 6], &[LATEST + 1], &[-1]] {
        assert!(refusal(&with_ttl(damaged)).is_some(), "{damaged:?}");
    }
    let table = |ms: u64| [&[kind::HASH_METADATA][..], &ms.to_le_bytes(), b"\x01\x01\x01a\x01b"].concat();
    assert_eq!(refusal(&table(LATEST as u64)), None);
    assert_eq!(refusal(&table(LATEST as u64 + 1)), Some("invalid expireAt time".into()));
}

#[test]
fn an_entry_that_two_consumers_hold_is_told_from_one_that_nobody_was_given() {
    let id = (1u128 << 64).to_be_bytes();
    let of_consumers = |ids: [&[u8]; 2]| {
        // No entries; one group whose one entry is pending, and two consumers who hold what they say.
        let mut bytes = vec![kind::STREAM_LISTPACKS_2, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 1, b'g', 1, 0, 1, 1];
        bytes.extend([&id[..], &[0; 8], &[1, 2]].concat());
        for (name, id) in [b'a', b'b'].iter().zip(ids) {
            bytes.extend([&[1, *name][..], &[0; 8], &[u8::from(!id.is_empty())], id].concat());
        }
        decode(&bytes, Dialect::Redis, &tuning()).err().map(|bad| bad.what)
    };
    let twice = "Stream consumer PEL entry already has a consumer assigned";
    assert_eq!(of_consumers([&id, &[]]), None);
    assert_eq!(of_consumers([&id, &id]), Some(twice.into()));
    let other = of_consumers([&id, &[0; 16]]);
    assert_eq!(other, Some("Consumer entry not found in group global PEL".into()));
}

#[test]
fn listpacks_of_valkey_with_an_element_of_a_border_are_read_as_redis_would_write_them() {
    let mut list = crate::structures::listpack::Listpack::new();
    list.push(&vec![b'x'; 16378]);
    list.push(b"value");
    let of_valkey = crate::structures::listpack::valkey::to_valkey(list.bytes()).expect("it differs");
    let with =
        |head: &[u8], pack: &[u8]| [head, &[0x80], &(pack.len() as u32).to_be_bytes()[..], pack].concat();
    for head in [&[kind::LIST_QUICKLIST_2, 1, 2][..], &[kind::SET_LISTPACK], &[kind::HASH_LISTPACK]] {
        let ours = decode(&with(head, list.bytes()), Dialect::Redis, &tuning()).expect("it is whole");
        let theirs = decode(&with(head, &of_valkey), Dialect::Valkey, &tuning()).expect("it is whole");
        assert_eq!(contents_of_new(&theirs), contents_of_new(&ours));
        // From Redis nobody gets such bytes; those of Redis may come from an earlier Valkey.
        assert!(decode(&with(head, &of_valkey), Dialect::Redis, &tuning()).is_err());
        assert!(decode(&with(head, list.bytes()), Dialect::Valkey, &tuning()).is_ok());
    }
}
