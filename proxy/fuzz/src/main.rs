//! The engine: one program for all targets, so that it is linked once.
//!
//!   HAUBERK_FUZZ_TARGET=NAME hauberk-fuzz CORPUS... [-max_total_time=SECONDS ...]

#![no_main]

use std::sync::OnceLock;

use hauberk_fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<&Target> = OnceLock::new();

/// The target that the environment names. Ends the program where there is none: it could look at nothing.
fn chosen() -> &'static Target {
    let name = std::env::var("HAUBERK_FUZZ_TARGET").unwrap_or_default();
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        eprintln!("HAUBERK_FUZZ_TARGET={name} is none of {:?}", TARGETS.map(|target| target.name));
        std::process::exit(2);
    };
    target
}

fuzz_target!(|bytes: &[u8]| {
    (TARGET.get_or_init(chosen).run)(bytes);
});
