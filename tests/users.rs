//! Who may run what: every row of the table, judged for users that lack one thing or another.
//!
//! Requests are made from the syntax of each row. A user lacks the command, all keys, one key, one key for reading or for
//! writing, or the channels; or has exactly what the request needs, in one selector or in two.
//!
//! * Without a peer it is checked that who lacks something is refused, and who has all of it is not.
//! * `WATERWHEEL_ORACLE=path/to/redis-server cargo test --test users` asks a real Redis 8.0 as well: ACL DRYRUN has to
//!   say the same, and what both refuse is then sent by a client of that user, for the text that it gets. And random
//!   rules have to be accepted or refused in the same way, and to leave the same users. `FUZZ_SEED=n` makes other ones.
//! * `WATERWHEEL_VALKEY=path/to/valkey-server` does the same with Valkey 9.1 for the rules about databases.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it talks to real servers and reads the environment"
)]

#[path = "users/forms.rs"]
mod forms;
#[path = "users/rules.rs"]
mod rules;
mod support;

use forms::{Form, form};
use support::World;
use support::peer::{Connection, Peer};
use support::reply::Resp;
use waterwheel::base::rng::Rng;
use waterwheel::engine::keys::keys_of;
use waterwheel::engine::spec::{flag, key};
use waterwheel::engine::table::{Row, Table};
use waterwheel::resp::Args;

/// Requests of a row: the shortest, the longest, and others.
const FORMS: u64 = 8;

/// Random requests about rules.
const RULES: usize = 20_000;

/// A user of a request: its rules behind `reset on nopass`.
type Rules = Vec<String>;

/// The users of whom each lacks something, or nothing.
fn users_for(row: &Row, form: &Form) -> Vec<Rules> {
    let name = row.full_name;
    let mut users: Vec<Rules> = [
        format!("+@all -{name} ~* &*"),
        format!("-@all +{name} ~* &*"),
        "+@all ~*".to_owned(),
        "+@all &*".to_owned(),
        "+@all &* %R~*".to_owned(),
        "+@all &* %W~*".to_owned(),
        "+@all ~* &c0".to_owned(),
        "+@all ~* &c*".to_owned(),
        format!("(+{name} %R~* &*) (+{name} %W~* &*)"),
        format!("(+{name} ~*) (+@all &*) ~*"),
        format!("(+@all -{name} ~* &*) (+{name} ~k0) (+{name} &*)"),
    ]
    .iter()
    .map(|line| line.split(' ').map(str::to_owned).collect())
    .collect();
    for lacked in &form.keys {
        for instead in ["", "%R~", "%W~"] {
            let mut rules: Rules = vec!["+@all".to_owned(), "&*".to_owned()];
            rules.extend(form.keys.iter().filter(|key| *key != lacked).map(|key| format!("~{key}")));
            if !instead.is_empty() {
                rules.push(format!("{instead}{lacked}"));
            }
            users.push(rules);
        }
    }
    if !row.is_sub() && !row.is_container() && form.words.len() > 1 {
        let first = form.words[1].to_uppercase();
        for first in [first.as_str(), "other"] {
            users.push(vec![format!("+{name}|{first}"), "~*".to_owned(), "&*".to_owned()]);
        }
    }
    users
}

/// Of the random choices.
fn seed() -> u64 {
    std::env::var("FUZZ_SEED").map_or(1, |text| text.parse().expect("FUZZ_SEED is a number"))
}

/// Requests of a row, the same in every run with the same seed.
fn forms_of(row: &Row, tricky: bool) -> Vec<Form> {
    let mut rng = Rng::from_seed(u64::from(row.id) + 1 + 1000 * (seed() - 1));
    let options = [0, 8, 2, 4, 6, 4, 2, 6];
    let forms = (0..FORMS).map(|i| form(row, &mut rng, options[i as usize % 8], tricky && i >= 4));
    forms.filter(|form| row.admits(form.words.len())).collect()
}

fn set_user(rules: &[String]) -> Vec<Vec<u8>> {
    let words =
        ["ACL", "SETUSER", "u", "reset", "on", "nopass"].into_iter().chain(rules.iter().map(String::as_str));
    words.map(|word| word.as_bytes().to_vec()).collect()
}

fn dry_run(form: &Form) -> Vec<Vec<u8>> {
    let words = ["ACL", "DRYRUN", "u"].into_iter().chain(form.words.iter().map(String::as_str));
    words.map(|word| word.as_bytes().to_vec()).collect()
}

/// The rows that clients can call; containers are judged by their subcommands.
fn rows(table: &Table) -> impl Iterator<Item = &Row> {
    table.rows().iter().filter(|row| row.spec.subs.is_empty() || !row.spec.syntax.is_empty())
}

