//! What is told of the calls to one service of the control plane, and of the way to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hauberk_observe::families as f;
use hauberk_observe::families::balancer::BalancerFamilies;
use hauberk_observe::{Counter, Gauge, Histogram, Labels, Registry};

use super::dial::Security;
use super::resolve::Authority;

/// The metrics of one service, shared by all that call it. Calls are few, so one lock is enough.
#[derive(Clone)]
pub struct Meters(Arc<Mutex<Told>>);

struct Told {
    registry: Registry,
    /// `addr`, and what TLS there is.
    labels: Labels,
    name: &'static str,
    requests: Counter,
    responses: HashMap<Outcome, Counter>,
    latency: HashMap<u16, Histogram>,
    balancer: Option<Balancer>,
    lookups: HashMap<bool, Counter>,
}

/// How a call was answered; `None`: not at all.
type Outcome = Option<(u16, Option<u16>)>;

struct Balancer {
    ready: Gauge,
    pending: Gauge,
    endpoints: Gauge,
    updates: Counter,
    waiting: Gauge,
    waited: Counter,
    known: i64,
}

impl Meters {
    /// For the service of this name: `destination`, `policy` and `identity` have families of their own.
    #[must_use]
    pub fn new(registry: &Registry, name: &'static str, authority: &Authority, security: &Security) -> Self {
        let addr = Labels::new().with("addr", authority.to_string());
        let labels = match security {
            Security::Plaintext => addr.clone().with("tls", "no_identity").with("no_tls_reason", "loopback"),
            Security::Mutual { target, .. } | Security::Server { target, .. } => {
                addr.clone().with("tls", "true").with("server_id", target.identity.shared())
            }
        };
        let requests = registry.counter(&f::CONTROL_REQUEST_TOTAL, labels.clone());
        let balancer = families(name).map(|families| Balancer::new(registry, families, &addr));
        Self(Arc::new(Mutex::new(Told {
            registry: registry.clone(),
            labels,
            name,
            requests,
            responses: HashMap::new(),
            latency: HashMap::new(),
            balancer,
            lookups: HashMap::new(),
        })))
    }

    /// For a service of which nobody wants to know.
    #[must_use]
    pub fn unseen() -> Self {
        let nowhere = Authority::Name { host: Arc::from("nowhere"), port: 1 };
        Self::new(&Registry::default(), "unseen", &nowhere, &Security::Plaintext)
    }

    pub(super) fn requested(&self) {
        self.lock().requests.inc();
    }

    /// The head of a response has come, with a gRPC status if nothing follows it.
    pub(super) fn answered(&self, status: u16, grpc: Option<u16>, after: Duration) {
        let mut told = self.lock();
        told.respond(Some((status, grpc)));
        let Told { registry, labels, latency, .. } = &mut *told;
        let series = || labels.clone().with("status_code", status.to_string());
        latency
            .entry(status)
            .or_insert_with(|| registry.histogram(&f::CONTROL_RESPONSE_LATENCY_MS, series()))
            .observe(after);
    }

    /// The connection or the stream has failed.
    pub(super) fn failed(&self) {
        self.lock().respond(None);
    }

    /// A name was looked up.
    pub(super) fn looked_up(&self, is_found: bool) {
        let mut told = self.lock();
        let Told { registry, lookups, name, .. } = &mut *told;
        let series = || {
            Labels::new()
                .with("client", *name)
                .with("record_type", "A/AAAA")
                .with("result", if is_found { "ok" } else { "error" })
        };
        lookups
            .entry(is_found)
            .or_insert_with(|| registry.counter(&f::CONTROL_DNS_RESOLUTIONS_TOTAL, series()))
            .inc();
    }

    /// The service has so many addresses now.
    pub(super) fn resolved(&self, addresses: usize) {
        self.with_balancer(|balancer| {
            balancer.known = i64::try_from(addresses).unwrap_or(i64::MAX);
            balancer.updates.inc();
            balancer.endpoints.set(balancer.known);
            balancer.pending.set(balancer.known);
        });
    }

    /// One of the addresses is connected until what is returned is dropped.
    pub(super) fn connected(&self) -> Connected {
        self.set_connected(1);
        Connected(self.clone())
    }

    fn set_connected(&self, ready: i64) {
        self.with_balancer(|balancer| {
            balancer.ready.set(ready);
            balancer.pending.set((balancer.known - ready).max(0));
        });
    }

