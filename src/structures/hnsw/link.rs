//! Linking a new node with those near it.
//!
//! A node is first of all linked with nodes that lie in different directions: one that is nearer to another neighbour than to the
//! node itself is reached over that neighbour. The nearest of the others fill up the links. Where a neighbour has all the links that it can have, the
//! new node takes the place of the farthest one that is reached over the new node; those two are linked instead, if there is
//! room, so that no way is lost.

use super::{Graph, Placement, distance_in, key, node_in};

/// Of the nodes that were found near a new one, those are considered that are the nearest: so many for each link.
const CONSIDERED_A_LINK: usize = 4;

/// A node is not left with fewer links by the gain of another: the share of `m`.
const KEPT_SHARE: usize = 2;

impl Graph {
    /// Adds a node at the place that was found for it. If nodes were removed since, a place is looked for again. Returns its
    /// number.
    pub fn place(&mut self, mut placement: Placement) -> u32 {
        if placement.removals != self.removals {
            placement.restart(self);
            while placement.step(self, usize::MAX) {}
        }
        let node = self.add(&placement.vector, placement.level);
        let Some(_) = self.entry else {
            self.entry = Some(node);
            self.top = placement.level;
            return node;
        };
        for level in (0..=placement.level.min(self.top)).rev() {
            self.link(node, level, &placement.near[level]);
        }
        if placement.level > self.top {
            self.entry = Some(node);
            self.top = placement.level;
        }
        node
    }

    /// Links a node that has no links on a level with some of those near it.
    fn link(&mut self, node: u32, level: usize, near: &[u64]) {
        // On level 0 a quarter of the room is left to those that come later.
        let wanted = if level == 0 { self.m * 3 / 2 } else { self.m };
        let chosen = self.choose(near, wanted);
        for near in &chosen {
            self.link_with(node, node_in(*near), distance_in(*near), level);
        }
        // A node that everybody refused would never be found.
        if self.links(node, level).is_empty()
            && let Some(near) = chosen.first()
        {
            self.force_link(node, node_in(*near), level);
        }
    }

    /// Chooses up to `count` nodes in different directions; the nearest of the others fill up what is left.
    fn choose(&self, near: &[u64], count: usize) -> Vec<u64> {
        let considered = &near[..near.len().min(count * CONSIDERED_A_LINK)];
        let mut chosen: Vec<u64> = Vec::with_capacity(count);
        let mut nodes: Vec<u32> = Vec::with_capacity(count);
        let mut passed_over = Vec::new();
        for &candidate in considered {
            if chosen.len() == count {
                break;
            }
            let (node, distance) = (node_in(candidate), distance_in(candidate));
            let mut is_covered = false;
            // The last chosen ones are the farthest and cover the least.
            for nodes in nodes.chunks(8) {
                self.each_distance(self.vector(node), nodes, |_, other| is_covered |= other < distance);
                if is_covered {
                    break;
                }
            }
            if is_covered {
                passed_over.push(candidate);
            } else {
                chosen.push(candidate);
                nodes.push(node);
            }
        }
        let missing = count - chosen.len();
        chosen.extend(passed_over.into_iter().take(missing));
        chosen
    }

    /// Links a node that has room with a neighbour, whose links may have to change for it.
    fn link_with(&mut self, node: u32, neighbour: u32, distance: f32, level: usize) {
        let max = self.links_max(level);
        if self.links(node, level).len() == max || self.links(node, level).contains(&neighbour) {
            return;
        }
        if self.links(neighbour, level).len() < max {
            return self.join(node, neighbour, level);
        }
        let Some(victim) = self.victim(node, neighbour, distance, level) else { return };
        self.part(neighbour, victim, level);
        self.join(node, neighbour, level);
        let has_room = |node| self.links(node, level).len() < max;
        if has_room(node) && has_room(victim) && !self.links(node, level).contains(&victim) {
            self.join(node, victim, level);
        }
    }

    /// The node that a neighbour of `node` should lose for it; none when the node itself is not worth it.
    fn victim(&self, node: u32, neighbour: u32, distance: f32, level: usize) -> Option<u32> {
        let links = self.links(neighbour, level);
        let mut from_neighbour = Vec::with_capacity(links.len());
        self.each_distance(self.vector(neighbour), links, |_, distance| from_neighbour.push(distance));
        let (mut is_covered, mut at) = (false, 0);
        let (mut covered, mut farthest) = (0, 0);
        let kept = self.m / KEPT_SHARE;
        self.each_distance(self.vector(node), links, |other, to_node| {
            let to_neighbour = from_neighbour[at];
            at += 1;
            is_covered |= to_node < distance && to_neighbour < distance;
            if to_neighbour > distance {
                let key = key(to_neighbour, other);
                if key > farthest.max(covered) && self.links(other, level).len() > kept {
                    if to_node < to_neighbour {
                        covered = key;
                    } else {
                        farthest = key;
                    }
                }
            }
        });
        if covered > 0 {
            Some(node_in(covered))
        } else if farthest > 0 && !is_covered {
            Some(node_in(farthest))
        } else {
            None
        }
    }

    /// Links a node that has no links with another one, whatever that one loses: a link to the node with the most links.
    fn force_link(&mut self, node: u32, neighbour: u32, level: usize) {
        if self.links(neighbour, level).len() == self.links_max(level) {
            let links = self.links(neighbour, level);
            let most = links.iter().copied().max_by_key(|link| self.links(*link, level).len());
            let victim = most.expect("who has all links that it can have has some");
            self.part(neighbour, victim, level);
            self.join(node, neighbour, level);
            self.join(node, victim, level);
            return;
        }
        self.join(node, neighbour, level);
    }
}
