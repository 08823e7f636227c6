//! LOLWUT: art by chance. Here it is a water wheel, turned as far as chance says, and the version.

use crate::config::REDIS_VERSION;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdResult, Outcome};
use crate::engine::spec::flag::{FAST, READONLY};
use crate::engine::spec::{Group, Spec};
use std::fmt::Write;

pub(super) const COMMANDS: &[Spec] = &[Spec::local("lolwut", -1, lolwut)
    .flags(READONLY | FAST)
    .doc(Group::Server, "5.0.0", "", "Draws a picture by chance and tells the version.")
    .syntax("VERSION=version:integer?")];

/// Half the height of the picture, in lines; a character is about twice as high as it is wide.
const RADIUS: i32 = 9;
const SPOKES: f64 = 8.0;

fn lolwut(ctx: &mut Ctx<'_>) -> CmdResult {
    // The version chooses among Redis's pictures; there is one here, but a version has to be a number.
    if ctx.args.len() >= 3 && ctx.args.is(1, "version") {
        ctx.int(2)?;
    }
    let turned = ctx.rng.below(1000) as f64 / 1000.0;
    let mut text = String::new();
    for y in -RADIUS..=RADIUS {
        let line: String =
            (-2 * RADIUS..=2 * RADIUS).map(|x| mark(f64::from(x) / 2.0, y.into(), turned)).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str("~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~\n");
    let own = env!("CARGO_PKG_VERSION");
    let _ = writeln!(text, "Redis ver. {REDIS_VERSION} (Waterwheel ver. {own})");
    ctx.reply.verbatim(*b"txt", text.as_bytes());
    Ok(Outcome::Done)
}

/// What stands at a point of the picture.
fn mark(x: f64, y: f64, turned: f64) -> char {
    let radius = f64::from(RADIUS);
    let distance = x.hypot(y);
    let spoke = ((y.atan2(x) / std::f64::consts::TAU + turned / SPOKES).rem_euclid(1.0) * SPOKES).fract();
    let from_spoke = spoke.min(1.0 - spoke) * std::f64::consts::TAU * distance / SPOKES;
    if (distance - radius + 1.5).abs() < 0.5 {
        'o'
    } else if distance < 1.0 {
        '@'
    } else if distance < radius && from_spoke < 0.4 {
        if distance > radius - 1.0 { '#' } else { '+' }
    } else {
        ' '
    }
}
