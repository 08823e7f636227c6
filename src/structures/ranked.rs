//! Ranked: the order of a large sorted set, by score and then by member.
//!
//! A counted B+tree. A leaf holds up to 40 keys, each a score and the handle of the cell with the member; leaves are
//! linked. An inner node holds for up to 50 children the first key below each, how many keys are below it, and its
//! number. So a rank is a sum on the way down, and the n-th key a subtraction on the way down.
//!
//! * Members are compared only where scores are equal, through [`Names`]: a search among distinct scores reads no cell.
//! * The first key of a child is kept exact, so every handle in the tree is that of a member. A cell must stay until its
//!   key is removed, and one that moves must be told of ([`Ranked::moved`]).
//! * Scores are not NaN. -0 and 0 are equal.
//! * A node that splits because something is added at the end of the tree, or before its beginning, gives nothing away:
//!   keys that come in order leave full leaves behind.
//! * A removed node is filled with the last one of its pool, so memory follows the number of keys.
//!
//! The cost: 13 bytes a key that came in order, 19 at random; a search reads one node a level, three levels up to
//! 60,000 keys, four up to 2 million, of which the upper stay in the cache. Beside a skiplist: docs/decisions.md.
//! After Bayer and McCreight, "Organization and Maintenance of Large Ordered Indices" (1972).

mod node;

use super::slab::Handle;
use node::{CHILDREN, Child, Inner, Keys, LEAF_KEYS, Leaf, NONE, Pool};
use std::cmp::Ordering;

/// Levels above the leaves, at most. Nodes away from the edges of the tree have at least a third of their children when
/// they are made or thinned out, so 8 levels hold more than 32 bits can count.
const HEIGHT_MAX: usize = 16;
/// A node with fewer keys is merged with a neighbour, or takes some of it.
const LEAF_KEYS_MIN: usize = LEAF_KEYS / 3;
const CHILDREN_MIN: usize = CHILDREN / 3;
/// Two nodes are merged if so many keys come together; there is room left for more.
const LEAF_KEYS_MERGED: usize = LEAF_KEYS * 3 / 4;
const CHILDREN_MERGED: usize = CHILDREN * 3 / 4;

/// From handles to members.
pub trait Names {
    /// The member in a cell.
    fn member(&self, handle: Handle) -> &[u8];
}

/// Keys in order. See the head of the file.
#[derive(Clone)]
pub struct Ranked {
    leaves: Pool<Leaf>,
    inners: Pool<Inner>,
    root: u32,
    /// Levels above the leaves.
    height: usize,
    len: usize,
}

/// What is searched for.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    score: f64,
    member: &'a [u8],
    /// Equal without a look at the member.
    handle: Handle,
}

/// The way from the root: the node of each level and the child that was taken, the root first.
struct Path {
    steps: [(u32, usize); HEIGHT_MAX],
    leaf: u32,
    at: usize,
}

