//! `hauberk-proxy await`: waits until the proxy of this pod is ready, so that a container behind it starts with a mesh.
//! The words are those of `linkerd-await`, at whose path our image has this program.

use std::time::{Duration, Instant};

use crate::ask;
use crate::config::read::duration;

/// Longest wait unless it is said.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Between two questions: starts take tens of milliseconds.
const PAUSE: Duration = Duration::from_millis(50);

/// What to wait for.
#[derive(Debug, PartialEq, Eq)]
pub struct Wait {
    port: u16,
    timeout: Duration,
    pause: Duration,
}

/// Reads the words after `await`. Without a port, the admin port of `environment` holds.
///
/// # Errors
/// An option that there is not, or a value that cannot be read.
pub fn parse(arguments: &[String], environment: impl Fn(&str) -> Option<String>) -> Result<Wait, String> {
    let mut wait = Wait { port: ask::port(environment), timeout: TIMEOUT, pause: PAUSE };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let (flag, attached) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (word.as_str(), None),
        };
        if matches!(flag, "-v" | "--verbose") {
            continue;
        }
        if !matches!(flag, "-p" | "--port" | "-t" | "--timeout" | "-b" | "--backoff") {
            return Err(format!("there is no option {word:?}; there are --port, --timeout, --backoff"));
        }
        let value = attached.or_else(|| words.next().map(String::as_str));
        let value = value.ok_or_else(|| format!("{flag} needs a value"))?;
        let wrong = |why: String| format!("{flag} {value:?}: {why}");
        match flag {
            "-p" | "--port" => wait.port = value.parse().map_err(|_| wrong("is no port".into()))?,
            "-t" | "--timeout" => wait.timeout = duration(value).map_err(wrong)?,
            _ => wait.pause = duration(value).map_err(wrong)?.max(PAUSE),
        }
    }
    Ok(wait)
}

impl Wait {
    /// Asks until the proxy is ready.
    ///
    /// # Errors
    /// What it said last, when it was not in time.
    pub fn run(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            match ask::ask(self.port, "/ready") {
                Ok(_) => return Ok(()),
                Err(error) if begun.elapsed() + self.pause >= self.timeout => {
                    return Err(error.context(format!("not ready within {:?}", self.timeout)));
                }
                Err(_) => std::thread::sleep(self.pause),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Wait, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words, |_| None)
    }

    #[test]
    fn the_words_of_the_peer_are_understood() {
        let wait = parsed("--timeout=2m --port=4191").unwrap();
        assert_eq!((wait.port, wait.timeout), (4191, Duration::from_secs(120)));
        let wait = parsed("-p 5191 -t 100ms -v").unwrap();
        assert_eq!((wait.port, wait.timeout), (5191, Duration::from_millis(100)));
        for wrong in ["--port=x", "--timeout", "--shutdown", "--timeout=soon", "command"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_proxy_that_never_answers_is_an_error_in_time() {
        let begun = Instant::now();
        assert!(parsed("-p 1 -t 120ms").unwrap().run().is_err());
        assert!(begun.elapsed() < Duration::from_secs(3));
    }
}
