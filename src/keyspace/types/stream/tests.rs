//! Streams against a sorted map of entries.

use std::collections::BTreeMap;

use super::*;
use crate::base::rng::Rng;

type Content = Vec<(Vec<u8>, Vec<u8>)>;
type Model = BTreeMap<StreamId, Content>;

fn tuning(seed: u64) -> Tuning {
    let (bytes, entries) = [(512, 10), (4096, 0), (0, 400)][seed as usize % 3];
    Tuning { stream_node_max_bytes: bytes, stream_node_max_entries: entries, ..Tuning::default() }
}

fn entries(log: &Log, from: StreamId, to: StreamId, forward: bool) -> Vec<(StreamId, Content)> {
    let mut all = Vec::new();
    log.walk(from, to, forward, |entry| {
        all.push((entry.id, entry.fields.map(|(name, value)| (name.to_vec(), value.to_vec())).collect()));
        true
    });
    all
}

fn check(log: &Log, model: &Model) {
    let all = entries(log, StreamId::ZERO, StreamId::MAX, true);
    assert!(all.iter().map(|(id, fields)| (id, fields)).eq(model.iter()));
    let back = entries(log, StreamId::ZERO, StreamId::MAX, false);
    assert!(back.iter().eq(all.iter().rev()));
    assert_eq!(log.len(), model.len());
    assert_eq!(log.first_id, model.keys().next().copied().unwrap_or(StreamId::ZERO));
    let bytes: usize = log.node_list(StreamId::ZERO).map(|(_, bytes)| bytes.len()).sum();
    assert!(log.heap_bytes() >= bytes);
    let mut copy = Log::default();
    for (id, bytes) in log.node_list(StreamId::ZERO) {
        copy.push_node(id, bytes.to_vec()).expect("our own nodes are valid");
    }
    assert_eq!(entries(&copy, StreamId::ZERO, StreamId::MAX, true), all);
}

#[test]
fn agrees_with_a_sorted_map_and_copies_stay_as_they_were() {
    for seed in 0..20 {
        let mut rng = Rng::from_seed(seed);
        let (mut stream, mut model) = (Stream::default(), Model::new());
        let mut copy = (stream.clone(), model.clone());
        let mut now_ms = 1_700_000_000_000;
        for step in 0..1500 {
            now_ms += rng.below(3);
            match rng.below(20) {
                0..=11 => {
                    let count = 1 + rng.below(4) / 3 * rng.below(4);
                    let fields: Vec<(Vec<u8>, Vec<u8>)> = (0..count)
                        .map(|i| {
                            (
                                format!("f{i}").into_bytes(),
                                (rng.next_u64() >> rng.below(64)).to_string().into_bytes(),
                            )
                        })
                        .collect();
                    let id = stream.log.new_id(None, now_ms).expect("there is a next one");
                    let lent = fields.iter().map(|(name, value)| (&name[..], &value[..]));
                    stream.append(id, lent, &tuning(seed));
                    model.insert(id, fields);
                }
                12..=15 => {
                    let nth = rng.below(model.len() as u64 + 1) as usize;
                    let id = model.keys().nth(nth).copied().unwrap_or(StreamId::new(5, 5));
                    assert_eq!(stream.log.contains(id), model.contains_key(&id));
                    let was_there = model.remove(&id).is_some();
                    assert_eq!(stream.log.delete(id), was_there);
                    if was_there {
                        stream.log.note_deleted(&[id]);
                    }
                }
                16 if rng.below(4) == 0 => {
                    let len = rng.below(60) as usize;
                    let trim = Trim { keep: Keep::Len(len), approximate: false, limit: 0 };
                    let removed = stream.trim(trim, References::Keep, &mut |_| ());
                    assert_eq!(removed, model.len().saturating_sub(len));
                    (0..removed).for_each(|_| drop(model.pop_first()));
                }
                17 if rng.below(4) == 0 => {
                    let id = StreamId::new(now_ms - rng.below(100), rng.below(3));
                    let trim = Trim { keep: Keep::From(id), approximate: false, limit: 0 };
                    let stays = model.split_off(&id);
                    assert_eq!(stream.trim(trim, References::Keep, &mut |_| ()), model.len());
                    model = stays;
                }
                18 if rng.below(4) == 0 => {
                    let len = rng.below(60) as usize;
                    let trim =
                        Trim { keep: Keep::Len(len), approximate: true, limit: rng.below(40) as usize };
                    let removed = stream.trim(trim, References::Keep, &mut |_| ());
                    assert!(removed <= model.len().saturating_sub(len));
                    (0..removed).for_each(|_| drop(model.pop_first()));
                }
                _ => {
                    let from = StreamId::new(now_ms - rng.below(300), rng.below(2));
                    let to = StreamId::new(now_ms - rng.below(300), rng.below(2));
                    let found = entries(&stream.log, from, to, true);
                    let expected: Vec<_> =
                        if from > to { Vec::new() } else { model.range(from..=to).collect() };
                    assert!(found.iter().map(|(id, fields)| (id, fields)).eq(expected.iter().copied()));
                    let back = entries(&stream.log, from, to, false);
                    assert!(back.iter().map(|(id, fields)| (id, fields)).eq(expected.iter().rev().copied()));
                }
            }
            if step % 100 == 0 {
                check(&stream.log, &model);
                check(&copy.0.log, &copy.1);
                copy = (stream.clone(), model.clone());
            }
        }
        check(&stream.log, &model);
    }
}

