//! Places: sorted sets whose scores are positions on the earth; searches are in [`search`].
//!
//! There is no type for them: whatever works on sorted sets works on places, and GEOADD goes on as a ZADD.

mod search;

use crate::base::double::parse_double;
use crate::base::number::{I64_BYTES_MAX, format_i64};
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::keys::KeyAt;
use crate::engine::spec::flag::{DENYOOM, READONLY, WRITE};
use crate::engine::spec::{Begin, Find, Group, KeySpec, Spec, acl, key, key_at};
use crate::keyspace::types::geo::Place;
use crate::resp::Args;
use crate::resp::Reply;

const EACH: &str = "O(N) where N is the number of members given.";
const SEARCH: &str = "O(N+log(M)) where N is the number of places in the cells of the grid around the area and M that of all places.";
const UPPERCASE: (&str, &str) = ("7.0.0", "Units may be written in capitals.");
const ANY: (&str, &str) = ("6.2.0", "`ANY` came for `COUNT`.");

const READ: &[KeySpec] = &[key_at(1, key::RO | key::ACCESS)];

/// The key after a word, looked for from the argument `from` on.
const fn behind(word: &'static str, from: i32) -> KeySpec {
    KeySpec {
        flags: key::OW | key::UPDATE,
        begin: Begin::Keyword(word, from),
        find: Find::Range { last: 0, step: 1, limit: 0 },
        notes: "",
    }
}

/// A row of this family.
const fn row(name: &'static str, arity: i16, run: fn(&mut Ctx<'_>) -> CmdResult) -> Spec {
    Spec::local(name, arity, run).acl(acl::GEO)
}

