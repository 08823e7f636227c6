//! `docs/CONFIG.md` is generated from the table of directives; `BLESS=1` writes it anew.
#![allow(clippy::disallowed_methods, reason = "it compares a file, or writes it")]

use std::{env, fs};

#[test]
fn the_manual_of_the_configuration_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CONFIG.md");
    let page = waterwheel::config::markdown();
    if env::var_os("BLESS").is_some() {
        fs::write(path, &page).expect("the manual can be written");
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    assert!(kept == page, "docs/CONFIG.md is stale: run BLESS=1 cargo test --test docs_config");
}
