//! Holds a pinned dependency and no code: see `Cargo.toml`.
