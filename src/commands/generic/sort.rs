//! SORT: the elements of a list, a set or a sorted set in order, or what other keys hold about them.

use crate::base::double::parse_bound;
use crate::engine::client::state;
use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::keys::KeyAt;
use crate::engine::spec::flag::{DENYOOM, MOVABLEKEYS, READONLY, WRITE};
use crate::engine::spec::{Begin, Find, Group, KeySpec, Spec, acl, key, key_at};
use crate::keyspace::db::is_past;
use crate::keyspace::types::{List, Zset};
use crate::keyspace::{Collection, EventClass, Taken, Type, ValueRef};
use crate::resp::Args;
use crate::structures::listpack::Element;
use std::cmp::Ordering;

const COST: &str =
    "O(N+M*log(M)) where N is the number of elements and M the number of those that are returned.";
const PATTERN_KEYS: KeySpec = KeySpec {
    flags: key::RO | key::ACCESS,
    begin: Begin::Unknown,
    find: Find::Unknown,
    notes: "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the \
            key we sort",
};

pub(in crate::commands) const COMMANDS: &[Spec] = &[
    Spec::local("sort", -2, sort)
        .flags(WRITE | DENYOOM | MOVABLEKEYS)
        .acl(acl::SET | acl::SORTEDSET | acl::LIST | acl::DANGEROUS)
        .keys(&[
            key_at(1, key::RO | key::ACCESS),
            PATTERN_KEYS,
            KeySpec {
                flags: key::OW | key::UPDATE,
                begin: Begin::Unknown,
                find: Find::Unknown,
                notes: "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in \
                        the argument array",
            },
        ])
        .keys_by(|args| keys(args, true))
        .doc(
            Group::Generic,
            "1.0.0",
            COST,
            "Gives or stores the elements of a list, a set or a sorted set in order.",
        )
        .syntax(
            "key@0 BY=by-pattern/pattern:pattern@1? LIMIT=limit{offset:integer count:integer}? \
             GET=get-pattern/pattern:pattern@1?+^ order(ASC | DESC)? ALPHA=sorting:pure-token? STORE=destination@2?",
        ),
    Spec::local("sort_ro", -2, sort)
        .flags(READONLY | MOVABLEKEYS)
        .acl(acl::SET | acl::SORTEDSET | acl::LIST | acl::DANGEROUS)
        .keys(&[key_at(1, key::RO | key::ACCESS), PATTERN_KEYS])
        .keys_by(|args| keys(args, false))
        .doc(Group::Generic, "7.0.0", COST, "Gives the elements of a list, a set or a sorted set in order.")
        .syntax(
            "key@0 BY=by-pattern/pattern:pattern@1? LIMIT=limit{offset:integer count:integer}? \
             GET=get-pattern/pattern:pattern@1?+^ order(ASC | DESC)? ALPHA=sorting:pure-token?",
        ),
];

/// SORT: what is sorted, and where the last STORE puts it. Which keys its patterns stand for nobody can tell.
fn keys(args: Args<'_>, stores: bool) -> Vec<KeyAt> {
    let mut keys = vec![KeyAt { index: 1, flags: key::RO | key::ACCESS }];
    let mut at = 2;
    while stores && at < args.len() {
        if args.is(at, "store") && at + 1 < args.len() {
            keys.truncate(1);
            keys.push(KeyAt { index: at + 1, flags: key::OW | key::UPDATE });
        }
        at += match () {
            () if args.is(at, "limit") => 3,
            () if args.is(at, "get") || args.is(at, "by") || args.is(at, "store") => 2,
            () => 1,
        };
    }
    keys
}

/// What is asked for.
#[derive(Default)]
struct Options<'a> {
    descending: bool,
    as_text: bool,
    by: Option<&'a [u8]>,
    /// A pattern without a star: nothing is sorted.
    unsorted: bool,
    get: Vec<&'a [u8]>,
    /// Offset and count.
    limit: Option<(i64, i64)>,
    store: Option<Key<'a>>,
}

