//! COMMAND DOCS: rows as people want them, fields by name.

use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdResult, Outcome};
use crate::engine::syntax::{self, Argument};
use crate::engine::table::Row;

/// Commands that servers and clients use among themselves.
const INTERNAL: &[&str] = &["debug", "pfdebug", "pfselftest", "replconf", "restore-asking"];

pub(super) fn docs(ctx: &mut Ctx<'_>) -> CmdResult {
    let rows: Vec<&'static Row> = match ctx.args.len() {
        2 => ctx.table.commands().collect(),
        // A name that is unknown has no documentation.
        _ => ctx.args.iter_from(2).filter_map(|name| ctx.table.find_full(name)).collect(),
    };
    ctx.reply.map(rows.len());
    for row in rows {
        reply_row(ctx, row);
    }
    Ok(Outcome::Done)
}

fn reply_row(ctx: &mut Ctx<'_>, row: &'static Row) {
    let spec = row.spec;
    let arguments = syntax::parse(spec.syntax).expect("a test parses every syntax");
    let is_internal = INTERNAL.contains(&row.full_name);
    let flags = [(spec.deprecated.is_some(), "deprecated"), (is_internal, "syscmd")];
    let flags: Vec<&str> = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| *name).collect();
    ctx.reply.bulk(row.full_name.as_bytes());
    ctx.reply.map(
        3 + usize::from(!spec.complexity.is_empty() && spec.module.is_none())
            + usize::from(spec.module.is_some())
            + usize::from(!flags.is_empty())
            + if spec.deprecated.is_some() { 2 } else { 0 }
            + usize::from(!spec.history.is_empty())
            + usize::from(!arguments.is_empty())
            + usize::from(!row.subs.is_empty()),
    );
    reply_field(ctx, "summary", spec.summary);
    reply_field(ctx, "since", spec.since);
    reply_field(ctx, "group", spec.group.name());
    if let Some(module) = spec.module {
        reply_field(ctx, "module", module);
    } else if !spec.complexity.is_empty() {
        reply_field(ctx, "complexity", spec.complexity);
    }
    if !flags.is_empty() {
        ctx.reply.bulk(b"doc_flags");
        reply_flags(ctx, &flags);
    }
    if let Some((since, replaced_by)) = spec.deprecated {
        reply_field(ctx, "deprecated_since", since);
        reply_field(ctx, "replaced_by", replaced_by);
    }
    if !spec.history.is_empty() {
        ctx.reply.bulk(b"history");
        ctx.reply.set(spec.history.len());
        for (since, change) in spec.history {
            ctx.reply.array(2);
            ctx.reply.bulk(since.as_bytes());
            ctx.reply.bulk(change.as_bytes());
        }
    }
    if !arguments.is_empty() {
        ctx.reply.bulk(b"arguments");
        reply_arguments(ctx, &arguments);
    }
    if !row.subs.is_empty() {
        ctx.reply.bulk(b"subcommands");
        ctx.reply.map(row.subs.len());
        for &sub in &row.subs {
            reply_row(ctx, ctx.table.at(sub));
        }
    }
}

fn reply_arguments(ctx: &mut Ctx<'_>, arguments: &[Argument]) {
    ctx.reply.array(arguments.len());
    for argument in arguments {
        let has_parts = argument.kind.has_parts();
        let flags = [
            (argument.optional, "optional"),
            (argument.multiple, "multiple"),
            (argument.multiple_token, "multiple_token"),
        ];
        let flags: Vec<&str> = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| *name).collect();
        ctx.reply.map(
            3 + usize::from(argument.key_spec.is_some())
                + usize::from(argument.token.is_some())
                + usize::from(argument.since.is_some())
                + usize::from(argument.deprecated.is_some())
                + usize::from(!flags.is_empty()),
        );
        reply_field(ctx, "name", &argument.name);
        reply_field(ctx, "type", argument.kind.name());
        if !has_parts {
            reply_field(ctx, "display_text", argument.shown_name());
        }
        if let Some(number) = argument.key_spec {
            ctx.reply.bulk(b"key_spec_index");
            ctx.reply.int(number.into());
        }
        for (name, value) in
            [("token", argument.token), ("since", argument.since), ("deprecated_since", argument.deprecated)]
        {
            if let Some(value) = value {
                reply_field(ctx, name, value);
            }
        }
        if !flags.is_empty() {
            ctx.reply.bulk(b"flags");
            reply_flags(ctx, &flags);
        }
        if has_parts {
            ctx.reply.bulk(b"arguments");
            reply_arguments(ctx, &argument.parts);
        }
    }
}

fn reply_field(ctx: &mut Ctx<'_>, name: &str, value: &str) {
    ctx.reply.bulk(name.as_bytes());
    ctx.reply.bulk(value.as_bytes());
}

fn reply_flags(ctx: &mut Ctx<'_>, flags: &[&str]) {
    ctx.reply.set(flags.len());
    for flag in flags {
        ctx.reply.status(flag);
    }
}