/// How many keys are less than the wanted one, or with `or_equal` not more.
#[inline]
fn search<const N: usize>(keys: &Keys<N>, wanted: &Wanted<'_>, or_equal: bool, names: &impl Names) -> usize {
    let (mut low, mut high) = keys.equal_range(wanted.score);
    while low < high {
        let middle = (low + high) / 2;
        let handle = keys.handle(middle);
        let order =
            if handle == wanted.handle { Ordering::Equal } else { names.member(handle).cmp(wanted.member) };
        if order == Ordering::Less || or_equal && order == Ordering::Equal {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// How many keys at the front have this property.
#[inline]
fn partition<const N: usize>(keys: &Keys<N>, before: &mut impl FnMut(f64, Handle) -> bool) -> usize {
    let (mut low, mut high) = (0, keys.len());
    while low < high {
        let middle = (low + high) / 2;
        let (score, handle) = keys.get(middle);
        if before(score, handle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

impl Default for Ranked {
    fn default() -> Ranked {
        Ranked::new()
    }
}

impl Ranked {
    /// A tree without keys and without memory.
    #[must_use]
    pub const fn new() -> Ranked {
        Ranked { leaves: Pool::new(), inners: Pool::new(), root: NONE, height: 0, len: 0 }
    }

    /// The tree of keys that come in order, each once.
    #[must_use]
    pub fn from_sorted(sorted: &[(f64, Handle)]) -> Ranked {
        let mut tree = Ranked { len: sorted.len(), ..Ranked::new() };
        let mut level: Vec<Child> = Vec::with_capacity(sorted.len() / LEAF_KEYS_MERGED + 1);
        for keys in sorted.chunks(LEAF_KEYS_MERGED) {
            let mut leaf = Leaf::EMPTY;
            keys.iter().enumerate().for_each(|(i, key)| leaf.keys.insert(i, *key));
            let node = tree.leaves.len() as u32;
            (leaf.prev, leaf.next) = (node.checked_sub(1).unwrap_or(NONE), node + 1);
            tree.leaves.push(leaf);
            level.push(Child { key: keys[0], count: keys.len() as u32, node });
        }
        let Some(last) = level.last() else { return Ranked::new() };
        tree.leaves.get_mut(last.node).next = NONE;
        while level.len() > 1 {
            let above = level.chunks(CHILDREN_MERGED).map(|children| {
                let mut inner = Inner::EMPTY;
                children.iter().enumerate().for_each(|(i, child)| inner.insert(i, *child));
                let (key, count) = (inner.keys.get(0), inner.count());
                Child { key, count, node: tree.inners.push(inner) }
            });
            level = above.collect();
            tree.height += 1;
        }
        tree.root = level[0].node;
        tree
    }

    /// Keys.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Has it no keys?
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes taken from the allocator.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.leaves.heap_bytes() + self.inners.heap_bytes()
    }

    /// Adds a key that is not there. Its cell has to be there.
    pub fn insert(&mut self, score: f64, handle: Handle, names: &impl Names) {
        self.len += 1;
        if self.root == NONE {
            let mut leaf = Leaf::EMPTY;
            leaf.keys.insert(0, (score, handle));
            self.root = self.leaves.push(leaf);
            return;
        }
        let path = self.way_to((score, handle), names);
        if path.at == 0 {
            self.first_changed(&path, (score, handle));
        }
        let leaf = self.leaves.get_mut(path.leaf);
        if !leaf.keys.is_full() {
            leaf.keys.insert(path.at, (score, handle));
            for (node, i) in &path.steps[..self.height] {
                self.inners.get_mut(*node).counts[*i] += 1;
            }
        } else {
            self.insert_splitting(&path, (score, handle));
        }
    }

    /// Removes a key, whose cell is still there. Answers whether it was.
    pub fn remove(&mut self, score: f64, handle: Handle, names: &impl Names) -> bool {
        if self.root == NONE {
            return false;
        }
        let path = self.way_to((score, handle), names);
        let keys = &self.leaves.get(path.leaf).keys;
        if path.at >= keys.len() || keys.handle(path.at) != handle {
            return false;
        }
        self.remove_on(&path, names);
        true
    }

    /// Removes the key of a rank, whose cell is still there, and answers it.
    pub fn remove_at(&mut self, rank: usize, names: &impl Names) -> Option<(f64, Handle)> {
        let path = self.descend_to(rank)?;
        let key = self.leaves.get(path.leaf).keys.get(path.at);
        self.remove_on(&path, names);
        Some(key)
    }

    /// Gives a key another score.
    pub fn update(&mut self, score: f64, handle: Handle, new: f64, names: &impl Names) {
        let path = self.way_to((score, handle), names);
        let leaf = self.leaves.get(path.leaf);
        debug_assert!(leaf.keys.handle(path.at) == handle, "the key is there");
        let last = leaf.keys.len() - 1;
        let before = match (path.at, leaf.prev) {
            (0, NONE) => None,
            (0, prev) => {
                let keys = &self.leaves.get(prev).keys;
                Some(keys.get(keys.len() - 1))
            }
            (at, _) => Some(leaf.keys.get(at - 1)),
        };
        let after = match (path.at == last, leaf.next) {
            (true, NONE) => None,
            (true, next) => Some(self.leaves.get(next).keys.get(0)),
            (false, _) => Some(leaf.keys.get(path.at + 1)),
        };
        let is_less = |(a, x): (f64, Handle), (b, y): (f64, Handle)| {
            a < b || a == b && names.member(x) < names.member(y)
        };
        if before.is_none_or(|before| is_less(before, (new, handle)))
            && after.is_none_or(|after| is_less((new, handle), after))
        {
            self.set_on(&path, (new, handle));
        } else {
            self.remove_on(&path, names);
            self.insert(new, handle, names);
        }
    }

    /// The cell of a key has moved: `names` knows the new handle, the old one is not read.
    pub fn moved(&mut self, score: f64, old: Handle, new: Handle, names: &impl Names) {
        let path = self.descend(&Wanted { score, member: names.member(new), handle: old }, names);
        debug_assert!(self.leaves.get(path.leaf).keys.handle(path.at) == old, "the key is there");
        self.set_on(&path, (score, new));
    }

    /// How many keys come before this one, whether it is there or not.
    #[must_use]
    pub fn rank(&self, score: f64, handle: Handle, names: &impl Names) -> usize {
        if self.root == NONE {
            return 0;
        }
        let path = self.way_to((score, handle), names);
        let before = |(node, i): &(u32, usize)| -> usize {
            self.inners.get(*node).counts[..*i].iter().map(|count| *count as usize).sum()
        };
        path.at + path.steps[..self.height].iter().map(before).sum::<usize>()
    }

    /// How many keys have this property, which those at the front have and the others do not.
    #[must_use]
    pub fn count_while(&self, mut before: impl FnMut(f64, Handle) -> bool) -> usize {
        if self.root == NONE {
            return 0;
        }
        let (mut node, mut rank) = (self.root, 0);
        for _ in 0..self.height {
            let inner = self.inners.get(node);
            let i = partition(&inner.keys, &mut before).saturating_sub(1);
            rank += inner.counts[..i].iter().map(|count| *count as usize).sum::<usize>();
            node = inner.nodes[i];
        }
        rank + partition(&self.leaves.get(node).keys, &mut before)
    }

    /// The key of a rank.
    #[must_use]
    pub fn at(&self, rank: usize) -> Option<(f64, Handle)> {
        let path = self.descend_to(rank)?;
        Some(self.leaves.get(path.leaf).keys.get(path.at))
    }

    /// The keys from this rank on.
    #[must_use]
    pub fn forward(&self, rank: usize) -> Forward<'_> {
        let (leaf, at) = self.descend_to(rank).map_or((NONE, 0), |path| (path.leaf, path.at));
        Forward { tree: self, leaf, at }
    }

    /// The keys from this rank down to the first.
    #[must_use]
    pub fn backward(&self, rank: usize) -> Backward<'_> {
        let (leaf, at) = self.descend_to(rank).map_or((NONE, 0), |path| (path.leaf, path.at + 1));
        Backward { tree: self, leaf, at }
    }

    /// The way to the first key that is not less than the wanted one, or behind the last key of the leaf before it.
    #[inline]
    fn descend(&self, wanted: &Wanted<'_>, names: &impl Names) -> Path {
        let mut path = Path { steps: [(0, 0); HEIGHT_MAX], leaf: self.root, at: 0 };
        for step in &mut path.steps[..self.height] {
            let inner = self.inners.get(path.leaf);
            let i = search(&inner.keys, wanted, true, names).saturating_sub(1);
            *step = (path.leaf, i);
            path.leaf = inner.nodes[i];
        }
        path.at = search(&self.leaves.get(path.leaf).keys, wanted, false, names);
        path
    }

    #[inline]
    fn descend_to(&self, mut rank: usize) -> Option<Path> {
        if rank >= self.len {
            return None;
        }
        let mut path = Path { steps: [(0, 0); HEIGHT_MAX], leaf: self.root, at: 0 };
        for step in &mut path.steps[..self.height] {
            let inner = self.inners.get(path.leaf);
            let mut i = 0;
            while rank >= inner.counts[i] as usize {
                rank -= inner.counts[i] as usize;
                i += 1;
            }
            *step = (path.leaf, i);
            path.leaf = inner.nodes[i];
        }
        path.at = rank;
        Some(path)
    }

    /// The first key of the leaf on the way is another one: whoever knows it is told.
    #[inline]
    fn first_changed(&mut self, path: &Path, key: (f64, Handle)) {
        for (node, i) in path.steps[..self.height].iter().rev() {
            self.inners.get_mut(*node).keys.set(*i, key);
            if *i != 0 {
                break;
            }
        }
    }

    fn set_on(&mut self, path: &Path, key: (f64, Handle)) {
        self.leaves.get_mut(path.leaf).keys.set(path.at, key);
        if path.at == 0 {
            self.first_changed(path, key);
        }
    }

    /// Inserts into a leaf that is full.
    #[cold]
    fn insert_splitting(&mut self, path: &Path, key: (f64, Handle)) {
        let leaf = self.leaves.get_mut(path.leaf);
        let (is_first, is_last) = (leaf.prev == NONE, leaf.next == NONE);
        let cut = match path.at {
            0 if is_first => 0,
            LEAF_KEYS if is_last => LEAF_KEYS,
            _ => LEAF_KEYS / 2,
        };
        let mut right = leaf.split_off(cut);
        if path.at < cut || cut == 0 || path.at == cut && cut != LEAF_KEYS {
            leaf.keys.insert(path.at, key);
        } else {
            right.keys.insert(path.at - cut, key);
        }
        let (mut left_count, right_count) = (leaf.keys.len() as u32, right.keys.len() as u32);
        (right.prev, right.next) = (path.leaf, leaf.next);
        let (right_key, next) = (right.keys.get(0), right.next);
        let node = self.leaves.push(right);
        self.leaves.get_mut(path.leaf).next = node;
        if next != NONE {
            self.leaves.get_mut(next).prev = node;
        }
        let mut new = Some(Child { key: right_key, count: right_count, node });
        for (number, i) in path.steps[..self.height].iter().rev() {
            let inner = self.inners.get_mut(*number);
            let Some(child) = new else {
                inner.counts[*i] += 1;
                continue;
            };
            inner.counts[*i] = left_count;
            if !inner.keys.is_full() {
                inner.insert(i + 1, child);
                new = None;
                continue;
            }
            let at = i + 1;
            let cut = match at {
                1 if is_first => 1,
                CHILDREN if is_last => CHILDREN,
                _ => CHILDREN / 2,
            };
            let mut right = inner.split_off(cut);
            if at < cut {
                inner.insert(at, child);
            } else {
                right.insert(at - cut, child);
            }
            left_count = inner.count();
            let (key, count) = (right.keys.get(0), right.count());
            new = Some(Child { key, count, node: self.inners.push(right) });
        }
        if let Some(right) = new {
            let key = match self.height {
                0 => self.leaves.get(self.root).keys.get(0),
                _ => self.inners.get(self.root).keys.get(0),
            };
            let mut root = Inner::EMPTY;
            root.insert(0, Child { key, count: left_count, node: self.root });
            root.insert(1, right);
            self.root = self.inners.push(root);
            self.height += 1;
        }
    }

    /// Removes the key at the end of a path.
    fn remove_on(&mut self, path: &Path, names: &impl Names) {
        self.len -= 1;
        let leaf = self.leaves.get_mut(path.leaf);
        leaf.keys.remove(path.at);
        let mut left = leaf.keys.len();
        let mut first = (left > 0).then(|| leaf.keys.get(0));
        // A leaf, then inner nodes from below: at most one a level.
        let mut dead_leaf = NONE;
        let mut dead_inners = Vec::new();
        for (level, (number, i)) in path.steps[..self.height].iter().rev().enumerate() {
            let inner = self.inners.get_mut(*number);
            inner.counts[*i] -= 1;
            if let Some(key) = first {
                inner.keys.set(*i, key);
            }
            let least = if level == 0 { LEAF_KEYS_MIN } else { CHILDREN_MIN };
            if left < least {
                let dead = if left == 0 {
                    Some(inner.remove(*i).node)
                } else if level == 0 {
                    self.level_leaves(*number, *i)
                } else {
                    self.level_inners(*number, *i)
                };
                match dead {
                    Some(dead) if level == 0 => dead_leaf = dead,
                    Some(dead) => dead_inners.push(dead),
                    None => {}
                }
            }
            let inner = self.inners.get(*number);
            left = inner.len();
            first = (left > 0).then(|| inner.keys.get(0));
        }
        if self.len == 0 {
            *self = Ranked::new();
            return;
        }
        if dead_leaf != NONE {
            self.unlink(dead_leaf);
        }
        while self.height > 0 && self.inners.get(self.root).len() == 1 {
            dead_inners.push(self.root);
            self.root = self.inners.get(self.root).nodes[0];
            self.height -= 1;
        }
        if dead_leaf != NONE {
            self.free_leaf(dead_leaf, names);
        }
        // From the highest number on, so that the last node of the pool is either dead or at its place in the tree.
        dead_inners.sort_unstable_by(|a, b| b.cmp(a));
        for dead in dead_inners {
            self.free_inner(dead, names);
        }
    }

    /// Brings a leaf with too few keys and a neighbour together. Answers the leaf that is left without keys, if any.
    fn level_leaves(&mut self, parent: u32, i: usize) -> Option<u32> {
        let inner = self.inners.get_mut(parent);
        if inner.len() < 2 {
            return None;
        }
        let i = i.min(inner.len() - 2);
        let (left_node, right_node) = (inner.nodes[i], inner.nodes[i + 1]);
        let mut right = self.leaves.get(right_node).clone();
        let left = self.leaves.get_mut(left_node);
        let total = left.keys.len() + right.keys.len();
        let is_merged = total <= LEAF_KEYS_MERGED;
        let wanted = if is_merged { total } else { total / 2 };
        while left.keys.len() < wanted {
            let key = right.keys.remove(0);
            left.keys.insert(left.keys.len(), key);
        }
        while left.keys.len() > wanted {
            let key = left.keys.remove(left.keys.len() - 1);
            right.keys.insert(0, key);
        }
        inner.counts[i] = left.keys.len() as u32;
        if is_merged {
            inner.remove(i + 1);
            return Some(right_node);
        }
        inner.counts[i + 1] = right.keys.len() as u32;
        inner.keys.set(i + 1, right.keys.get(0));
        *self.leaves.get_mut(right_node) = right;
        None
    }

    /// The same for two inner nodes.
    fn level_inners(&mut self, parent: u32, i: usize) -> Option<u32> {
        let mut inner = self.inners.get(parent).clone();
        if inner.len() < 2 {
            return None;
        }
        let i = i.min(inner.len() - 2);
        let (left_node, right_node) = (inner.nodes[i], inner.nodes[i + 1]);
        let mut right = self.inners.get(right_node).clone();
        let left = self.inners.get_mut(left_node);
        let total = left.len() + right.len();
        let is_merged = total <= CHILDREN_MERGED;
        let wanted = if is_merged { total } else { total / 2 };
        while left.len() < wanted {
            let child = right.remove(0);
            left.insert(left.len(), child);
        }
        while left.len() > wanted {
            let child = left.remove(left.len() - 1);
            right.insert(0, child);
        }
        inner.counts[i] = left.count();
        let dead = if is_merged {
            inner.remove(i + 1);
            Some(right_node)
        } else {
            inner.counts[i + 1] = right.count();
            inner.keys.set(i + 1, right.keys.get(0));
            *self.inners.get_mut(right_node) = right;
            None
        };
        *self.inners.get_mut(parent) = inner;
        dead
    }

    /// Takes a leaf out of the chain of leaves.
    fn unlink(&mut self, dead: u32) {
        let Leaf { prev, next, .. } = *self.leaves.get(dead);
        if prev != NONE {
            self.leaves.get_mut(prev).next = next;
        }
        if next != NONE {
            self.leaves.get_mut(next).prev = prev;
        }
    }

    /// Gives a leaf back that is not in the tree any more: the last one of the pool takes its number.
    fn free_leaf(&mut self, dead: u32, names: &impl Names) {
        let last = self.leaves.len() as u32 - 1;
        if dead != last {
            let leaf = self.leaves.get(last).clone();
            let path = self.way_to(leaf.keys.get(0), names);
            match self.height {
                0 => self.root = dead,
                height => {
                    let (parent, i) = path.steps[height - 1];
                    self.inners.get_mut(parent).nodes[i] = dead;
                }
            }
            if leaf.prev != NONE {
                self.leaves.get_mut(leaf.prev).next = dead;
            }
            if leaf.next != NONE {
                self.leaves.get_mut(leaf.next).prev = dead;
            }
            *self.leaves.get_mut(dead) = leaf;
        }
        self.leaves.pop();
    }

    fn free_inner(&mut self, dead: u32, names: &impl Names) {
        let last = self.inners.len() as u32 - 1;
        if dead != last {
            let inner = self.inners.get(last).clone();
            if self.root == last {
                self.root = dead;
            } else {
                let path = self.way_to(inner.keys.get(0), names);
                let level = path.steps[..self.height].iter().position(|(node, _)| *node == last);
                let (parent, i) = path.steps[level.expect("a node is above its first key") - 1];
                self.inners.get_mut(parent).nodes[i] = dead;
            }
            *self.inners.get_mut(dead) = inner;
        }
        self.inners.pop();
    }

    fn way_to(&self, (score, handle): (f64, Handle), names: &impl Names) -> Path {
        self.descend(&Wanted { score, member: names.member(handle), handle }, names)
    }
}

/// Keys in order. See [`Ranked::forward`].
#[derive(Clone)]
pub struct Forward<'a> {
    tree: &'a Ranked,
    leaf: u32,
    /// Keys of the leaf that were handed out, or passed over.
    at: usize,
}

impl Forward<'_> {
    /// Takes up to as many keys as `out` has room for; answers how many.
    #[inline]
    pub fn fill(&mut self, out: &mut [(f64, Handle)]) -> usize {
        let mut count = 0;
        while count < out.len() && self.leaf != NONE {
            let leaf = self.tree.leaves.get(self.leaf);
            if self.at == 0 {
                self.tree.leaves.prefetch(leaf.next);
            }
            let taken = (leaf.keys.len() - self.at).min(out.len() - count);
            for (slot, i) in out[count..count + taken].iter_mut().zip(self.at..) {
                *slot = leaf.keys.get(i);
            }
            count += taken;
            self.at += taken;
            if self.at == leaf.keys.len() {
                (self.leaf, self.at) = (leaf.next, 0);
            }
        }
        count
    }
}

impl Iterator for Forward<'_> {
    type Item = (f64, Handle);

    #[inline]
    fn next(&mut self) -> Option<(f64, Handle)> {
        if self.leaf == NONE {
            return None;
        }
        let leaf = self.tree.leaves.get(self.leaf);
        if self.at == 0 {
            self.tree.leaves.prefetch(leaf.next);
        }
        let key = leaf.keys.get(self.at);
        self.at += 1;
        if self.at == leaf.keys.len() {
            (self.leaf, self.at) = (leaf.next, 0);
        }
        Some(key)
    }
}