fn options<'a>(ctx: &Ctx<'a>) -> Result<Options<'a>, CmdError> {
    let args = ctx.args;
    let reads_some_keys = *ctx.client_state & state::READS_SOME_KEYS != 0;
    let mut options = Options::default();
    let mut index = 2;
    while index < args.len() {
        let left = args.len() - index - 1;
        let is = |word: &str| args.is(index, word);
        if is("asc") {
            options.descending = false;
        } else if is("desc") {
            options.descending = true;
        } else if is("alpha") {
            options.as_text = true;
        } else if is("limit") && left >= 2 {
            options.limit = Some((ctx.int(index + 1)?, ctx.int(index + 2)?));
            index += 2;
        } else if is("store") && left >= 1 && ctx.row.full_name == "sort" {
            options.store = Some(ctx.key(index + 1));
            index += 1;
        } else if is("by") && left >= 1 {
            let pattern = args.at(index + 1);
            options.unsorted = !pattern.contains(&b'*');
            options.by = Some(pattern).filter(|_| !options.unsorted);
            if !options.unsorted && reads_some_keys {
                return Err(CmdError::coded(
                    "ERR BY option of SORT denied due to insufficient ACL permissions.",
                ));
            }
            index += 1;
        } else if is("get") && left >= 1 {
            if reads_some_keys {
                return Err(CmdError::coded(
                    "ERR GET option of SORT denied due to insufficient ACL permissions.",
                ));
            }
            options.get.push(args.at(index + 1));
            index += 1;
        } else {
            return Err(CmdError::Syntax);
        }
        index += 1;
    }
    Ok(options)
}

/// An element and what it is sorted by.
struct Sorted {
    element: Vec<u8>,
    score: f64,
    text: Option<Vec<u8>>,
}

fn sort(ctx: &mut Ctx<'_>) -> CmdResult {
    let mut options = options(ctx)?;
    let mut found = ctx.read(ctx.key(1));
    let of = found.map(|handle| ctx.db_ref().value(handle).type_of());
    if !matches!(of, None | Some(Type::List | Type::Set | Type::Zset)) {
        return Err(CmdError::WrongType);
    }
    // The order of a set is chance, and neither what is stored nor what a script does should depend on it.
    if options.unsorted && of == Some(Type::Set) && (options.store.is_some() || ctx.is_scripted) {
        (options.unsorted, options.as_text, options.by) = (false, true, None);
    }
    if let Some(handle) = found
        && ctx.db_ref().value(handle).type_of() == Type::Zset
    {
        // Redis makes a table of a small one before it sorts, which OBJECT ENCODING shows from then on.
        let mut zset: Taken<Zset> = ctx.take(handle)?;
        zset.become_table(&ctx.conf.tuning);
        ctx.put(ctx.key(1), zset);
        found = ctx.peek(ctx.key(1));
    }
    let mut elements = match found {
        Some(handle) => elements(ctx.db_ref().value(handle)),
        None => Vec::new(),
    };
    if options.unsorted && options.descending && of != Some(Type::Set) {
        elements.reverse();
    }
    // After one that is no number Redis still looks for what the others are sorted by: the misses are counted and told.
    let (mut sorted, mut fault) = (Vec::with_capacity(elements.len()), Ok(()));
    for element in elements {
        match weigh(ctx, element, &options) {
            Ok(weighed) => sorted.push(weighed),
            Err(e) => fault = Err(e),
        }
    }
    fault?;
    if !options.unsorted {
        sorted.sort_by(|a, b| compare(a, b, &options));
    }
    let range = limits(options.limit, sorted.len());
    let chosen = &sorted[range];
    match options.store {
        None => reply(ctx, chosen, &options),
        Some(to) => store(ctx, to, chosen, &options),
    }
    Ok(Outcome::Done)
}

fn elements(value: ValueRef<'_>) -> Vec<Vec<u8>> {
    match value {
        ValueRef::List(list) => {
            let mut all = Vec::with_capacity(list.len());
            list.walk(0, true, |item| {
                all.push(item.to_vec());
                true
            });
            all
        }
        ValueRef::Set(set) => set.iter().map(Element::to_vec).collect(),
        ValueRef::Zset(zset) => zset.iter().map(|(member, _)| member.to_vec()).collect(),
        _ => Vec::new(),
    }
}

/// Finds out what an element is sorted by.
fn weigh(ctx: &mut Ctx<'_>, element: Vec<u8>, options: &Options<'_>) -> Result<Sorted, CmdError> {
    const NO_NUMBER: CmdError = CmdError::coded("ERR One or more scores can't be converted into double");
    let mut sorted = Sorted { element, score: 0.0, text: None };
    if options.unsorted {
        return Ok(sorted);
    }
    let by = match options.by {
        Some(pattern) => look_up(ctx, pattern, &sorted.element),
        None if options.as_text => return Ok(sorted),
        None => Some(sorted.element.clone()),
    };
    if options.as_text {
        sorted.text = by;
    } else if let Some(text) = by {
        sorted.score = parse_bound(as_c(&text)).filter(|score| !score.is_nan()).ok_or(NO_NUMBER)?;
    }
    Ok(sorted)
}

