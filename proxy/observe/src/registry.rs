//! All series of the process, and their sum at the scrape.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::exposition::{self, Kind, Sample};
use crate::families;
use crate::family::{CounterFamily, GaugeFamily, HistogramFamily};
use crate::labels::Labels;
use crate::shard::{self, Cells, Counter, Gauge, Histogram};

/// What bounds a registry.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a series without a live handle and without change stays
    /// (`LINKERD2_PROXY_METRICS_RETAIN_IDLE`, 10 min).
    pub retain_idle: Duration,
    /// Most series of one family. A histogram series of the widest family takes about 400 bytes, so that one
    /// family stays below half a MiB; what exceeds it is counted in one series `overflow="true"`.
    pub series_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { retain_idle: Duration::from_secs(600), series_max: 1_000 }
    }
}

/// Values computed at the scrape, such as ages: called with a place to put each of them.
pub type Source = Box<dyn Fn(&mut dyn FnMut(Labels, f64)) + Send + Sync>;

/// All metrics of a process. Clones share them.
#[derive(Clone)]
pub struct Registry(Arc<Shared>);

struct Shared {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    families: BTreeMap<&'static str, Family>,
    sources: BTreeMap<&'static str, (&'static GaugeFamily, Vec<Source>)>,
    counter_sources: BTreeMap<&'static str, (&'static CounterFamily, Vec<Source>)>,
}

struct Family {
    kind: Kind,
    help: &'static str,
    width: usize,
    series: BTreeMap<Labels, Series>,
    refused: u64,
}

struct Series {
    live: Vec<Cells>,
    /// Sum of the handles that are gone; stays zero for gauges.
    base: Vec<u64>,
    /// Handles at the last sweep. Sweeping when they have doubled keeps the cost of a handle constant.
    swept_at: usize,
    touched: Touched,
}

/// When a series was last seen to change, for its expiry.
struct Touched {
    at: Instant,
    total: u64,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Registry {
    /// A registry without series.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Shared { limits, state: Mutex::new(State::default()) }))
    }

    /// A handle on a counter series. Several handles of the same series add up.
    #[must_use]
    pub fn counter(&self, family: &'static CounterFamily, labels: Labels) -> Counter {
        Counter::new(self.cells(family.name, family.help, Kind::Counter, 1, labels))
    }

    /// A handle on a gauge series, which holds zero. Several handles of the same series add up.
    #[must_use]
    pub fn gauge(&self, family: &'static GaugeFamily, labels: Labels) -> Gauge {
        Gauge::new(self.cells(family.name, family.help, Kind::Gauge, 1, labels))
    }

    /// A handle on a histogram series.
    #[must_use]
    pub fn histogram(&self, family: &'static HistogramFamily, labels: Labels) -> Histogram {
        let width = Histogram::width(family);
        let cells = self.cells(family.name, family.help, Kind::Histogram(family), width, labels);
        Histogram::new(family, cells)
    }

    /// Has `source` asked for gauge values at each scrape. It must not call the registry.
    pub fn gauge_source(&self, family: &'static GaugeFamily, source: Source) {
        let mut state = self.state();
        state.sources.entry(family.name).or_insert_with(|| (family, Vec::new())).1.push(source);
    }

    /// Has `source` asked for counter values at each scrape. It must not call the registry.
    pub fn counter_source(&self, family: &'static CounterFamily, source: Source) {
        let mut state = self.state();
        state.counter_sources.entry(family.name).or_insert_with(|| (family, Vec::new())).1.push(source);
    }

    /// Everything, in the Prometheus text format 0.0.4, sorted.
    #[must_use]
    pub fn render(&self) -> String {
        self.render_at(Instant::now())
    }

    /// As [`Registry::render`], at a given time: series idle for longer than the limit are dropped.
    #[must_use]
    pub fn render_at(&self, now: Instant) -> String {
        let mut state = self.state();
        let mut out: BTreeMap<&'static str, String> = BTreeMap::new();
        let mut refused = Vec::new();
        for (name, family) in &mut state.families {
            family.expire(now, self.0.limits.retain_idle);
            if family.refused > 0 {
                refused.push((Labels::new().with("family", *name), family.refused));
            }
            if family.series.is_empty() {
                continue;
            }
            let text = out.entry(name).or_default();
            exposition::head(text, name, family.help, &family.kind);
            for (labels, series) in &family.series {
                let values = series.values(&family.kind);
                exposition::sample(text, name, labels, &Sample { kind: &family.kind, values: &values });
            }
        }
        for (name, (family, sources)) in &state.sources {
            ask(out.entry(name).or_default(), name, family.help, &Kind::Gauge, sources);
        }
        for (name, (family, sources)) in &state.counter_sources {
            ask(out.entry(name).or_default(), name, family.help, &Kind::Counter, sources);
        }
        if !refused.is_empty() {
            let family = &families::SERIES_REFUSED_TOTAL;
            let text = out.entry(family.name).or_default();
            exposition::head(text, family.name, family.help, &Kind::Counter);
            for (labels, count) in refused {
                exposition::number(text, family.name, &labels, count);
            }
        }
        out.into_values().collect()
    }

