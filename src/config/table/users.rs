//! Users and what they may do.

use super::super::directive::{Directive, I64, choice, file_only, number, text};
use super::super::values::AclPubsubDefault;

pub(super) const ROWS: &[Directive] = &[
    file_only("user").doc("Declares a user with its rules."),
    text("aclfile", "", |c| &mut c.aclfile)
        .immutable()
        .doc("File that holds the users; empty keeps them in this file."),
    number("acllog-max-len", "128", 0, I64, |c| &mut c.acllog_max_len)
        .doc("Entries that the log of refused commands keeps."),
    choice("acl-pubsub-default", "resetchannels", AclPubsubDefault::NAMES, |c| &mut c.acl_pubsub_default)
        .doc("Whether a new user may use all channels or none."),
];
