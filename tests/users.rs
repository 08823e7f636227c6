//! Who may run what: every row of the table, judged for users that lack one thing or another.
//!
//! Requests are made from the syntax of each row. A user lacks the command, all keys, one key, one key for reading or for
//! writing, or the channels; or has exactly what the request needs, in one selector or in two.
//!
//! * Without a peer it is checked that who lacks something is refused, and who has all of it is not.
//! * `WATERWHEEL_ORACLE=path/to/redis-server cargo test --test users` asks a real Redis 8.0 as well: ACL DRYRUN has to
//!   say the same, and what both refuse is then sent by a client of that user, for the text that it gets. And random
//!   rules have to be accepted or refused in the same way, and to leave the same users.
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
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use support::World;
use support::peer::Peer;
use support::reply::Resp;
use waterwheel::base::rng::Rng;
use waterwheel::engine::keys::keys_of;
use waterwheel::engine::spec::{flag, key};
use waterwheel::engine::table::{Row, Table};
use waterwheel::resp::Args;
use waterwheel::resp::reply::encode_request;

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

/// Requests of a row, the same in every run.
fn forms_of(row: &Row, tricky: bool) -> Vec<Form> {
    let mut rng = Rng::from_seed(u64::from(row.id) + 1);
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

fn encoded(requests: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    requests.iter().for_each(|words| encode_request(words, &mut bytes));
    bytes
}

/// Asks our own engine.
fn ask(world: &mut World, client: &str, requests: &[Vec<Vec<u8>>]) -> Vec<Resp> {
    world.send_bytes(client, &encoded(requests));
    world.take_replies(client).0
}

/// A connection to another server.
struct Other(TcpStream);

impl Other {
    fn connect(peer: &Peer) -> Other {
        let socket = peer.connect();
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out can be set");
        Other(socket)
    }

    fn ask(&mut self, requests: &[Vec<Vec<u8>>]) -> Vec<Resp> {
        self.0.write_all(&encoded(requests)).expect("the server reads");
        let (mut bytes, mut piece, mut replies) = (Vec::new(), [0; 65536], Vec::new());
        while replies.len() < requests.len() {
            let n = self.0.read(&mut piece).expect("the server answers");
            assert!(n > 0, "the server went away at {requests:?}");
            bytes.extend_from_slice(&piece[..n]);
            while let Some((reply, len)) = Resp::first(&bytes).filter(|(_, len)| *len > 0) {
                replies.push(reply);
                bytes.drain(..len);
            }
        }
        replies
    }
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
                let replies = ask(world, "a", &[set_user(rules), dry_run(&form)]);
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
fn redis_judges_every_row_in_the_same_way() {
    let Some(program) = std::env::var_os("WATERWHEEL_ORACLE") else {
        println!("WATERWHEEL_ORACLE names no redis-server: nothing was compared");
        return;
    };
    let peer = Peer::start(&program.to_string_lossy());
    let (mut admin, mut user) = (Other::connect(&peer), Other::connect(&peer));
    let mut world = World::new();
    let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    let begin = [words("ACL SETUSER u on nopass"), words("AUTH u x")];
    admin.ask(&begin[..1]);
    user.ask(&begin[1..]);
    ask(&mut world, "a", &begin[..1]);
    ask(&mut world, "u", &begin[1..]);
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
                let (ours, theirs) = (ask(&mut world, "a", &requests), admin.ask(&requests));
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
                    tell(&ask(&mut world, "u", &request), &user.ask(&request));
                    refused += 1;
                }
            }
        }
    }
    println!("{judged} judged, {refused} refused and tried; not of Redis 8.0: {}", left_out.join(" "));
    assert!(judged > 10_000 && refused > 5_000, "{judged} judged, {refused} refused");
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong[..wrong.len().min(60)].join("\n"));
}

#[test]
fn redis_accepts_the_same_rules() {
    let Some(program) = std::env::var_os("WATERWHEEL_ORACLE") else {
        println!("WATERWHEEL_ORACLE names no redis-server: nothing was compared");
        return;
    };
    let peer = Peer::start(&program.to_string_lossy());
    let mut admin = Other::connect(&peer);
    let mut world = World::new();
    let mut rng =
        Rng::from_seed(std::env::var("FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1));
    let list = vec![b"ACL".to_vec(), b"LIST".to_vec()];
    let (mut accepted, mut wrong) = (0, Vec::new());
    for _ in 0..RULES {
        let requests = [rules::request(&mut rng), list.clone()];
        let (ours, theirs) = (ask(&mut world, "a", &requests), admin.ask(&requests));
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
            ask(&mut world, "a", &reset);
            admin.ask(&reset);
        }
    }
    println!("{RULES} requests, {accepted} of them accepted");
    assert!(accepted > RULES / 10 && accepted < RULES * 9 / 10, "{accepted} were accepted");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong[..wrong.len().min(30)].join("\n"));
}
