//! What the load generator and the backend of the benchmark share: HTTP/1.1 messages and a histogram. Both are made
//! to cost little beside the proxies they measure, and neither shares code with them.

pub mod histogram;
pub mod message;

/// The program's time, in seconds of `CLOCK_MONOTONIC`: the same clock in every process of the machine.
pub fn monotonic_seconds() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    std::time::Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0)).as_secs_f64()
}
