//! HELP of the commands that have subcommands, from the lines in the row of the container.
//!
//! A container lists [`help_row`] among its subcommands and has its lines in [`Spec::help`]: for each subcommand a line
//! with its syntax and lines of four spaces and an explanation. The title and the lines about HELP itself are added here.

use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdResult, Outcome};
use crate::engine::spec::flag::{LOADING, STALE};
use crate::engine::spec::{Group, Spec};

/// The row of a container's HELP: its group, the version that brought it, and its ACL categories.
pub(super) const fn help_row(group: Group, since: &'static str, acl: u32) -> Spec {
    Spec::local("help", 2, help).flags(LOADING | STALE).acl(acl).doc(
        group,
        since,
        "O(1)",
        "Lists the subcommands with their meaning.",
    )
}

fn help(ctx: &mut Ctx<'_>) -> CmdResult {
    let container = ctx.row.parent.expect("only containers list the row of HELP");
    let lines = ctx.table.at(container).spec.help;
    ctx.reply.array(lines.len() + 3);
    let name = String::from_utf8_lossy(ctx.args.at(0)).to_uppercase();
    ctx.reply.status(&format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for line in lines {
        ctx.reply.status(line);
    }
    ctx.reply.status("HELP");
    ctx.reply.status("    Print this help.");
    Ok(Outcome::Done)
}
