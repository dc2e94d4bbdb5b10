//! The lines that `serve` obeys and answers: one JSON object each. Strict: an unknown key is refused, since a
//! misspelt one would otherwise be a setting that silently does nothing.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use serde_json::{Map, Value, json};

/// Longest line obeyed: a service with several thousand endpoints.
pub const LINE_BYTES_MAX: usize = 1024 * 1024;
const NAME_BYTES_MAX: usize = 253;

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Make a namespace with these addresses.
    AddPod(NewPod),
    /// End what runs in it and take its addresses back.
    RemovePod { name: String },
    /// Listen on cluster addresses for pods without a proxy; replaces an earlier service of that name.
    SetService(Service),
    /// Stop listening.
    RemoveService { name: String },
}

/// A pod to make.
#[derive(Clone, Debug, PartialEq)]
pub struct NewPod {
    /// Unique while the pod exists.
    pub name: String,
    /// In the sandbox's network.
    pub ipv4: Ipv4Addr,
    /// In the sandbox's network; without it the pod has IPv4 only.
    pub ipv6: Option<Ipv6Addr>,
}

/// Cluster addresses and what answers there.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// `namespace/name`, unique.
    pub name: String,
    /// Cluster address and port of each listener.
    pub listen: BTreeSet<SocketAddr>,
    /// Where connections go, in turn. None: they are reset.
    pub endpoints: Vec<SocketAddr>,
}

/// Why a line was not understood.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ProtocolError {
    /// Not JSON, or no object.
    #[error("not a JSON object")]
    NotAnObject,
    /// Longer than [`LINE_BYTES_MAX`].
    #[error("line over {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// No such `op`.
    #[error("unknown op {0:?}")]
    UnknownOp(String),
    /// A key that the operation does not have.
    #[error("unknown key {0:?}")]
    UnknownKey(String),
    /// A key that is missing or has a wrong value.
    #[error("{key}: expected {expected}")]
    Expected {
        /// The key.
        key: &'static str,
        /// What would have been right.
        expected: &'static str,
    },
}

/// Parses one line. The id comes back also when the rest is wrong, so that the answer finds its question.
pub fn parse(line: &str) -> (Value, Result<Request, ProtocolError>) {
    if line.len() > LINE_BYTES_MAX {
        return (Value::Null, Err(ProtocolError::TooLong));
    }
    let Ok(Value::Object(mut object)) = serde_json::from_str::<Value>(line) else {
        return (Value::Null, Err(ProtocolError::NotAnObject));
    };
    let id = object.remove("id").unwrap_or(Value::Null);
    (id, request(object))
}

/// The line for what was done. Without a trailing newline.
pub fn answer(id: &Value, outcome: Result<Value, String>) -> String {
    match outcome {
        Ok(ok) => json!({ "id": id, "ok": ok }).to_string(),
        Err(error) => json!({ "id": id, "error": error }).to_string(),
    }
}

fn request(mut object: Map<String, Value>) -> Result<Request, ProtocolError> {
    let op = text(&mut object, "op")?;
    let request = match op.as_str() {
        "add-pod" => Request::AddPod(NewPod {
            name: name(&mut object)?,
            ipv4: parsed(&mut object, "ipv4", "an IPv4 address")?,
            ipv6: match object.get("ipv6") {
                None | Some(Value::Null) => object.remove("ipv6").and(None),
                Some(_) => Some(parsed(&mut object, "ipv6", "an IPv6 address")?),
            },
        }),
        "remove-pod" => Request::RemovePod { name: name(&mut object)? },
        "set-service" => Request::SetService(Service {
            name: name(&mut object)?,
            listen: addresses(&mut object, "listen")?.into_iter().collect(),
            endpoints: addresses(&mut object, "endpoints")?,
        }),
        "remove-service" => Request::RemoveService { name: name(&mut object)? },
        _ => return Err(ProtocolError::UnknownOp(op)),
    };
    match object.keys().next() {
        Some(key) => Err(ProtocolError::UnknownKey(key.clone())),
        None => Ok(request),
    }
}

fn text(object: &mut Map<String, Value>, key: &'static str) -> Result<String, ProtocolError> {
    match object.remove(key) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(ProtocolError::Expected { key, expected: "a string" }),
    }
}

fn name(object: &mut Map<String, Value>) -> Result<String, ProtocolError> {
    let name = text(object, "name")?;
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(ProtocolError::Expected { key: "name", expected: "1 to 253 bytes" });
    }
    Ok(name)
}

