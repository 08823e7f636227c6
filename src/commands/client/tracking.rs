//! CLIENT TRACKING, CACHING, GETREDIR and TRACKINGINFO.

use crate::base::number::parse_i64;
use crate::engine::client::state;
use crate::engine::error::{CmdError, CmdResult, Outcome, quoted};
use crate::engine::tracking::{Mode, Tracker};
use crate::engine::{Call, Engine};
use bytes::Bytes;

/// The options of CLIENT TRACKING.
fn options(engine: &Engine, call: &Call<'_>) -> Result<(Mode, Vec<Bytes>), CmdError> {
    let args = call.args;
    let (mut mode, mut prefixes) = (Mode::default(), Vec::new());
    let mut at = 3;
    while at < args.len() {
        let has_value = at + 1 < args.len();
        if args.is(at, "redirect") && has_value {
            at += 1;
            if mode.redirect != 0 {
                return Err(CmdError::coded("ERR A client can only redirect to a single other client"));
            }
            let id = parse_i64(args.at(at)).ok_or(CmdError::NotInteger)?;
            if engine.clients.by_id(id as u64).is_none() {
                return Err(CmdError::coded("ERR The client ID you want redirect to does not exist"));
            }
            mode.redirect = id as u64;
        } else if args.is(at, "bcast") {
            mode.bcast = true;
        } else if args.is(at, "optin") {
            mode.optin = true;
        } else if args.is(at, "optout") {
            mode.optout = true;
        } else if args.is(at, "noloop") {
            mode.noloop = true;
        } else if args.is(at, "prefix") && has_value {
            at += 1;
            prefixes.push(args.bytes(at));
        } else {
            return Err(CmdError::Syntax);
        }
        at += 1;
    }
    Ok((mode, prefixes))
}

/// Whether a client may track in this way, given how it tracks already.
fn check(now: Option<&Tracker>, mode: &Mode, prefixes: &[Bytes]) -> Result<(), CmdError> {
    let error = |text| Err(CmdError::coded(text));
    if !mode.bcast && !prefixes.is_empty() {
        return error("ERR PREFIX option requires BCAST mode to be enabled");
    }
    if now.is_some_and(|now| now.mode.bcast != mode.bcast) {
        return error(
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it \
             with a different mode.",
        );
    }
    if mode.bcast && (mode.optin || mode.optout) {
        return error("ERR OPTIN and OPTOUT are not compatible with BCAST");
    }
    if mode.optin && mode.optout {
        return error("ERR You can't specify both OPTIN mode and OPTOUT mode");
    }
    if now.is_some_and(|now| (mode.optin && now.mode.optout) || (mode.optout && now.mode.optin)) {
        return error(
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it \
             with a different mode.",
        );
    }
    // Those that begin with a prefix stand right after it in their order.
    let mut sorted: Vec<&Bytes> = prefixes.iter().collect();
    sorted.sort_unstable();
    let some_overlap = sorted.windows(2).any(|pair| pair[1].starts_with(pair[0]));
    for (index, prefix) in prefixes.iter().enumerate() {
        let overlap = |kind: &str, other: &[u8]| {
            let (prefix, other) = (quoted(prefix), quoted(other));
            Err(CmdError::err(format!(
                "Prefix '{prefix}' overlaps with {kind} prefix '{other}'. Prefixes for a single client must not overlap."
            )))
        };
        if let Some(own) = now.and_then(|now| now.overlapping(prefix)) {
            return overlap("an existing", own);
        }
        let later = if some_overlap { &prefixes[index + 1..] } else { &[] };
        if let Some(other) = later.iter().find(|p| p.starts_with(prefix) || prefix.starts_with(p)) {
            return overlap("another provided", other);
        }
    }
    Ok(())
}

pub(super) fn tracking(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let (mode, prefixes) = options(engine, call)?;
    if call.args.is(2, "on") {
        check(engine.clients[call.slot].tracker.as_deref(), &mode, &prefixes)?;
        // What its own transaction did before is nothing that it has read.
        engine.tell_what_rose(call.id);
        engine.track(call.slot, mode, &prefixes);
    } else if call.args.is(2, "off") {
        engine.track_no_longer(call.slot);
    } else {
        return Err(CmdError::Syntax);
    }
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

pub(super) fn caching(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let tracker = engine.clients[call.slot].tracker.as_deref_mut();
    let Some(tracker) = tracker else {
        return Err(CmdError::coded(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ));
    };
    if call.args.is(2, "yes") {
        if !tracker.mode.optin {
            return Err(CmdError::coded(
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            ));
        }
    } else if call.args.is(2, "no") {
        if !tracker.mode.optout {
            return Err(CmdError::coded(
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
            ));
        }
    } else {
        return Err(CmdError::Syntax);
    }
    tracker.caching = true;
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

/// The connection that is told in a client's place, as it is shown: 0 for itself, -1 for a client that does not track.
fn redirect(tracker: Option<&Tracker>) -> i64 {
    tracker.map_or(-1, |tracker| tracker.mode.redirect as i64)
}

pub(super) fn getredir(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let id = redirect(engine.clients[call.slot].tracker.as_deref());
    engine.reply(call.slot).int(id);
    Ok(Outcome::Done)
}

pub(super) fn trackinginfo(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let client = &engine.clients[call.slot];
    let is_broken = client.is(state::TRACKING_BROKEN);
    let tracker = client.tracker.as_deref();
    let mut flags = vec![if tracker.is_some() { "on" } else { "off" }];
    let mut prefixes = Vec::new();
    if let Some(Tracker { mode, caching, prefixes: own, .. }) = tracker {
        let all = [
            (mode.bcast, "bcast"),
            (mode.optin, "optin"),
            (mode.optin && *caching, "caching-yes"),
            (mode.optout, "optout"),
            (mode.optout && *caching, "caching-no"),
            (mode.noloop, "noloop"),
            (is_broken, "broken_redirect"),
        ];
        flags.extend(all.iter().filter(|(is_on, _)| *is_on).map(|(_, name)| *name));
        prefixes.extend(own.iter().cloned());
    }
    let id = redirect(tracker);
    let mut reply = engine.reply(call.slot);
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"redirect");
    reply.int(id);
    reply.bulk(b"prefixes");
    reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    Ok(Outcome::Done)
}
