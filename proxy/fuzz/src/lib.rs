//! Fuzz targets: one function for each parser of foreign bytes, with what must hold of its answer.
//!
//! A target never says only "it does not crash". What is accepted is written again and read again, in pieces and whole,
//! and must mean the same; what would let two readers disagree must not come out. The corpora under `corpus/` are text,
//! one input a line ([`corpus`]); `cargo test -p hauberk-fuzz` runs every target over its corpus, so that a case which
//! once broke something is a test ever after. The engine is libFuzzer, on the stable compiler (`src/main.rs`);
//! `npm run conformance -- fuzz` builds and runs it.

#![forbid(unsafe_code)]

mod control;
pub mod corpus;
mod first_bytes;
mod http1;
mod paths;
mod translation;
mod values;

use std::fmt::Debug;

/// A target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Also the name of its corpus.
    pub name: &'static str,
    /// Panics if a rule is broken.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 16] = [
    Target { name: "h1_request", run: http1::request_head },
    Target { name: "h1_response", run: http1::response_head },
    Target { name: "h1_body", run: http1::chunked_body },
    Target { name: "h1_to_h2", run: translation::h1_to_h2 },
    Target { name: "h2_to_h1", run: translation::h2_to_h1 },
    Target { name: "client_hello", run: first_bytes::hello },
    Target { name: "detection", run: first_bytes::detection },
    Target { name: "transport_header", run: first_bytes::header },
    Target { name: "path_policy", run: paths::policy },
    Target { name: "control_outbound", run: control::outbound_policy },
    Target { name: "control_inbound", run: control::inbound_policy },
    Target { name: "control_endpoint", run: control::endpoints },
    Target { name: "token", run: values::token },
    Target { name: "header_values", run: values::header_values },
    Target { name: "cookies", run: values::cookies },
    Target { name: "names", run: values::names },
];

/// The value of what must not fail.
fn held<T, E: Debug>(result: Result<T, E>, what: &str) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            assert!(what.is_empty(), "{what}: {error:?}");
            None
        }
    }
}

/// Splits off the first byte, which says how the rest is to be used.
fn choice(bytes: &[u8]) -> (u8, &[u8]) {
    bytes.split_first().map_or((0, bytes), |(first, rest)| (*first, rest))
}
