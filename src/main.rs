//! The wiring: arguments, configuration, load, run.

fn main() {}
