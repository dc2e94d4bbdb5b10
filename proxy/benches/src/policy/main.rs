//! Policy evaluation by itself: `hpolicy routes|calls|endpoints SIZE TIMES`. Run under callgrind with two numbers of times,
//! the difference tells what one evaluation costs at this size (`npm run bench -- --scenarios policy`).

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hauberk_model::balance::{Balancer, Outcome, Settings, Wanted};
use hauberk_model::endpoint::{Endpoint, EndpointSet, Http2Params, ProtocolHint};
use hauberk_model::matching::RequestView;
use hauberk_model::matching::index::{GrpcIndex, HttpIndex};
use hauberk_model::metadata::Metadata;
use hauberk_model::random::Random;
use hauberk_model::route::{
    GrpcMatch, GrpcRoute, GrpcRule, HostMatch, HttpMatch, HttpRoute, HttpRule, NameMatch, PathMatch,
};

const USAGE: &str = "usage: hpolicy routes|calls|endpoints SIZE TIMES";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let numbers = |word: Option<&String>| word.and_then(|word| word.parse::<u32>().ok());
    let (Some(what), Some(size), Some(times)) = (words.first(), numbers(words.get(1)), numbers(words.get(2)))
    else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    let found = match what.as_str() {
        "routes" => routes(size, times),
        "calls" => calls(size, times),
        "endpoints" => endpoints(size, times),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(64);
        }
    };
    // Every evaluation must have found something: one that finds nothing is cheap.
    if found == times { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A request, to as many hosts as there are evaluations.
struct Request {
    authority: String,
    path: String,
}

impl RequestView for Request {
    fn method(&self) -> &str {
        "GET"
    }
    fn authority(&self) -> &str {
        &self.authority
    }
    fn path(&self) -> &str {
        &self.path
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn header(&self, _: &str) -> impl Iterator<Item = &[u8]> {
        std::iter::empty()
    }
}

fn metadata() -> Metadata {
    Metadata::Default(Arc::from("bench"))
}

/// Ten routes a host, as many hosts as that makes.
const ROUTES_PER_HOST: u32 = 10;

fn host(at: u32) -> String {
    format!("host-{:04}.example.com", at / ROUTES_PER_HOST)
}

/// Requests to the last route; what they cost beside matching is the same at every size.
fn count(times: u32, last: u32, path: String, evaluate: impl Fn(&Request) -> bool) -> u32 {
    let request = Request { authority: host(last), path };
    (0..times).map(|_| u32::from(evaluate(black_box(&request)))).sum()
}

fn routes(size: u32, times: u32) -> u32 {
    let route = |at: u32| HttpRoute {
        metadata: metadata(),
        hosts: vec![HostMatch::Exact(host(at).into())],
        rules: vec![HttpRule {
            matches: vec![HttpMatch {
                path: Some(PathMatch::Prefix(format!("/part-{at:05}").into())),
                ..HttpMatch::default()
            }],
            filters: Vec::new(),
            then: (),
        }],
    };
    let routes: Vec<HttpRoute<()>> = (0..size).map(route).collect();
    let index = HttpIndex::of(&routes);
    let last = size.saturating_sub(1);
    count(times, last, format!("/part-{last:05}/item"), |request| index.find(&routes, request).is_some())
}

fn calls(size: u32, times: u32) -> u32 {
    let route = |at: u32| GrpcRoute {
        metadata: metadata(),
        hosts: vec![HostMatch::Exact(host(at).into())],
        rules: vec![GrpcRule {
            matches: vec![GrpcMatch {
                service: Some(NameMatch::Exact(format!("bench.Service{at:05}").into())),
                ..GrpcMatch::default()
            }],
            filters: Vec::new(),
            then: (),
        }],
    };
    let routes: Vec<GrpcRoute<()>> = (0..size).map(route).collect();
    let index = GrpcIndex::of(&routes);
    let last = size.saturating_sub(1);
    count(times, last, format!("/bench.Service{last:05}/Get"), |request| {
        index.find(&routes, request).is_some()
    })
}

fn endpoint(at: u32) -> Arc<Endpoint> {
    let addr = SocketAddr::from((Ipv4Addr::from(0x0a00_0001_u32.saturating_add(at)), 80));
    Arc::new(Endpoint {
        addr,
        weight: 10_000,
        tls: None,
        hint: ProtocolHint::Unknown,
        transport_port: None,
        authority_override: None,
        http2: Http2Params::default(),
        labels: Arc::from([]),
        other_zone: false,
    })
}

/// A whole request's part of the balancer: chosen, begun, answered, ended, and looked at for the gauges.
fn endpoints(size: u32, times: u32) -> u32 {
    let now = Instant::now();
    let mut balancer = Balancer::new(Settings {
        default_rtt: Duration::from_millis(30),
        decay: Duration::from_secs(10),
        accrual: None,
        penalty: None,
        zones: None,
    });
    balancer.update(&EndpointSet { exists: true, endpoints: (0..size).map(endpoint).collect() }, now);
    let mut random = Random::seeded(7);
    let mut found = 0;
    for _ in 0..times {
        let wanted = Wanted { movable: true, ..Wanted::default() };
        let Some(key) = balancer.pick(now, &mut random, wanted) else { continue };
        let mut request = balancer.started(key, now);
        balancer.answered(&mut request, now);
        balancer.finished(request, Outcome::Success, now, &mut random);
        black_box((balancer.ready(), balancer.len()));
        found += 1;
    }
    found
}
