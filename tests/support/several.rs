//! Several servers in one time: the clocks of all go on together, and each wall clock is off by as much as it was told.

use super::World;

/// The servers.
pub struct Several {
    /// Each in its own world.
    pub servers: Vec<World>,
}

impl Several {
    /// A server for each skew of a wall clock, in milliseconds.
    pub fn new(seed: u64, skews_ms: &[i64]) -> Several {
        let servers = skews_ms.iter().zip(seed..).map(|(skew_ms, seed)| {
            let mut world = World::with_seed(seed);
            world.set_wall_by_ms(*skew_ms);
            world
        });
        Several { servers: servers.collect() }
    }

    /// Lets time pass for all.
    pub fn advance_ms(&mut self, ms: u64) {
        self.servers.iter_mut().for_each(|world| world.advance_ms(ms));
    }

    /// The monotonic time, which is the same for all.
    pub fn mono_us(&self) -> u64 {
        self.servers[0].host.now.mono_us
    }
}
