//! One HTTP/1.1 connection, one request at a time.

use hauberk_bench::message::{Body, response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::LoadError;
use crate::args::HttpLoad;

const READ_BYTES: usize = 16 * 1024;

/// A connection and the request it repeats.
pub struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    input: Vec<u8>,
}

/// The bytes of a request: GET, or POST with a body of `body` bytes.
pub fn request_bytes(host: &str, path: &str, body: usize) -> Vec<u8> {
    let method = if body == 0 { "GET" } else { "POST" };
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: hload\r\n").into_bytes();
    if body > 0 {
        request.extend(format!("content-length: {body}\r\n").bytes());
    }
    request.extend(b"\r\n");
    request.resize(request.len().saturating_add(body), b'x');
    request
}

impl Client {
    /// Connects and has one exchange.
    pub async fn open(load: &HttpLoad) -> Result<Self, LoadError> {
        let stream = TcpStream::connect(load.to).await?;
        stream.set_nodelay(true)?;
        let request = request_bytes(&load.host, &load.path, load.body);
        let mut client = Self { stream, request, input: Vec::with_capacity(READ_BYTES) };
        client.exchange().await?;
        Ok(client)
    }

    /// Sends the request and reads a whole answer, which must be 200.
    pub async fn exchange(&mut self) -> Result<(), LoadError> {
        self.stream.write_all(&self.request).await?;
        self.input.clear();
        let mut body: Option<Body> = None;
        loop {
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(LoadError::Answer("the connection ended".to_owned()));
            }
            let mut used = 0;
            if body.is_none() {
                let parsed = response(&self.input).map_err(|error| LoadError::Answer(error.to_string()))?;
                let Some(head) = parsed else { continue };
                if head.status != 200 {
                    return Err(LoadError::Answer(format!("status {}", head.status)));
                }
                used = head.length;
                body = Some(head.body);
            }
            let rest = self.input.get(used..).unwrap_or_default();
            if let Some(left) = &mut body {
                let taken = left.take(rest, |_| {}).map_err(|error| LoadError::Answer(error.to_string()))?;
                if *left == Body::Done {
                    let excess = rest.len() > taken;
                    return if excess {
                        Err(LoadError::Answer("more than one answer".to_owned()))
                    } else {
                        Ok(())
                    };
                }
            }
            self.input.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_makes_it_a_post_with_its_length() {
        let text = |body| String::from_utf8(request_bytes("a", "/p", body)).unwrap();
        assert_eq!(text(0), "GET /p HTTP/1.1\r\nhost: a\r\nuser-agent: hload\r\n\r\n");
        assert!(text(3).starts_with("POST /p ") && text(3).ends_with("content-length: 3\r\n\r\nxxx"));
    }
}