fn compare(a: &Sorted, b: &Sorted, options: &Options<'_>) -> Ordering {
    let order = if !options.as_text {
        // Equal scores are ordered by the elements, so that the result is always the same.
        a.score.total_cmp(&b.score).then_with(|| a.element.cmp(&b.element))
    } else if options.by.is_some() {
        a.text.as_deref().map(as_c).cmp(&b.text.as_deref().map(as_c))
    } else if options.store.is_some() {
        a.element.cmp(&b.element)
    } else {
        as_c(&a.element).cmp(as_c(&b.element))
    };
    if options.descending { order.reverse() } else { order }
}

/// A text as C compares it: up to a zero byte.
fn as_c(text: &[u8]) -> &[u8] {
    &text[..text.iter().position(|&byte| byte == 0).unwrap_or(text.len())]
}

/// The part of `len` elements that a limit leaves.
fn limits(limit: Option<(i64, i64)>, len: usize) -> std::ops::Range<usize> {
    let Some((offset, count)) = limit else { return 0..len };
    let start = usize::try_from(offset).unwrap_or(0).min(len);
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    start..start.saturating_add(count).min(len)
}

/// What a pattern stands for: `#` the element itself; else the string at the key, or after `->` the field of the hash,
/// whose name the element completes in the place of the star.
fn look_up(ctx: &mut Ctx<'_>, pattern: &[u8], element: &[u8]) -> Option<Vec<u8>> {
    if pattern == b"#" {
        return Some(element.to_vec());
    }
    let star = pattern.iter().position(|&byte| byte == b'*')?;
    let behind = &pattern[star + 1..];
    let arrow = behind.windows(2).position(|pair| pair == b"->").filter(|at| at + 2 < behind.len());
    let (postfix, field) = match arrow {
        Some(at) => (&behind[..at], Some(&behind[at + 2..])),
        None => (behind, None),
    };
    let name = [&pattern[..star], element, postfix].concat();
    let handle = ctx.read(ctx.key_of(&name))?;
    let now_ms = ctx.judged_ms();
    match field {
        Some(field) => {
            let found = ctx.db_ref().value(handle).hash().ok()?.get(field)?;
            if found.deadline.is_none_or(|ms| !is_past(ms, now_ms)) {
                return Some(found.value.element().to_vec());
            }
            if !ctx.keeps_expired() {
                ctx.expire_fields(ctx.key_of(&name), handle, Some(&[field]));
            }
            None
        }
        None => ctx.text(handle).ok().map(|text| text.to_vec()),
    }
}

fn reply(ctx: &mut Ctx<'_>, chosen: &[Sorted], options: &Options<'_>) {
    ctx.reply.array(chosen.len() * options.get.len().max(1));
    for sorted in chosen {
        if options.get.is_empty() {
            ctx.reply.bulk(&sorted.element);
        }
        for pattern in &options.get {
            let text = look_up(ctx, pattern, &sorted.element);
            ctx.reply.bulk_or_null(text.as_deref());
        }
    }
}

fn store(ctx: &mut Ctx<'_>, to: Key<'_>, chosen: &[Sorted], options: &Options<'_>) {
    let tuning = &ctx.conf.tuning;
    let mut list = List::new();
    let mut push = |text: &[u8]| {
        list.expect(text.len(), 1, tuning);
        list.push(text, false);
    };
    for sorted in chosen {
        if options.get.is_empty() {
            push(&sorted.element);
        }
        for pattern in &options.get {
            push(&look_up(ctx, pattern, &sorted.element).unwrap_or_default());
        }
    }
    let count = list.len();
    if count > 0 {
        ctx.store(to, list);
        ctx.notify(EventClass::List, "sortstore", to.bytes);
        ctx.changed(count as u64);
    } else if ctx.peek(to).is_some() {
        ctx.remove(to);
        ctx.notify(EventClass::Generic, "del", to.bytes);
        ctx.changed(1);
    }
    ctx.reply.int(count as i64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn words(line: &str) -> Vec<Bytes> {
        line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
    }

    #[test]
    fn the_last_store_says_where_the_result_goes() {
        let destination = |line: &str| keys(Args::Owned(&words(line)), true).get(1).map(|at| at.index);
        assert_eq!(destination("sort k by store get store store x store y"), Some(9));
        assert_eq!(destination("sort k get store x"), None);
        assert_eq!(destination("sort k limit store store x"), None);
        assert_eq!(destination("sort k desc store"), None);
    }
}