/// Keys in the order from the last. See [`Ranked::backward`].
#[derive(Clone)]
pub struct Backward<'a> {
    tree: &'a Ranked,
    leaf: u32,
    /// Keys of the leaf that are still to be handed out; not 0 while there is a leaf.
    at: usize,
}

impl Backward<'_> {
    /// Takes up to as many keys as `out` has room for; answers how many.
    #[inline]
    pub fn fill(&mut self, out: &mut [(f64, Handle)]) -> usize {
        let mut count = 0;
        while count < out.len() && self.leaf != NONE {
            let leaf = self.tree.leaves.get(self.leaf);
            let taken = self.at.min(out.len() - count);
            for (slot, i) in out[count..count + taken].iter_mut().zip((0..self.at).rev()) {
                *slot = leaf.keys.get(i);
            }
            count += taken;
            self.at -= taken;
            if self.at == 0 {
                self.leaf = leaf.prev;
                if leaf.prev != NONE {
                    self.at = self.tree.leaves.get(leaf.prev).keys.len();
                }
            }
        }
        count
    }
}

impl Iterator for Backward<'_> {
    type Item = (f64, Handle);

    #[inline]
    fn next(&mut self) -> Option<(f64, Handle)> {
        if self.leaf == NONE {
            return None;
        }
        let leaf = self.tree.leaves.get(self.leaf);
        self.at -= 1;
        let key = leaf.keys.get(self.at);
        if self.at == 0 {
            self.leaf = leaf.prev;
            if leaf.prev != NONE {
                self.at = self.tree.leaves.get(leaf.prev).keys.len();
            }
        }
        Some(key)
    }
}

#[cfg(test)]
mod tests;