pub(super) const COMMANDS: &[Spec] = &[
    row("geoadd", -5, geoadd)
        .flags(WRITE | DENYOOM)
        .keys(&[key_at(1, key::RW | key::UPDATE)])
        .doc(
            Group::Geo,
            "3.2.0",
            "O(M*log(N)) where N is the number of members and M the number of those given.",
            "Sets the places of members.",
        )
        .syntax(
            "key@0 condition(NX | XX)?#6.2.0 CH=change:pure-token?#6.2.0 \
             data{longitude:double latitude:double member}+",
        )
        .history(&[("6.2.0", "`CH`, `NX` and `XX` came.")]),
    row("geopos", -2, geopos)
        .flags(READONLY)
        .keys(READ)
        .doc(Group::Geo, "3.2.0", EACH, "Gives the longitudes and latitudes of members.")
        .syntax("key@0 member?+"),
    row("geodist", -4, geodist)
        .flags(READONLY)
        .keys(READ)
        .doc(Group::Geo, "3.2.0", "O(1)", "Gives the distance of two members.")
        .syntax("key@0 member1 member2 unit(M | KM | FT | MI)?"),
    row("geohash", -2, geohash)
        .flags(READONLY)
        .keys(READ)
        .doc(Group::Geo, "3.2.0", EACH, "Gives the standard geohashes of members.")
        .syntax("key@0 member?+"),
    row("geosearch", -7, search::geosearch)
        .flags(READONLY)
        .keys(READ)
        .doc(Group::Geo, "6.2.0", SEARCH, "Finds the members in a circle, a box or a polygon.")
        .syntax(
            "key@0 from(FROMMEMBER=member | FROMLONLAT=fromlonlat{longitude:double latitude:double})? \
             by(circle{BYRADIUS=radius:double unit(M | KM | FT | MI)} | \
             box{BYBOX=width:double height:double unit(M | KM | FT | MI)} | \
             polygon{BYPOLYGON=num-vertices:integer vertices{longitude:double latitude:double}+}#9.0.0) \
             order(ASC | DESC)? count-block{COUNT=count:integer ANY?}? WITHCOORD? WITHDIST? WITHHASH?",
        )
        .history(&[UPPERCASE]),
    row("geosearchstore", -8, search::geosearchstore)
        .flags(WRITE | DENYOOM)
        .keys(&[key_at(1, key::OW | key::UPDATE), key_at(2, key::RO | key::ACCESS)])
        .doc(Group::Geo, "6.2.0", SEARCH, "Stores the members in a circle, a box or a polygon.")
        .syntax(
            "destination@0 source@1 from(FROMMEMBER=member | FROMLONLAT=fromlonlat{longitude:double latitude:double})? \
             by(circle{BYRADIUS=radius:double unit(M | KM | FT | MI)} | \
             box{BYBOX=width:double height:double unit(M | KM | FT | MI)} | \
             polygon{BYPOLYGON=num-vertices:integer vertices{longitude:double latitude:double}+}#9.0.0) \
             order(ASC | DESC)? count-block{COUNT=count:integer ANY?}? STOREDIST?",
        )
        .history(&[UPPERCASE]),
    row("georadius", -6, search::georadius)
        .flags(WRITE | DENYOOM)
        .keys(&[key_at(1, key::RO | key::ACCESS), behind("STORE", 6), behind("STOREDIST", 6)])
        .keys_by(|args| stores(args, 6))
        .doc(Group::Geo, "3.2.0", SEARCH, "Finds or stores the members around a place.")
        .syntax(
            "key@0 longitude:double latitude:double radius:double unit(M | KM | FT | MI) WITHCOORD? WITHDIST? WITHHASH? \
             count-block{COUNT=count:integer ANY?#6.2.0}? order(ASC | DESC)? \
             store(STORE=storekey/key@1 | STOREDIST=storedistkey/key@2)?",
        )
        .history(&[ANY, UPPERCASE])
        .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument"),
    row("georadius_ro", -6, search::georadius_ro)
        .flags(READONLY)
        .keys(READ)
        .doc(Group::Geo, "3.2.10", SEARCH, "Finds the members around a place.")
        .syntax(
            "key@0 longitude:double latitude:double radius:double unit(M | KM | FT | MI) WITHCOORD? WITHDIST? WITHHASH? \
             count-block{COUNT=count:integer ANY?#6.2.0}? order(ASC | DESC)?",
        )
        .history(&[ANY, UPPERCASE])
        .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument"),
    row("georadiusbymember", -5, search::georadiusbymember)
        .flags(WRITE | DENYOOM)
        .keys(&[key_at(1, key::RO | key::ACCESS), behind("STORE", 5), behind("STOREDIST", 5)])
        .keys_by(|args| stores(args, 5))
        .doc(Group::Geo, "3.2.0", SEARCH, "Finds or stores the members around one of them.")
        .syntax(
            "key@0 member radius:double unit(M | KM | FT | MI) WITHCOORD? WITHDIST? WITHHASH? \
             count-block{COUNT=count:integer ANY?}? order(ASC | DESC)? \
             store(STORE=storekey/key@1 | STOREDIST=storedistkey/key@2)?",
        )
        .history(&[ANY, UPPERCASE])
        .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments"),
    row("georadiusbymember_ro", -5, search::georadiusbymember_ro)
        .flags(READONLY)
        .keys(READ)
        .doc(Group::Geo, "3.2.10", SEARCH, "Finds the members around one of them.")
        .syntax(
            "key@0 member radius:double unit(M | KM | FT | MI) WITHCOORD? WITHDIST? WITHHASH? \
             count-block{COUNT=count:integer ANY?}? order(ASC | DESC)?",
        )
        .history(&[ANY, UPPERCASE])
        .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments"),
];

/// The destinations of GEORADIUS and its kind, whose options begin at `from`: it takes the last of several STORE, a key spec
/// finds the first.
fn stores(args: Args<'_>, from: usize) -> Vec<KeyAt> {
    let (mut found, mut at) = (Vec::new(), from);
    while at + 1 < args.len() {
        let stores = args.is(at, "store") || args.is(at, "storedist");
        if stores {
            found.push(KeyAt { index: at + 1, flags: key::OW | key::UPDATE });
        }
        at += if stores || args.is(at, "count") { 2 } else { 1 };
    }
    found
}

/// The place whose longitude is the argument `index`.
fn place_at(ctx: &Ctx<'_>, index: usize) -> Result<Place, CmdError> {
    let number = |index| parse_double(ctx.args.at(index)).ok_or(CmdError::NotFloat);
    let (lon, lat) = (number(index)?, number(index + 1)?);
    Place::new(lon, lat)
        .ok_or_else(|| CmdError::err(format!("invalid longitude,latitude pair {lon:.6},{lat:.6}")))
}

