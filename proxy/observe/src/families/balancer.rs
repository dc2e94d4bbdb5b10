//! Balancers: the same families for each kind of destination, and for each service of the control plane.

use crate::{CounterFamily, GaugeFamily};

/// What is told of a balancer. Labels: `backend_*`; of the control plane's services `addr`.
#[derive(Debug)]
pub struct BalancerFamilies {
    /// By `endpoint_state` (`ready` or `pending`) too.
    pub endpoints: GaugeFamily,
    /// Endpoints of all states.
    pub p2c_endpoints: GaugeFamily,
    /// Sets of endpoints that discovery brought.
    pub p2c_updates: CounterFamily,
    /// Requests or connections that wait for an endpoint.
    pub queue_length: GaugeFamily,
    /// Those that had to.
    pub queue_requests: CounterFamily,
}

macro_rules! balancer_families {
    ($prefix:literal, $waits:literal) => {
        BalancerFamilies {
            endpoints: GaugeFamily {
                name: concat!($prefix, "_balancer_endpoints"),
                help: "The number of endpoints of a balancer, by state.",
            },
            p2c_endpoints: GaugeFamily {
                name: concat!($prefix, "_balancer_p2c_endpoints"),
                help: "The number of endpoints of a balancer.",
            },
            p2c_updates: CounterFamily {
                name: concat!($prefix, "_balancer_p2c_updates_total"),
                help: "The total number of sets of endpoints that a balancer was given.",
            },
            queue_length: GaugeFamily {
                name: concat!($prefix, "_balancer_queue_length"),
                help: concat!("The number of ", $waits, " that wait for an endpoint."),
            },
            queue_requests: CounterFamily {
                name: concat!($prefix, "_balancer_queue_requests_total"),
                help: concat!("The total number of ", $waits, " that had to wait for an endpoint."),
            },
        }
    };
}

/// Of requests, and of connections whose protocol is detected.
pub static OUTBOUND_HTTP: BalancerFamilies = balancer_families!("outbound_http", "requests");
/// Of opaque connections.
pub static OUTBOUND_TCP: BalancerFamilies = balancer_families!("outbound_tcp", "connections");
/// Of TLS connections that are passed through.
pub static OUTBOUND_TLS: BalancerFamilies = balancer_families!("outbound_tls", "connections");
/// Of the destination service. One of its addresses is connected; the others are pending.
pub static CONTROL_DESTINATION: BalancerFamilies = balancer_families!("control_destination", "calls");
/// Of the identity service, which is connected for one call at a time.
pub static CONTROL_IDENTITY: BalancerFamilies = balancer_families!("control_identity", "calls");
/// Of the policy service.
pub static CONTROL_POLICY: BalancerFamilies = balancer_families!("control_policy", "calls");
