//! The registry as a data thread and a scrape see it.

use std::time::{Duration, Instant};

use hauberk_observe::families::{
    REQUEST_TOTAL, RESPONSE_LATENCY_MS, SERIES_REFUSED_TOTAL, TCP_OPEN_CONNECTIONS, TCP_OPEN_TOTAL,
};
use hauberk_observe::{CounterFamily, GaugeFamily, HistogramFamily, Labels, Limits, Registry};
use proptest::prelude::*;

fn lines_of(text: &str, name: &str) -> Vec<String> {
    text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
}

#[test]
fn handles_of_one_series_add_up_across_threads_and_after_their_end() {
    let registry = Registry::default();
    let labels = || Labels::new().with("direction", "outbound");
    let kept = registry.counter(&REQUEST_TOTAL, labels());
    kept.inc();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let handle = registry.counter(&REQUEST_TOTAL, labels());
            std::thread::spawn(move || (0..1_000).for_each(|_| handle.inc()))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(
        lines_of(&registry.render(), "request_total"),
        [r#"request_total{direction="outbound"} 4001"#]
    );
    kept.add(9);
    assert_eq!(
        lines_of(&registry.render(), "request_total"),
        [r#"request_total{direction="outbound"} 4010"#]
    );
}

#[test]
fn what_a_dropped_gauge_handle_held_is_gone() {
    let registry = Registry::default();
    let kept = registry.gauge(&TCP_OPEN_CONNECTIONS, Labels::new());
    kept.inc();
    let dropped = registry.gauge(&TCP_OPEN_CONNECTIONS, Labels::new());
    dropped.add(5);
    assert_eq!(lines_of(&registry.render(), "tcp_open_connections"), ["tcp_open_connections 6"]);
    drop(dropped);
    kept.dec();
    kept.dec();
    assert_eq!(lines_of(&registry.render(), "tcp_open_connections"), ["tcp_open_connections -1"]);
}

#[test]
fn a_histogram_is_cumulative_with_sum_and_count() {
    let registry = Registry::default();
    let histogram = registry.histogram(&RESPONSE_LATENCY_MS, Labels::new().with("direction", "inbound"));
    histogram.observe(Duration::from_micros(1_500));
    histogram.observe(Duration::from_millis(2));
    histogram.observe(Duration::from_secs(60));
    let text = registry.render();
    assert!(text.starts_with("# HELP response_latency_ms Elapsed"));
    assert!(text.contains("# TYPE response_latency_ms histogram\n"));
    for line in [
        r#"response_latency_ms_bucket{direction="inbound",le="1"} 0"#,
        r#"response_latency_ms_bucket{direction="inbound",le="2"} 2"#,
        r#"response_latency_ms_bucket{direction="inbound",le="50000"} 2"#,
        r#"response_latency_ms_bucket{direction="inbound",le="+Inf"} 3"#,
        r#"response_latency_ms_sum{direction="inbound"} 60003.5"#,
        r#"response_latency_ms_count{direction="inbound"} 3"#,
    ] {
        assert!(text.lines().any(|have| have == line), "{line} is missing in {text}");
    }
}

static SECONDS: HistogramFamily = HistogramFamily::seconds("a_seconds", "A.", &[25_000, 1_000_000]);

#[test]
fn seconds_are_decimals() {
    let registry = Registry::default();
    registry.histogram(&SECONDS, Labels::new()).observe(Duration::from_millis(30));
    let expected = "# HELP a_seconds A.\n# TYPE a_seconds histogram\na_seconds_bucket{le=\"0.025\"} 0\n\
        a_seconds_bucket{le=\"1\"} 1\na_seconds_bucket{le=\"+Inf\"} 1\na_seconds_sum 0.03\na_seconds_count 1\n";
    assert_eq!(registry.render(), expected);
}

#[test]
fn a_full_family_counts_into_one_overflow_series_and_says_so() {
    let registry = Registry::new(Limits { series_max: 2, ..Limits::default() });
    let handles: Vec<_> = (0..5)
        .map(|n| registry.counter(&TCP_OPEN_TOTAL, Labels::new().with("authority", n.to_string())))
        .collect();
    handles.iter().for_each(|handle| handle.inc());
    let again = registry.counter(&TCP_OPEN_TOTAL, Labels::new().with("authority", "1"));
    again.inc();
    let text = registry.render();
    assert_eq!(
        lines_of(&text, "tcp_open_total"),
        [
            r#"tcp_open_total{authority="0"} 1"#,
            r#"tcp_open_total{authority="1"} 2"#,
            r#"tcp_open_total{overflow="true"} 3"#,
        ]
    );
    assert_eq!(
        lines_of(&text, SERIES_REFUSED_TOTAL.name),
        [r#"hauberk_metrics_series_refused_total{family="tcp_open_total"} 3"#]
    );
}

#[test]
fn a_series_leaves_when_it_has_no_handle_and_was_idle_for_the_limit() {
    let registry = Registry::default();
    let start = Instant::now();
    let minutes = |n: u64| start + Duration::from_secs(60 * n);
    let held = registry.counter(&TCP_OPEN_TOTAL, Labels::new().with("peer", "src"));
    let gone = registry.counter(&TCP_OPEN_TOTAL, Labels::new().with("peer", "dst"));
    gone.inc();
    drop(gone);
    assert_eq!(lines_of(&registry.render_at(minutes(1)), "tcp_open_total").len(), 2);
    assert_eq!(lines_of(&registry.render_at(minutes(10)), "tcp_open_total").len(), 2);
    assert_eq!(
        lines_of(&registry.render_at(minutes(12)), "tcp_open_total"),
        [r#"tcp_open_total{peer="src"} 0"#]
    );
    drop(held);
    assert_eq!(registry.render_at(minutes(24)), "");
}

static AGE: GaugeFamily = GaugeFamily { name: "b_age", help: "B." };
static ROOM: CounterFamily = CounterFamily { name: "c_total", help: "C." };

#[test]
fn families_are_sorted_and_sources_are_asked_at_each_scrape() {
    let registry = Registry::default();
    let counter = registry.counter(&ROOM, Labels::new());
    counter.inc();
    registry.gauge_source(
        &AGE,
        Box::new(|put| {
            put(Labels::new().with("target", "b"), 2.5);
            put(Labels::new().with("target", "a"), 1.0);
        }),
    );
    let text = registry.clone().render();
    assert_eq!(
        text,
        "# HELP b_age B.\n# TYPE b_age gauge\nb_age{target=\"a\"} 1\nb_age{target=\"b\"} 2.5\n\
         # HELP c_total C.\n# TYPE c_total counter\nc_total 1\n"
    );
}

proptest! {
    /// Whatever the order of handles made, written and dropped: nothing counted is lost or counted twice.
    #[test]
    fn a_counter_never_loses_a_count(steps in proptest::collection::vec((0_u8..3, 0_usize..16), 1..200)) {
        let registry = Registry::default();
        let mut handles = Vec::new();
        let mut expected = 0_u64;
        for (step, at) in steps {
            match step {
                0 => handles.push(registry.counter(&ROOM, Labels::new())),
                1 if !handles.is_empty() => { drop(handles.swap_remove(at % handles.len())); }
                _ => if let Some(handle) = handles.get(at % handles.len().max(1)) {
                    handle.inc();
                    expected += 1;
                }
            }
        }
        let lines = lines_of(&registry.render(), "c_total");
        let counted = format!("c_total {expected}");
        prop_assert!(lines.is_empty() || lines == [counted]);
    }
}

#[test]
fn no_two_families_have_one_name_and_each_is_exposed_under_its_own_constants_name() {
    let source = concat!(include_str!("../src/families.rs"), include_str!("../src/families/frames.rs"));
    let constants: Vec<&str> =
        source.lines().filter_map(|line| line.strip_prefix("pub static ")?.split(':').next()).collect();
    let names: Vec<&str> = source
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|text| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))
        .collect();
    assert!(constants.len() > 60);
    let expected: Vec<String> = constants.iter().map(|name| name.to_ascii_lowercase()).collect();
    let given: Vec<String> =
        names.iter().map(|name| name.trim_start_matches("hauberk_metrics_").to_owned()).collect();
    assert_eq!(given, expected);
    let mut unique = given.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), given.len());
}