#[test]
fn who_lacks_something_is_refused_and_who_has_all_is_not() {
    let mut world = World::new();
    let mut judged = 0;
    for row in rows(support::table()) {
        for form in forms_of(row, false) {
            let words: Vec<bytes::Bytes> =
                form.words.iter().map(|word| bytes::Bytes::copy_from_slice(word.as_bytes())).collect();
            let keys = keys_of(row, Args::Owned(&words)).unwrap_or_default();
            let verdict = |world: &mut World, rules: &[String]| {
                let replies = world.ask("a", &[set_user(rules), dry_run(&form)]);
                assert_eq!(replies[0].shown(), "OK", "{rules:?}");
                replies[1].shown()
            };
            let mut exact: Rules = vec![format!("+{}", row.full_name)];
            for at in &keys {
                let reads = at.flags & key::ACCESS != 0;
                let writes = at.flags & (key::INSERT | key::UPDATE | key::DELETE) != 0;
                let sign = if reads && writes {
                    "~"
                } else if writes {
                    "%W~"
                } else {
                    "%R~"
                };
                exact.push(format!("{sign}{}", form.words[at.index]));
            }
            exact.extend(form.channels.iter().map(|channel| format!("&{channel}")));
            let context = format!("{:?} by {exact:?}", form.words);
            assert_eq!(verdict(&mut world, &exact), "OK", "{context}");
            for lacked in 0..exact.len() {
                let mut rest = exact.clone();
                let lost = rest.remove(lacked);
                // The same key may be named twice.
                if rest.contains(&lost) || rest.iter().any(|rule| rule[1..] == lost[1..]) {
                    continue;
                }
                let is_open = row.has(flag::NO_AUTH) && lacked == 0;
                let wanted = match lacked {
                    0 => format!("\"User u has no permissions to run the '{}' command\"", row.full_name),
                    _ if lost.starts_with('&') => {
                        format!("\"User u has no permissions to access the '{}' channel\"", &lost[1..])
                    }
                    _ => {
                        let name = lost.split_once('~').map_or("", |(_, name)| name);
                        format!("\"User u has no permissions to access the '{name}' key\"")
                    }
                };
                let said = verdict(&mut world, &rest);
                assert_eq!(said, if is_open { "OK" } else { wanted.as_str() }, "{context} without {lost}");
                judged += 1;
            }
        }
    }
    assert!(judged > 2000, "only {judged} users lacked something");
}

#[test]
fn a_file_holds_the_users_and_a_wrong_one_changes_nothing() {
    let mut world = World::new();
    world.engine.conf.aclfile = "users.acl".to_owned();
    assert_eq!(
        world.run("ACL LOAD"),
        "(error) ERR Error loading ACLs, opening file 'users.acl': No such file or directory"
    );
    world.run("ACL SETUSER eve on >secret ~a* resetchannels &one +@all (~b +get)");
    let list = world.run("ACL LIST");
    assert_eq!(world.run("ACL SAVE"), "OK");
    for (client, line) in
        [("stays", "AUTH eve secret"), ("listens", "AUTH eve secret"), ("goes", "AUTH mallory x")]
    {
        world.run("ACL SETUSER mallory on nopass ~* &* +@all");
        assert_eq!(world.run_as(client, line), "OK");
    }
    world.run_as("stays", "SUBSCRIBE one");
    world.run("ACL SETUSER eve &two");
    world.run_as("listens", "SUBSCRIBE two");
    assert_eq!(world.run("ACL LOAD"), "OK");
    assert_eq!(world.run("ACL LIST"), list);
    assert_eq!(world.received("stays"), "");
    assert_eq!(world.received("listens"), "(closed)", "it listened to what its user may not hear any more");
    assert_eq!(world.received("goes"), "(closed)", "its user is gone");
    world.host.disk.put("users.acl", b"user eve on +nosuch\nuser eve off");
    assert!(
        world.run("ACL LOAD").starts_with("(error) ERR users.acl:1: Error in applying operation '+nosuch'")
    );
    assert_eq!(world.run("ACL LIST"), list);
    // Without a line for it, the default user is as it was at the very first.
    world.run("ACL SETUSER default >x");
    world.host.disk.put("users.acl", b"user eve on nopass");
    assert_eq!(world.run("ACL LOAD"), "OK");
    assert!(world.run("ACL GETUSER default").contains("nopass"));
}

#[test]
fn who_has_not_authenticated_cannot_let_requests_pile_up() {
    let mut world = World::new();
    world.run("CONFIG SET requirepass p");
    assert_eq!(world.run_as("b", "AUTH p"), "OK");
    world.run("CLIENT PAUSE 100000 ALL");
    let requests = b"*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n".repeat(60_000);
    for (client, closed) in [("b", false), ("stranger", true)] {
        world.send_bytes(client, &requests);
        assert_eq!(world.received(client).ends_with("(closed)"), closed, "{client}");
    }
}

