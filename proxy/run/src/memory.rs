//! The allocator, and how it is had to give memory back.

use std::thread;

/// Of all threads, of C libraries too: small objects of one size share pages, so that what a thousand connections leave
/// behind are whole free pages. The C library's own keeps them for ever: it gives back only what lies above all else.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Gives back what has been free for more than a second: the allocator looks for that when a thread ends.
pub fn give_back() {
    // Without a thread to spare, memory is kept until the next time.
    let _ = thread::Builder::new().name("tidy".into()).spawn(|| {});
}
