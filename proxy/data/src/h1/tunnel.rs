//! After 101: bytes both ways between the two connections of an exchange.

use std::future::poll_fn;

use hauberk_wire::Edits;

use super::conn::Raw;
use super::{Lease, Respond};
use crate::copy::both_ways;
use crate::heads::ResponseMeta;

/// Passes the 101 on and copies until both sides have ended. Tells whether they ended without an error.
pub(crate) async fn tunnel(client: Respond, server: Lease, head: ResponseMeta, edits: &Edits<'_>) -> bool {
    let conn = client.conn();
    let outgoing = match client.head(head, edits, true) {
        Ok(outgoing) => outgoing,
        Err(_) => return false,
    };
    drop(outgoing);
    // Whatever follows is no HTTP/1.
    conn.reusable.set(false);
    if poll_fn(|cx| conn.poll_flush(cx)).await.is_err() {
        return false;
    }
    let ended = both_ways(&mut Raw(conn), &mut Raw(server.into_conn())).await;
    ended.is_ok()
}
