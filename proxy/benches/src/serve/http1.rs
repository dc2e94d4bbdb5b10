//! HTTP/1.1, one request after the other; pipelined ones are answered with one write.

use std::io;

use bytes::Bytes;
use hauberk_bench::message::{Body, Head, Malformed, request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::answer;

const READ_BYTES: usize = 16 * 1024;

enum State {
    Head,
    Body { head: Head, left: Body, content: Vec<u8> },
}

/// Answers until the client closes.
pub async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut input = Vec::with_capacity(READ_BYTES);
    let mut output = Vec::new();
    let mut state = State::Head;
    loop {
        let mut used = 0;
        let mut close = false;
        while !close {
            let rest = input.get(used..).unwrap_or_default();
            let (taken, next) = step(state, rest, &mut output).map_err(io::Error::other)?;
            used = used.saturating_add(taken);
            let waits = next.waits;
            close = next.close;
            state = next.state;
            if waits {
                break;
            }
        }
        input.drain(..used);
        if !output.is_empty() {
            stream.write_all(&output).await?;
            output.clear();
        }
        if close || stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

struct Next {
    state: State,
    /// Whether more bytes are needed first.
    waits: bool,
    /// Whether the client asked to close after this answer.
    close: bool,
}

fn step(state: State, bytes: &[u8], output: &mut Vec<u8>) -> Result<(usize, Next), Malformed> {
    match state {
        State::Head => match request(bytes)? {
            None => Ok((0, Next { state: State::Head, waits: true, close: false })),
            Some(head) => {
                let (taken, left) = (head.length, head.body);
                let state = State::Body { head, left, content: Vec::new() };
                Ok((taken, Next { state, waits: false, close: false }))
            }
        },
        State::Body { head, mut left, mut content } => {
            let taken = left.take(bytes, |part| content.extend(part))?;
            if left != Body::Done {
                let state = State::Body { head, left, content };
                return Ok((taken, Next { state, waits: true, close: false }));
            }
            let answer = answer(&head.path, Bytes::from(content));
            let length = answer.body.len();
            let status = answer.status;
            output.extend(
                format!(
                    "HTTP/1.1 {status} -\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n"
                )
                .bytes(),
            );
            output.extend(&answer.body);
            Ok((taken, Next { state: State::Head, waits: false, close: head.close }))
        }
    }
}
