//! Clients that wait: for the end of a pause, for replicas, for memory that is freed.

mod support;

use support::World;

#[test]
fn a_reply_that_is_to_be_skipped_is_skipped_also_when_it_comes_late() {
    let mut world = World::new();
    world.run("CLIENT REPLY SKIP");
    assert_eq!(world.run("WAIT 1 100"), "");
    world.advance_ms(100);
    assert_eq!(world.received("a"), "");
    assert_eq!(world.run("ECHO next"), "\"next\"");
    world.run_as("b", "CLIENT PAUSE 100 WRITE");
    world.run("CLIENT REPLY SKIP");
    assert_eq!(world.run("SET k v"), "");
    world.advance_ms(100);
    assert_eq!(world.received("a"), "");
    assert_eq!(world.run("GET k"), "\"v\"");
}

#[test]
fn who_waits_is_not_idle_and_begins_to_be_so_when_it_has_its_reply() {
    let mut world = World::new();
    world.run_as("admin", "CONFIG SET timeout 1");
    world.send("a", "WAIT 1 2500");
    world.run_as("b", "CLIENT PAUSE 2500 WRITE");
    world.send("c", "SET k v");
    world.advance_ms(2499);
    assert_eq!(world.received("b"), "(closed)");
    world.advance_ms(1);
    assert_eq!((world.received("a"), world.received("c")), ("(integer) 0".to_owned(), "OK".to_owned()));
    world.advance_ms(999);
    assert_eq!((world.received("a"), world.received("c")), (String::new(), String::new()));
    world.advance_ms(1);
    assert_eq!((world.received("a"), world.received("c")), ("(closed)".to_owned(), "(closed)".to_owned()));
}

#[test]
fn a_client_that_closes_its_end_is_answered_to_its_last_request_and_then_goes() {
    let mut world = World::new();
    let id = world.id_of("a");
    // More than one serving takes, so that requests wait for a turn when the end is seen.
    world.engine.input(&mut world.host, id, "PING\r\n".repeat(3000).as_bytes());
    world.engine.half_closed(id);
    world.advance_ms(1);
    let (replies, is_closed) = world.take_replies("a");
    assert_eq!((replies.len(), is_closed), (3000, true));
}