#[test]
fn only_who_is_limited_is_judged() {
    let mut world = World::new();
    let is_limited = |world: &mut World, client: &str| {
        let id = world.id_of(client);
        world.engine.client(id).expect("it is connected").is(waterwheel::engine::client::state::LIMITED)
    };
    world.run("PING");
    assert!(!is_limited(&mut world, "a"), "the default user may do everything");
    world.run("CONFIG SET requirepass p");
    assert!(!is_limited(&mut world, "a"), "who was there before the password stays");
    assert!(is_limited(&mut world, "b"), "who came later has to authenticate");
    world.run_as("b", "AUTH p");
    assert!(!is_limited(&mut world, "b"));
    for (rules, limited) in [
        ("-get", true),
        ("+get", true),
        ("+@all", false),
        ("db=0", true),
        ("alldbs", false),
        ("resetkeys", true),
    ] {
        assert_eq!(world.run(&format!("ACL SETUSER default {rules}")), "OK");
        assert_eq!(is_limited(&mut world, "b"), limited, "{rules}");
    }
    world.run("ACL SETUSER default ~* (+@all ~* &*)");
    assert!(!is_limited(&mut world, "b"), "one selector that allows everything is enough");
}

#[test]
fn redis_judges_every_row_in_the_same_way() {
    let Some(program) = std::env::var_os("WATERWHEEL_ORACLE") else {
        println!("WATERWHEEL_ORACLE names no redis-server: nothing was compared");
        return;
    };
    let peer = Peer::start(&program.to_string_lossy());
    let (mut admin, mut user) = (Connection::new(&peer), Connection::new(&peer));
    let mut world = World::new();
    let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    let begin = [words("ACL SETUSER u on nopass"), words("AUTH u x")];
    admin.ask(&begin[..1]);
    user.ask(&begin[1..]);
    world.ask("a", &begin[..1]);
    world.ask("u", &begin[1..]);
    let (mut wrong, mut judged, mut refused, mut left_out) = (Vec::new(), 0, 0, Vec::new());
    for row in rows(support::table()) {
        let known = admin.ask(&[words(&format!("COMMAND INFO {}", row.full_name))]);
        if known[0].shown().ends_with("(nil)") || known[0].shown().ends_with("(nil array)") {
            left_out.push(row.full_name);
            continue;
        }
        for form in forms_of(row, true) {
            for rules in users_for(row, &form) {
                let requests = [set_user(&rules), dry_run(&form)];
                let (ours, theirs) = (world.ask("a", &requests), admin.ask(&requests));
                judged += 1;
                let shown = |replies: &[Resp]| replies.iter().map(Resp::shown).collect::<Vec<_>>().join(" ");
                let mut tell = |ours: &[Resp], theirs: &[Resp]| {
                    let (ours, theirs) = (shown(ours), shown(theirs));
                    if ours != theirs {
                        wrong.push(format!(
                            "{:?}\n  by {rules:?}\n  we    {ours}\n  Redis {theirs}",
                            form.words
                        ));
                    }
                };
                tell(&ours, &theirs);
                if ours == theirs && ours[1].shown().starts_with("\"User ") {
                    // Who is refused does nothing, so it can be tried.
                    let request =
                        [form.words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>()];
                    tell(&world.ask("u", &request), &user.ask(&request));
                    refused += 1;
                }
            }
        }
    }
    println!("{judged} judged, {refused} refused and tried; not of Redis 8.0: {}", left_out.join(" "));
    assert!(judged > 10_000 && refused > 5_000, "{judged} judged, {refused} refused");
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong[..wrong.len().min(200)].join("\n"));
}

#[test]
fn redis_accepts_the_same_rules() {
    let Some(program) = std::env::var_os("WATERWHEEL_ORACLE") else {
        println!("WATERWHEEL_ORACLE names no redis-server: nothing was compared");
        return;
    };
    let peer = Peer::start(&program.to_string_lossy());
    let mut admin = Connection::new(&peer);
    let mut world = World::new();
    let mut rng = Rng::from_seed(seed());
    let list = vec![b"ACL".to_vec(), b"LIST".to_vec()];
    let (mut accepted, mut wrong) = (0, Vec::new());
    for _ in 0..RULES {
        let requests = [rules::request(&mut rng), list.clone()];
        let (ours, theirs) = (world.ask("a", &requests), admin.ask(&requests));
        accepted += usize::from(ours[0].shown() == "OK");
        if ours != theirs {
            let request: Vec<String> =
                requests[0].iter().map(|word| word.escape_ascii().to_string()).collect();
            let shown =
                |replies: &[Resp]| replies.iter().map(Resp::shown).collect::<Vec<_>>().join("\n        ");
            wrong.push(format!("{request:?}\n  we    {}\n  Redis {}", shown(&ours), shown(&theirs)));
            // One difference is told once.
            let reset: Vec<Vec<Vec<u8>>> = ["u1", "u2", "u3", ""]
                .map(|name| vec![b"ACL".to_vec(), b"DELUSER".to_vec(), name.as_bytes().to_vec()])
                .to_vec();
            world.ask("a", &reset);
            admin.ask(&reset);
        }
    }
    println!("{RULES} requests, {accepted} of them accepted");
    assert!(accepted > RULES / 10 && accepted < RULES * 9 / 10, "{accepted} were accepted");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong[..wrong.len().min(30)].join("\n"));
}

