//! Directives with a syntax of their own: how they are read, shown, and written to a file.

use std::fmt::Display;

use super::directive::{Line, Source, one_of};
use super::number::{format_memory, parse_loose, parse_memory};
use super::settings::Config;
use super::values::{Notifications, OutputLimit, ShutdownOn};
use crate::base::quote::repr;

/// Addresses that `bind` takes at most.
const BIND_ADDRESSES_MAX: usize = 16;

pub(super) fn set_bind(config: &mut Config, args: &[&[u8]], _: Source) -> Result<(), String> {
    config.bind = addresses(args)?;
    Ok(())
}

pub(super) fn get_bind(config: &Config) -> String {
    config.bind.join(" ")
}

/// The default is left out: a file without `bind` means just that.
pub(super) fn bind_lines(config: &Config) -> Vec<Line> {
    match get_bind(config).as_str() {
        "* -::*" => Vec::new(),
        "" => vec![forced("\"\"".to_owned())],
        list => vec![forced(list.to_owned())],
    }
}

pub(super) fn set_rdma_bind(config: &mut Config, args: &[&[u8]], _: Source) -> Result<(), String> {
    let list = addresses(args)?.join(" ");
    config.unread.insert("rdma-bind", list.into_bytes());
    Ok(())
}

pub(super) fn get_rdma_bind(config: &Config) -> String {
    config.unread.get("rdma-bind").map_or_else(String::new, |list| String::from_utf8_lossy(list).into_owned())
}

fn addresses(args: &[&[u8]]) -> Result<Vec<String>, String> {
    if args.len() > BIND_ADDRESSES_MAX {
        return Err("Too many bind addresses specified.".to_owned());
    }
    let args = if args == [b"".as_slice()] { &[] } else { args };
    args.iter().map(|arg| utf8(arg)).collect()
}

pub(super) fn set_dir(config: &mut Config, args: &[&[u8]], _: Source) -> Result<(), String> {
    let &[path] = args else { return Err(wrong_number()) };
    config.dir = utf8(path)?;
    Ok(())
}

pub(super) fn get_dir(config: &Config) -> String {
    config.dir.clone()
}

/// Always written: the file may be read from another directory next time.
pub(super) fn dir_lines(config: &Config) -> Vec<Line> {
    vec![forced(repr(config.dir.as_bytes()))]
}

/// From files every line adds to the list, save that the first one of all replaces the default, which the reader
/// of the file sees to.
pub(super) fn set_save(config: &mut Config, args: &[&[u8]], source: Source) -> Result<(), String> {
    let invalid = || "Invalid save parameters".to_owned();
    if args == [b"".as_slice()] {
        config.save.clear();
        return Ok(());
    }
    let (pairs, rest) = args.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(invalid());
    }
    let at_least = |arg: &[u8], least: i64| {
        let value = parse_loose(arg).filter(|&value| value >= least)?;
        u64::try_from(value).ok()
    };
    let points = pairs
        .iter()
        .map(|[seconds, changes]| Some((at_least(seconds, 1)?, at_least(changes, 0)?)))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(invalid)?;
    if source == Source::Client {
        config.save.clear();
    }
    config.save.extend(points);
    Ok(())
}

pub(super) fn get_save(config: &Config) -> String {
    join(config.save.iter().map(|(seconds, changes)| format!("{seconds} {changes}")))
}

/// One line a save point, always written: a file without any would mean the default.
pub(super) fn save_lines(config: &Config) -> Vec<Line> {
    if config.save.is_empty() {
        return vec![forced("\"\"".to_owned())];
    }
    config.save.iter().map(|(seconds, changes)| forced(format!("{seconds} {changes}"))).collect()
}

/// Names of the classes of clients, as they are shown.
const CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

pub(super) fn set_output_limits(config: &mut Config, args: &[&[u8]], _: Source) -> Result<(), String> {
    let (groups, rest) = args.as_chunks::<4>();
    if !rest.is_empty() {
        return Err("Wrong number of arguments in buffer limit configuration.".to_owned());
    }
    for [class, hard, soft, seconds] in groups {
        let class = match class.to_ascii_lowercase().as_slice() {
            b"normal" => OutputLimit::NORMAL,
            b"slave" | b"replica" => OutputLimit::REPLICA,
            b"pubsub" => OutputLimit::PUBSUB,
            _ => return Err("Invalid client class specified in buffer limit configuration.".to_owned()),
        };
        let limit = || {
            Some(OutputLimit {
                hard_bytes: parse_memory(hard)?,
                soft_bytes: parse_memory(soft)?,
                soft_seconds: u64::try_from(parse_loose(seconds)?).ok()?,
            })
        };
        config.client_output_buffer_limits[class] =
            limit().ok_or("Error in hard, soft or soft_seconds setting in buffer limit configuration.")?;
    }
    Ok(())
}

