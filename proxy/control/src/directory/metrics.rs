//! What discovery tells of itself.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use hauberk_observe::{CounterFamily, GaugeFamily, Labels, Registry, families};

use super::{Directory, lock};
use crate::table::Table;

/// Sets of endpoints that were not those of the control plane.
pub static DIGEST_MISMATCHES_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_discovery_digest_mismatches_total",
    help: "Sets of endpoints whose digest was not the one that the control plane told; each was asked for anew.",
};

/// Labels: `kind`, `target`.
pub static DISCOVERY_VERSION: GaugeFamily = GaugeFamily {
    name: "hauberk_discovery_version",
    help: "Version of the control plane's world from which what is known of a target was computed.",
};

/// Answers that were not used because they made no sense.
pub static ANSWERS_REFUSED_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_discovery_answers_refused_total",
    help: "Answers of the control plane that were not used because they made no sense.",
};

impl Directory {
    pub(super) fn register(&self, registry: &Registry) {
        let weak = Arc::downgrade(&self.0);
        registry.gauge_source(
            &families::HAUBERK_DISCOVERY_AGE_SECONDS,
            Box::new(move |put| {
                if let Some(inner) = weak.upgrade() {
                    ages(&inner.outbound, "outbound", put);
                    ages(&inner.endpoints, "endpoints", put);
                    ages(&inner.inbound, "inbound", put);
                }
            }),
        );
        let weak = Arc::downgrade(&self.0);
        registry.gauge_source(
            &DISCOVERY_VERSION,
            Box::new(move |put| {
                if let Some(inner) = weak.upgrade() {
                    versions(&inner.outbound, "outbound", put);
                    versions(&inner.endpoints, "endpoints", put);
                    versions(&inner.inbound, "inbound", put);
                }
            }),
        );
        let mismatches = Arc::clone(&self.0.asker.mismatches);
        registry.counter_source(
            &DIGEST_MISMATCHES_TOTAL,
            Box::new(move |put| {
                put(Labels::new().with("kind", "endpoints"), mismatches.load(Ordering::Relaxed) as f64);
            }),
        );
        let services = self.0.asker.services.clone();
        registry.gauge_source(
            &families::HAUBERK_DISCOVERY_CONNECTED,
            Box::new(move |put| {
                for (kind, channel) in [("destination", &services.destination), ("policy", &services.policy)]
                {
                    put(Labels::new().with("kind", kind), f64::from(u8::from(channel.is_connected())));
                }
            }),
        );
        let refused = Arc::clone(&self.0.asker.refused);
        registry.counter_source(
            &ANSWERS_REFUSED_TOTAL,
            Box::new(move |put| {
                let counts = [
                    ("outbound", &refused.outbound),
                    ("endpoints", &refused.endpoints),
                    ("inbound", &refused.inbound),
                ];
                for (kind, count) in counts {
                    put(Labels::new().with("kind", kind), count.load(Ordering::Relaxed) as f64);
                }
            }),
        );
    }
}

fn versions<K: fmt::Display + Clone + Eq + std::hash::Hash, T>(
    table: &Mutex<Table<K, T>>,
    kind: &'static str,
    put: &mut dyn FnMut(Labels, f64),
) {
    for (target, freshness) in lock(table).freshness() {
        if let Some(version) = freshness.version() {
            put(Labels::new().with("kind", kind).with("target", target.to_string()), version as f64);
        }
    }
}

fn ages<K: fmt::Display + Clone + Eq + std::hash::Hash, T>(
    table: &Mutex<Table<K, T>>,
    kind: &'static str,
    put: &mut dyn FnMut(Labels, f64),
) {
    for (target, freshness) in lock(table).freshness() {
        if let Some(age) = freshness.age() {
            put(Labels::new().with("kind", kind).with("target", target.to_string()), age.as_secs_f64());
        }
    }
}
