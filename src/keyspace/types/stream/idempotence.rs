//! Which entries producers have added under ids of their own, so that what is sent twice is added once.
//!
//! A producer names each of its entries by an idempotent id. The stream remembers for a while which entry that became:
//! until the entry is older than [`Idempotence::duration_s`], and at most [`Idempotence::ids_max`] ids a producer, of which
//! the oldest go first. Age is told by the id of the entry.
//!
//! * Whoever adds an entry asks [`Idempotence::find`] first and calls [`Idempotence::note`] afterwards.
//! * The owner asks [`Idempotence::next_deadline`] and then calls [`Idempotence::remove_due`].
//!
//! All of it is behind one handle, copied on write; a producer is a handle of its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::id::StreamId;

/// How long ids are remembered unless the configuration says otherwise, in seconds.
pub const DURATION_S: u32 = 100;
/// Ids of a producer that are remembered unless the configuration says otherwise.
pub const IDS_MAX: u32 = 100;
/// The longest time for which ids may be remembered, in seconds; the shortest is one. Redis:
/// `CONFIG_STREAM_IDMP_MAX_DURATION`.
pub const DURATION_S_LIMIT: u32 = 86_400;
/// The most ids of a producer that may be remembered; the least is one. Redis: `CONFIG_STREAM_IDMP_MAX_MAXSIZE`.
pub const IDS_LIMIT: u32 = 10_000;

/// Memory of an id beside its bytes: its head, its places in the map and in the order.
const ID_BYTES: usize = 96;
/// Memory of a producer beside its name and its ids.
const PRODUCER_BYTES: usize = size_of::<Producer>() + 144;

/// What a stream remembers of its producers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotence {
    /// For how long an id is remembered, in seconds: from 1 to [`DURATION_S_LIMIT`].
    pub duration_s: u32,
    /// How many ids of a producer are remembered: from 1 to [`IDS_LIMIT`].
    pub ids_max: u32,
    /// Ids that were ever noted.
    pub added: u64,
    /// Entries that were not added, because their ids were known.
    pub duplicates: u64,
    /// None while no id is remembered.
    producers: Option<Arc<Producers>>,
}

impl Default for Idempotence {
    fn default() -> Idempotence {
        Idempotence { duration_s: DURATION_S, ids_max: IDS_MAX, added: 0, duplicates: 0, producers: None }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Producers {
    by_name: BTreeMap<Arc<[u8]>, Arc<Producer>>,
    /// The producers by the time of the entry that belongs to the oldest id of each.
    oldest: BTreeSet<(u64, Arc<[u8]>)>,
    /// Ids of all producers.
    ids: usize,
    /// Memory behind all of it, in bytes.
    bytes: usize,
}

/// The ids of one producer; there is at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Producer {
    entries: BTreeMap<Arc<[u8]>, StreamId>,
    /// The same ids in the order in which they came.
    order: VecDeque<Arc<[u8]>>,
}

impl Producer {
    /// When the entry of the oldest id was made, Unix time in milliseconds.
    fn oldest_ms(&self) -> Option<u64> {
        self.order.front().and_then(|id| self.entries.get(id)).map(|entry| entry.ms)
    }

    /// Forgets the oldest id; gives how much memory that frees.
    fn forget_oldest(&mut self) -> usize {
        let Some(id) = self.order.pop_front() else { return 0 };
        self.entries.remove(&id);
        ID_BYTES + id.len()
    }
}

impl Producers {
    /// Lends a producer to be changed, and keeps the order of all true to what became of it.
    fn change(&mut self, name: &Arc<[u8]>, change: impl FnOnce(&mut Producer)) {
        let Some(producer) = self.by_name.get_mut(name) else { return };
        let producer = Arc::make_mut(producer);
        let before = producer.oldest_ms();
        change(producer);
        let after = producer.oldest_ms();
        if before == after {
            return;
        }
        if let Some(ms) = before {
            self.oldest.remove(&(ms, name.clone()));
        }
        match after {
            Some(ms) => {
                self.oldest.insert((ms, name.clone()));
            }
            None => {
                self.by_name.remove(name);
                self.bytes -= PRODUCER_BYTES + name.len();
            }
        }
    }
}

impl Idempotence {
    /// With these bounds, and nothing remembered; a bound of 0 is the usual one.
    pub fn new(duration_s: u32, ids_max: u32) -> Idempotence {
        let or = |given, usual| if given == 0 { usual } else { given };
        Idempotence {
            duration_s: or(duration_s, DURATION_S),
            ids_max: or(ids_max, IDS_MAX),
            ..Idempotence::default()
        }
    }

    /// Whether nothing was ever noted and the bounds are the usual ones, so that there is nothing to be told of it.
    pub fn is_untouched(&self) -> bool {
        self.producers.is_none()
            && self.added == 0
            && (self.duration_s, self.ids_max) == (DURATION_S, IDS_MAX)
    }

