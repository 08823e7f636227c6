//! The manual: `docs/CONFIG.md`, written from the table.

use std::fmt::Write as _;

use super::directive::{Directive, Kind, Standing};
use super::table::AREAS;

const HEAD: &str = "\
# Configuration

Every directive of Redis 7.0, Redis 8.0 and Valkey 9.1 is known: a file or a command line for one of them can be
used as it is; `known to` tells what is known here only. The defaults are those of Redis 8.0. This page is generated from the table in
`src/config/table/`; after a change there run `BLESS=1 cargo test --test docs_config`.

A directive is set in a file (`name value`), on the command line (`--name value`), or, where it says *at run time*,
with CONFIG SET. *Hidden* ones are shown by CONFIG GET only under their exact name; *protected* ones can be set only
as far as `enable-protected-configs` allows; *not while loading* means that CONFIG SET refuses them then.
Bytes may carry a unit: `kb`, `mb` and `gb` are powers of 1024, `k`, `m` and `g` powers of 1000.

What has no effect is accepted, checked, shown and rewritten, and its entry says why; so does the entry of what
has only part of its effect.
";

/// The text of `docs/CONFIG.md`.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    for (area, rows) in AREAS {
        push(&mut page, format_args!("\n## {area}\n"));
        for row in *rows {
            entry(&mut page, row);
        }
    }
    page
}

fn entry(page: &mut String, row: &Directive) {
    push(page, format_args!("\n### `{}`\n\n{}\n\n", row.name, row.doc));
    if let Some(alias) = row.alias {
        push(page, format_args!("- also called: `{alias}`\n"));
    }
    push(page, format_args!("- kind: {}\n", row.kind_in_words()));
    match (row.kind, row.default) {
        (Kind::FileOnly, _) => {}
        (_, "") => page.push_str("- default: empty\n"),
        (_, default) => push(page, format_args!("- default: `{default}`\n")),
    }
    let mut set = vec![if row.flags.immutable { "at start" } else { "at start and at run time" }];
    for (flag, words) in [
        (row.flags.hidden, "hidden"),
        (row.flags.protected, "protected"),
        (row.flags.deny_loading, "not while loading"),
        (row.flags.sensitive, "kept out of logs"),
    ] {
        if flag {
            set.push(words);
        }
    }
    push(page, format_args!("- set: {}\n", set.join(", ")));
    match row.standing {
        Standing::Active => page.push_str("- effect: yes\n"),
        Standing::Partial(why) => {
            push(page, format_args!("- effect: only in part, because {}\n", why.reason()))
        }
        Standing::Inert(why) => push(page, format_args!("- effect: no effect, because {}\n", why.reason())),
    }
    push(page, format_args!("- known to: {}\n", row.origin.servers()));
}

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a string takes every write");
}
