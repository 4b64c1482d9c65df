//! The wire: sockets, TLS, certificates, the redirect to HTTPS.
