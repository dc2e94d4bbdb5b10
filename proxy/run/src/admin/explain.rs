//! `/explain`: what the flight recorder knows, as JSON. Only for this machine: it names clients, paths and policies.

use std::time::{Duration, Instant, SystemTime};

use hauberk_data::{Asked, Question, Told};
use hauberk_model::endpoint::Endpoint;
use hauberk_model::metadata::Metadata;
use hauberk_model::status::GrpcCode;
use hauberk_model::story::{Judgement, RequestId, Side, Skip, Story, Trouble};
use hauberk_observe::access_log::rfc3339;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Answer;

/// Most stories of one answer; a story is about a kilobyte of JSON.
const STORIES_MAX: usize = 200;
/// How long the data thread may take to answer: it does so between two requests.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Answers `/explain?id=ID` and `/explain/recent?failed=1&max=N`.
pub(super) async fn answer(path: &str, query: &str, questions: &mpsc::Sender<Question>) -> Answer {
    let asked = match asked(path, query) {
        Ok(asked) => asked,
        Err(reason) => return Answer::text(400, format!("{reason}\n")),
    };
    let (answer, told) = oneshot::channel();
    let sent = questions.try_send(Question { asked, answer });
    match (sent, timeout(ANSWER_WITHIN, told).await) {
        (Ok(()), Ok(Ok(told))) => {
            let body = format!("{}\n", shown(&told, Instant::now(), SystemTime::now()));
            Answer { status: 200, content_type: "application/json", body }
        }
        _ => Answer::text(503, "the data thread does not answer\n"),
    }
}

fn asked(path: &str, query: &str) -> Result<Asked, &'static str> {
    let of = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    if path == "/explain" {
        let id = of("id").and_then(|id| RequestId::parse(id.as_bytes()));
        return id.map(Asked::Id).ok_or("say ?id= and the sixteen digits of hauberk-request-id");
    }
    let max = of("max").map_or(Ok(STORIES_MAX), str::parse).map_err(|_| "max must be a number")?;
    Ok(Asked::Recent { failed: matches!(of("failed"), Some("1" | "true")), max: max.min(STORIES_MAX) })
}

fn shown(told: &Told, now: Instant, wall: SystemTime) -> Value {
    let clock = Clock { now, wall };
    json!({
        "records": told.stories.iter().map(|story| record(story, clock)).collect::<Vec<_>>(),
        "since": {
            "recent": told.recent_since.map(|at| clock.time(at)),
            "failed": told.failed_since.map(|at| clock.time(at)),
        },
    })
}

/// What the recorder's clock shows when people's clocks show `wall`.
#[derive(Clone, Copy)]
struct Clock {
    now: Instant,
    wall: SystemTime,
}

impl Clock {
    fn time(self, at: Instant) -> String {
        let ago = self.now.saturating_duration_since(at);
        rfc3339(self.wall.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH))
    }
}

fn record(story: &Story, clock: Clock) -> Value {
    let mut record = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            record.insert(name.to_owned(), value);
        }
    };
    let side = match story.side {
        Side::Outbound => "outbound",
        Side::Inbound => "inbound",
    };
    put("id", story.id.to_string().into());
    put("side", side.into());
    put("time", clock.time(story.began).into());
    put("client", story.client.to_string().into());
    put("target", story.target.to_string().into());
    put("method", story.method.text().into());
    put("authority", story.authority.text().into());
    put("path", story.path.text().into());
    put("peer", story.peer.as_ref().map(ToString::to_string).into());
    if let Some(place) = &story.place {
        put("parent", object(&place.parent));
        put("route", place.route.as_ref().map(object).into());
    }
    let (decision, authorization, reason) = match &story.judgement {
        Judgement::None => (None, None, None),
        Judgement::Allowed(by) => (Some("allowed"), Some(object(by)), None),
        Judgement::Denied(reason) => (Some("denied"), None, Some(*reason)),
        Judgement::Limited => (Some("limited"), None, None),
    };
    put("reason", reason.into());
    put("decision", decision.into());
    put("authorization", authorization.into());
    put("backend", story.backend.as_ref().map(object).into());
    put("endpoint", story.endpoint.as_deref().map(endpoint).into());
    if story.side == Side::Outbound {
        put("attempts", story.attempts.into());
    }
    if let Some(trouble) = story.trouble.as_deref() {
        put("trouble", troubles(trouble));
    }
    put("answered_us", story.answered.map(micros).into());
    put("code", story.failure.map(|failure| failure.explained().code).into());
    put("failed", story.has_failed().into());
    if let Some(end) = story.end {
        put("ended_us", micros(end.after).into());
        put("status", (end.status > 0).then_some(end.status).into());
        put("grpc_status", end.grpc_status.map(|code| GrpcCode::from_number(code).name()).into());
        put("complete", end.complete.into());
    }
    Value::Object(record)
}