/// Rules about databases, right ones and others.
const DATABASE_RULES: &[&str] = &[
    "db=0",
    "db=1",
    "db=0,1",
    "db=1,0,1",
    "db=15",
    "db=16",
    "db=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "db=",
    "db=x",
    "db=-1",
    "db=-0",
    "db=1,",
    "db=,1",
    "db=1,,2",
    "db=+1",
    "db=007",
    "db=2147483647",
    "db=2147483648",
    "db=99999999999999999999",
    "DB=2",
    "alldbs",
    "AllDBs",
    "resetdbs",
    "db",
    "db=1 ",
    "(db=1 +@all ~* &*)",
    "(alldbs +get ~*)",
    "(resetdbs +@all ~*)",
    "(db=x)",
    "(+@all ~* db=0)",
    "clearselectors",
    "reset",
    "+@all",
    "-@all",
    "+select",
    "~*",
    "resetkeys",
];

/// Requests that work on databases, or on none.
const DATABASE_REQUESTS: &[&str] = &[
    "GET k",
    "SET k v",
    "SELECT 0",
    "SELECT 1",
    "SELECT 15",
    "SELECT 16",
    "SELECT x",
    "SWAPDB 0 1",
    "SWAPDB 1 2",
    "SWAPDB 0 x",
    "MOVE k 1",
    "MOVE k 2",
    "MOVE k 99",
    "COPY a b",
    "COPY a b DB 1",
    "COPY a b DB 2",
    "COPY a b REPLACE DB 2",
    "COPY a b DB x",
    "COPY a b DB 0 DB 2",
    "COPY a b DB 2 DB 0",
    "COPY a b DB",
    "FLUSHALL",
    "FLUSHDB",
    "DBSIZE",
    "KEYS *",
    "SCAN 0",
    "RANDOMKEY",
    "PING",
    "INFO",
    "PUBLISH c m",
    "SUBSCRIBE c",
    "AUTH x",
    "CONFIG GET port",
    "DEBUG SLEEP 0",
    "SORT k",
    "EXISTS k",
    "WAIT 0 0",
    "OBJECT ENCODING k",
    "MEMORY USAGE k",
    "CLIENT ID",
    "MULTI",
    "EXEC",
    "COMMAND",
    "LOLWUT",
    "LASTSAVE",
    "ACL WHOAMI",
    "TOUCH k",
];

#[test]
fn valkey_judges_databases_in_the_same_way() {
    let Some(program) = std::env::var_os("WATERWHEEL_VALKEY") else {
        println!("WATERWHEEL_VALKEY names no valkey-server: nothing was compared");
        return;
    };
    let peer = Peer::start(&program.to_string_lossy());
    let (mut admin, mut world, mut rng) = (Connection::new(&peer), World::new(), Rng::from_seed(seed()));
    let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    let (mut wrong, mut judged, mut refused) = (Vec::new(), 0, 0);
    for _ in 0..1000 {
        let rules: Vec<&str> = (0..1 + rng.below(3))
            .map(|_| DATABASE_RULES[rng.below(DATABASE_RULES.len() as u64) as usize])
            .collect();
        let mut begin = words("ACL SETUSER u reset on nopass +@all ~* &*");
        begin.extend(rules.iter().map(|rule| rule.as_bytes().to_vec()));
        let mut requests = vec![words("ACL DELUSER u"), begin, words(&format!("SELECT {}", rng.below(3)))];
        requests.extend(DATABASE_REQUESTS.iter().map(|line| words(&format!("ACL DRYRUN u {line}"))));
        let (ours, theirs) = (world.ask("a", &requests), admin.ask(&requests));
        for ((request, ours), theirs) in requests.iter().zip(&ours).zip(&theirs) {
            judged += 1;
            refused += usize::from(ours.shown().contains("access database"));
            if ours != theirs {
                let request: Vec<String> =
                    request.iter().map(|word| word.escape_ascii().to_string()).collect();
                wrong.push(format!(
                    "{request:?} by {rules:?}\n  we     {}\n  Valkey {}",
                    ours.shown(),
                    theirs.shown()
                ));
            }
        }
    }
    println!("{judged} judged, {refused} refused for a database");
    assert!(refused > 1000, "{refused} were refused for a database");
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
}
