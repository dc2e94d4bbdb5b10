//! Netlink messages as bytes, and a socket that waits for the kernel's verdict on them.
//!
//! The writer is pure: a message is a value whose bytes a test can compare. Formats are those of
//! `linux/netlink.h`; every length and number of the header is in the byte order of the machine.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netlink, recv, send, socket_with,
};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLA_F_NESTED: u16 = 0x8000;
const NLA_TYPE_MASK: u16 = 0x3fff;
const HEADER_BYTES: usize = 16;
const ATTRIBUTE_HEADER_BYTES: usize = 4;
const FLAG_REQUEST: u16 = 0x1;

/// `NLM_F_ACK`: the kernel answers also when it succeeds.
pub const ACK: u16 = 0x4;
/// `NLM_F_EXCL`: refuse when the object exists.
pub const EXCL: u16 = 0x200;
/// `NLM_F_DUMP`: answer with every object.
pub const DUMP: u16 = 0x300;
/// `NLM_F_CREATE`: make the object when it does not exist.
pub const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`: add at the end of the list.
pub const APPEND: u16 = 0x800;

/// The longest the kernel may take for one answer. It answers from the same system call as a rule; anything
/// near this means that the answer was lost.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Room for one datagram of a dump: the kernel sends at most 32 KiB at a time (`NLMSG_GOODSIZE`).
const DATAGRAM_BYTES_MAX: usize = 64 * 1024;

/// Why the kernel did not do what a message asked.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// No such socket: the kernel lacks the protocol, or forbids it.
    #[error("cannot open a netlink socket")]
    Open(#[source] io::Error),
    /// The datagram did not reach the kernel, or its answer did not reach us.
    #[error("cannot speak to the kernel over netlink")]
    Transport(#[source] io::Error),
    /// The kernel understood and refused. `index` is the place of the message in its transaction.
    #[error("{what}")]
    Refused {
        /// What was asked.
        what: String,
        /// The place of the refused message in its transaction.
        index: usize,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
    /// A message or attribute longer than its length field can say.
    #[error("{0} does not fit in a netlink message")]
    TooLong(String),
    /// An answer that is no netlink message.
    #[error("the kernel's answer is malformed")]
    Malformed,
}

impl NetlinkError {
    /// The kernel's error number, where it gave one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Open(source) | Self::Transport(source) | Self::Refused { source, .. } => {
                source.raw_os_error()
            }
            Self::TooLong(_) | Self::Malformed => None,
        }
    }
}

/// A sequence of attributes, each padded to four bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes {
    bytes: Vec<u8>,
    overflow: bool,
}

impl Attributes {
    /// Appends bytes that are no attribute (a family header), padded to the next multiple of four.
    pub fn raw(&mut self, data: &[u8]) -> &mut Self {
        self.bytes.extend(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Appends one attribute.
    pub fn put(&mut self, kind: u16, data: &[u8]) -> &mut Self {
        match u16::try_from(data.len().saturating_add(ATTRIBUTE_HEADER_BYTES)) {
            Ok(length) => {
                self.bytes.extend(length.to_ne_bytes());
                self.bytes.extend(kind.to_ne_bytes());
                self.raw(data)
            }
            Err(_) => {
                self.overflow = true;
                self
            }
        }
    }

    /// Appends a string with its terminating zero.
    pub fn put_str(&mut self, kind: u16, text: &str) -> &mut Self {
        let mut data = text.as_bytes().to_vec();
        data.push(0);
        self.put(kind, &data)
    }

    /// Appends a number in network order, as nf_tables wants every number of its own.
    pub fn put_be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// Appends an attribute made of attributes.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let mut inner = Self::default();
        fill(&mut inner);
        self.overflow |= inner.overflow;
        self.put(kind | NLA_F_NESTED, &inner.bytes)
    }
}

/// One netlink message. `what` names it in errors.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    kind: u16,
    flags: u16,
    what: String,
    body: Attributes,
}

impl Message {
    /// A message with the fixed header of its family (`ifinfomsg`, `nfgenmsg`, ...) and no attribute yet.
    pub fn new(kind: u16, flags: u16, family_header: &[u8], what: impl Into<String>) -> Self {
        let mut body = Attributes::default();
        body.raw(family_header);
        Self { kind, flags: flags | FLAG_REQUEST, what: what.into(), body }
    }

    /// The attributes, to append to.
    pub fn body(&mut self) -> &mut Attributes {
        &mut self.body
    }

    /// Asks for an answer also when the kernel succeeds.
    pub fn acknowledged(mut self) -> Self {
        self.flags |= ACK;
        self
    }

    fn wants_answer(&self) -> bool {
        self.flags & ACK != 0
    }

    fn encode(&self, sequence: u32) -> Result<Vec<u8>, NetlinkError> {
        let too_long = || NetlinkError::TooLong(self.what.clone());
        if self.body.overflow {
            return Err(too_long());
        }
        let length = self.body.bytes.len().saturating_add(HEADER_BYTES);
        let length = u32::try_from(length).map_err(|_| too_long())?;
        let mut out = Vec::new();
        out.extend(length.to_ne_bytes());
        out.extend(self.kind.to_ne_bytes());
        out.extend(self.flags.to_ne_bytes());
        out.extend(sequence.to_ne_bytes());
        out.extend([0; 4]); // the port: the kernel fills in ours
        out.extend(&self.body.bytes);
        Ok(out)
    }
}

/// One message of an answer.
#[derive(Debug, PartialEq)]
struct Answer<'a> {
    kind: u16,
    sequence: u32,
    payload: &'a [u8],
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// Splits the first message off a datagram; `None` when it is malformed.
fn split_answer(bytes: &[u8]) -> Option<(Answer<'_>, &[u8])> {
    let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
    let payload = bytes.get(HEADER_BYTES..length)?;
    let rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((Answer { kind: u16_at(bytes, 4)?, sequence: u32_at(bytes, 8)?, payload }, rest))
}

/// The attributes in `bytes`, as (type without flags, value). Stops at the first malformed one.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & NLA_TYPE_MASK;
        let value = rest.get(ATTRIBUTE_HEADER_BYTES..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// A netlink socket. It belongs to the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
}

impl Socket {
    /// For nf_tables.
    pub fn netfilter() -> Result<Self, NetlinkError> {
        Self::open(Some(netlink::NETFILTER)).map_err(NetlinkError::Open)
    }

    /// For links, addresses and routes.
    pub fn route() -> Result<Self, NetlinkError> {
        Self::open(None).map_err(NetlinkError::Open) // protocol 0 is NETLINK_ROUTE
    }

    fn open(protocol: Option<rustix::net::Protocol>) -> io::Result<Self> {
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        bind(&fd, &netlink::SocketAddrNetlink::new(0, 0))?;
        set_socket_timeout(&fd, Timeout::Recv, Some(ANSWER_MAX))?;
        Ok(Self { fd })
    }

    /// Sends all messages in one datagram and waits for each answer asked for. The first refusal is the result.
    pub fn transact(&self, messages: &[Message]) -> Result<(), NetlinkError> {
        let mut pending = messages.iter().filter(|message| message.wants_answer()).count();
        self.send(messages)?;
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        while pending > 0 {
            let mut rest = self.receive(&mut buffer)?;
            while !rest.is_empty() {
                let (answer, tail) = split_answer(rest).ok_or(NetlinkError::Malformed)?;
                if answer.kind == NLMSG_ERROR {
                    refusal(&answer, messages)?;
                    pending = pending.saturating_sub(1);
                }
                rest = tail;
            }
        }
        Ok(())
    }

    /// Sends one message with [`DUMP`] and gives the payload of every object in the answer, family header first.
    pub fn dump(&self, message: Message) -> Result<Vec<Vec<u8>>, NetlinkError> {
        let messages = [message];
        self.send(&messages)?;
        let mut objects = Vec::new();
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            let mut rest = self.receive(&mut buffer)?;
            while !rest.is_empty() {
                let (answer, tail) = split_answer(rest).ok_or(NetlinkError::Malformed)?;
                match answer.kind {
                    NLMSG_DONE => return Ok(objects),
                    NLMSG_ERROR => refusal(&answer, &messages)?,
                    _ => objects.push(answer.payload.to_vec()),
                }
                rest = tail;
            }
        }
    }

    fn send(&self, messages: &[Message]) -> Result<(), NetlinkError> {
        let mut datagram = Vec::new();
        for (message, sequence) in messages.iter().zip(0..) {
            datagram.extend(message.encode(sequence)?);
        }
        send(&self.fd, &datagram, SendFlags::empty())
            .map_err(|error| NetlinkError::Transport(error.into()))?;
        Ok(())
    }

    fn receive<'a>(&self, buffer: &'a mut [u8]) -> Result<&'a [u8], NetlinkError> {
        let (length, _) = recv(&self.fd, &mut *buffer, RecvFlags::empty())
            .map_err(|error| NetlinkError::Transport(error.into()))?;
        buffer.get(..length).ok_or(NetlinkError::Malformed)
    }
}

/// `nlmsgerr`: an error number below zero, or zero for "done".
fn refusal(answer: &Answer<'_>, messages: &[Message]) -> Result<(), NetlinkError> {
    let code = u32_at(answer.payload, 0).ok_or(NetlinkError::Malformed)?.cast_signed();
    if code == 0 {
        return Ok(());
    }
    let index = usize::try_from(answer.sequence).map_err(|_| NetlinkError::Malformed)?;
    let what = messages.get(index).map_or_else(|| "netlink".to_owned(), |message| message.what.clone());
    Err(NetlinkError::Refused { what, index, source: io::Error::from_raw_os_error(code.saturating_neg()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn attributes_are_padded_and_nested_ones_are_marked() {
        let mut attributes = Attributes::default();
        attributes.put_str(3, "lo").nest(4, |inner| {
            inner.put_be32(1, 7);
        });
        let mut expected = Vec::new();
        expected.extend([7_u16.to_ne_bytes(), 3_u16.to_ne_bytes()].concat());
        expected.extend(b"lo\0\0");
        expected.extend([12_u16.to_ne_bytes(), 0x8004_u16.to_ne_bytes()].concat());
        expected.extend([8_u16.to_ne_bytes(), 1_u16.to_ne_bytes()].concat());
        expected.extend([0, 0, 0, 7]);
        assert_eq!(attributes.bytes, expected);
    }

    #[test]
    fn an_attribute_over_64_kib_is_refused_and_never_cut() {
        let mut message = Message::new(0, 0, &[], "a long one");
        message.body().nest(1, |inner| {
            inner.put(2, &vec![0; 70_000]);
        });
        assert!(matches!(message.encode(0), Err(NetlinkError::TooLong(what)) if what == "a long one"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(values in prop::collection::vec((0_u16..0x3fff, prop::collection::vec(any::<u8>(), 0..50)), 0..10)) {
            let mut written = Attributes::default();
            for (kind, value) in &values {
                written.put(*kind, value);
            }
            let read: Vec<_> = attributes(&written.bytes).map(|(kind, value)| (kind, value.to_vec())).collect();
            prop_assert_eq!(read, values);
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = attributes(&bytes).count();
            let _ = split_answer(&bytes);
        }
    }
}
