//! A bound on the heads that requests in flight hold: many streams with large heads would otherwise take as much memory
//! as a client cares to ask for.

use std::cell::Cell;
use std::rc::Rc;

use http::{HeaderMap, Uri};

/// Weight of a head that is not counted: nearly every request's. Streams times this is bounded by the stream limit.
const FREE_BYTES: usize = 4 * 1024;
/// What the large heads of one connection may weigh together: a hundred tokens of 8 KiB, and more than one head can.
const CONNECTION_BYTES_MAX: usize = 768 * 1024;
/// What the large heads of all connections of the worker may weigh together.
const WORKER_BYTES_MAX: usize = 3 * 1024 * 1024;
/// What a field costs beside its bytes: its places in the map of the request and of the copy that is sent on.
const FIELD_BYTES: usize = 128;

/// The room of one worker, shared by its connections.
#[derive(Debug, Default)]
pub(crate) struct HeadRoom(Rc<Cell<usize>>);

/// The room of one connection.
#[derive(Debug)]
pub(crate) struct ConnectionRoom {
    worker: Rc<Cell<usize>>,
    own: Rc<Cell<usize>>,
}

/// What a request in flight takes; given back when dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    bytes: usize,
    worker: Rc<Cell<usize>>,
    own: Rc<Cell<usize>>,
}

/// Whether a request may begin.
#[derive(Debug)]
pub(crate) enum Room {
    /// Yes, without a trace.
    Free,
    /// Yes, and this is kept until it ends.
    Taken(Taken),
    /// Not now; nothing of it was done.
    None,
}

impl HeadRoom {
    pub(crate) fn connection(&self) -> ConnectionRoom {
        ConnectionRoom { worker: Rc::clone(&self.0), own: Rc::default() }
    }
}

impl ConnectionRoom {
    /// Takes the room for a head of this weight.
    pub(crate) fn take(&self, weight: usize) -> Room {
        let Some(bytes) = weight.checked_sub(FREE_BYTES).filter(|bytes| *bytes > 0) else {
            return Room::Free;
        };
        let (own, worker) = (self.own.get() + bytes, self.worker.get() + bytes);
        // One head of the largest size always fits an idle connection.
        if own > CONNECTION_BYTES_MAX || worker > WORKER_BYTES_MAX {
            return Room::None;
        }
        self.own.set(own);
        self.worker.set(worker);
        Room::Taken(Taken { bytes, worker: Rc::clone(&self.worker), own: Rc::clone(&self.own) })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.own.set(self.own.get().saturating_sub(self.bytes));
        self.worker.set(self.worker.get().saturating_sub(self.bytes));
    }
}

/// What a head weighs in memory, about.
pub(crate) fn weight(headers: &HeaderMap, uri: &Uri) -> usize {
    let fields = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES);
    fields.sum::<usize>() + uri.path().len() + uri.query().map_or(0, str::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_heads_are_free_and_large_ones_are_bounded_by_connection_and_worker() {
        let room = HeadRoom::default();
        let first = room.connection();
        assert!(matches!(first.take(FREE_BYTES), Room::Free));
        let large = 128 * 1024 + FREE_BYTES;
        let take = |room: &ConnectionRoom| -> Vec<Taken> {
            std::iter::from_fn(|| match room.take(large) {
                Room::Taken(taken) => Some(taken),
                Room::Free | Room::None => None,
            })
            .collect()
        };
        let taken = take(&first);
        assert_eq!(taken.len(), CONNECTION_BYTES_MAX / (128 * 1024));
        let others: Vec<_> = (0..8).map(|_| room.connection()).collect();
        let all: usize = others.iter().map(|other| std::mem::ManuallyDrop::new(take(other)).len()).sum();
        assert_eq!(all + taken.len(), WORKER_BYTES_MAX / (128 * 1024));
    }

    #[test]
    fn room_is_given_back_when_a_request_ends() {
        let room = HeadRoom::default();
        let connection = room.connection();
        drop(connection.take(512 * 1024));
        assert_eq!((connection.own.get(), room.0.get()), (0, 0));
    }
}