#[test]
fn a_group_and_its_consumers_agree_on_what_is_pending() {
    let mut rng = Rng::from_seed(6);
    let mut group = Group::new(StreamId::ZERO, None);
    let mut model: BTreeMap<StreamId, (Vec<u8>, u64)> = BTreeMap::new();
    for step in 0..20_000u64 {
        let name = format!("c{}", rng.below(5)).into_bytes();
        let id = StreamId::new(1 + rng.below(400), 0);
        match rng.below(10) {
            0..=5 => {
                let consumer = group.find(&name).unwrap_or_else(|| group.add_consumer(&name, step));
                group.assign(id, Pending { delivered_ms: step, deliveries: 1, consumer });
                model.insert(id, (name, step));
            }
            6..=8 => assert_eq!(group.acknowledge(id), model.remove(&id).is_some()),
            _ if rng.below(50) == 0 => {
                let owned = model.values().filter(|(owner, _)| *owner == name).count();
                assert_eq!(group.remove_consumer(&name).unwrap_or(0), owned);
                model.retain(|_, (owner, _)| *owner != name);
            }
            _ => {}
        }
        if step % 500 == 0 {
            let all: Vec<_> = group
                .pending(StreamId::ZERO, StreamId::MAX)
                .map(|(id, p)| (id, (group.consumer(p.consumer).name.to_vec(), p.delivered_ms)))
                .collect();
            assert!(all.iter().map(|(id, owner)| (id, owner)).eq(model.iter()));
            for consumer in group.consumers() {
                let own = model.iter().filter(|(_, (owner, _))| **owner == *consumer.name).map(|(id, _)| *id);
                assert!(consumer.pending(StreamId::ZERO, StreamId::MAX).eq(own));
            }
        }
    }
}

#[test]
fn ids_are_read_as_c_reads_numbers() {
    let id = |text: &[u8]| StreamId::parse(text, 7);
    assert_eq!(id(b"5-3"), Some(StreamId::new(5, 3)));
    assert_eq!(id(b"5"), Some(StreamId::new(5, 7)));
    assert_eq!(id(b"007-+3"), Some(StreamId::new(7, 3)));
    assert_eq!(id(b"18446744073709551615-18446744073709551615"), Some(StreamId::MAX));
    assert_eq!(id(b" 5- 3"), Some(StreamId::new(5, 3)));
    for wrong in [&b""[..], b"-", b"+", b"5-", b"-5", b"5-x", b"5--5", b"18446744073709551616", b"5-*", b"5 "]
    {
        assert_eq!(id(wrong), None, "{}", String::from_utf8_lossy(wrong));
    }
    assert_eq!(Partial::parse(b"5-*"), Some(Partial { ms: 5, seq: None }));
    assert_eq!(StreamId::new(12, 0).text(&mut [0; ID_BYTES_MAX]), b"12-0");
    assert_eq!(StreamId::MAX.to_vec().len(), ID_BYTES_MAX);
}
