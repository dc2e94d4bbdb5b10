//! Log lines on standard error, plain or JSON, by level and module.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::str::FromStr;
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::{Instant, SystemTime};

use hauberk_observe::access_log::rfc3339;
use log::kv::{Key, Value, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};

/// The peer's name in a directive stands for all of our modules: `warn,linkerd=info` works unchanged.
const PEER: &str = "linkerd";
/// How all of our modules begin.
const OURS: &str = "hauberk";

/// Which lines are written: `warn,linkerd=info,hauberk_control=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    default: LevelFilter,
    /// Module prefixes; the longest that fits decides.
    modules: Vec<(String, LevelFilter)>,
}

impl Default for Filter {
    fn default() -> Self {
        Self { default: LevelFilter::Warn, modules: vec![(OURS.into(), LevelFilter::Info)] }
    }
}

impl Filter {
    fn level(&self, target: &str) -> LevelFilter {
        let fits = |module: &str| {
            target.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '_']))
        };
        let best =
            self.modules.iter().filter(|(module, _)| fits(module)).max_by_key(|(module, _)| module.len());
        best.map_or(self.default, |(_, level)| *level)
    }

    fn max(&self) -> LevelFilter {
        self.modules.iter().map(|(_, level)| *level).fold(self.default, Ord::max)
    }
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut filter = Self { default: LevelFilter::Error, modules: Vec::new() };
        for directive in text.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
            let (module, level) = match directive.split_once('=') {
                Some((module, level)) => (Some(module.trim()), level.trim()),
                None => (None, directive),
            };
            let level = level.parse::<LevelFilter>().map_err(|_| format!("{level:?} is not a log level"))?;
            match module {
                None => filter.default = level,
                Some(module) if module.is_empty() || module.contains(['[', '{', ' ']) => {
                    return Err(format!("{module:?} is not a module"));
                }
                Some(module) if module.starts_with(PEER) => filter.modules.push((OURS.into(), level)),
                Some(module) => filter.modules.push((module.to_owned(), level)),
            }
        }
        Ok(filter)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.default.as_str().to_lowercase())?;
        self.modules
            .iter()
            .try_for_each(|(module, level)| write!(f, ",{module}={}", level.as_str().to_lowercase()))
    }
}

/// `LOG_FORMAT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `[     0.001234s]  INFO module: message field=value`
    #[default]
    Plain,
    /// One object per line.
    Json,
}

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text.to_ascii_lowercase().as_str() {
            "plain" => Ok(Self::Plain),
            "json" => Ok(Self::Json),
            _ => Err("must be plain or json"),
        }
    }
}

struct Logger {
    format: Format,
    began: Instant,
    filter: RwLock<Filter>,
}

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Starts logging. A second call changes the filter only.
pub fn start(format: Format, filter: Filter) {
    let logger = LOGGER.get_or_init(|| Logger {
        format,
        began: Instant::now(),
        filter: RwLock::new(Filter::default()),
    });
    // Fails only if it is set already.
    let _ = log::set_logger(logger);
    set_filter(filter);
}

/// The filter in force.
pub fn filter() -> Filter {
    LOGGER.get().map_or_else(Filter::default, |logger| {
        logger.filter.read().unwrap_or_else(PoisonError::into_inner).clone()
    })
}

/// Replaces the filter.
pub fn set_filter(filter: Filter) {
    if let Some(logger) = LOGGER.get() {
        log::set_max_level(filter.max());
        *logger.filter.write().unwrap_or_else(PoisonError::into_inner) = filter;
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let filter = self.filter.read().unwrap_or_else(PoisonError::into_inner);
        metadata.level() <= filter.level(metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = match self.format {
            Format::Plain => plain(self.began.elapsed().as_secs_f64(), record),
            Format::Json => json(SystemTime::now(), record),
        };
        // One write per line, so that lines of two threads do not mix. There is nowhere to report a failure.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

fn plain(elapsed_s: f64, record: &Record<'_>) -> String {
    let mut line = format!(
        "[{elapsed_s:>12.6}s] {:>5} {}: {}",
        record.level(),
        record.target(),
        one_line(record.args())
    );
    visit(record, |key, value| {
        let _ = write!(line, " {key}={}", one_line(value));
    });
    line.push('\n');
    line
}

fn json(now: SystemTime, record: &Record<'_>) -> String {
    let mut fields = serde_json::Map::new();
    fields.insert("message".into(), record.args().to_string().into());
    visit(record, |key, value| {
        let number = value.to_i64().map(serde_json::Value::from);
        let number =
            number.or_else(|| value.to_u64().map(Into::into)).or_else(|| value.to_bool().map(Into::into));
        fields.insert(key.to_owned(), number.unwrap_or_else(|| value.to_string().into()));
    });
    let object = serde_json::json!({
        "timestamp": rfc3339(now),
        "level": record.level().as_str(),
        "fields": fields,
        "target": record.target(),
    });
    format!("{object}\n")
}

/// A peer chooses some of these values; none of them may begin a line of its own.
fn one_line(value: impl fmt::Display) -> String {
    value.to_string().replace('\n', "\\n").replace('\r', "\\r")
}

fn visit(record: &Record<'_>, mut each: impl FnMut(&str, &Value<'_>)) {
    struct Each<F>(F);
    impl<'kvs, F: FnMut(&str, &Value<'_>)> VisitSource<'kvs> for Each<F> {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
            (self.0)(key.as_str(), &value);
            Ok(())
        }
    }
    // The visitor never fails.
    let _ = record.key_values().visit(&mut Each(&mut each));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_module_that_fits_decides() {
        let filter: Filter =
            "warn,linkerd=info,hauberk_control::stream=trace,h2=off".parse().expect("filter");
        assert_eq!(filter.level("other"), LevelFilter::Warn);
        assert_eq!(filter.level("hauberk_data::accept"), LevelFilter::Info);
        assert_eq!(filter.level("hauberk_control::stream"), LevelFilter::Trace);
        assert_eq!(filter.level("hauberk_control::streams"), LevelFilter::Info);
        assert_eq!(filter.level("h2::codec"), LevelFilter::Off);
        assert_eq!(filter.max(), LevelFilter::Trace);
        assert_eq!(filter.to_string(), "warn,hauberk=info,hauberk_control::stream=trace,h2=off");
        for bad in ["loud", "a=loud", "=info", "a[b]=info"] {
            assert!(bad.parse::<Filter>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_value_cannot_forge_a_line() {
        let key_values = [("peer", "x\n[ 0.0s] ERROR forged")];
        let record = Record::builder()
            .args(format_args!("said"))
            .target("t")
            .level(log::Level::Info)
            .key_values(&key_values)
            .build();
        assert_eq!(plain(0.5, &record).lines().count(), 1);
        let line = json(SystemTime::UNIX_EPOCH, &record);
        assert_eq!(line.lines().count(), 1);
        let object: serde_json::Value = serde_json::from_str(&line).expect("json");
        assert_eq!(object["fields"]["message"], "said");
    }
}
