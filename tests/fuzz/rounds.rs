//! Rounds of a fuzz target: as many as `FUZZ_INPUTS` asks for, each with a seed of its own from `FUZZ_SEED` on.

use std::env;
use waterwheel::base::rng::Rng;

/// Runs rounds until a share of the inputs went through: one in `share` of all is this test's.
pub fn rounds(inputs_a_round: u64, share: u64, mut round: impl FnMut(u64, &mut Rng)) {
    struct Seed(u64);
    impl Drop for Seed {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("to run this round again: FUZZ_SEED={} FUZZ_INPUTS=1", self.0);
            }
        }
    }
    let number = |name, otherwise| match env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is a number")),
        Err(_) => otherwise,
    };
    let inputs: u64 = number("FUZZ_INPUTS", 200_000);
    let first: u64 = number("FUZZ_SEED", 1);
    for i in 0..(inputs / share).div_ceil(inputs_a_round).max(1) {
        let seed = Seed(first + i);
        round(seed.0, &mut Rng::from_seed(seed.0));
    }
}
