//! One call of the plugin (Container Network Interface 1.1.0).

use std::collections::BTreeMap;

use hauberk_init::flags::{self, Action};
use serde_json::{Value, json};

use crate::conflist::CAPABILITY;

/// The annotation in which the injector says what to redirect: the words of `hauberk-proxy init` as a JSON list.
pub const ANNOTATION: &str = "hauberk.io/redirect";
/// Versions of the specification whose chained calls are alike.
const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];
/// Codes of the specification's section 5, and one of ours (from 100).
const CODE_ENVIRONMENT: u32 = 4;
const CODE_DECODE: u32 = 6;
const CODE_CONFIGURATION: u32 = 7;
const CODE_REDIRECT: u32 = 100;

/// A call, as the runtime makes it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// `CNI_COMMAND`.
    pub command: &'a str,
    /// `CNI_NETNS`.
    pub netns: Option<&'a str>,
    /// The configuration on standard input.
    pub input: &'a str,
}

/// How a call ended: what goes to standard output, and whether it succeeded.
#[derive(Debug, PartialEq)]
pub struct Ended {
    /// JSON, or nothing.
    pub output: String,
    /// Whether the exit status is 0.
    pub succeeded: bool,
}

/// What is to be done in a pod's network.
#[derive(Debug, PartialEq)]
enum Work {
    Nothing,
    /// With the words after `init`.
    Install(Vec<String>),
    Check(Vec<String>),
}

#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("CNI_COMMAND {0:?} is unknown")]
    Command(String),
    #[error("CNI_NETNS is not set")]
    NoNetns,
    #[error("the configuration cannot be read: {0}")]
    Input(String),
    #[error(
        "there is no result of an earlier plugin: this one makes no network, chain it behind one that does"
    )]
    NotChained,
    #[error("annotation {ANNOTATION}: {0}")]
    Annotation(String),
    #[error("{0}")]
    Redirect(String),
}

impl CallError {
    fn code(&self) -> u32 {
        match self {
            Self::Command(_) | Self::NoNetns => CODE_ENVIRONMENT,
            Self::Input(_) => CODE_DECODE,
            Self::NotChained | Self::Annotation(_) => CODE_CONFIGURATION,
            Self::Redirect(_) => CODE_REDIRECT,
        }
    }
}

/// Answers one call. `init` runs `hauberk-proxy init` with the words given; the calling thread may be left in the pod's
/// network.
pub fn answer(call: Call<'_>, init: impl FnOnce(&[String]) -> Result<(), String>) -> Ended {
    let version = version_of(call.input);
    match handle(call, init) {
        Ok(output) => Ended { output, succeeded: true },
        Err(error) => {
            let report = json!({ "cniVersion": version, "code": error.code(), "msg": error.to_string() });
            Ended { output: report.to_string(), succeeded: false }
        }
    }
}

fn handle(call: Call<'_>, init: impl FnOnce(&[String]) -> Result<(), String>) -> Result<String, CallError> {
    match call.command {
        "VERSION" => {
            let report = json!({ "cniVersion": VERSIONS.last(), "supportedVersions": VERSIONS });
            Ok(report.to_string())
        }
        // The redirection ends with the network that it is in.
        "DEL" | "GC" | "STATUS" => Ok(String::new()),
        "ADD" | "CHECK" => {
            let input: Value =
                serde_json::from_str(call.input).map_err(|error| CallError::Input(error.to_string()))?;
            let before = input.get("prevResult").ok_or(CallError::NotChained)?;
            let netns = call.netns.filter(|path| !path.is_empty()).ok_or(CallError::NoNetns)?;
            match work(call.command, &annotations(&input))? {
                Work::Nothing => {}
                Work::Install(words) => init(&within(netns, words, None)).map_err(CallError::Redirect)?,
                Work::Check(words) => {
                    init(&within(netns, words, Some("--check"))).map_err(CallError::Redirect)?;
                }
            }
            Ok(if call.command == "ADD" { before.to_string() } else { String::new() })
        }
        other => Err(CallError::Command(other.to_owned())),
    }
}

fn version_of(input: &str) -> String {
    let given = serde_json::from_str::<Value>(input).ok();
    let version = given.as_ref().and_then(|value| value.get("cniVersion")).and_then(Value::as_str);
    version.unwrap_or("1.0.0").to_owned()
}

/// The pod's annotations, as the runtime passes them.
fn annotations(input: &Value) -> BTreeMap<String, String> {
    let passed = input.get("runtimeConfig").and_then(|runtime| runtime.get(CAPABILITY));
    strings(passed)
}

