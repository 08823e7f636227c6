//! Arrays in pages that copies share: a copy is a copy of handles, and from then on each side pays for the pages that it
//! changes.
//!
//! ```text
//! Records  page [ record | record | ... ]  page [ ... ]      records of a fixed number of words, 64 KiB a page
//! Pages<T> page [ T | T | ... ]            page [ ... ]      256 values a page
//! ```
//!
//! * Both are dense: a place is a number from 0, and only the last can be removed.
//! * Records begin at a multiple of 64 bytes as long as their size is one.
//!
//! The cost: 24 bytes a page; a change tests whether its page is shared, and copies it if so, 10 us for 64 KiB.

use std::sync::Arc;

/// Bytes of a page of records, unless one record is longer.
const PAGE_BYTES: usize = 64 * 1024;
/// What records are aligned to.
const ALIGN_BYTES: usize = 64;
const ALIGN_WORDS: usize = ALIGN_BYTES / 4;
/// Values of a page of [`Pages`].
const VALUES_A_PAGE: usize = 256;

/// Records of so many words each. See the head of the file.
#[derive(Clone, Debug)]
pub struct Records {
    /// Words of a record.
    stride: usize,
    /// Two to this power is the number of records of a full page.
    shift: u32,
    pages: Vec<Page>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Page {
    words: Arc<[u32]>,
    /// Words before the first record, so that it is aligned.
    lead: usize,
}

impl Page {
    /// A page of so many words, which begins with a copy of others.
    fn new(words: usize, old: &[u32]) -> Page {
        let zeros = std::iter::repeat_n(0, words + ALIGN_WORDS);
        let mut words: Arc<[u32]> = zeros.collect();
        let lead = words.as_ptr().align_offset(ALIGN_BYTES).min(ALIGN_WORDS);
        let own = Arc::get_mut(&mut words).expect("nobody else has a page that is new");
        own[lead..lead + old.len()].copy_from_slice(old);
        Page { words, lead }
    }

    /// The words of its records.
    fn records(&self) -> &[u32] {
        &self.words[self.lead..self.words.len() - (ALIGN_WORDS - self.lead)]
    }
}

impl Records {
    /// None, of so many words each.
    #[must_use]
    pub fn new(stride: usize) -> Records {
        let shift = (PAGE_BYTES / 4 / stride.max(1)).max(1).ilog2();
        Records { stride, shift, pages: Vec::new(), len: 0 }
    }

    /// How many there are.
    #[inline]
    #[must_use]
    pub fn count(&self) -> usize {
        self.len
    }

    /// Memory behind them, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let full = self.pages.last().map_or(0, |page| page.words.len() * 4 + 16);
        let first = self.pages.first().map_or(0, |page| page.words.len() * 4 + 16);
        let pages = if self.pages.len() < 2 { first } else { full * self.pages.len() };
        pages + self.pages.capacity() * size_of::<Page>()
    }

    /// The words of a record.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, at: u32) -> &[u32] {
        let page = &self.pages[(at >> self.shift) as usize];
        let from = page.lead + (at as usize & ((1 << self.shift) - 1)) * self.stride;
        &page.words[from..from + self.stride]
    }

    /// The words of a record, to be changed.
    #[inline]
    pub fn get_mut(&mut self, at: u32) -> &mut [u32] {
        let page = &mut self.pages[(at >> self.shift) as usize];
        if Arc::get_mut(&mut page.words).is_none() {
            *page = Page::new(page.records().len(), page.records());
        }
        let from = page.lead + (at as usize & ((1 << self.shift) - 1)) * self.stride;
        let words = Arc::get_mut(&mut page.words).expect("a page that was shared was copied");
        &mut words[from..from + self.stride]
    }

    /// Adds a record of zeros.
    pub fn push(&mut self) {
        let (page, within) = (self.len >> self.shift, self.len & ((1 << self.shift) - 1));
        if page == self.pages.len() {
            // The first page grows with what is in it, so that a small set is small.
            let records = if page == 0 { 1 } else { 1 << self.shift };
            self.pages.push(Page::new(records * self.stride, &[]));
        } else if page == 0 && self.pages[0].records().len() < (within + 1) * self.stride {
            let records = (within * 2).min(1 << self.shift);
            self.pages[0] = Page::new(records * self.stride, self.pages[0].records());
        }
        self.len += 1;
        self.get_mut(self.len as u32 - 1).fill(0);
    }

    /// Removes the last one.
    pub fn pop(&mut self) {
        debug_assert!(self.len > 0, "there is one to remove");
        self.len -= 1;
        // One page is kept empty, so that nothing is gained and lost at its edge again and again.
        if self.pages.len() > (self.len >> self.shift) + 2 {
            self.pages.pop();
        }
    }
}

