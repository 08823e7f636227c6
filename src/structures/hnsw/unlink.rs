//! Removing a node, and closing the gap that it leaves.

use super::{Graph, Upper, key, node_in};

/// Pairs of neighbours that are compared at most when a gap is closed.
const PAIRS_MAX: usize = 4096;

impl Graph {
    /// Removes a node. The last one takes its number: returns what that was, if it was another.
    pub fn remove(&mut self, node: u32) -> Option<u32> {
        self.removals += 1;
        for level in 0..=self.level(node) {
            let neighbours = self.links(node, level).to_vec();
            for neighbour in &neighbours {
                self.drop_link(*neighbour, node, level);
            }
            *self.links_mut(node, level).0 = 0;
            self.close_gap(&neighbours, level);
        }
        self.remove_upper(node);
        if self.entry == Some(node) {
            self.find_entry(node);
        }
        let last = self.len() as u32 - 1;
        if node != last {
            self.renumber(last, node);
        }
        self.records.pop();
        (node != last).then_some(last)
    }

    /// Links nodes that have lost a link with each other, the nearest pairs first, a new link each.
    fn close_gap(&mut self, nodes: &[u32], level: usize) {
        let max = self.links_max(level);
        let mut pairs = Vec::new();
        'all: for (i, node) in nodes.iter().enumerate() {
            let others = &nodes[i + 1..];
            let from = pairs.len();
            self.each_distance(self.vector(*node), others, |_, distance| {
                pairs.push(key(distance, (pairs.len() - from) as u32) as u128 | (i as u128) << 64);
            });
            if pairs.len() > PAIRS_MAX {
                break 'all;
            }
        }
        // By distance alone.
        pairs.sort_unstable_by_key(|pair| *pair as u64 >> 32);
        let mut is_mended = vec![false; nodes.len()];
        for pair in pairs {
            let one = (pair >> 64) as usize;
            let other = one + 1 + node_in(pair as u64) as usize;
            if is_mended[one] && is_mended[other] {
                continue;
            }
            let has_room = |at: usize| self.links(nodes[at], level).len() < max;
            if has_room(one) && has_room(other) && !self.links(nodes[one], level).contains(&nodes[other]) {
                self.join(nodes[one], nodes[other], level);
                (is_mended[one], is_mended[other]) = (true, true);
            }
        }
    }

    /// Frees the upper levels of a node.
    fn remove_upper(&mut self, node: u32) {
        let Some(at) = self.upper_of(node) else { return };
        let Some(last) = self.uppers.pop() else { return };
        self.records.get_mut(node)[super::UPPER] = 0;
        if at < self.uppers.count() as u32 {
            self.records.get_mut(last.node)[super::UPPER] = at + 1;
            *self.uppers.get_mut(at) = last;
        }
    }

    /// Finds where searches begin now that the entry is going.
    fn find_entry(&mut self, going: u32) {
        let level_of = |upper: &Upper| upper.links.len() / (1 + self.m);
        let uppers = (0..self.uppers.count() as u32).map(|at| self.uppers.get(at));
        let highest = uppers.max_by_key(|upper| level_of(upper)).map(|upper| (upper.node, level_of(upper)));
        // Without one that is higher, any other node will do.
        let any = (0..self.len() as u32).find(|node| *node != going).map(|node| (node, 0));
        (self.entry, self.top) = match highest.or(any) {
            Some((node, level)) => (Some(node), level),
            None => (None, 0),
        };
    }

    /// Gives a node another number, whose own node has no links any more.
    fn renumber(&mut self, from: u32, to: u32) {
        for level in 0..=self.level(from) {
            for i in 0..self.links(from, level).len() {
                let neighbour = self.links(from, level)[i];
                let (count, links) = self.links_mut(neighbour, level);
                if let Some(link) = links[..*count as usize].iter_mut().find(|link| **link == from) {
                    *link = to;
                }
            }
        }
        let record = self.records.get(from).to_vec();
        self.records.get_mut(to).copy_from_slice(&record);
        if let Some(at) = self.upper_of(to) {
            self.uppers.get_mut(at).node = to;
        }
        if self.entry == Some(from) {
            self.entry = Some(to);
        }
    }
}