fn object(of: &Metadata) -> Value {
    json!({
        "group": of.group(),
        "kind": of.kind(),
        "namespace": of.namespace(),
        "name": of.name(),
        "port": of.port(),
    })
}

fn endpoint(of: &Endpoint) -> Value {
    let label = |name: &str| {
        let mut labels = of.labels.iter();
        labels.find(|(key, _)| key.as_ref() == name).map(|(_, value)| value.to_string())
    };
    json!({
        "addr": of.addr.to_string(),
        "identity": of.tls.as_ref().map(|tls| tls.identity.to_string()),
        "namespace": label("dst_namespace"),
        "pod": label("dst_pod"),
    })
}

fn troubles(trouble: &Trouble) -> Value {
    let tried = trouble.tried.iter().flatten().map(|one| {
        json!({
            "endpoint": endpoint(&one.endpoint),
            "code": one.failure.explained().code,
            "after_us": micros(one.after),
        })
    });
    let skipped = trouble.skipped.iter().flatten().map(|one| {
        let (state, reason) = match one.why {
            Skip::Ejected(reason) => ("breaker_open", Some(reason.label())),
            Skip::Probing(reason) => ("probing", Some(reason.label())),
            Skip::Weightless => ("no_weight", None),
        };
        json!({
            "endpoint": endpoint(&one.endpoint),
            "state": state,
            "reason": reason,
            "time_us": micros(one.time),
        })
    });
    let (ready, all) = trouble.endpoints;
    json!({
        "tried": tried.collect::<Vec<_>>(),
        "skipped": skipped.collect::<Vec<_>>(),
        "ready": ready,
        "endpoints": all,
    })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use hauberk_model::status::Failure;
    use hauberk_model::story::End;

    use super::*;

    #[test]
    fn a_question_names_an_id_or_asks_for_the_last_ones() {
        assert_eq!(asked("/explain", "id=00000000000000ff"), Ok(Asked::Id(RequestId(255))));
        assert!(asked("/explain", "id=ff").is_err());
        assert_eq!(
            asked("/explain/recent", "failed=1&max=9999"),
            Ok(Asked::Recent { failed: true, max: STORIES_MAX })
        );
        assert!(asked("/explain/recent", "max=-1").is_err());
    }

    #[test]
    fn a_record_says_when_by_the_clock_on_the_wall_and_leaves_out_what_is_not_known() {
        let (now, addr) = (Instant::now(), SocketAddr::from(([10, 0, 0, 7], 80)));
        let began = now.checked_sub(Duration::from_secs(3)).expect("past");
        let mut story = Story::begin(RequestId(1), Side::Inbound, began, addr, addr);
        story.failure = Some(Failure::Unauthorized);
        story.judgement = Judgement::Denied("client");
        let after = Duration::from_micros(7);
        story.end = Some(End { after, status: 403, grpc_status: None, complete: true });
        let told = Told { stories: vec![story], recent_since: None, failed_since: None };
        let text = shown(&told, now, SystemTime::UNIX_EPOCH + Duration::from_secs(10)).to_string();
        assert_eq!(
            text,
            concat!(
                r#"{"records":[{"authority":"","client":"10.0.0.7:80","code":"unauthorized","complete":true,"#,
                r#""decision":"denied","ended_us":7,"failed":true,"id":"0000000000000001","method":"","path":"","#,
                r#""reason":"client","side":"inbound","status":403,"target":"10.0.0.7:80","time":"1970-01-01T00:00:07.000000000Z"}],"#,
                r#""since":{"failed":null,"recent":null}}"#
            )
        );
    }
}
