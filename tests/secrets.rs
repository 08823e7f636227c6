//! What errors, MONITOR and SLOWLOG show of what clients sent: no password, and nothing behind a NUL.

mod support;

use support::World;
use waterwheel::config::Effect;

#[test]
fn neither_monitor_nor_slowlog_shows_a_password() {
    let mut world = World::new();
    assert_eq!(world.run_as("watcher", "MONITOR"), "OK");
    world.run("CONFIG SET slowlog-log-slower-than 0");
    world.run("CONFIG SET requirepass hidden timeout 0");
    world.run("AUTH hidden");
    world.run("AUTH default hidden");
    world.run("HELLO 2 AUTH default hidden SETNAME me");
    world.run("ACL SETUSER eve on >hidden");
    world.run("ACL GETUSER hidden");
    world.run("ACL DELUSER hidden");
    let seen = world.received("watcher");
    assert!(seen.contains("\"AUTH\" \"(redacted)\"") && seen.contains("\"SETNAME\" \"me\""), "{seen}");
    let kept = world.run("SLOWLOG GET 100");
    assert!(kept.contains("requirepass") && kept.contains("timeout"), "{kept}");
    assert!(!seen.contains("hidden") && !kept.contains("hidden"), "{seen}\n{kept}");
}

#[test]
fn the_switch_of_module_commands_is_named_as_it_is() {
    let error = World::new().run("MODULE UNLOAD x");
    assert!(
        error.contains("MODULE command not allowed") && error.contains("enable-module-command"),
        "{error}"
    );
}

#[test]
fn who_has_not_given_the_password_is_told_of_unknown_commands() {
    let mut world = World::new();
    world.run("CONFIG SET requirepass hidden");
    assert_eq!(world.run_as("b", "GET k"), "(error) NOAUTH Authentication required.");
    let error = world.run_as("b", "NOSUCH x");
    assert_eq!(error, "(error) ERR unknown command 'NOSUCH', with args beginning with: 'x' ");
}

#[test]
fn errors_quote_up_to_the_first_nul() {
    let mut world = World::new();
    let error = world.run("EXPIRE k 100 \"a\\x00b\"");
    assert_eq!(error, "(error) ERR Unsupported option a");
    assert_eq!(world.run("OBJECT \"a\\x00b\" k"), "(error) ERR unknown subcommand 'a'. Try OBJECT HELP.");
}

#[test]
fn a_new_password_lets_nobody_in_who_did_not_know_the_old_one() {
    let mut world = World::new();
    world.run("CONFIG SET requirepass old");
    assert_eq!(world.run_as("stranger", "GET k"), "(error) NOAUTH Authentication required.");
    assert_eq!(world.run("CONFIG SET requirepass new"), "OK");
    assert_eq!(world.run_as("stranger", "GET k"), "(error) NOAUTH Authentication required.");
    assert_eq!(world.run("GET k"), "(nil)", "who was there before the first password stays");
}

#[test]
fn a_configuration_that_fails_in_part_leaves_everything_as_it_was() {
    let mut world = World::new();
    world.run("CONFIG SET requirepass old slowlog-log-slower-than 0");
    world.run_as("b", "AUTH old");
    let logged = world.run("SLOWLOG LEN");
    world.host.refused = Some(Effect::Port);
    let error = world.run("CONFIG SET slowlog-max-len 1 requirepass new port 1");
    assert_eq!(error, "(error) ERR CONFIG SET failed (possibly related to argument 'port') - no");
    let settings = world.run("CONFIG GET slowlog-max-len");
    assert!(settings.contains("128"), "{settings}");
    assert_eq!(world.run_as("b", "AUTH old"), "OK");
    assert_ne!(world.run("SLOWLOG LEN"), logged, "the log goes on");
    world.host.refused = None;
    assert_eq!(world.run("CONFIG SET slowlog-max-len 1 requirepass new port 1"), "OK");
    assert_eq!(world.run("SLOWLOG LEN"), "(integer) 1");
    assert_eq!(world.run_as("b", "AUTH new"), "OK");
}
