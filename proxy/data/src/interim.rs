//! Interim responses (1xx): passed on to the client while the final one is still awaited (RFC 9110 §15.2).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use hauberk_wire::Edits;

use crate::exchange::Reply;
use crate::heads::ResponseMeta;

/// Interim responses of one server that are taken before the final one; a server that sends more is broken.
pub(crate) const INTERIM_MAX: usize = 16;
/// Bytes of names and values of those that one client is sent; what is beyond is left out, since a client can do without.
const BYTES_MAX: usize = 16 * 1024;

/// Those of the attempts at one request, on their way to its client. An attempt that is made again has told what it
/// had to tell: interim responses bind nobody.
#[derive(Debug, Default)]
pub(crate) struct Interims {
    waiting: RefCell<VecDeque<ResponseMeta>>,
    seen: Cell<usize>,
    bytes: Cell<usize>,
}

impl Interims {
    /// One has arrived.
    pub(crate) fn push(&self, head: ResponseMeta) {
        self.seen.set(self.seen.get().saturating_add(1));
        let bytes = head.fields().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let bytes = self.bytes.get().saturating_add(bytes);
        if self.seen.get() <= INTERIM_MAX && bytes <= BYTES_MAX {
            self.bytes.set(bytes);
            self.waiting.borrow_mut().push_back(head);
        }
    }

    /// How many there have been: while this grows, the server is not silent.
    pub(crate) fn seen(&self) -> usize {
        self.seen.get()
    }

    fn pass_on(&self, reply: &mut Reply, edits: &Edits<'_>) {
        while let Some(head) = self.waiting.borrow_mut().pop_front() {
            reply.interim(head, edits);
        }
    }
}

/// Waits for `work` unless the client cancels first, and passes on what `work` puts into `interims` meanwhile. The
/// caller has pinned it: given by value, it would be there twice.
pub(crate) async fn answered<T>(
    reply: &mut Reply,
    interims: &Interims,
    edits: &Edits<'_>,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    poll_fn(|cx| {
        let polled = work.as_mut().poll(cx);
        if interims.seen() > 0 {
            interims.pass_on(reply, edits);
        }
        match polled {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => {
                reply.poll_interims(cx);
                reply.poll_gone(cx).map(|()| None)
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interim(value: &str) -> ResponseMeta {
        let response = http::Response::builder().status(103).header("link", value).body(()).expect("sound");
        ResponseMeta::of(response)
    }

    #[test]
    fn a_server_cannot_fill_the_memory_with_interim_responses() {
        let many = Interims::default();
        (0..INTERIM_MAX * 2).for_each(|_| many.push(interim("</a>")));
        assert_eq!((many.waiting.borrow().len(), many.seen()), (INTERIM_MAX, INTERIM_MAX * 2));
        let large = Interims::default();
        (0..3).for_each(|_| large.push(interim(&"a".repeat(BYTES_MAX / 2))));
        assert_eq!((large.waiting.borrow().len(), large.seen()), (1, 3));
    }
}
