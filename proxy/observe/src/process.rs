//! `process_*`: what the kernel tells of this process in `/proc/self`. Nothing is kept between scrapes.

use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::families;
use crate::labels::Labels;
use crate::registry::Registry;

/// Ticks per second of times in `/proc`: fixed at 100 in Linux's interface to user space (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Adds the `process_*` families to a registry. `started` is when the process began.
pub fn register(registry: &Registry, started: SystemTime) {
    let since_epoch = started.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
    let began = Instant::now();
    registry.gauge_source(
        &families::PROCESS_START_TIME_SECONDS,
        Box::new(move |put| put(Labels::new(), since_epoch)),
    );
    registry.counter_source(
        &families::PROCESS_UPTIME_SECONDS_TOTAL,
        Box::new(move |put| put(Labels::new(), began.elapsed().as_secs_f64())),
    );
    registry.counter_source(
        &families::PROCESS_CPU_SECONDS_TOTAL,
        Box::new(|put| put_some(put, read("stat").and_then(|text| cpu_seconds(&text)))),
    );
    registry.gauge_source(
        &families::PROCESS_OPEN_FDS,
        Box::new(|put| {
            put_some(put, fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64))
        }),
    );
    registry.gauge_source(
        &families::PROCESS_MAX_FDS,
        Box::new(|put| put_some(put, read("limits").and_then(|text| max_fds(&text)))),
    );
    for (family, field, unit) in [
        (&families::PROCESS_VIRTUAL_MEMORY_BYTES, "VmSize:", 1024.0),
        (&families::PROCESS_RESIDENT_MEMORY_BYTES, "VmRSS:", 1024.0),
        (&families::PROCESS_THREADS, "Threads:", 1.0),
    ] {
        registry.gauge_source(
            family,
            Box::new(move |put| {
                put_some(put, read("status").and_then(|text| status_field(&text, field)).map(|n| n * unit));
            }),
        );
    }
}

fn read(name: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/self/{name}")).ok()
}

fn put_some(put: &mut dyn FnMut(Labels, f64), value: Option<f64>) {
    if let Some(value) = value {
        put(Labels::new(), value);
    }
}

/// utime and stime of proc(5) `stat`: fields 14 and 15, counted after the command's closing parenthesis.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn max_fds(limits: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn status_field(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 2 0 100 1 1";
        assert_eq!(cpu_seconds(stat), Some(3.0));
    }

    #[test]
    fn limits_and_status_are_read() {
        assert_eq!(max_fds("Limit  Soft\nMax open files            1024    4096    files\n"), Some(1024.0));
        assert_eq!(max_fds("Max open files   unlimited unlimited files\n"), None);
        assert_eq!(status_field("Name:\tx\nVmRSS:\t    4100 kB\nThreads:\t2\n", "VmRSS:"), Some(4100.0));
    }

    #[test]
    fn this_process_shows_all_of_them() {
        let registry = Registry::default();
        register(&registry, SystemTime::now());
        let text = registry.render();
        for name in [
            "process_cpu_seconds_total",
            "process_open_fds",
            "process_resident_memory_bytes",
            "process_start_time_seconds",
            "process_threads",
            "process_uptime_seconds_total",
            "process_virtual_memory_bytes",
        ] {
            assert!(
                text.lines().any(|line| line.starts_with(&format!("{name} "))),
                "{name} is missing in {text}"
            );
        }
    }
}