    /// Memory behind it, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.producers.as_ref().map_or(0, |producers| producers.bytes)
    }

    /// Producers of which ids are remembered.
    pub fn producers_len(&self) -> usize {
        self.producers.as_ref().map_or(0, |producers| producers.by_name.len())
    }

    /// Producers and ids, as they are counted at `now_ms`: without what is over and could not go yet, as with a replica, whose
    /// keyspace waits for its primary.
    pub fn tracked(&self, now_ms: u64) -> (usize, usize) {
        let Some(producers) = self.producers.as_ref() else { return (0, 0) };
        if self.next_deadline().is_none_or(|last_ms| last_ms >= now_ms) {
            return (producers.by_name.len(), producers.ids);
        }
        let duration_ms = self.duration_ms();
        let live = |producer: &Arc<Producer>| {
            producer.entries.values().filter(|entry| entry.ms.saturating_add(duration_ms) > now_ms).count()
        };
        let each = producers.by_name.values().map(live).filter(|ids| *ids > 0);
        each.fold((0, 0), |(producers, ids), more| (producers + 1, ids + more))
    }

    /// Ids that are remembered.
    #[cfg(test)]
    fn ids_len(&self) -> usize {
        self.producers.as_ref().map_or(0, |producers| producers.ids)
    }

    /// The entry that an id of a producer stands for.
    pub fn find(&self, producer: &[u8], id: &[u8]) -> Option<StreamId> {
        self.producers.as_ref()?.by_name.get(producer)?.entries.get(id).copied()
    }

    /// Remembers an id that [`Idempotence::find`] does not know. The oldest one of its producer goes if there are too many.
    pub fn note(&mut self, producer: &[u8], id: &[u8], entry: StreamId) {
        self.added = self.added.saturating_add(1);
        self.remember(producer, id, entry);
        let most = self.ids_max as usize;
        let Some(producers) = self.producers.as_mut().map(Arc::make_mut) else { return };
        let (name, mut freed) = (Arc::from(producer), None);
        producers.change(&name, |producer| {
            if producer.order.len() > most {
                freed = Some(producer.forget_oldest());
            }
        });
        if let Some(freed) = freed {
            producers.ids -= 1;
            producers.bytes -= freed;
        }
    }

    /// As [`Idempotence::note`], for an id that was remembered before and comes back: it is not counted, and none goes for it.
    /// One that is there already stays as it is.
    pub fn remember(&mut self, producer: &[u8], id: &[u8], entry: StreamId) {
        let producers = Arc::make_mut(self.producers.get_or_insert_default());
        let name: Arc<[u8]> = Arc::from(producer);
        if !producers.by_name.contains_key(&name) {
            producers.bytes += PRODUCER_BYTES + name.len();
            producers.by_name.insert(name.clone(), Arc::default());
        }
        let mut is_new = false;
        producers.change(&name, |producer| {
            let id: Arc<[u8]> = Arc::from(id);
            is_new = !producer.entries.contains_key(&id);
            if is_new {
                producer.entries.insert(id.clone(), entry);
                producer.order.push_back(id);
            }
        });
        if is_new {
            producers.ids += 1;
            producers.bytes += ID_BYTES + id.len();
        }
    }

    /// Forgets all ids.
    pub fn clear(&mut self) {
        self.producers = None;
    }

    /// The last millisecond for which the oldest id is remembered, Unix time.
    pub fn next_deadline(&self) -> Option<u64> {
        let (oldest_ms, _) = self.producers.as_ref()?.oldest.first()?;
        Some(oldest_ms.saturating_add(self.duration_ms()).saturating_sub(1))
    }

    fn duration_ms(&self) -> u64 {
        u64::from(self.duration_s) * 1000
    }

    /// Forgets ids whose time is over at `now_ms`, at most `max`; gives how many.
    pub fn remove_due(&mut self, now_ms: u64, max: usize) -> usize {
        let duration_ms = self.duration_ms();
        let Some(producers) = self.producers.as_mut().map(Arc::make_mut) else { return 0 };
        let mut removed = 0;
        while removed < max
            && let Some((oldest_ms, name)) = producers.oldest.first().cloned()
            && oldest_ms.saturating_add(duration_ms) <= now_ms
        {
            let mut freed = 0;
            producers.change(&name, |producer| freed = producer.forget_oldest());
            producers.ids -= 1;
            removed += 1;
            producers.bytes -= freed;
        }
        if producers.by_name.is_empty() {
            self.producers = None;
        }
        removed
    }

    /// The producer that comes after a name, or the first one.
    pub fn producer_after(&self, name: Option<&[u8]>) -> Option<&[u8]> {
        use std::ops::Bound::{Excluded, Unbounded};
        let range = (name.map_or(Unbounded, Excluded), Unbounded);
        self.producers.as_ref()?.by_name.range::<[u8], _>(range).next().map(|(name, _)| &**name)
    }

