//! The wheel of named timers, for time-outs that are usually cancelled.
//!
//! Timers lie in a table and are linked into the lists of their slots, so that cancelling one takes it out at
//! once. The unit of time is the caller's. When a slot comes, its whole list becomes the falling list, from
//! which timers fire or fall into lower levels one by one; time does not go on before that list is empty.
//!
//! * Keep the [`TimerId`] only if the timer may be cancelled; one of a timer that has fired finds nothing.
//! * `pop_due` never returns a timer early. Timers of one slot come in no special order.
//!
//! The cost: 40 bytes a timer besides its name, 2.8 KB a wheel; a far timer falls at most ten times.

const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// Enough for any 64-bit deadline.
const LEVELS: usize = u64::BITS.div_ceil(SLOT_BITS) as usize;
/// The list of the slot that has come, and of timers that are past. It has a head behind those of the slots.
const FALLING: usize = LEVELS * SLOTS;
/// Timers of a slot that are looked at to learn which is the first.
const LOOKED_AT_MAX: usize = 4;
/// End of a list.
const NONE: u32 = u32::MAX;

/// The name of an armed timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId {
    index: u32,
    generation: u32,
}

struct Timer<T> {
    deadline: u64,
    /// Counts how often this place of the table was used.
    generation: u32,
    /// The list it is in, `level * SLOTS + slot` or `FALLING`. Only true for the first timer of a list.
    list: u32,
    before: u32,
    /// The next timer of the list, or the next free place.
    after: u32,
    /// `None` in a free place.
    item: Option<T>,
}

/// The wheel of named timers. See the head of the file.
pub struct TimerWheel<T> {
    /// All timers lie after this time, but for those in the falling list.
    now: u64,
    /// Bit i is set if slot i of the level has timers.
    used: [u64; LEVELS],
    heads: [u32; FALLING + 1],
    timers: Vec<Timer<T>>,
    free: u32,
    len: usize,
}

impl<T> TimerWheel<T> {
    /// A wheel without timers whose time starts at `now`.
    #[must_use]
    pub fn new(now: u64) -> TimerWheel<T> {
        TimerWheel {
            now,
            used: [0; LEVELS],
            heads: [NONE; FALLING + 1],
            timers: Vec::new(),
            free: NONE,
            len: 0,
        }
    }

    /// Timers that are armed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Is no timer armed?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Arms a timer. A deadline in the past fires at the next call of [`TimerWheel::pop_due`].
    pub fn insert(&mut self, deadline: u64, item: T) -> TimerId {
        let index = if self.free == NONE {
            let index = self.timers.len() as u32;
            assert!(index < NONE, "four thousand million timers are armed");
            self.timers.push(Timer {
                deadline,
                generation: 0,
                list: 0,
                before: NONE,
                after: NONE,
                item: Some(item),
            });
            index
        } else {
            let index = self.free;
            let timer = &mut self.timers[index as usize];
            self.free = timer.after;
            timer.deadline = deadline;
            timer.item = Some(item);
            index
        };
        self.len += 1;
        self.link(index);
        TimerId { index, generation: self.timers[index as usize].generation }
    }

    /// Disarms a timer, unless it has fired or was cancelled before.
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        let timer = self.timers.get(id.index as usize)?;
        if timer.generation != id.generation || timer.item.is_none() {
            return None;
        }
        self.unlink(id.index);
        self.release(id.index)
    }

    /// Disarms a timer that has come and gives its name. Every timer that fires or falls into a lower level
    /// costs one of `budget`; with none left there is no answer, but then [`TimerWheel::next_deadline`] is not ahead of
    /// now as long as a timer is due.
    pub fn pop_due(&mut self, now: u64, budget: &mut usize) -> Option<T> {
        while *budget > 0 {
            let index = self.heads[FALLING];
            if index != NONE {
                *budget -= 1;
                self.unlink(index);
                if self.timers[index as usize].deadline <= now.max(self.now) {
                    return self.release(index);
                }
                self.link(index);
                continue;
            }
            match self.next_slot() {
                Some((list, start)) if start <= now => {
                    self.now = start;
                    self.let_fall(list);
                }
                _ => {
                    self.now = self.now.max(now);
                    return None;
                }
            }
        }
        None
    }

    /// A time before which [`TimerWheel::pop_due`] has no timer. Where a slot for far ones comes next, and holds more than
    /// a few, it is when they fall, and so earlier than any of them.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        if self.heads[FALLING] != NONE {
            return Some(self.now);
        }
        let (list, start) = self.next_slot()?;
        if list < SLOTS {
            return Some(start);
        }
        let (mut index, mut earliest) = (self.heads[list], u64::MAX);
        for _ in 0..LOOKED_AT_MAX {
            let timer = &self.timers[index as usize];
            earliest = earliest.min(timer.deadline);
            index = timer.after;
            if index == NONE {
                return Some(earliest);
            }
        }
        Some(start)
    }

    /// The list of the first slot in use and the time at which it comes.
    fn next_slot(&self) -> Option<(usize, u64)> {
        let level = self.used.iter().position(|used| *used != 0)?;
        let slot = self.used[level].trailing_zeros() as usize;
        let shift = level as u32 * SLOT_BITS;
        let digits_above = (self.now >> shift) & !(SLOTS as u64 - 1);
        Some((level * SLOTS + slot, (digits_above | slot as u64) << shift))
    }

    /// Makes the list of a slot the falling list, which is empty.
    fn let_fall(&mut self, list: usize) {
        let first = std::mem::replace(&mut self.heads[list], NONE);
        self.used[list / SLOTS] &= !(1 << (list % SLOTS));
        self.timers[first as usize].list = FALLING as u32;
        self.heads[FALLING] = first;
    }

    /// Puts a timer into the list of its deadline.
    fn link(&mut self, index: u32) {
        let deadline = self.timers[index as usize].deadline;
        let list = if deadline <= self.now {
            FALLING
        } else {
            let level = (deadline ^ self.now).ilog2() / SLOT_BITS;
            let slot = (deadline >> (level * SLOT_BITS)) as usize % SLOTS;
            self.used[level as usize] |= 1 << slot;
            level as usize * SLOTS + slot
        };
        let after = std::mem::replace(&mut self.heads[list], index);
        if after != NONE {
            self.timers[after as usize].before = index;
        }
        let timer = &mut self.timers[index as usize];
        (timer.list, timer.before, timer.after) = (list as u32, NONE, after);
    }

    /// Takes a timer out of its list.
    fn unlink(&mut self, index: u32) {
        let timer = &self.timers[index as usize];
        let (list, before, after) = (timer.list as usize, timer.before, timer.after);
        if after != NONE {
            self.timers[after as usize].before = before;
        }
        if before != NONE {
            self.timers[before as usize].after = after;
            return;
        }
        self.heads[list] = after;
        if after != NONE {
            self.timers[after as usize].list = list as u32;
        } else if list != FALLING {
            self.used[list / SLOTS] &= !(1 << (list % SLOTS));
        }
    }

    /// Frees the place of a timer that is in no list.
    fn release(&mut self, index: u32) -> Option<T> {
        let timer = &mut self.timers[index as usize];
        timer.generation = timer.generation.wrapping_add(1);
        timer.after = self.free;
        self.free = index;
        self.len -= 1;
        timer.item.take()
    }
}

#[cfg(test)]
mod tests;
