//! The options that XADD and XTRIM share, and the word about references that XDELEX and XACKDEL have, too.

use super::{INVALID_ID, id_at};
use crate::engine::ctx::Ctx;
use crate::engine::error::CmdError;
use crate::keyspace::types::stream::{Keep, Partial, References, Trim};

/// Entries that an approximate trimming looks at, if the nodes have no limit.
const LOOKED_AT: usize = 10_000;
/// At most so many, whatever the limit of the nodes.
const LOOKED_AT_MAX: usize = 1_000_000;

/// What a request says of trimming.
pub(super) struct Trimming {
    pub(super) trim: Trim,
    /// The argument that says how: MAXLEN or MINID.
    pub(super) from: usize,
    /// The argument with the threshold; a sign precedes it if trimming is approximate.
    pub(super) threshold_at: usize,
    /// The argument with the limit, if there is one.
    pub(super) limit_at: Option<usize>,
}

/// What XADD says of who sends the entry, so that it is added once.
#[derive(Clone, Copy)]
pub(super) struct Producer {
    /// The argument that says how: IDMP or IDMPAUTO; the name follows.
    pub(super) from: usize,
    /// Whether the id of the producer is made of the fields; otherwise it follows the name.
    pub(super) is_auto: bool,
}

impl Producer {
    /// The arguments.
    pub(super) fn words(self) -> std::ops::Range<usize> {
        self.from..self.from + if self.is_auto { 2 } else { 3 }
    }
}

/// What XADD and XTRIM were asked for.
pub(super) struct Options {
    pub(super) trimming: Option<Trimming>,
    pub(super) references: References,
    /// The argument that says so, if there is one.
    pub(super) references_at: Option<usize>,
    pub(super) only_existing: bool,
    pub(super) producer: Option<Producer>,
    /// XADD: the argument with the id.
    pub(super) id_at: usize,
    /// XADD: the id, unless the server makes it.
    pub(super) id: Option<Partial>,
}

/// KEEPREF, DELREF or ACKED at an argument.
pub(super) fn references_at(ctx: &Ctx<'_>, index: usize) -> Option<References> {
    let words =
        [("keepref", References::Keep), ("delref", References::Delete), ("acked", References::Acknowledged)];
    words.into_iter().find(|(word, _)| ctx.args.is(index, word)).map(|(_, references)| references)
}

/// IDMP or IDMPAUTO at an argument, with what belongs to it; `before` is what was said already.
fn producer_at(ctx: &Ctx<'_>, index: usize, before: Option<Producer>) -> Result<Option<Producer>, CmdError> {
    let args = ctx.args;
    let is_auto = args.is(index, "idmpauto");
    let producer = Producer { from: index, is_auto };
    if !(is_auto || args.is(index, "idmp")) || producer.words().end > args.len() {
        return Ok(None);
    }
    if before.is_some() {
        return Err(CmdError::coded("ERR syntax error, IDMP/IDMPAUTO specified multiple times"));
    }
    let refusal = match is_auto {
        _ if args.at(index + 1).is_empty() && is_auto => {
            "ERR syntax error, IDMPAUTO requires a non-empty producer ID"
        }
        _ if args.at(index + 1).is_empty() => "ERR syntax error, IDMP requires a non-empty producer ID",
        false if args.at(index + 2).is_empty() => "ERR syntax error, IDMP requires a non-empty idempotent ID",
        _ => return Ok(Some(producer)),
    };
    Err(CmdError::coded(refusal))
}

/// Reads the options after the key, up to the id if the command adds an entry.
pub(super) fn parse(ctx: &Ctx<'_>, adds: bool) -> Result<Options, CmdError> {
    let args = ctx.args;
    let mut options = Options {
        trimming: None,
        references: References::Keep,
        references_at: None,
        only_existing: false,
        producer: None,
        id_at: 0,
        id: None,
    };
    let (mut limit, mut limit_at) = (0, None);
    let mut index = 2;
    while index < args.len() {
        let has_more = index + 1 < args.len();
        let is_len = args.is(index, "maxlen");
        if adds && args.at(index) == b"*" {
            options.id_at = index;
            break;
        } else if has_more && (is_len || args.is(index, "minid")) {
            if options.trimming.is_some() {
                return Err(CmdError::coded(
                    "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
                ));
            }
            let sign = if index + 2 < args.len() { args.at(index + 1) } else { b"" };
            let threshold_at = index + 1 + usize::from(matches!(sign, b"~" | b"="));
            let keep = if is_len {
                let len = ctx.int(threshold_at)?;
                let len = usize::try_from(len)
                    .map_err(|_| CmdError::coded("ERR The MAXLEN argument must be >= 0."))?;
                Keep::Len(len)
            } else {
                Keep::From(id_at(ctx, threshold_at, 0)?)
            };
            let trim = Trim { keep, approximate: sign == b"~", limit: 0 };
            options.trimming = Some(Trimming { trim, from: index, threshold_at, limit_at: None });
            index = threshold_at;
        } else if has_more && args.is(index, "limit") {
            limit = usize::try_from(ctx.int(index + 1)?)
                .map_err(|_| CmdError::coded("ERR The LIMIT argument must be >= 0."))?;
            limit_at = Some(index + 1);
            index += 1;
        } else if adds && args.is(index, "nomkstream") {
            options.only_existing = true;
        } else if options.references_at.is_none()
            && let Some(references) = references_at(ctx, index)
        {
            options.references = references;
            options.references_at = Some(index);
        } else if adds && let Some(producer) = producer_at(ctx, index, options.producer)? {
            options.producer = Some(producer);
            index = producer.words().end - 1;
        } else if adds {
            options.id_at = index;
            options.id = Some(Partial::parse(args.at(index)).ok_or(INVALID_ID)?);
            // What was propagated has the id that the entry got.
            if options.producer.is_some() && !ctx.replays() {
                return Err(CmdError::coded(
                    "ERR syntax error, IDMP/IDMPAUTO can be used only with auto-generated IDs",
                ));
            }
            break;
        } else {
            return Err(CmdError::Syntax);
        }
        index += 1;
    }
    const NOT_APPROXIMATE: CmdError =
        CmdError::coded("ERR syntax error, LIMIT cannot be used without the special ~ option");
    match &mut options.trimming {
        None if limit > 0 => {
            return Err(CmdError::coded(
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        None if !adds => {
            return Err(CmdError::coded("ERR syntax error, XTRIM must be called with a trimming strategy"));
        }
        None if limit_at.is_some() => return Err(NOT_APPROXIMATE),
        None => {}
        // The threshold that was propagated is exact, whatever limit stands beside it.
        Some(trimming) if ctx.replays() => trimming.limit_at = limit_at,
        Some(trimming) => {
            if limit_at.is_some() && !trimming.trim.approximate {
                return Err(NOT_APPROXIMATE);
            }
            trimming.limit_at = limit_at;
            let of_nodes = (ctx.conf.tuning.stream_node_max_entries as usize).saturating_mul(100);
            trimming.trim.limit = match (limit_at, trimming.trim.approximate) {
                (Some(_), _) => limit,
                (None, false) => 0,
                (None, true) if of_nodes == 0 => LOOKED_AT,
                (None, true) => of_nodes.min(LOOKED_AT_MAX),
            };
        }
    }
    Ok(options)
}
