//! The memory limit, eviction, lazy freeing, and defragmentation.

use super::super::check;
use super::super::directive::{
    Directive, Effect, I32, I64, Origin, U64, Why, choice, flag, memory, number, unread,
};
use super::super::number::Unit;
use super::super::values::MaxmemoryPolicy;

pub(super) const ROWS: &[Directive] = &[
    memory("maxmemory", "0", 0, U64, |c| &mut c.maxmemory_bytes)
        .applies(Effect::Maxmemory)
        .doc("Bytes above which keys are evicted or writes refused; 0 sets no limit."),
    choice("maxmemory-policy", "noeviction", MaxmemoryPolicy::NAMES, |c| &mut c.maxmemory_policy)
        .applies(Effect::Eviction)
        .doc("Which keys are evicted first."),
    number("maxmemory-samples", "5", 1, 64, |c| &mut c.maxmemory_samples)
        .doc("Keys that an eviction compares."),
    number("maxmemory-eviction-tenacity", "10", 0, 100, |c| &mut c.maxmemory_eviction_tenacity)
        .doc("How much time a turn may give to eviction, from 0 for least delay to 100 for no bound."),
    number("lfu-log-factor", "10", 0, I32, |c| &mut c.lfu_log_factor)
        .applies(Effect::Eviction)
        .doc("How many accesses the counter of a key needs to grow; more means slower."),
    number("lfu-decay-time", "1", 0, I32, |c| &mut c.lfu_decay_time_min)
        .applies(Effect::Eviction)
        .doc("Minutes after which the access counter of an idle key falls by one; 0 never."),
    flag("lazyfree-lazy-eviction", "no", |c| &mut c.lazyfree_lazy_eviction)
        .debug()
        .doc("Frees evicted values later instead of at once."),
    flag("lazyfree-lazy-expire", "no", |c| &mut c.lazyfree_lazy_expire)
        .debug()
        .doc("Frees expired values later instead of at once."),
    flag("lazyfree-lazy-server-del", "no", |c| &mut c.lazyfree_lazy_server_del)
        .debug()
        .doc("Frees values that another command replaces later instead of at once."),
    flag("lazyfree-lazy-user-del", "no", |c| &mut c.lazyfree_lazy_user_del)
        .debug()
        .doc("Lets DEL free like UNLINK."),
    flag("lazyfree-lazy-user-flush", "no", |c| &mut c.lazyfree_lazy_user_flush)
        .debug()
        .doc("Lets FLUSHALL, FLUSHDB, SCRIPT FLUSH and FUNCTION FLUSH free later unless told otherwise."),
    unread::number("active-expire-effort", "1", 1, 10, Why::Wheel)
        .doc("How much time the search for expired keys may take."),
    unread::flag("activerehashing", "yes", Why::Rehashing)
        .doc("Moves tables that grow on while the server is idle."),
    unread::flag("activedefrag", "no", Why::Defrag)
        .debug()
        .check(check::activedefrag)
        .doc("Moves values together while the server runs; yes is refused, as by a Redis without jemalloc."),
    unread::number("active-defrag-cycle-min", "1", 1, 99, Why::Defrag)
        .doc("Least percentage of a processor that defragmentation takes."),
    unread::number("active-defrag-cycle-max", "25", 1, 99, Why::Defrag)
        .doc("Greatest percentage of a processor that defragmentation takes."),
    unread::number("active-defrag-cycle-us", "500", 0, 100_000, Why::Defrag)
        .origin(Origin::Valkey)
        .doc("Microseconds of one step of defragmentation."),
    unread::number("active-defrag-threshold-lower", "10", 0, 1000, Why::Defrag)
        .doc("Percentage of fragmentation at which defragmentation starts."),
    unread::number("active-defrag-threshold-upper", "100", 0, 1000, Why::Defrag)
        .doc("Percentage of fragmentation at which it works hardest."),
    unread::number_in(Unit::Memory, "active-defrag-ignore-bytes", "104857600", 1, I64, Why::Defrag)
        .doc("Bytes of fragmentation that are not worth the work."),
    unread::number("active-defrag-max-scan-fields", "1000", 1, I64, Why::Defrag)
        .doc("Elements of a collection above which it is moved in several steps."),
    unread::flag("jemalloc-bg-thread", "yes", Why::Allocator)
        .doc("Lets the allocator give memory back from a thread of its own."),
];
