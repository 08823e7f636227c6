//! A connection between two servers, as bytes: it delays, cuts what is sent into pieces, and breaks.
//!
//! In each direction bytes come in the order in which they were sent, and none gets lost while the link holds. How the two
//! directions, and several links, come to pass is chance. Who cuts it loses what is on its way: [`Link::join`] makes a new
//! connection, and nothing of the old one comes any more.

use std::collections::VecDeque;
use waterwheel::base::rng::Rng;

/// The two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Who connected.
    Near,
    /// Who was connected to.
    Far,
}

/// The connection.
#[derive(Debug)]
pub struct Link {
    rng: Rng,
    delay_us_max: u64,
    /// What is on its way to each end, and when it is there.
    on_way: [VecDeque<(u64, Vec<u8>)>; 2],
    is_cut: bool,
}

impl Link {
    /// A connection whose pieces take at most so long.
    pub fn new(seed: u64, delay_us_max: u64) -> Link {
        Link { rng: Rng::from_seed(seed), delay_us_max, on_way: Default::default(), is_cut: false }
    }

    /// Sends bytes to an end; false when the link is cut.
    pub fn send(&mut self, to: End, now_us: u64, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() && !self.is_cut {
            let n = 1 + self.rng.below(bytes.len() as u64) as usize;
            let at_us = now_us + self.rng.below(self.delay_us_max + 1);
            let queue = &mut self.on_way[to as usize];
            let due_us = queue.back().map_or(at_us, |(before_us, _)| at_us.max(*before_us));
            queue.push_back((due_us, bytes[..n].to_vec()));
            bytes = &bytes[n..];
        }
        !self.is_cut
    }

    /// The next piece that has come to an end.
    pub fn receive(&mut self, at: End, now_us: u64) -> Option<Vec<u8>> {
        let queue = &mut self.on_way[at as usize];
        queue.front().filter(|(due_us, _)| *due_us <= now_us)?;
        queue.pop_front().map(|(_, bytes)| bytes)
    }

    /// Breaks the connection; gives how many bytes got lost on the way to each end.
    pub fn cut(&mut self) -> [usize; 2] {
        self.is_cut = true;
        std::mem::take(&mut self.on_way).map(|queue| queue.iter().map(|(_, bytes)| bytes.len()).sum())
    }

    /// Makes a new connection.
    pub fn join(&mut self) {
        self.is_cut = false;
    }
}
