//! TLS. All of it is accepted, none of it has an effect.

use super::super::directive::{Directive, I32, Origin, PORT, Why, unread};

pub(super) const ROWS: &[Directive] = &[
    unread::number("tls-port", "0", 0, PORT, Why::Tls).doc("TLS port to listen on; 0 listens on none."),
    unread::flag("tls-replication", "no", Why::Tls).doc("Speaks TLS with the primary."),
    unread::flag("tls-cluster", "no", Why::Tls).doc("Speaks TLS on the cluster bus."),
    unread::choice("tls-auth-clients", "yes", &["no", "yes", "optional"], Why::Tls)
        .doc("Whether clients must show a certificate."),
    unread::choice("tls-auth-clients-user", "off", &["CN", "URI", "off"], Why::Tls)
        .origin(Origin::Valkey)
        .doc("Field of a client's certificate that names its user."),
    unread::optional("tls-cert-file", Why::Tls).doc("Certificate of the server."),
    unread::optional("tls-key-file", Why::Tls).doc("Key of the server's certificate."),
    unread::optional("tls-key-file-pass", Why::Tls).sensitive().doc("Password of that key."),
    unread::optional("tls-client-cert-file", Why::Tls)
        .doc("Certificate for connections to other servers; empty takes the server's."),
    unread::optional("tls-client-key-file", Why::Tls).doc("Key of that certificate."),
    unread::optional("tls-client-key-file-pass", Why::Tls).sensitive().doc("Password of that key."),
    unread::optional("tls-dh-params-file", Why::Tls).doc("Parameters of the key exchange."),
    unread::optional("tls-ca-cert-file", Why::Tls).doc("Bundle of trusted authorities."),
    unread::optional("tls-ca-cert-dir", Why::Tls).doc("Directory of trusted authorities."),
    unread::optional("tls-protocols", Why::Tls).doc("Versions of TLS that are accepted."),
    unread::optional("tls-ciphers", Why::Tls).doc("Ciphers up to TLS 1.2."),
    unread::optional("tls-ciphersuites", Why::Tls).doc("Cipher suites of TLS 1.3."),
    unread::flag("tls-prefer-server-ciphers", "no", Why::Tls).doc("Prefers the server's order of ciphers."),
    unread::flag("tls-session-caching", "yes", Why::Tls).doc("Lets clients resume a session."),
    unread::number("tls-session-cache-size", "20480", 0, I32, Why::Tls).doc("Sessions that are remembered."),
    unread::number("tls-session-cache-timeout", "300", 0, I32, Why::Tls)
        .doc("Seconds for which a session is remembered."),
    unread::number("tls-auto-reload-interval", "0", 0, I32, Why::Tls)
        .origin(Origin::Valkey)
        .doc("Seconds between looks for renewed certificates; 0 never looks."),
];