/// Values in pages. See the head of the file.
#[derive(Clone, Debug)]
pub struct Pages<T> {
    pages: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T> Default for Pages<T> {
    fn default() -> Pages<T> {
        Pages { pages: Vec::new(), len: 0 }
    }
}

impl<T: Clone> Pages<T> {
    /// How many there are.
    #[inline]
    #[must_use]
    pub fn count(&self) -> usize {
        self.len
    }

    /// Memory behind them, without what the values own, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let values = if self.pages.len() < 2 { self.len.next_power_of_two() } else { self.len };
        values * size_of::<T>()
            + self.pages.len() * (16 + size_of::<Vec<T>>())
            + self.pages.capacity() * size_of::<usize>()
    }

    /// The value at a place.
    #[inline]
    #[must_use]
    pub fn get(&self, at: u32) -> &T {
        &self.pages[at as usize / VALUES_A_PAGE][at as usize % VALUES_A_PAGE]
    }

    /// The value at a place, to be changed.
    #[inline]
    pub fn get_mut(&mut self, at: u32) -> &mut T {
        &mut Arc::make_mut(&mut self.pages[at as usize / VALUES_A_PAGE])[at as usize % VALUES_A_PAGE]
    }

    /// Adds a value behind all others.
    pub fn push(&mut self, value: T) {
        if self.len.is_multiple_of(VALUES_A_PAGE) {
            let room = if self.len == 0 { 1 } else { VALUES_A_PAGE };
            self.pages.push(Arc::new(Vec::with_capacity(room)));
        }
        let last = self.pages.last_mut().expect("there is a page with room");
        Arc::make_mut(last).push(value);
        self.len += 1;
    }

    /// Removes the last value.
    pub fn pop(&mut self) -> Option<T> {
        let last = Arc::make_mut(self.pages.last_mut()?);
        let value = last.pop()?;
        if last.is_empty() {
            self.pages.pop();
        }
        self.len -= 1;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn records_agree_with_a_vector_and_copies_stay_as_they_were() {
        for (seed, stride) in [(1, 16), (2, 128), (3, 5), (4, 40_000)] {
            let mut rng = Rng::from_seed(seed);
            let (mut records, mut model) = (Records::new(stride), Vec::<u32>::new());
            let mut copy = (records.clone(), model.clone());
            let check = |records: &Records, model: &Vec<u32>| {
                assert_eq!(records.count(), model.len());
                for (at, value) in model.iter().enumerate() {
                    let record = records.get(at as u32);
                    assert_eq!((record.len(), record[0], record[stride - 1]), (stride, *value, *value));
                    assert!(!stride.is_multiple_of(16) || record.as_ptr().align_offset(64) == 0);
                }
            };
            for step in 0..if stride > 1000 { 60 } else { 2000 } {
                match rng.below(8) {
                    0..=3 => {
                        records.push();
                        assert!(records.get(records.count() as u32 - 1).iter().all(|word| *word == 0));
                        records.get_mut(model.len() as u32).fill(step);
                        model.push(step);
                    }
                    4..=5 if !model.is_empty() => {
                        let at = rng.below(model.len() as u64) as usize;
                        records.get_mut(at as u32).fill(step);
                        model[at] = step;
                    }
                    6 if !model.is_empty() => {
                        records.pop();
                        model.pop();
                    }
                    7 if step % 16 == 0 => {
                        check(&copy.0, &copy.1);
                        copy = (records.clone(), model.clone());
                    }
                    _ => {}
                }
            }
            check(&records, &model);
            check(&copy.0, &copy.1);
        }
    }

    #[test]
    fn values_agree_with_a_vector_and_copies_stay_as_they_were() {
        let mut rng = Rng::from_seed(9);
        let (mut pages, mut model) = (Pages::default(), Vec::new());
        let mut copy = (pages.clone(), model.clone());
        for step in 0..4000u64 {
            match rng.below(4) {
                0..=1 => {
                    pages.push(step);
                    model.push(step);
                }
                2 => assert_eq!(pages.pop(), model.pop()),
                _ if !model.is_empty() => {
                    let at = rng.below(model.len() as u64) as usize;
                    *pages.get_mut(at as u32) = step;
                    model[at] = step;
                }
                _ => {}
            }
            if step % 500 == 0 {
                copy = (pages.clone(), model.clone());
            }
        }
        assert_eq!(pages.count(), model.len());
        assert!((0..model.len()).all(|at| *pages.get(at as u32) == model[at]));
        assert!((0..copy.1.len()).all(|at| *copy.0.get(at as u32) == copy.1[at]));
    }

    #[test]
    fn a_small_set_of_records_takes_little() {
        let mut records = Records::new(128);
        records.push();
        assert!(records.heap_bytes() < 1024, "{}", records.heap_bytes());
        for _ in 0..999 {
            records.push();
        }
        assert!(records.heap_bytes() < 8 * 66 * 1024, "{}", records.heap_bytes());
    }
}
