//! The admin server (INTERFACE §4): health, metrics, log level, shutdown. One request per connection.

mod explain;
mod request;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hauberk_data::Question;
use hauberk_model::drain::Drain;
use hauberk_observe::Registry;
use hauberk_tls::CredentialsWatch;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::log;
use request::{Request, parse};

/// Longest life of an admin connection.
const EXCHANGE_WITHIN: Duration = Duration::from_secs(10);
/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 32;
/// Pause after a failed accept: running out of descriptors passes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the admin server shows and does.
pub struct Admin {
    /// Metrics.
    pub registry: Registry,
    /// Whether there is a certificate; `None` where identity is disabled.
    pub credentials: Option<CredentialsWatch>,
    /// Whether the proxy is ending.
    pub drain: watch::Receiver<Drain>,
    /// Why this proxy serves nothing; `None` where it does.
    pub withheld: Option<String>,
    /// Told by `POST /shutdown`; `None` where that is disabled.
    pub shutdown: Option<Arc<Notify>>,
    /// Questions to the flight recorder.
    pub questions: mpsc::Sender<Question>,
    /// Our variables, for `/env.json`.
    pub environment: Vec<(String, String)>,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    content_type: &'static str,
    body: String,
}

impl Answer {
    fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain", body: body.into() }
    }
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let admin = Arc::clone(&admin);
                tokio::spawn(async move {
                    let _ = timeout(EXCHANGE_WITHIN, exchange(stream, peer, &admin)).await;
                    drop(permit);
                });
            }
            Err(error) => {
                ::log::warn!(error:%; "admin accept failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn exchange(mut stream: TcpStream, peer: SocketAddr, admin: &Admin) -> io::Result<()> {
    let mut bytes = Vec::new();
    let request = loop {
        match parse(&bytes) {
            Ok(Some(request)) => break Ok(request),
            Ok(None) => {
                if stream.read_buf(&mut bytes).await? == 0 {
                    return Ok(());
                }
            }
            Err(refused) => break Err(refused),
        }
    };
    let (answer, head_only) = match request {
        Ok(request) => (admin.answer_soon(&request, peer.ip()).await, request.method == "HEAD"),
        Err(refused) => (Answer::text(refused.status, format!("{}\n", refused.reason)), false),
    };
    let body = if head_only { "" } else { answer.body.as_str() };
    let head = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.status,
        reason(answer.status),
        answer.content_type,
        answer.body.len(),
    );
    stream.write_all([head.as_str(), body].concat().as_bytes()).await?;
    stream.shutdown().await
}

impl Admin {
    /// What may have to wait for the data thread, and everything else.
    async fn answer_soon(&self, request: &Request, peer: IpAddr) -> Answer {
        let reads = matches!(request.method.as_str(), "GET" | "HEAD");
        match request.path.as_str() {
            "/explain" | "/explain/recent" if reads && peer.to_canonical().is_loopback() => {
                explain::answer(&request.path, &request.query, &self.questions).await
            }
            _ => self.answer(request, peer),
        }
    }

    fn answer(&self, request: &Request, peer: IpAddr) -> Answer {
        let reads = matches!(request.method.as_str(), "GET" | "HEAD");
        let local = peer.to_canonical().is_loopback();
        match request.path.as_str() {
            "/live" if reads => Answer::text(200, "live\n"),
            "/ready" if reads => match (&self.withheld, self.is_ready()) {
                (Some(reason), _) => Answer::text(503, format!("not ready: {reason}\n")),
                (None, true) => Answer::text(200, "ready\n"),
                (None, false) => Answer::text(503, "not ready\n"),
            },
            "/metrics" if reads => Answer {
                status: 200,
                content_type: hauberk_observe::exposition::CONTENT_TYPE,
                body: self.registry.render(),
            },
            "/env.json" if reads => self.environment(&request.query),
            "/proxy-log-level" | "/shutdown" | "/explain" | "/explain/recent" if !local => {
                Answer::text(403, "only from this machine\n")
            }
            "/proxy-log-level" if reads => Answer::text(200, format!("{}\n", log::filter())),
            "/proxy-log-level" if request.method == "PUT" => match request.body.trim().parse() {
                Ok(filter) => {
                    log::set_filter(filter);
                    Answer::text(204, "")
                }
                Err(error) => Answer::text(400, format!("{error}\n")),
            },
            "/shutdown" => match &self.shutdown {
                None => Answer::text(404, "shutdown is not enabled\n"),
                Some(shutdown) if request.method == "POST" => {
                    shutdown.notify_one();
                    Answer::text(200, "shutdown\n")
                }
                Some(_) => Answer::text(405, "use POST\n"),
            },
            "/live" | "/ready" | "/metrics" | "/env.json" | "/proxy-log-level" | "/explain"
            | "/explain/recent" => Answer::text(405, "method not allowed\n"),
            _ => Answer::text(404, "not found\n"),
        }
    }

