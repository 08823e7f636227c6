//! Searching for places: GEOSEARCH, GEOSEARCHSTORE and the older GEORADIUS family.

use super::{place_at, reply_distance, reply_place, unit_at};
use crate::base::double::{format_17_digits, parse_double};
use crate::base::number::I64_BYTES_MAX;
use crate::commands::{reply_element, zset};
use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::{CmdError, CmdResult, Outcome, quoted};
use crate::keyspace::types::ZsetRef;
use crate::keyspace::types::geo::{Area, Found, Place};
use crate::keyspace::types::zset::Builder;
use crate::structures::slab::Handle;

const NO_MEMBER: CmdError = CmdError::coded("ERR could not decode requested zset member");

/// Which command asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// GEORADIUS.
    Place,
    /// GEORADIUSBYMEMBER.
    Member,
    /// GEOSEARCH.
    Search,
    /// GEOSEARCHSTORE.
    Store,
}

/// What the centre of a search is given by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// FROMMEMBER.
    Member,
    /// FROMLONLAT.
    Place,
}

#[derive(Default)]
struct Query {
    centre: Option<Place>,
    /// How GEOSEARCH was told the centre.
    origin: Option<Origin>,
    area: Option<Area>,
    /// Metres of the unit in which distances are given back.
    unit: f64,
    with_distance: bool,
    with_score: bool,
    with_place: bool,
    /// 0: all.
    count: usize,
    any: bool,
    /// Sorted by distance; with `true` the farthest first.
    order: Option<bool>,
    /// The argument that names the key to store to, if any.
    store: Option<usize>,
    stores_distance: bool,
}

impl Query {
    /// Reads a query. What is only checked where the key exists is checked where `zset` is some.
    fn parse(ctx: &Ctx<'_>, by: By, may_store: bool, zset: Option<ZsetRef<'_>>) -> Result<Query, CmdError> {
        let mut query = Query { unit: 1.0, ..Query::default() };
        let mut index = match by {
            By::Place => {
                query.centre = Some(place_at(ctx, 2)?);
                query.circle(ctx, 4)?;
                6
            }
            By::Member => {
                if let Some(zset) = zset {
                    query.centre = Some(place_of(zset, ctx.args.at(2)).ok_or(NO_MEMBER)?);
                    query.circle(ctx, 3)?;
                }
                5
            }
            By::Search => 2,
            By::Store => {
                query.store = Some(1);
                3
            }
        };
        while index < ctx.args.len() {
            index = query.option(ctx, index, by, may_store, zset)?;
        }
        query.check(ctx, by)?;
        Ok(query)
    }

