//! Who may watch requests pass: the access log and taps.

use std::net::{Ipv4Addr, SocketAddr};

use hauberk_model::identity::Identity;
use hauberk_observe::access_log::{Fields, Format};

use super::read::{Reader, list, socket_addr};

/// `ACCESS_LOG*` and `TAP_*`.
#[derive(Debug, PartialEq, Eq)]
pub struct Observing {
    /// `ACCESS_LOG`, with `ACCESS_LOG_FIELDS` of our own; `None`: there is none.
    pub access_log: Option<Format>,
    /// `None` where nobody may tap.
    pub tap: Option<TapConfig>,
}

/// How taps are served.
#[derive(Debug, PartialEq, Eq)]
pub struct TapConfig {
    /// `CONTROL_LISTEN_ADDR`.
    pub listen: SocketAddr,
    /// `TAP_SVC_NAME`: the one who may.
    pub client: Identity,
    /// `TAP_REDACT_HEADERS`, ours: further headers whose values are not shown, in lower case.
    pub redacted: Vec<String>,
}

pub(super) fn observing(env: &mut Reader) -> Observing {
    let fields = env.parse("ACCESS_LOG_FIELDS", Fields::parse);
    let access_log = env.parse("ACCESS_LOG", |text| match text {
        "apache" => Ok(Format::Apache),
        "json" => Ok(Format::Json(fields.unwrap_or_default())),
        "none" => Err("leave it away for no access log".to_owned()),
        _ => Err("must be apache or json".to_owned()),
    });
    if fields.is_some() && !matches!(access_log, Some(Format::Json(_))) {
        env.mistake("ACCESS_LOG_FIELDS", "is only for ACCESS_LOG=json");
    }
    let default = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 4190));
    let listen = env.parse("CONTROL_LISTEN_ADDR", socket_addr).unwrap_or(default);
    let redacted = env.parse("TAP_REDACT_HEADERS", |text| list(text, header)).unwrap_or_default();
    let client = env.parse("TAP_SVC_NAME", |text| Identity::parse(text).map_err(|error| error.to_string()));
    Observing { access_log, tap: client.map(|client| TapConfig { listen, client, redacted }) }
}

fn header(text: &str) -> Result<String, String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_token) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!("{text:?} is no header name"))
    }
}
