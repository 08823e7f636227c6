//! Whoever started the server is told that it is ready.

use crate::config::Supervised;
use crate::sys::process;
use std::env;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Tells whoever started the server that it is ready: systemd by its socket, upstart by a stop.
pub fn tell_ready(supervised: Supervised) {
    let socket = env::var_os("NOTIFY_SOCKET").map(|path| path.to_string_lossy().replacen('@', "\0", 1));
    let is_upstart = supervised == Supervised::Upstart
        || (supervised == Supervised::Auto && env::var_os("UPSTART_JOB").is_some());
    if is_upstart {
        log::info!("supervised by upstart, will stop to signal readiness");
        process::stop();
        return;
    }
    let (Supervised::Systemd | Supervised::Auto, Some(path)) = (supervised, socket) else { return };
    log::info!(
        "supervised by systemd. Please make sure you set appropriate values for TimeoutStartSec and TimeoutStopSec."
    );
    let address = match path.strip_prefix('\0') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let sent = address.and_then(|address| {
        UnixDatagram::unbound()?.send_to_addr(b"READY=1\nSTATUS=Ready to accept connections\n", &address)
    });
    if let Err(error) = sent {
        log::warn!("systemd could not be told: {error}");
    }
}