fn parsed<T: FromStr>(
    object: &mut Map<String, Value>,
    key: &'static str,
    expected: &'static str,
) -> Result<T, ProtocolError> {
    text(object, key)?.parse().map_err(|_| ProtocolError::Expected { key, expected })
}

fn addresses(object: &mut Map<String, Value>, key: &'static str) -> Result<Vec<SocketAddr>, ProtocolError> {
    let wrong = || ProtocolError::Expected { key, expected: "a list of ADDRESS:PORT" };
    let Some(Value::Array(items)) = object.remove(key) else {
        return Err(wrong());
    };
    items
        .iter()
        .map(|item| {
            let address: SocketAddr = item.as_str().and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
            (address.port() != 0 && !address.ip().is_unspecified()).then_some(address).ok_or_else(wrong)
        })
        .collect()
}

/// The line that says that the sandbox stands.
pub fn ready(rootless: bool, process: u32, ipv4: Ipv4Addr, ipv6: Option<Ipv6Addr>) -> String {
    json!({ "ready": {
        "mode": if rootless { "rootless" } else { "root" },
        "user": rootless.then(|| format!("/proc/{process}/ns/user")),
        "net": format!("/proc/{process}/ns/net"),
        "ipv4": ipv4.to_string(),
        "ipv6": ipv6.map(|address| address.to_string()),
    }})
    .to_string()
}

/// The answer to `add-pod`.
pub fn pod_added(process: u32, descriptor: i32) -> Value {
    json!({ "net": format!("/proc/{process}/fd/{descriptor}") })
}

/// Addresses of `listen` without their ports.
pub fn hosts(listen: &BTreeSet<SocketAddr>) -> BTreeSet<IpAddr> {
    listen.iter().map(SocketAddr::ip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_operation_has_one_form() {
        let pod =
            |ipv6| Request::AddPod(NewPod { name: "web-0".into(), ipv4: Ipv4Addr::new(10, 244, 0, 5), ipv6 });
        let service = Service {
            name: "prod/payments".into(),
            listen: ["10.96.0.5:8080".parse().unwrap()].into(),
            endpoints: vec!["10.244.0.5:80".parse().unwrap(), "[fd44::5]:80".parse().unwrap()],
        };
        let table = [
            (r#"{"id":1,"op":"add-pod","name":"web-0","ipv4":"10.244.0.5"}"#, Ok(pod(None))),
            (
                r#"{"id":1,"op":"add-pod","name":"web-0","ipv4":"10.244.0.5","ipv6":"fd44::5"}"#,
                Ok(pod(Some("fd44::5".parse().unwrap()))),
            ),
            (r#"{"op":"remove-pod","name":"web-0"}"#, Ok(Request::RemovePod { name: "web-0".into() })),
            (
                r#"{"op":"set-service","name":"prod/payments","listen":["10.96.0.5:8080"],"endpoints":["10.244.0.5:80","[fd44::5]:80"]}"#,
                Ok(Request::SetService(service)),
            ),
            (r#"{"op":"remove-service","name":"a/b"}"#, Ok(Request::RemoveService { name: "a/b".into() })),
        ];
        for (line, expected) in table {
            assert_eq!(parse(line).1, expected, "{line}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_with_the_key_and_the_id() {
        let table = [
            ("[]", "not a JSON object"),
            (r#"{"id":7,"op":"fly"}"#, r#"unknown op "fly""#),
            (r#"{"id":7,"op":"remove-pod","name":"a","force":true}"#, r#"unknown key "force""#),
            (r#"{"id":7,"op":"add-pod","name":"","ipv4":"10.0.0.1"}"#, "name: expected 1 to 253 bytes"),
            (r#"{"id":7,"op":"add-pod","name":"a","ipv4":"fd44::5"}"#, "ipv4: expected an IPv4 address"),
            (
                r#"{"id":7,"op":"set-service","name":"a","listen":["10.96.0.5:0"],"endpoints":[]}"#,
                "listen: expected a list of ADDRESS:PORT",
            ),
        ];
        for (line, expected) in table {
            let (id, outcome) = parse(line);
            assert_eq!(outcome.unwrap_err().to_string(), expected, "{line}");
            assert_eq!(id, if line == "[]" { Value::Null } else { json!(7) });
        }
    }

    proptest! {
        #[test]
        fn foreign_lines_never_panic(line in ".{0,200}") {
            let _ = parse(&line);
        }
    }
}