    /// Reads the option at `index` and answers where the next one is.
    fn option(
        &mut self,
        ctx: &Ctx<'_>,
        index: usize,
        by: By,
        may_store: bool,
        zset: Option<ZsetRef<'_>>,
    ) -> Result<usize, CmdError> {
        let args = ctx.args;
        let left = args.len() - index - 1;
        let is_search = matches!(by, By::Search | By::Store);
        let is_polygon = matches!(self.area, Some(Area::Polygon(_)));
        // Said once more, the later counts; said in another way, neither does.
        let may_be_from =
            |origin| is_search && !is_polygon && self.origin.is_none_or(|other| other == origin);
        let may_be_circle = is_search && matches!(self.area, None | Some(Area::Circle { .. }));
        let may_be_box = is_search && matches!(self.area, None | Some(Area::Box { .. }));
        let may_be_polygon = is_search && self.area.is_none() && self.origin.is_none();
        let used = match () {
            () if args.is(index, "withdist") => {
                self.with_distance = true;
                0
            }
            () if args.is(index, "withhash") => {
                self.with_score = true;
                0
            }
            () if args.is(index, "withcoord") => {
                self.with_place = true;
                0
            }
            () if args.is(index, "any") => {
                self.any = true;
                0
            }
            () if args.is(index, "asc") => {
                self.order = Some(false);
                0
            }
            () if args.is(index, "desc") => {
                self.order = Some(true);
                0
            }
            () if args.is(index, "count") && left >= 1 => {
                let count = ctx.int(index + 1)?;
                let error = CmdError::coded("ERR COUNT must be > 0");
                self.count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(error)?;
                1
            }
            () if !is_search && may_store && left >= 1 && args.is(index, "store") => {
                (self.store, self.stores_distance) = (Some(index + 1), false);
                1
            }
            () if !is_search && may_store && left >= 1 && args.is(index, "storedist") => {
                (self.store, self.stores_distance) = (Some(index + 1), true);
                1
            }
            () if may_be_from(Origin::Member) && left >= 1 && args.is(index, "frommember") => {
                self.origin = Some(Origin::Member);
                if let Some(zset) = zset {
                    self.centre = Some(place_of(zset, args.at(index + 1)).ok_or(NO_MEMBER)?);
                }
                1
            }
            () if may_be_from(Origin::Place) && left >= 2 && args.is(index, "fromlonlat") => {
                self.origin = Some(Origin::Place);
                self.centre = Some(place_at(ctx, index + 1)?);
                2
            }
            () if may_be_circle && left >= 2 && args.is(index, "byradius") => {
                self.circle(ctx, index + 1)?;
                2
            }
            () if may_be_box && left >= 3 && args.is(index, "bybox") => {
                let number = |index, error| parse_double(args.at(index)).ok_or(CmdError::coded(error));
                let width = number(index + 1, "ERR need numeric width")?;
                let height = number(index + 2, "ERR need numeric height")?;
                if width < 0.0 || height < 0.0 {
                    return Err(CmdError::coded("ERR height or width cannot be negative"));
                }
                self.unit = unit_at(ctx, index + 3)?;
                self.area = Some(Area::Box { width_m: width * self.unit, height_m: height * self.unit });
                3
            }
            () if may_be_polygon && left >= 1 && args.is(index, "bypolygon") => {
                self.polygon(ctx, index + 1)?
            }
            () if by == By::Store && args.is(index, "storedist") => {
                self.stores_distance = true;
                0
            }
            () => return Err(CmdError::Syntax),
        };
        Ok(index + 1 + used)
    }

    /// The radius at `index` and its unit after it.
    fn circle(&mut self, ctx: &Ctx<'_>, index: usize) -> Result<(), CmdError> {
        let radius = parse_double(ctx.args.at(index)).ok_or(CmdError::coded("ERR need numeric radius"))?;
        if radius < 0.0 {
            return Err(CmdError::coded("ERR radius cannot be negative"));
        }
        self.unit = unit_at(ctx, index + 1)?;
        self.area = Some(Area::Circle { radius_m: radius * self.unit });
        Ok(())
    }

    /// The number of corners at `index` and the corners after it; answers how many arguments that is.
    fn polygon(&mut self, ctx: &Ctx<'_>, index: usize) -> Result<usize, CmdError> {
        let count = ctx.int(index).ok().and_then(|count| i32::try_from(count).ok());
        let count = count.ok_or(CmdError::coded("ERR invalid number of vertices"))?;
        let given = (ctx.args.len() - index - 1) / 2;
        let count = usize::try_from(count).unwrap_or(0);
        if count < 3 || count > given {
            return Err(CmdError::coded("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices"));
        }
        let corners = (0..count).map(|corner| place_at(ctx, index + 1 + 2 * corner));
        let area = Area::Polygon(corners.collect::<Result<_, _>>()?);
        (self.centre, self.area) = (area.centre(), Some(area));
        Ok(1 + 2 * count)
    }