/// The metres of the unit at argument `index`.
fn unit_at(ctx: &Ctx<'_>, index: usize) -> Result<f64, CmdError> {
    let units = [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];
    let unit = units.iter().find(|(name, _)| ctx.args.is(index, name));
    unit.map(|(_, metres)| *metres)
        .ok_or(CmdError::coded("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

/// Replies with a distance: four digits after the point.
fn reply_distance(reply: &mut Reply<'_>, distance: f64) {
    let scaled = (distance * 10_000.0).round_ties_even() as i64;
    let mut buf = [0; I64_BYTES_MAX];
    let digits = format_i64(scaled, &mut buf);
    let mut text = vec![b'0'; 5usize.saturating_sub(digits.len())];
    text.extend_from_slice(digits);
    text.insert(text.len() - 4, b'.');
    reply.bulk(&text);
}

fn reply_place(reply: &mut Reply<'_>, place: Place) {
    reply.array(2);
    reply.double(place.lon);
    reply.double(place.lat);
}

fn geoadd(ctx: &mut Ctx<'_>) -> CmdResult {
    let args = ctx.args;
    let mut index = 2;
    let (mut new_only, mut old_only) = (false, false);
    while index < args.len() {
        if args.is(index, "nx") {
            new_only = true;
        } else if args.is(index, "xx") {
            old_only = true;
        } else if !args.is(index, "ch") {
            break;
        }
        index += 1;
    }
    let left = args.len() - index;
    if left == 0 || !left.is_multiple_of(3) || new_only && old_only {
        return Err(CmdError::Syntax);
    }
    let mut pairs: Vec<(f64, &[u8])> = Vec::with_capacity(left / 3);
    for at in (index..args.len()).step_by(3) {
        pairs.push((place_at(ctx, at)?.score(), args.at(at + 2)));
    }
    super::zset::add_places(ctx, index, &pairs)
}

/// The places of the members from argument `from` on, one after the other, to `each`.
fn each_place(
    ctx: &mut Ctx<'_>,
    from: usize,
    mut each: impl FnMut(&mut Reply<'_>, Option<Place>),
) -> Result<(), CmdError> {
    let args = ctx.args;
    let handle = ctx.read(ctx.key(1));
    let open = ctx.open();
    let zset = handle.map(|handle| open.db.value(handle).zset()).transpose()?;
    open.reply.array(args.len() - from);
    for member in args.iter_from(from) {
        each(open.reply, zset.and_then(|zset| zset.score(member)).map(Place::from_score));
    }
    Ok(())
}

fn geopos(ctx: &mut Ctx<'_>) -> CmdResult {
    each_place(ctx, 2, |reply, place| match place {
        Some(place) => reply_place(reply, place),
        None => reply.null_array(),
    })?;
    Ok(Outcome::Done)
}

fn geohash(ctx: &mut Ctx<'_>) -> CmdResult {
    each_place(ctx, 2, |reply, place| match place {
        Some(place) => reply.bulk(&place.geohash()),
        None => reply.null(),
    })?;
    Ok(Outcome::Done)
}

fn geodist(ctx: &mut Ctx<'_>) -> CmdResult {
    let unit = match ctx.args.len() {
        4 => 1.0,
        5 => unit_at(ctx, 4)?,
        _ => return Err(CmdError::Syntax),
    };
    let mut distance = None;
    if let Some(handle) = ctx.read(ctx.key(1)) {
        let zset = ctx.db_ref().value(handle).zset()?;
        let place = |index| zset.score(ctx.args.at(index)).map(Place::from_score);
        distance = place(2).zip(place(3)).map(|(a, b)| a.distance_m(b) / unit);
    }
    match distance {
        Some(distance) => reply_distance(&mut ctx.reply, distance),
        None => ctx.reply.null(),
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn words(line: &str) -> Vec<Bytes> {
        line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
    }

    #[test]
    fn every_store_is_a_key_that_the_handler_may_take() {
        let places = |line: &str| -> Vec<usize> {
            stores(Args::Owned(&words(line)), 6).iter().map(|at| at.index).collect()
        };
        assert_eq!(places("georadius k 1 1 9 km store a storedist b store c"), [7, 9, 11]);
        assert_eq!(places("georadius k 1 1 9 km store store storedist storedist"), [7, 9]);
        assert_eq!(places("georadius k 1 1 9 km count store store"), [0; 0]);
    }
}
