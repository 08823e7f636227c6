//! Random rules about users: none ends in a panic or takes memory without bound, and what ACL LIST shows of a user is a
//! rule that makes the same user.

use super::rounds::rounds;
use super::support::World;
use super::{LEFT_BYTES_MAX, ROUND, alone, rules};
use waterwheel::sys::alloc;

/// Most bytes that the users of a round may take: each request is short.
const USERS_BYTES_MAX: usize = 16 << 20;

/// Names of the users that the rules are about, and of a copy.
const NAMES: [&str; 4] = ["u1", "u2", "u3", "copy"];

#[test]
fn random_rules_do_no_harm_and_users_are_what_their_text_says() {
    let _alone = alone();
    let before = alloc::allocated_bytes();
    let (mut accepted, mut copied) = (0, 0);
    rounds(ROUND, 20, |_, rng| {
        let mut world = World::new();
        for _ in 0..ROUND {
            let request = rules::request(rng);
            let shown: Vec<String> = request.iter().map(|word| word.escape_ascii().to_string()).collect();
            let mut bytes = Vec::new();
            waterwheel::resp::reply::encode_request(&request, &mut bytes);
            world.send_bytes("a", &bytes);
            let said = world.received("a");
            assert!(said == "OK" || said.starts_with("(error) ERR "), "{shown:?}: {said}");
            accepted += u64::from(said == "OK");
        }
        for name in NAMES {
            copied += u64::from(is_what_its_text_says(&mut world, name));
        }
        let held = alloc::allocated_bytes().saturating_sub(before);
        assert!(held < USERS_BYTES_MAX, "{held} bytes");
    });
    assert!(accepted > 0 && copied > 0, "{accepted} were accepted, {copied} copied");
    assert!(alloc::allocated_bytes().saturating_sub(before) < LEFT_BYTES_MAX);
}

/// Makes a copy of a user from its text, and compares the two. False where there is no such user.
fn is_what_its_text_says(world: &mut World, name: &str) -> bool {
    let line = |world: &World, name: &str| {
        let id = world.engine.acl.users.find(name.as_bytes())?;
        Some(world.engine.acl.users.get(id).line())
    };
    let Some(text) = line(world, name) else { return false };
    let rules: Vec<&[u8]> = text.split(|&byte| byte == b' ').skip(2).collect();
    // As in Redis, two things cannot be told: a quote between parentheses, where quotes mean something, and the pattern
    // of all keys in front of another one, which reads as `allkeys`.
    let id = world.engine.acl.users.find(name.as_bytes()).expect("it was found before");
    let mut patterns = world.engine.acl.users.get(id).selectors().iter().flat_map(|s| &s.patterns);
    if text.iter().any(|byte| b"\"'".contains(byte)) || patterns.any(|pattern| pattern.glob == b"*") {
        return false;
    }
    let mut request: Vec<&[u8]> = vec![b"ACL", b"SETUSER", b"copy", b"reset"];
    request.extend(rules);
    let mut bytes = Vec::new();
    waterwheel::resp::reply::encode_request(&request, &mut bytes);
    world.send_bytes("a", &bytes);
    assert_eq!(world.received("a"), "OK", "{}", text.escape_ascii());
    let copy = line(world, "copy").unwrap_or_default();
    let behind = |line: &[u8], name: &str| line[b"user ".len() + name.len()..].escape_ascii().to_string();
    assert_eq!(behind(&copy, "copy"), behind(&text, name));
    true
}