    fn check(&self, ctx: &Ctx<'_>, by: By) -> Result<(), CmdError> {
        let is_search = matches!(by, By::Search | By::Store);
        if self.store.is_some() && (self.with_distance || self.with_score || self.with_place) {
            let what = if by == By::Store { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            return Err(CmdError::err(format!(
                "{what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        let is_polygon = matches!(self.area, Some(Area::Polygon(_)));
        if is_search && self.origin.is_none() && !is_polygon {
            let name = quoted(ctx.args.at(0));
            return Err(CmdError::err(format!(
                "exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}"
            )));
        }
        if is_search && self.area.is_none() {
            let name = quoted(ctx.args.at(0));
            return Err(CmdError::err(format!(
                "exactly one of BYRADIUS and BYBOX can be specified for {name}"
            )));
        }
        if self.any && self.count == 0 {
            return Err(CmdError::coded("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// The places that are asked for, in order.
    fn run<'a>(&self, zset: ZsetRef<'a>) -> Vec<Found<'a>> {
        let (Some(centre), Some(area)) = (self.centre, &self.area) else { return Vec::new() };
        let limit = (self.any && self.count > 0).then_some(self.count);
        let mut found = area.search(zset, centre, limit);
        // The nearest are meant where not just any will do.
        let order = self.order.or((self.count > 0 && !self.any).then_some(false));
        match order {
            Some(false) => found.sort_by(|a, b| a.distance_m.total_cmp(&b.distance_m)),
            Some(true) => found.sort_by(|a, b| b.distance_m.total_cmp(&a.distance_m)),
            None => {}
        }
        if self.count > 0 {
            found.truncate(self.count);
        }
        found
    }
}

fn place_of(zset: ZsetRef<'_>, member: &[u8]) -> Option<Place> {
    zset.score(member).map(Place::from_score)
}

fn search(ctx: &mut Ctx<'_>, by: By, may_store: bool) -> CmdResult {
    let key = ctx.key(if by == By::Store { 2 } else { 1 });
    let handle: Option<Handle> = ctx.read(key);
    let zset = handle.map(|handle| ctx.db_ref().value(handle).zset()).transpose()?;
    let query = Query::parse(ctx, by, may_store, zset)?;
    if let Some(index) = query.store {
        let mut builder = Builder::new(ctx.conf.tuning.hash_key);
        // Polygons are Valkey's: a follower of Redis 8.0 is told the result.
        let mut told = matches!(query.area, Some(Area::Polygon(_))).then(Vec::new);
        if let Some(zset) = zset {
            let mut buf = [0; I64_BYTES_MAX];
            for found in query.run(zset) {
                let distance = found.distance_m / query.unit;
                let score = if query.stores_distance { distance } else { found.score };
                let member = found.member.bytes(&mut buf);
                builder.insert(score, member);
                if let Some(told) = &mut told {
                    let mut text = Vec::new();
                    format_17_digits(score, &mut text);
                    told.extend([text, member.to_vec()]);
                }
            }
        }
        let to = ctx.key(index);
        let was_there = ctx.peek(to).is_some();
        let event = if by == By::Store { "geosearchstore" } else { "georadiusstore" };
        zset::store(ctx, to, builder, event);
        if let Some(told) = told {
            propagate_result(ctx, to, was_there, told);
        }
        return Ok(Outcome::Done);
    }
    let open = ctx.open();
    let found = match handle {
        Some(handle) => query.run(open.db.value(handle).zset()?),
        None => Vec::new(),
    };
    let reply = open.reply;
    let extras = [query.with_distance, query.with_score, query.with_place];
    let extras = extras.into_iter().filter(|is| *is).count();
    reply.array(found.len());
    for found in found {
        if extras > 0 {
            reply.array(1 + extras);
        }
        reply_element(reply, found.member);
        if query.with_distance {
            reply_distance(reply, found.distance_m / query.unit);
        }
        if query.with_score {
            reply.int(found.score as i64);
        }
        if query.with_place {
            reply_place(reply, found.place);
        }
    }
    Ok(Outcome::Done)
}

/// Propagates what a search has stored, score before member, instead of the search.
fn propagate_result(ctx: &mut Ctx<'_>, to: Key<'_>, was_there: bool, pairs: Vec<Vec<u8>>) {
    if was_there {
        ctx.propagate_as(&[b"DEL", to.bytes]);
    }
    if !pairs.is_empty() {
        let mut frame = vec![b"ZADD".to_vec(), to.bytes.to_vec()];
        frame.extend(pairs);
        ctx.propagate_as(&frame);
    }
}

pub(super) fn geosearch(ctx: &mut Ctx<'_>) -> CmdResult {
    search(ctx, By::Search, false)
}

pub(super) fn geosearchstore(ctx: &mut Ctx<'_>) -> CmdResult {
    search(ctx, By::Store, true)
}

pub(super) fn georadius(ctx: &mut Ctx<'_>) -> CmdResult {
    search(ctx, By::Place, true)
}

pub(super) fn georadius_ro(ctx: &mut Ctx<'_>) -> CmdResult {
    search(ctx, By::Place, false)
}

pub(super) fn georadiusbymember(ctx: &mut Ctx<'_>) -> CmdResult {
    search(ctx, By::Member, true)
}

pub(super) fn georadiusbymember_ro(ctx: &mut Ctx<'_>) -> CmdResult {
    search(ctx, By::Member, false)
}