    fn is_ready(&self) -> bool {
        let certified = self.credentials.as_ref().is_none_or(|credentials| credentials.borrow().is_some());
        certified && self.drain.borrow().is_ready()
    }

    /// Only the proxy's own variables: others may hold secrets of the workload.
    fn environment(&self, query: &str) -> Answer {
        let wanted: Vec<&str> = query.split('&').filter(|name| !name.is_empty()).collect();
        let shown =
            self.environment.iter().filter(|(name, _)| wanted.is_empty() || wanted.contains(&name.as_str()));
        let object: serde_json::Map<_, _> =
            shown.map(|(name, value)| (name.clone(), value.clone().into())).collect();
        let body = format!("{}\n", serde_json::Value::Object(object));
        Answer { status: 200, content_type: "application/json", body }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        _ => "Service Unavailable",
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hauberk_observe::Limits;

    use super::*;

    const NEAR: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    fn admin(shutdown: Option<Arc<Notify>>) -> (Admin, watch::Sender<Drain>) {
        let (publish, drain) = watch::channel(Drain::Running);
        let environment = vec![("LINKERD2_PROXY_LOG".into(), "info".into())];
        (
            Admin {
                registry: Registry::new(Limits::default()),
                credentials: None,
                drain,
                withheld: None,
                shutdown,
                questions: mpsc::channel(1).0,
                environment,
            },
            publish,
        )
    }

    fn ask(admin: &Admin, method: &str, path: &str, peer: IpAddr) -> (u16, String) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let request =
            Request { method: method.into(), path: path.into(), query: query.into(), body: String::new() };
        let answer = admin.answer(&request, peer);
        (answer.status, answer.body)
    }

    #[test]
    fn a_proxy_without_a_certificate_or_that_ends_is_not_ready() {
        let (mut admin, drain) = admin(None);
        assert_eq!(ask(&admin, "GET", "/ready", FAR), (200, "ready\n".into()));
        admin.credentials = Some(hauberk_control::identity::channel().1);
        assert_eq!(ask(&admin, "GET", "/ready", FAR).0, 503);
        admin.credentials = None;
        drain.send_replace(Drain::Done { cut: 0 });
        assert_eq!(ask(&admin, "GET", "/ready", FAR).0, 503);
        assert_eq!(ask(&admin, "GET", "/live", FAR).0, 200);
    }

    #[test]
    fn a_proxy_that_is_not_in_approved_mode_is_not_ready_and_says_why() {
        let (mut admin, _drain) = admin(None);
        admin.withheld = Some("this build is not of the FIPS profile".into());
        let refused = (503, "not ready: this build is not of the FIPS profile\n".into());
        assert_eq!(ask(&admin, "GET", "/ready", FAR), refused);
    }

    #[test]
    fn shutdown_is_absent_unless_enabled_and_only_for_this_machine() {
        assert_eq!(ask(&admin(None).0, "POST", "/shutdown", NEAR).0, 404);
        let (enabled, _drain) = admin(Some(Arc::default()));
        assert_eq!(ask(&enabled, "POST", "/shutdown", FAR).0, 403);
        assert_eq!(ask(&enabled, "GET", "/shutdown", NEAR).0, 405);
        assert_eq!(ask(&enabled, "POST", "/shutdown", NEAR).0, 200);
    }

    #[test]
    fn stories_are_only_for_this_machine() {
        let (admin, _drain) = admin(None);
        for path in ["/explain?id=0000000000000001", "/explain/recent"] {
            assert_eq!(ask(&admin, "GET", path, FAR).0, 403);
            assert_eq!(ask(&admin, "POST", path, NEAR).0, 405);
        }
    }

    #[test]
    fn the_environment_shows_only_what_is_asked_for_and_ours() {
        let (admin, _drain) = admin(None);
        assert_eq!(ask(&admin, "GET", "/env.json", FAR).1, "{\"LINKERD2_PROXY_LOG\":\"info\"}\n");
        assert_eq!(ask(&admin, "GET", "/env.json?PATH", FAR).1, "{}\n");
        assert_eq!(ask(&admin, "DELETE", "/metrics", FAR).0, 405);
        assert_eq!(ask(&admin, "GET", "/nothing", FAR).0, 404);
    }
}
