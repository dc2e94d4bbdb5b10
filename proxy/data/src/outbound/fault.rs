//! Faults that a policy injects into a client's requests.

use std::sync::Arc;
use std::time::SystemTime;

use hauberk_model::filters::fault::{self, Fault};
use hauberk_model::route::Filter;
use hauberk_model::status::Failure;
use hauberk_observe::{Labels, families as f};
use tokio::time::{Instant, sleep_until};

use crate::heads::View;
use crate::respond::Synthesised;
use crate::worker::Worker;

/// The fault that strikes this request, if one does.
pub(super) fn strike(filters: &[Filter], view: &View<'_>, worker: &Worker) -> Option<Arc<Fault>> {
    let identity = worker.config.identity.as_ref();
    let struck = fault::strike(filters, view, identity, SystemTime::now, &mut worker.random.borrow_mut());
    struck.map(Arc::clone)
}

/// Waits as the fault wants it, but never beyond the request's deadline; returns the answer if it is not to go on.
pub(super) async fn carry_out(
    fault: &Fault,
    is_grpc: bool,
    deadline: Option<Instant>,
    worker: &Worker,
) -> Option<Synthesised> {
    if let Some(delay) = fault.delay {
        count(fault, "delay", worker);
        let until = Instant::now() + delay;
        let late = deadline.filter(|deadline| *deadline < until);
        sleep_until(late.unwrap_or(until)).await;
        if late.is_some() {
            return Some(Failure::RequestTimeout.into());
        }
    }
    let answer = fault.answer(is_grpc)?;
    count(fault, "abort", worker);
    Some(Synthesised::of_filter(answer))
}

fn count(fault: &Fault, kind: &'static str, worker: &Worker) {
    let labels = Labels::new()
        .with("fault_namespace", Arc::clone(&fault.namespace))
        .with("fault_name", Arc::clone(&fault.name))
        .with("kind", kind);
    worker.registry.counter(&f::HAUBERK_FAULTS_INJECTED_TOTAL, labels).inc();
}
