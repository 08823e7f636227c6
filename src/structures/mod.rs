//! Data structures that know no server.