pub(super) fn get_output_limits(config: &Config) -> String {
    let limits = config.client_output_buffer_limits.iter();
    join(CLASSES.iter().zip(limits).map(|(class, limit)| {
        format!("{class} {} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_seconds)
    }))
}

pub(super) fn output_limit_lines(config: &Config) -> Vec<Line> {
    let defaults = Config::new().client_output_buffer_limits;
    let limits = config.client_output_buffer_limits.iter().zip(&defaults);
    ["normal", "replica", "pubsub"]
        .iter()
        .zip(limits)
        .map(|(class, (limit, default))| {
            let hard = format_memory(i128::from(limit.hard_bytes));
            let soft = format_memory(i128::from(limit.soft_bytes));
            Line { value: format!("{class} {hard} {soft} {}", limit.soft_seconds), forced: limit != default }
        })
        .collect()
}

pub(super) fn set_oom_values(config: &mut Config, args: &[&[u8]], _: Source) -> Result<(), String> {
    let &[primary, replica, child] = args else { return Err(wrong_number()) };
    let value = |arg: &[u8]| {
        let value = parse_loose(arg).filter(|value| (-2000..=2000).contains(value))?;
        i32::try_from(value).ok()
    };
    let values = || Some([value(primary)?, value(replica)?, value(child)?]);
    config.oom_score_adj_values =
        values().ok_or("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")?;
    Ok(())
}

pub(super) fn get_oom_values(config: &Config) -> String {
    join(config.oom_score_adj_values)
}

pub(super) fn set_shutdown(field: &mut ShutdownOn, args: &[&[u8]]) -> Result<(), String> {
    let mut chosen = ShutdownOn::default();
    if args.is_empty() {
        return Err(one_of(ShutdownOn::NAMES));
    }
    for arg in args {
        match arg.to_ascii_lowercase().as_slice() {
            b"default" => {}
            b"save" => chosen.save = true,
            b"nosave" => chosen.nosave = true,
            b"now" => chosen.now = true,
            b"force" => chosen.force = true,
            _ => return Err(one_of(ShutdownOn::NAMES)),
        }
    }
    if chosen.save && chosen.nosave {
        return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".to_owned());
    }
    *field = chosen;
    Ok(())
}

pub(super) fn set_key_memory_histograms(
    config: &mut Config,
    args: &[&[u8]],
    source: Source,
) -> Result<(), String> {
    let &[value] = args else { return Err(wrong_number()) };
    let on = match value.to_ascii_lowercase().as_slice() {
        b"yes" => true,
        b"no" => false,
        _ => return Err("argument must be 'yes' or 'no'".to_owned()),
    };
    // What is there already was not counted.
    if on && !config.key_memory_histograms && source == Source::Client {
        return Err("memory tracking cannot be enabled at runtime".to_owned());
    }
    config.key_memory_histograms = on;
    Ok(())
}

pub(super) fn set_notifications(config: &mut Config, args: &[&[u8]], _: Source) -> Result<(), String> {
    let &[letters] = args else { return Err(wrong_number()) };
    config.notify_keyspace_events =
        Notifications::parse(letters).ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
    Ok(())
}

pub(super) fn notification_lines(config: &Config) -> Vec<Line> {
    let letters = config.notify_keyspace_events.to_string();
    vec![Line { value: repr(letters.as_bytes()), forced: config.notify_keyspace_events.0 != 0 }]
}

pub(super) fn set_percentiles(config: &mut Config, args: &[&[u8]], _: Source) -> Result<(), String> {
    let args = if args == [b"".as_slice()] { &[] } else { args };
    let mut percentiles = Vec::with_capacity(args.len());
    for arg in args {
        let value = str::from_utf8(arg)
            .ok()
            .and_then(|text| text.parse::<f64>().ok())
            .filter(|value| !value.is_nan())
            .ok_or("Invalid latency-tracking-info-percentiles parameters")?;
        if !(0.0..=100.0).contains(&value) {
            let error = "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]";
            return Err(error.to_owned());
        }
        percentiles.push(value);
    }
    config.latency_tracking_info_percentiles = percentiles;
    Ok(())
}

pub(super) fn get_percentiles(config: &Config) -> String {
    join(config.latency_tracking_info_percentiles.iter().map(|value| {
        let digits = format!("{value:.6}");
        digits.trim_end_matches('0').trim_end_matches('.').to_owned()
    }))
}

/// Always written: a file without the line would mean the default.
pub(super) fn percentile_lines(config: &Config) -> Vec<Line> {
    let list = get_percentiles(config);
    vec![forced(if list.is_empty() { "\"\"".to_owned() } else { list })]
}

pub(super) fn set_replicaof(config: &mut Config, args: &[&[u8]], _: Source) -> Result<(), String> {
    let &[host, port] = args else { return Err(wrong_number()) };
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        config.replicaof = None;
        return Ok(());
    }
    let port = parse_loose(port).and_then(|port| u16::try_from(port).ok()).ok_or("Invalid master port")?;
    config.replicaof = Some((utf8(host)?, port));
    Ok(())
}

pub(super) fn get_replicaof(config: &Config) -> String {
    config.replicaof.as_ref().map_or_else(String::new, |(host, port)| format!("{host} {port}"))
}

/// A primary has no such line, nor has a node of a cluster.
pub(super) fn replicaof_lines(config: &Config) -> Vec<Line> {
    if config.replicaof.is_none() || config.cluster_enabled {
        return Vec::new();
    }
    vec![forced(get_replicaof(config))]
}

/// Smallest backlog that CONFIG SET leaves; a file may ask for less, as in Redis.
const BACKLOG_BYTES_MIN: u64 = 16 * 1024;

pub(super) fn keep_backlog_useful(config: &mut Config, source: Source) {
    if source == Source::Client {
        config.repl_backlog_size_bytes = config.repl_backlog_size_bytes.max(BACKLOG_BYTES_MIN);
    }
}

fn forced(value: String) -> Line {
    Line { value, forced: true }
}

fn wrong_number() -> String {
    "wrong number of arguments".to_owned()
}

fn utf8(arg: &[u8]) -> Result<String, String> {
    str::from_utf8(arg).map(str::to_owned).map_err(|_| "argument must be valid UTF-8".to_owned())
}

fn join<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}