    fn cells(
        &self,
        name: &'static str,
        help: &'static str,
        kind: Kind,
        width: usize,
        labels: Labels,
    ) -> Cells {
        let mut state = self.state();
        let family = state.families.entry(name).or_insert_with(|| Family {
            kind,
            help,
            width,
            series: BTreeMap::new(),
            refused: 0,
        });
        family.open(labels, Instant::now(), &self.0.limits)
    }

    /// A panic elsewhere must not take the metrics with it: the state is valid between any two statements.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ask(text: &mut String, name: &str, help: &str, kind: &Kind, sources: &[Source]) {
    let mut samples: Vec<(Labels, f64)> = Vec::new();
    for source in sources {
        source(&mut |labels, value| samples.push((labels, value)));
    }
    samples.sort_by(|a, b| a.0.cmp(&b.0));
    if text.is_empty() && !samples.is_empty() {
        exposition::head(text, name, help, kind);
    }
    for (labels, value) in samples {
        exposition::number(text, name, &labels, value);
    }
}

impl Family {
    fn open(&mut self, labels: Labels, now: Instant, limits: &Limits) -> Cells {
        let labels = if self.series.contains_key(&labels) || self.series.len() < limits.series_max {
            labels
        } else {
            self.expire(now, limits.retain_idle);
            if self.series.len() < limits.series_max {
                labels
            } else {
                self.refused = self.refused.saturating_add(1);
                Labels::new().with("overflow", "true")
            }
        };
        let width = self.width;
        let keeps_base = self.kind.keeps_what_is_gone();
        let series = self.series.entry(labels).or_insert_with(|| Series {
            live: Vec::new(),
            base: vec![0; width],
            swept_at: 0,
            touched: Touched { at: now, total: 0 },
        });
        if series.live.len() >= series.swept_at.saturating_mul(2).max(8) {
            series.sweep(keeps_base);
        }
        let cells = shard::cells(width);
        series.live.push(Arc::clone(&cells));
        series.touched.at = now;
        cells
    }

    fn expire(&mut self, now: Instant, retain_idle: Duration) {
        let keeps_base = self.kind.keeps_what_is_gone();
        self.series.retain(|_, series| {
            series.sweep(keeps_base);
            let total = series.total();
            if total != series.touched.total {
                series.touched = Touched { at: now, total };
            }
            !series.live.is_empty() || now.saturating_duration_since(series.touched.at) < retain_idle
        });
    }
}

impl Series {
    /// Takes in what dropped handles have left. `get_mut` succeeds only when the handle is gone, and it
    /// synchronises with the drop, so that its last write is seen.
    fn sweep(&mut self, keeps_base: bool) {
        let base = &mut self.base;
        self.live.retain_mut(|cells| {
            let Some(left) = Arc::get_mut(cells) else { return true };
            if keeps_base {
                for (sum, cell) in base.iter_mut().zip(left) {
                    *sum = sum.wrapping_add(*cell.get_mut());
                }
            }
            false
        });
        self.swept_at = self.live.len();
    }

    fn values(&self, kind: &Kind) -> Vec<u64> {
        let mut sums = self.base.clone();
        for cells in &self.live {
            // A gauge's handle may have gone since the sweep: what it held counts no longer.
            if !kind.keeps_what_is_gone() && Arc::strong_count(cells) == 1 {
                continue;
            }
            add(&mut sums, cells);
        }
        sums
    }

    fn total(&self) -> u64 {
        let mut sums = self.base.clone();
        for cells in &self.live {
            add(&mut sums, cells);
        }
        sums.iter().fold(0, |total, value| total.wrapping_add(*value))
    }
}

fn add(sums: &mut [u64], cells: &[AtomicU64]) {
    for (sum, cell) in sums.iter_mut().zip(cells) {
        *sum = sum.wrapping_add(cell.load(Ordering::Relaxed));
    }
}
