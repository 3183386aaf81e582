//! Framing between the daemon and a media worker (pure).