    /// A call waits for a connection until what is returned is dropped.
    pub(super) fn waits(&self) -> Waiting {
        self.with_balancer(|balancer| {
            balancer.waited.inc();
            balancer.waiting.inc();
        });
        Waiting(self.clone())
    }

    fn with_balancer(&self, act: impl FnOnce(&mut Balancer)) {
        if let Some(balancer) = &mut self.lock().balancer {
            act(balancer);
        }
    }

    /// A panic elsewhere leaves numbers as true as they were.
    fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection.
pub(super) struct Connected(Meters);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.set_connected(0);
    }
}

/// A call that waits.
pub(super) struct Waiting(Meters);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.with_balancer(|balancer| balancer.waiting.dec());
    }
}

impl Told {
    fn respond(&mut self, outcome: Outcome) {
        let Self { registry, labels, responses, .. } = self;
        let series = || {
            let labels = labels.clone();
            match outcome {
                None => labels.with("classification", "failure").with("error", "connection"),
                Some((status, grpc)) => {
                    let is_success = status == 200 && grpc.is_none_or(|code| code == 0);
                    labels
                        .with("status_code", status.to_string())
                        .with("classification", if is_success { "success" } else { "failure" })
                        .with_some("grpc_status", grpc.map(|code| code.to_string()))
                }
            }
        };
        responses
            .entry(outcome)
            .or_insert_with(|| registry.counter(&f::CONTROL_RESPONSE_TOTAL, series()))
            .inc();
    }
}

impl Balancer {
    fn new(registry: &Registry, families: &'static BalancerFamilies, addr: &Labels) -> Self {
        let state = |state: &'static str| addr.clone().with("endpoint_state", state);
        Self {
            ready: registry.gauge(&families.endpoints, state("ready")),
            pending: registry.gauge(&families.endpoints, state("pending")),
            endpoints: registry.gauge(&families.p2c_endpoints, addr.clone()),
            updates: registry.counter(&families.p2c_updates, addr.clone()),
            waiting: registry.gauge(&families.queue_length, addr.clone()),
            waited: registry.counter(&families.queue_requests, addr.clone()),
            known: 0,
        }
    }
}

fn families(name: &str) -> Option<&'static BalancerFamilies> {
    match name {
        "destination" => Some(&f::balancer::CONTROL_DESTINATION),
        "identity" => Some(&f::balancer::CONTROL_IDENTITY),
        "policy" => Some(&f::balancer::CONTROL_POLICY),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_addresses_and_lookups_are_counted_under_linkerds_names() {
        let registry = Registry::default();
        let authority = "linkerd-dst.linkerd.:8086".parse().expect("an authority");
        let meters = Meters::new(&registry, "destination", &authority, &Security::Plaintext);
        meters.looked_up(true);
        meters.resolved(3);
        let waiting = meters.waits();
        let has = |line: &str| {
            let text = registry.render();
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        };
        has("control_destination_balancer_queue_length{addr=\"linkerd-dst.linkerd.:8086\"} 1");
        let connected = meters.connected();
        drop(waiting);
        meters.requested();
        meters.answered(200, Some(5), Duration::from_millis(3));
        meters.failed();
        has(
            "control_destination_balancer_endpoints{addr=\"linkerd-dst.linkerd.:8086\",endpoint_state=\"ready\"} 1",
        );
        has(
            "control_destination_balancer_endpoints{addr=\"linkerd-dst.linkerd.:8086\",endpoint_state=\"pending\"} 2",
        );
        has("control_destination_balancer_p2c_endpoints{addr=\"linkerd-dst.linkerd.:8086\"} 3");
        has("control_destination_balancer_queue_length{addr=\"linkerd-dst.linkerd.:8086\"} 0");
        has("control_destination_balancer_queue_requests_total{addr=\"linkerd-dst.linkerd.:8086\"} 1");
        has("control_dns_resolutions_total{client=\"destination\",record_type=\"A/AAAA\",result=\"ok\"} 1");
        drop(connected);
        has(
            "control_destination_balancer_endpoints{addr=\"linkerd-dst.linkerd.:8086\",endpoint_state=\"pending\"} 3",
        );
        let text = registry.render();
        let responses: Vec<&str> =
            text.lines().filter(|line| line.starts_with("control_response_total{")).collect();
        assert_eq!(responses.len(), 2, "{text}");
        assert!(responses.iter().all(|line| line.contains("classification=\"failure\"")), "{text}");
        assert!(text.contains("control_response_latency_ms_bucket{"), "{text}");
    }
}
