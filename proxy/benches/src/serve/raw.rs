//! Raw TCP: echo, sink or source, by the first byte.

use std::io;

use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

const ECHO_BYTES: usize = 16 * 1024;
const BULK_BYTES: usize = 256 * 1024;

/// Does what the first byte says until the client closes.
pub async fn serve(mut stream: TcpStream) -> io::Result<()> {
    match stream.read_u8().await? {
        b'E' => echo(stream).await,
        b'K' => sink(stream).await,
        b'S' => source(stream).await,
        _ => Ok(()),
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(ECHO_BYTES);
    while stream.read_buf(&mut buffer).await? > 0 {
        stream.write_all(&buffer).await?;
        buffer.clear();
    }
    Ok(())
}

/// The kernel discards what has come (`MSG_TRUNC`, tcp(7)), so as not to be what is measured.
async fn sink(stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; BULK_BYTES];
    loop {
        stream.readable().await?;
        let discarded = stream.try_io(Interest::READABLE, || {
            Ok(recv(&stream, buffer.as_mut_slice(), RecvFlags::TRUNC | RecvFlags::DONTWAIT)?.1)
        });
        match discarded {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

async fn source(mut stream: TcpStream) -> io::Result<()> {
    let buffer = vec![b'x'; BULK_BYTES];
    loop {
        stream.write_all(&buffer).await?;
    }
}
