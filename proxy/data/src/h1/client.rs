//! Requests on HTTP/1 connections that we opened.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hauberk_model::matching::RequestView;
use hauberk_wire::h1::response::{self, ResponseHead};
use hauberk_wire::h1::{Asked, Body as Framing, Limits as WireLimits, Scan};

use super::message::{Incoming, Outgoing};
use super::{Conn, wire_limits};
use crate::body::{Body, BodyError, Pump, PumpError, Sink};
use crate::config::Limits;
use crate::exchange::{AttemptError, Exchange};
use crate::heads::{self, Onward, RequestMeta, ResponseMeta};
use crate::interim::{INTERIM_MAX, Interims};
use crate::pool::Http1Pool;

/// Sends a request and waits for the head of the response, while the body goes out; interim ones are put into `interims`. The connection goes to `pool`
/// after the exchange, if the two messages allow it.
///
/// # Errors
/// [`AttemptError`] tells whether the server may have seen the request.
pub(crate) async fn request(
    conn: Rc<Conn>,
    head: &RequestMeta,
    on: &Onward<'_>,
    body: Body,
    limits: &Limits,
    pool: Option<Http1Pool>,
    interims: &Interims,
) -> Result<Box<Exchange>, AttemptError> {
    let written = conn.write(|out| heads::write_http1(head, on, out));
    let framing = written.map_err(|error| AttemptError::Unsent(BodyError::Unsayable(error)))?;
    let sink = Sink::H1(Outgoing::new(&conn, framing));
    let limits = wire_limits(limits);
    let mut waiting = Waiting {
        conn: &conn,
        pump: Pump::timed(body, sink),
        asked: Asked::by(head.method()),
        limits: &limits,
        scan: Scan::default(),
        interims,
        interim: 0,
    };
    let head = poll_fn(|cx| waiting.poll(cx)).await?;
    let pump = waiting.pump;
    let keep = head.keep_alive() && head.status() != 101;
    let body = match head.body() {
        Framing::None | Framing::Length(0) => {
            conn.body_read.set(true);
            Body::Empty
        }
        framing @ (Framing::Length(_) | Framing::Chunked | Framing::UntilClose) => {
            conn.body_read.set(false);
            Body::H1(Incoming::new(&conn, framing, &limits))
        }
    };
    let lease = Lease { conn, pool: pool.filter(|_| keep) };
    Ok(Exchange::over_connection(ResponseMeta::H1(head), body, pump, lease))
}

/// A request whose response has not begun.
struct Waiting<'a> {
    conn: &'a Rc<Conn>,
    pump: Pump,
    asked: Asked,
    limits: &'a WireLimits,
    scan: Scan,
    interims: &'a Interims,
    interim: usize,
}

impl Waiting<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<ResponseHead>, AttemptError>> {
        if !self.pump.is_done()
            && let Poll::Ready(Err(PumpError::Body(error))) = self.pump.poll(cx)
        {
            return Poll::Ready(Err(AttemptError::RequestBody(error)));
        }
        // A failed write is no answer yet: the server may have answered before it stopped reading.
        loop {
            let mut input = self.conn.input.borrow_mut();
            let parsed = response::resume(&mut input, self.limits, self.asked, &mut self.scan);
            drop(input);
            match parsed.map_err(AttemptError::Malformed)? {
                Some(head) if (100..200).contains(&head.status()) && head.status() != 101 => {
                    self.scan = Scan::default();
                    self.interim += 1;
                    if self.interim > INTERIM_MAX {
                        return Poll::Ready(Err(AttemptError::Malformed(super::H1Error::StatusLine)));
                    }
                    self.interims.push(ResponseMeta::H1(Box::new(head)));
                }
                Some(head) => return Poll::Ready(Ok(Box::new(head))),
                None => match ready!(self.conn.poll_fill(cx)) {
                    Ok(0) => return Poll::Ready(Err(AttemptError::Broken(closed()))),
                    Ok(_) => {}
                    Err(error) => return Poll::Ready(Err(AttemptError::Broken(error.into()))),
                },
            }
        }
    }
}

fn closed() -> BodyError {
    BodyError::Io(std::io::ErrorKind::UnexpectedEof.into())
}

/// The connection of an exchange, and where it goes afterwards.
#[derive(Debug)]
pub(crate) struct Lease {
    conn: Rc<Conn>,
    pool: Option<Http1Pool>,
}

impl Lease {
    /// Gives the connection back if both messages are complete; otherwise it closes.
    pub(crate) fn release(self, is_complete: bool) {
        let usable = is_complete
            && self.conn.body_read.get()
            && self.conn.body_written.get()
            && self.conn.reusable.get()
            && self.conn.input.borrow().is_empty();
        if let Some(pool) = self.pool.filter(|_| usable) {
            pool.put(self.conn);
        }
    }

    pub(crate) fn into_conn(self) -> Rc<Conn> {
        self.conn
    }
}