/// The members of an object that are texts.
pub(crate) fn strings(object: Option<&Value>) -> BTreeMap<String, String> {
    let members = object.and_then(Value::as_object).into_iter().flatten();
    members.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

fn work(command: &str, annotations: &BTreeMap<String, String>) -> Result<Work, CallError> {
    let Some(words) = redirection(annotations).map_err(CallError::Annotation)? else {
        return Ok(Work::Nothing);
    };
    Ok(if command == "ADD" { Work::Install(words) } else { Work::Check(words) })
}

/// What a pod's annotations ask to be redirected: the words after `init`; `None` when they say nothing of it.
///
/// # Errors
/// The words are none that install a redirection in the pod's own network.
pub fn redirection(annotations: &BTreeMap<String, String>) -> Result<Option<Vec<String>>, String> {
    let Some(text) = annotations.get(ANNOTATION) else { return Ok(None) };
    let words: Vec<String> = serde_json::from_str(text).map_err(|_| "is no JSON list of texts".to_owned())?;
    let invocation = flags::parse(&words).map_err(|error| error.to_string())?;
    match (invocation.action, invocation.netns) {
        (Action::Install(_), None) => Ok(Some(words)),
        // A pod's author speaks of that pod alone.
        (Action::Install(_), Some(_)) => Err("names a network of its own".to_owned()),
        (Action::Help | Action::Simulate(_) | Action::Check(_) | Action::Remove, _) => {
            Err("asks for something else than a redirection".to_owned())
        }
    }
}

/// The words with the network that they are meant for.
pub(crate) fn within(netns: &str, mut words: Vec<String>, more: Option<&str>) -> Vec<String> {
    words.extend(["--netns".to_owned(), netns.to_owned()]);
    words.extend(more.map(str::to_owned));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &str = r#"["--proxy-uid","2102"]"#;

    fn input(annotation: Option<&str>) -> String {
        let annotations = annotation.map_or_else(|| json!({}), |text| json!({ ANNOTATION: text }));
        json!({
            "cniVersion": "1.0.0", "name": "pods", "type": "linkerd-cni",
            "prevResult": { "cniVersion": "1.0.0", "ips": [{ "address": "10.0.0.5/24" }] },
            "runtimeConfig": { CAPABILITY: annotations },
        })
        .to_string()
    }

    fn called(command: &str, input: &str) -> (Ended, Vec<String>) {
        let mut ran = Vec::new();
        let call = Call { command, netns: Some("/run/netns/pod"), input };
        let ended = answer(call, |words| {
            ran = words.to_vec();
            Ok(())
        });
        (ended, ran)
    }

    #[test]
    fn a_meshed_pod_is_redirected_in_its_own_network_and_the_earlier_result_passes_on() {
        let (ended, ran) = called("ADD", &input(Some(WORDS)));
        assert!(ended.succeeded);
        assert!(ended.output.contains("10.0.0.5/24"));
        assert_eq!(ran, ["--proxy-uid", "2102", "--netns", "/run/netns/pod"]);
        let (_, checked) = called("CHECK", &input(Some(WORDS)));
        assert_eq!(checked.last().map(String::as_str), Some("--check"));
    }

    #[test]
    fn other_pods_and_other_calls_pass_through() {
        for (command, annotation) in [("ADD", None), ("DEL", Some(WORDS)), ("GC", None), ("STATUS", None)] {
            let (ended, ran) = called(command, &input(annotation));
            assert!(ended.succeeded && ran.is_empty(), "{command}");
        }
        let (version, _) = called("VERSION", "{}");
        assert!(version.output.contains("supportedVersions"));
    }

    #[test]
    fn what_cannot_be_done_fails_the_call_so_that_no_pod_starts_unredirected() {
        let failing = [
            ("ADD", "{}".to_owned(), 7),
            ("ADD", "{".to_owned(), 6),
            ("ADD", input(Some("x")), 7),
            ("ADD", input(Some(r#"["--proxy-uid","1","--netns","/proc/1/ns/net"]"#)), 7),
            ("ADD", input(Some(r#"["--remove"]"#)), 7),
            ("ADD", input(Some(r#"["--simulate","--proxy-uid","1"]"#)), 7),
            ("FIX", input(None), 4),
        ];
        for (command, text, code) in failing {
            let (ended, ran) = called(command, &text);
            assert!(!ended.succeeded && ran.is_empty(), "{command} {text}");
            let report: Value = serde_json::from_str(&ended.output).unwrap();
            assert_eq!(report["code"], code, "{}", ended.output);
        }
        let call = Call { command: "ADD", netns: Some("/n"), input: &input(Some(WORDS)) };
        let ended = answer(call, |_| Err("no nf_tables".to_owned()));
        assert!(!ended.succeeded && ended.output.contains("no nf_tables"));
        let lost = answer(Call { command: "ADD", netns: None, input: &input(None) }, |_| Ok(()));
        assert!(!lost.succeeded);
    }
}
