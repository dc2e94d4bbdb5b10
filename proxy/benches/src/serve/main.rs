//! The backend: HTTP/1.1 and HTTP/2 with prior knowledge on one port, gRPC echo on the same, and a raw TCP port. One
//! thread, so that it leaves the other processor to the proxies.
//!
//! `hserve HTTP_ADDRESS TCP_ADDRESS`
//!
//! HTTP: `/` (a small body), `/bytes/N`, `/status/N`, `/echo`. `application/grpc` is echoed with `grpc-status: 0`.
//! TCP: the first byte selects: `E` echo, `K` sink, `S` source.

mod http1;
mod http2;
mod raw;

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use tokio::time::sleep;

/// Largest body of `/bytes/N`.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Pause after a failed accept: EMFILE and friends pass.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
const BACKLOG: i32 = 4096;

/// What is answered.
struct Answer {
    status: u16,
    body: Bytes,
}

/// The answer to a path; `echo` is the body of the request.
fn answer(path: &str, echo: Bytes) -> Answer {
    let (kind, argument) =
        path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    let of = |status, body| Answer { status, body };
    match (kind, argument.parse::<usize>()) {
        ("", _) => of(200, Bytes::from_static(b"hello, mesh\n")),
        ("echo", _) => of(200, echo),
        ("bytes", Ok(count)) => of(200, vec![b'x'; count.min(BODY_BYTES_MAX)].into()),
        ("status", Ok(status @ 200..=599)) => of(u16::try_from(status).unwrap_or(500), Bytes::new()),
        _ => of(404, Bytes::from_static(b"no such path\n")),
    }
}

fn main() -> ExitCode {
    let addresses: Vec<SocketAddr> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [http, tcp] = addresses.as_slice() else {
        eprintln!("usage: hserve HTTP_ADDRESS TCP_ADDRESS");
        return ExitCode::from(64);
    };
    match run(*http, *tcp) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hserve: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(http: SocketAddr, tcp: SocketAddr) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let (http, tcp) = (listen(http)?, listen(tcp)?);
        println!("ready");
        tokio::join!(accept_all(http, serve_http), accept_all(tcp, raw::serve));
        Ok(())
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn accept_all<F: Future<Output = io::Result<()>> + 'static>(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> F,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _comfort = stream.set_nodelay(true);
                let serving = serve(stream);
                // A connection that fails is the load generator's finding, not the backend's.
                tokio::task::spawn_local(async move { serving.await.unwrap_or_default() });
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// HTTP/2 begins with `PRI`, which is no method of HTTP/1.1.
async fn serve_http(stream: TcpStream) -> io::Result<()> {
    let mut first = [0; 3];
    loop {
        match stream.peek(&mut first).await? {
            0 => return Ok(()),
            3.. if &first == b"PRI" => return http2::serve(stream).await,
            3.. => return http1::serve(stream).await,
            _ => tokio::task::yield_now().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_fixed_answers() {
        for (path, status, length) in [
            ("/", 200, 12),
            ("/bytes/100", 200, 100),
            ("/status/503", 503, 0),
            ("/status/7", 404, 13),
            ("/echo", 200, 3),
            ("/nothing", 404, 13),
        ] {
            let answer = answer(path, Bytes::from_static(b"abc"));
            assert_eq!((answer.status, answer.body.len()), (status, length), "{path}");
        }
    }
}