    /// The ids of a producer in the order in which they came, and the entry of each.
    pub fn ids(&self, producer: &[u8]) -> impl ExactSizeIterator<Item = (&[u8], StreamId)> {
        static NONE: VecDeque<Arc<[u8]>> = VecDeque::new();
        let producer = self.producers.as_ref().and_then(|producers| producers.by_name.get(producer));
        let order = producer.map_or(&NONE, |producer| &producer.order);
        order.iter().map(move |id| {
            let entry = producer.and_then(|producer| producer.entries.get(id)).copied();
            (&**id, entry.unwrap_or(StreamId::ZERO))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn id(ms: u64) -> StreamId {
        StreamId::new(ms, 0)
    }

    #[test]
    fn an_id_is_remembered_for_its_time_and_not_longer() {
        let mut idempotence = Idempotence::new(2, 100);
        idempotence.note(b"p", b"a", id(1000));
        idempotence.note(b"q", b"a", id(1500));
        assert_eq!(idempotence.find(b"p", b"a"), Some(id(1000)));
        assert_eq!(idempotence.find(b"q", b"b"), None);
        assert_eq!(idempotence.tracked(2999), (2, 2));
        assert_eq!(idempotence.tracked(3000), (1, 1));
        assert_eq!(idempotence.tracked(3500), (0, 0));
        assert_eq!(idempotence.next_deadline(), Some(2999));
        assert_eq!(idempotence.remove_due(2999, 10), 0);
        assert_eq!(idempotence.remove_due(3000, 10), 1);
        assert_eq!((idempotence.producers_len(), idempotence.ids_len()), (1, 1));
        assert_eq!(idempotence.remove_due(u64::MAX, 10), 1);
        assert_eq!((idempotence.next_deadline(), idempotence.heap_bytes()), (None, 0));
        assert_eq!(idempotence.added, 2);
    }

    #[test]
    fn the_oldest_id_of_a_producer_goes_when_there_are_too_many() {
        let mut idempotence = Idempotence::new(100, 2);
        for ms in 1..=3 {
            idempotence.note(b"p", &[ms as u8], id(ms));
        }
        idempotence.note(b"q", b"a", id(9));
        assert_eq!(idempotence.find(b"p", &[1]), None);
        let ids: Vec<_> = idempotence.ids(b"p").collect();
        assert_eq!(ids, [(&[2][..], id(2)), (&[3][..], id(3))]);
        assert_eq!(idempotence.producer_after(Some(b"p")), Some(&b"q"[..]));
    }

    #[test]
    fn a_copy_does_not_see_what_comes_later() {
        let mut idempotence = Idempotence::default();
        idempotence.note(b"p", b"a", id(1));
        let copy = idempotence.clone();
        idempotence.note(b"p", b"b", id(2));
        assert_eq!((copy.find(b"p", b"b"), copy.ids_len()), (None, 1));
    }

    /// Beside a plain list of all ids: what is found, what is due next, and the memory, which is nothing at the end.
    #[test]
    fn it_is_the_list_of_what_was_noted() {
        let mut rng = Rng::from_seed(86);
        let mut idempotence = Idempotence::new(3, 5);
        let mut model: Vec<(u8, u8, u64)> = Vec::new();
        for step in 0..4000_u64 {
            let (producer, name) = (rng.below(4) as u8, rng.below(30) as u8);
            // Ids come out of order when they are set by hand.
            let ms = step * 20 - rng.below(1 + (step * 20).min(500));
            if idempotence.find(&[producer], &[name]).is_none() {
                idempotence.note(&[producer], &[name], id(ms));
                model.push((producer, name, ms));
                let of = |each: &(u8, u8, u64)| each.0 == producer;
                if model.iter().filter(|each| of(each)).count() > 5 {
                    let first = model.iter().position(of).expect("there are more than five");
                    model.remove(first);
                }
            }
            let max = rng.below(3) as usize;
            let mut removed = idempotence.remove_due(step * 20, max);
            assert!(removed <= max);
            while removed > 0 {
                let first = |producer: u8| model.iter().position(|each| each.0 == producer);
                let oldest = (0..4).filter_map(first).min_by_key(|&at| (model[at].2, model[at].0));
                let gone = model.remove(oldest.expect("something was removed"));
                assert!(gone.2 + 3000 <= step * 20);
                removed -= 1;
            }
            let first = |producer: u8| model.iter().find(|each| each.0 == producer).map(|each| each.2);
            assert_eq!(idempotence.next_deadline(), (0..4).filter_map(first).min().map(|ms| ms + 2999));
            assert_eq!(idempotence.ids_len(), model.len());
            for &(producer, name, ms) in &model {
                assert_eq!(idempotence.find(&[producer], &[name]), Some(id(ms)));
            }
        }
        idempotence.remove_due(u64::MAX, usize::MAX);
        assert_eq!((idempotence.heap_bytes(), idempotence.producers_len()), (0, 0));
    }
}
