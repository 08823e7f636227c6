//! The manual: `docs/COMMANDS.md`, written from the table.

use crate::engine::spec::{Group, acl, flag};
use crate::engine::syntax;
use crate::engine::table::{Row, Table};
use std::fmt::Write as _;

const HEAD: &str = "\
# Commands

Every command as the server knows it. This page is generated from the tables at the top of the files in
`src/commands/`; after a change there run `BLESS=1 cargo test --test docs_commands`.

Replies, errors, keyspace events and what goes to replicas are those of Redis 8.0. *Since* names the first version of
Redis that had the command. In the syntax words in capitals are written as they are, `[ ]` may be left out, `< >` is one
of several, `...` may be repeated.
";

/// The text of `docs/COMMANDS.md`.
pub fn markdown() -> String {
    let table = Table::new(crate::commands::FAMILIES);
    let mut groups: Vec<Group> = Vec::new();
    for row in table.commands() {
        if !groups.contains(&row.spec.group) {
            groups.push(row.spec.group);
        }
    }
    groups.sort_by_key(|group| group.name());
    let mut page = HEAD.to_owned();
    for group in groups {
        push(&mut page, format_args!("\n## {}\n", group.name()));
        let mut rows: Vec<&Row> = table.commands().filter(|row| row.spec.group == group).collect();
        rows.sort_by_key(|row| row.full_name);
        for row in rows {
            entry(&mut page, row);
            let mut subs: Vec<&Row> = row.subs.iter().map(|&id| table.at(id)).collect();
            subs.sort_by_key(|sub| sub.full_name);
            for sub in subs {
                entry(&mut page, sub);
            }
        }
    }
    page
}

fn entry(page: &mut String, row: &Row) {
    let spec = row.spec;
    let name = row.full_name.replace('|', " ").to_uppercase();
    let arguments = syntax::parse(spec.syntax).expect("a test parses every syntax");
    let usage = format!("{name} {}", syntax::usage(&arguments));
    push(page, format_args!("\n### `{}`\n\n{}\n\n", usage.trim_end(), spec.summary));
    push(page, format_args!("- since: {}\n", spec.since));
    push(page, format_args!("- cost: {}\n", spec.complexity));
    let flags = names(row.flags, flag::NAMES);
    if !flags.is_empty() {
        push(page, format_args!("- flags: {flags}\n"));
    }
    push(page, format_args!("- ACL categories: {}\n", names(row.categories, acl::NAMES)));
    if let Some((since, replaced_by)) = spec.deprecated {
        push(page, format_args!("- not recommended since {since}; instead: {replaced_by}\n"));
    }
    for (since, change) in spec.history {
        push(page, format_args!("- {since}: {change}\n"));
    }
}

fn names(bits: u32, names: &[(u32, &str)]) -> String {
    let set: Vec<&str> = names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    set.join(", ")
}

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a string takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_says_what_it_does_and_containers_have_help() {
        let table = Table::new(crate::commands::FAMILIES);
        for row in table.rows() {
            assert!(row.spec.summary.ends_with('.'), "{} needs a sentence", row.full_name);
            assert!(
                !row.is_container() || table.find_sub(row, b"help").is_some(),
                "{} needs HELP",
                row.full_name
            );
        }
    }

    #[test]
    fn every_syntax_in_the_table_can_be_parsed() {
        for row in Table::new(crate::commands::FAMILIES).rows() {
            if let Err(error) = syntax::parse(row.spec.syntax) {
                panic!("{}: {error}", row.full_name);
            }
        }
    }
}
