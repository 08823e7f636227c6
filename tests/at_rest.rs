//! A server that nobody uses sleeps, once the last traffic has left the figures of INFO.

mod support;

use support::World;

#[test]
fn figures_are_sampled_until_the_traffic_has_left_them() {
    let mut world = World::new();
    let ops = |world: &mut World| {
        let info = world.run("INFO stats");
        let (_, behind) = info.split_once("instantaneous_ops_per_sec:").expect("a field of INFO");
        behind.split("\\r\\n").next().unwrap_or(behind).parse::<u64>().expect("a number")
    };
    for _ in 0..20 {
        (0..100).for_each(|_| drop(world.run("PING")));
        world.engine.end_turn(0, 100);
        world.advance_ms(100);
    }
    assert!(ops(&mut world) > 500);
    (0..100).for_each(|_| drop(world.run("PING")));
    world.engine.end_turn(0, 100);
    let mut samples = 0;
    while let Some(us) = world.engine.next_deadline_in_us() {
        world.advance_ms(us.div_ceil(1000));
        samples += 1;
        assert!(samples <= 17, "it goes on waking");
    }
    assert_eq!(samples, 17, "one sample has the traffic, and sixteen replace it");
    assert_eq!(ops(&mut world), 0);
}
