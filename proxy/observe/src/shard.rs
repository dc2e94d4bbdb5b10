//! Handles: memory with one writer.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::family::HistogramFamily;
use crate::sizes::Sizes;

/// The numbers behind one handle. Only the handle writes; the registry reads.
pub(crate) type Cells = Arc<[AtomicU64]>;

pub(crate) fn cells(count: usize) -> Cells {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

/// Makes a handle `Send` but not `Sync`: two threads that held one would lose counts.
type SingleWriter = PhantomData<Cell<()>>;

fn bump(cells: &[AtomicU64], at: usize, by: u64) {
    if let Some(cell) = cells.get(at) {
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
    }
}

/// Adds to one counter series. Cheap to write, dear to make: keep it.
#[derive(Debug)]
pub struct Counter {
    cells: Cells,
    single_writer: SingleWriter,
}

impl Counter {
    pub(crate) fn new(cells: Cells) -> Self {
        Self { cells, single_writer: PhantomData }
    }

    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `by`.
    pub fn add(&self, by: u64) {
        bump(&self.cells, 0, by);
    }
}

/// Holds a part of one gauge series: the series shows the sum over all live handles, so what a dropped
/// handle held is gone.
#[derive(Debug)]
pub struct Gauge {
    cells: Cells,
    single_writer: SingleWriter,
}

impl Gauge {
    pub(crate) fn new(cells: Cells) -> Self {
        Self { cells, single_writer: PhantomData }
    }

    /// Sets this handle's part.
    pub fn set(&self, value: i64) {
        if let Some(cell) = self.cells.first() {
            cell.store(value.cast_unsigned(), Ordering::Relaxed);
        }
    }

    /// Adds to this handle's part.
    pub fn add(&self, by: i64) {
        bump(&self.cells, 0, by.cast_unsigned());
    }

    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Takes one away.
    pub fn dec(&self) {
        self.add(-1);
    }
}

/// Records durations in one histogram series.
#[derive(Debug)]
pub struct Histogram {
    family: &'static HistogramFamily,
    /// One per bucket with `+Inf` last, then the sum in microseconds.
    cells: Cells,
    single_writer: SingleWriter,
}

impl Histogram {
    pub(crate) fn new(family: &'static HistogramFamily, cells: Cells) -> Self {
        Self { family, cells, single_writer: PhantomData }
    }

    /// Number of cells of a family's series.
    pub(crate) fn width(family: &HistogramFamily) -> usize {
        family.bounds_us.len() + 2
    }

    /// Records one duration. Whatever exceeds 584 000 years counts as that.
    pub fn observe(&self, duration: Duration) {
        let value_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        bump(&self.cells, self.family.bucket(value_us), 1);
        bump(&self.cells, self.family.bounds_us.len() + 1, value_us);
    }

    /// Records the frames of one body, in a family of sizes.
    pub fn gather(&self, sizes: &Sizes) {
        if sizes.is_empty() {
            return;
        }
        for (bucket, count) in sizes.counts().iter().enumerate().filter(|(_, count)| **count > 0) {
            bump(&self.cells, bucket, u64::from(*count));
        }
        bump(&self.cells, self.family.bounds_us.len() + 1, sizes.bytes());
    }
}
