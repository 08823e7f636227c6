//! `docs/COMMANDS.md` is generated from the rows of the commands; `BLESS=1` writes it anew.
#![allow(clippy::disallowed_methods, reason = "it compares a file, or writes it")]

use std::{env, fs};

#[test]
fn the_manual_of_the_commands_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/COMMANDS.md");
    let page = waterwheel::commands::markdown();
    if env::var_os("BLESS").is_some() {
        fs::write(path, &page).expect("the manual can be written");
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    assert!(kept == page, "docs/COMMANDS.md is stale: run BLESS=1 cargo test --test docs_commands");
}
