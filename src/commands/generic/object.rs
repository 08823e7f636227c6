//! OBJECT: how a value is kept.

use crate::commands::help::help_row;
use crate::engine::spec::{Group, Spec, acl};

pub(in crate::commands) const COMMANDS: &[Spec] =
    &[Spec::container("object", &[help_row(Group::Generic, "6.2.0", acl::KEYSPACE)])
        .acl(acl::KEYSPACE)
        .doc(Group::Generic, "2.2.3", "Depends on subcommand.", "Commands that look at how a value is kept.")
        .help(&[
            "ENCODING <key>",
            "    Return the kind of internal representation used in order to store the value",
            "    associated with a <key>.",
            "FREQ <key>",
            "    Return the access frequency index of the <key>. The returned integer is",
            "    proportional to the logarithm of the recent access frequency of the key.",
            "IDLETIME <key>",
            "    Return the idle time of the <key>, that is the approximated number of",
            "    seconds elapsed since the last access to the key.",
            "REFCOUNT <key>",
            "    Return the number of references of the value associated with the specified",
            "    <key>.",
        ])];
