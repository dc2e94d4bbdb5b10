//! Network configurations of a node, with our plugin in them or without. Pure.

use serde_json::{Map, Value, json};

/// The plugin's name: its type in configurations, and its file among the node's plugins.
pub const PLUGIN: &str = "linkerd-cni";
/// By this capability container runtimes (containerd, CRI-O) pass a pod's annotations to a plugin.
pub const CAPABILITY: &str = "io.kubernetes.cri.pod-annotations";
/// The oldest version of the specification that has lists.
const LIST_VERSION: &str = "0.3.1";

/// A file that is no network configuration.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ConfigurationError {
    /// Not JSON.
    #[error("is not JSON: {0}")]
    Json(String),
    /// JSON, but of something else.
    #[error("is no network configuration: it has neither plugins nor a type")]
    Shape,
}

/// What is to be done with a file.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// It is as it should be.
    Kept,
    /// This is to be its content.
    Rewritten(String),
    /// It holds a single plugin: a list of this content takes its place.
    Listed(String),
}

/// Puts our plugin behind all others, once.
///
/// # Errors
/// The text is no configuration.
pub fn chain(text: &str) -> Result<Outcome, ConfigurationError> {
    let mut object = parse(text)?;
    let is_single = object.contains_key("type");
    match object.get_mut("plugins") {
        Some(Value::Array(plugins)) => {
            if plugins.last() == Some(&entry())
                && plugins.iter().filter(|plugin| is_ours(plugin)).count() == 1
            {
                return Ok(Outcome::Kept);
            }
            plugins.retain(|plugin| !is_ours(plugin));
            plugins.push(entry());
            Ok(Outcome::Rewritten(written(object)))
        }
        Some(_) => Err(ConfigurationError::Shape),
        None if is_single => Ok(Outcome::Listed(written(listed(object)))),
        None => Err(ConfigurationError::Shape),
    }
}

/// Takes our plugin out.
///
/// # Errors
/// The text is no configuration.
pub fn unchain(text: &str) -> Result<Outcome, ConfigurationError> {
    let mut object = parse(text)?;
    let Some(Value::Array(plugins)) = object.get_mut("plugins") else { return Ok(Outcome::Kept) };
    let before = plugins.len();
    plugins.retain(|plugin| !is_ours(plugin));
    if plugins.len() == before { Ok(Outcome::Kept) } else { Ok(Outcome::Rewritten(written(object))) }
}

fn entry() -> Value {
    json!({ "name": PLUGIN, "type": PLUGIN, "capabilities": { CAPABILITY: true } })
}

fn is_ours(plugin: &Value) -> bool {
    plugin.get("type").and_then(Value::as_str) == Some(PLUGIN)
}

fn parse(text: &str) -> Result<Map<String, Value>, ConfigurationError> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(ConfigurationError::Shape),
        Err(error) => Err(ConfigurationError::Json(error.to_string())),
    }
}

fn listed(mut single: Map<String, Value>) -> Map<String, Value> {
    let mut list = Map::new();
    let version = single.remove("cniVersion").unwrap_or_else(|| LIST_VERSION.into());
    list.insert("cniVersion".into(), version);
    list.insert("name".into(), single.get("name").cloned().unwrap_or_else(|| "pods".into()));
    list.insert("plugins".into(), Value::Array(vec![Value::Object(single), entry()]));
    list
}

fn written(object: Map<String, Value>) -> String {
    format!("{:#}\n", Value::Object(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str =
        r#"{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"bridge"},{"type":"portmap"}]}"#;

    fn rewritten(outcome: Result<Outcome, ConfigurationError>) -> String {
        match outcome.unwrap() {
            Outcome::Rewritten(text) | Outcome::Listed(text) => text,
            Outcome::Kept => panic!("kept"),
        }
    }

    fn types(text: &str) -> Vec<String> {
        let value: Value = serde_json::from_str(text).unwrap();
        let plugins = value["plugins"].as_array().unwrap();
        plugins.iter().map(|plugin| plugin["type"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_plugin_is_chained_last_and_once_however_often_it_is_done() {
        let once = rewritten(chain(LIST));
        assert_eq!(types(&once), ["bridge", "portmap", PLUGIN]);
        assert_eq!(chain(&once), Ok(Outcome::Kept));
        let moved = once.replace("portmap", PLUGIN);
        assert_eq!(types(&rewritten(chain(&moved))), ["bridge", PLUGIN]);
    }

    #[test]
    fn unchaining_gives_back_what_was_there() {
        let back = rewritten(unchain(&rewritten(chain(LIST))));
        let (back, was): (Value, Value) =
            (serde_json::from_str(&back).unwrap(), serde_json::from_str(LIST).unwrap());
        assert_eq!(back, was);
        assert_eq!(unchain(LIST), Ok(Outcome::Kept));
    }

    #[test]
    fn a_single_plugin_becomes_a_list_of_its_version() {
        let Ok(Outcome::Listed(text)) = chain(r#"{"cniVersion":"0.4.0","name":"n","type":"ptp","mtu":1400}"#)
        else {
            panic!("no list")
        };
        assert_eq!(types(&text), ["ptp", PLUGIN]);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((value["cniVersion"].as_str(), value["name"].as_str()), (Some("0.4.0"), Some("n")));
        assert_eq!(value["plugins"][0]["mtu"], 1400);
    }

    #[test]
    fn what_is_no_configuration_is_left_alone_by_an_error() {
        assert_eq!(chain("[]"), Err(ConfigurationError::Shape));
        assert_eq!(chain("{}"), Err(ConfigurationError::Shape));
        assert!(matches!(chain("{"), Err(ConfigurationError::Json(_))));
    }
}
