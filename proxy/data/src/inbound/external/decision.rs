//! What the answer of an external authorization comes to.

use std::sync::Arc;

use hauberk_model::requirement::ExternalCheck;
use hauberk_model::route::HeaderModifier;
use hauberk_wire::h1::Kind;
use http::{HeaderName, HeaderValue};

use super::message::{CheckResponse, DeniedHttpResponse, HeaderValueOption, HttpResponse, OkHttpResponse};

/// Body of a denial that is passed on, bytes.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Headers taken from one answer.
const HEADERS_MAX: usize = 32;
/// Status of a denial that names none.
const FORBIDDEN: u16 = 403;

/// The word of the service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Decision {
    Allowed(Allowed),
    Denied(Denied),
}

/// What the service wants changed of a request that it allows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Allowed {
    pub(crate) set: Vec<(Arc<str>, Vec<u8>)>,
    pub(crate) removed: Vec<Arc<str>>,
    /// Added to the response.
    pub(crate) response: Option<HeaderModifier>,
}

/// What the service says to the client of a request that it denies.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Denied {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: String,
}

impl Decision {
    /// Reads an answer. Without a status it is none.
    pub(super) fn of(check: &ExternalCheck, answer: CheckResponse) -> Option<Self> {
        let CheckResponse { status, http_response } = answer;
        Some(match (status?.code, http_response) {
            (0, Some(HttpResponse::Ok(ok))) => Self::Allowed(allowed(check, ok)),
            (0, None) => Self::Allowed(Allowed::default()),
            // "Allowed", with the answer to a denied request: two words, and the safe one counts.
            (0, Some(HttpResponse::Denied(denied))) => Self::Denied(denied_by(denied)),
            (_, Some(HttpResponse::Denied(denied))) => Self::Denied(denied_by(denied)),
            (_, Some(HttpResponse::Ok(_)) | None) => Self::Denied(denied_by(DeniedHttpResponse::default())),
        })
    }
}

fn allowed(check: &ExternalCheck, ok: OkHttpResponse) -> Allowed {
    // Only what the policy lists: those names are closed to clients, others would be open to both.
    let listed = |name: &str| check.sets.iter().find(|one| ***one == *name).cloned();
    let set = ok.headers.into_iter().filter_map(HeaderValueOption::into_pair);
    let set = set.filter(|(_, value)| HeaderValue::from_bytes(value).is_ok());
    let removed = ok.headers_to_remove.into_iter().map(|name| name.to_ascii_lowercase());
    let add: Vec<(Arc<str>, Arc<[u8]>)> = pairs(ok.response_headers_to_add)
        .map(|(name, value)| (Arc::from(name.as_str()), Arc::from(value.as_bytes())))
        .collect();
    Allowed {
        set: set
            .filter_map(|(name, value)| listed(&name).map(|name| (name, value)))
            .take(HEADERS_MAX)
            .collect(),
        removed: removed
            .filter(|name| is_end_to_end(name))
            .map(|name| Arc::from(name.as_str()))
            .take(HEADERS_MAX)
            .collect(),
        response: (!add.is_empty()).then(|| HeaderModifier { add, ..HeaderModifier::default() }),
    }
}

fn denied_by(denied: DeniedHttpResponse) -> Denied {
    let status = denied.status.and_then(|status| u16::try_from(status.code).ok());
    let fits = denied.body.len() <= BODY_BYTES_MAX;
    Denied {
        // What is denied must not look like success.
        status: status.filter(|status| (300..=599).contains(status) && *status != 304).unwrap_or(FORBIDDEN),
        headers: pairs(denied.headers).collect(),
        body: if fits { denied.body } else { String::new() },
    }
}

fn pairs(all: Vec<HeaderValueOption>) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let pairs = all.into_iter().filter_map(HeaderValueOption::into_pair);
    let sayable = pairs.filter_map(|(name, value)| {
        let name =
            HeaderName::from_bytes(name.as_bytes()).ok().filter(|name| is_end_to_end(name.as_str()))?;
        Some((name, HeaderValue::from_bytes(&value).ok()?))
    });
    sayable.take(HEADERS_MAX)
}

/// Whether a header is neither the connection's nor the mesh's, which nobody else may write.
fn is_end_to_end(name: &str) -> bool {
    Kind::of(name.as_bytes()) == Kind::EndToEnd && !name.starts_with("grpc-")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::message::{HeaderValue as Value, HttpStatus, Status};
    use super::*;

    fn check() -> ExternalCheck {
        ExternalCheck {
            name: Arc::from("shop/judge"),
            address: "10.0.0.1:9000".parse().expect("an address"),
            authority: Arc::from("judge"),
            timeout: Duration::from_secs(1),
            cache: Duration::ZERO,
            dangerous_allow_on_failure: false,
            headers: vec![],
            sets: vec![Arc::from("x-user")],
            context: vec![],
        }
    }

    fn header(key: &str, value: &str) -> HeaderValueOption {
        let header = Value { key: key.to_owned(), value: value.to_owned(), raw_value: vec![] };
        HeaderValueOption { header: Some(header) }
    }

    fn decide(code: i32, http_response: Option<HttpResponse>) -> Option<Decision> {
        Decision::of(&check(), CheckResponse { status: Some(Status { code }), http_response })
    }

    #[test]
    fn an_answer_without_status_is_none_and_only_zero_without_a_denial_allows() {
        assert_eq!(Decision::of(&check(), CheckResponse::default()), None);
        assert_eq!(decide(0, None), Some(Decision::Allowed(Allowed::default())));
        for (code, response) in [
            (7, None),
            (7, Some(HttpResponse::Ok(OkHttpResponse::default()))),
            (0, Some(HttpResponse::Denied(DeniedHttpResponse::default()))),
        ] {
            assert!(matches!(decide(code, response), Some(Decision::Denied(Denied { status: 403, .. }))));
        }
    }

    #[test]
    fn the_service_sets_only_what_the_policy_lists_and_nothing_of_the_connection() {
        let ok = OkHttpResponse {
            headers: vec![header("X-User", "ann"), header("x-admin", "1"), header("x-user", "a\r\nb: c")],
            headers_to_remove: vec!["Cookie".into(), "content-length".into(), "l5d-client-id".into()],
            response_headers_to_add: vec![header("x-seen", "1"), header("transfer-encoding", "chunked")],
        };
        let Some(Decision::Allowed(allowed)) = decide(0, Some(HttpResponse::Ok(ok))) else {
            panic!("allowed")
        };
        assert_eq!(allowed.set, [(Arc::from("x-user"), b"ann".to_vec())]);
        assert_eq!(allowed.removed, [Arc::from("cookie")]);
        assert_eq!(allowed.response.map(|response| response.add.len()), Some(1));
    }

    #[test]
    fn a_denial_never_looks_like_success() {
        for (given, status) in
            [(401, 401), (302, 302), (200, 403), (204, 403), (0, 403), (700, 403), (-1, 403)]
        {
            let denied =
                DeniedHttpResponse { status: Some(HttpStatus { code: given }), ..Default::default() };
            let decided = decide(16, Some(HttpResponse::Denied(denied)));
            assert!(matches!(decided, Some(Decision::Denied(denied)) if denied.status == status), "{given}");
        }
    }
}
