//! `hload bulk`: as many bytes as go through, in one direction.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use rustix::net::{RecvFlags, recv};
use serde_json::{Value, json};

use crate::LoadError;
use crate::args::BulkLoad;

const BULK_BYTES: usize = 256 * 1024;

/// Runs the load and gives its figures. The threads end with the process.
pub fn run(load: &BulkLoad) -> Result<Value, LoadError> {
    let bytes = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    for _ in 0..load.connections {
        let mut stream = TcpStream::connect(load.to)?;
        stream.write_all(if load.down { b"S" } else { b"K" })?;
        let (bytes, down) = (Arc::clone(&bytes), load.down);
        thread::spawn(move || {
            let mut buffer = vec![b'x'; BULK_BYTES];
            while let Ok(1..) = pass(&mut stream, down, &mut buffer).inspect(|count| {
                bytes.fetch_add(u64::try_from(*count).unwrap_or(0), Ordering::Relaxed);
            }) {}
        });
    }
    thread::sleep(load.lasting);
    let passed = bytes.load(Ordering::Relaxed);
    let took = start.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "byte counts stay below 2^53")]
    let gigabits = passed as f64 * 8.0 / took / 1e9;
    Ok(json!({ "bytes": passed, "secs": took, "gbit": gigabits, "errors": 0 }))
}

/// Received bytes are discarded by the kernel (`MSG_TRUNC`, tcp(7)), so as not to be what is measured.
fn pass(stream: &mut TcpStream, down: bool, buffer: &mut [u8]) -> io::Result<usize> {
    if down { Ok(recv(&*stream, buffer, RecvFlags::TRUNC)?.1) } else { stream.write(buffer) }
}
