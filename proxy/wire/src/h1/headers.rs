//! The fields of one head or trailer section: one block of bytes and a table of offsets into it.

use bytes::Bytes;

use super::grammar::list;
use super::limits::{Limits, NAME_BYTES_MAX};
use super::{H1Error, Version};

/// What a field is to an intermediary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Passed on as it is.
    EndToEnd,
    /// `l5d-*`, `hauberk-error` and `hauberk-request-id`: the mesh's own, passed on only where a rule keeps it.
    Mesh,
    /// `Expect`: passed on.
    Expect,
    /// `Trailer`: passed on where the framing can carry trailers.
    Trailer,
    /// Regenerated.
    Host,
    /// Regenerated.
    ContentLength,
    /// Regenerated.
    TransferEncoding,
    /// Regenerated.
    Connection,
    /// Regenerated.
    Upgrade,
    /// Regenerated.
    Te,
    /// Belongs to the connection it came on (RFC 9110 §7.6.1), by name or because `Connection` named it.
    Hop,
}

impl Kind {
    /// Classifies a name, in any case.
    pub fn of(name: &[u8]) -> Self {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        match (name.len(), name.first().map(u8::to_ascii_lowercase)) {
            (2, Some(b't')) if is(b"te") => Self::Te,
            (4, Some(b'h')) if is(b"host") => Self::Host,
            (6, Some(b'e')) if is(b"expect") => Self::Expect,
            (7, Some(b'u')) if is(b"upgrade") => Self::Upgrade,
            (7, Some(b't')) if is(b"trailer") => Self::Trailer,
            (10, Some(b'c')) if is(b"connection") => Self::Connection,
            (10, Some(b'k')) if is(b"keep-alive") => Self::Hop,
            (14, Some(b'c')) if is(b"content-length") => Self::ContentLength,
            // To an application behind CGI naming, which makes one variable of `_` and `-`, these would frame the body.
            (14, Some(b'c')) if is(b"content_length") => Self::Hop,
            (17, Some(b't')) if is(b"transfer_encoding") => Self::Hop,
            (14, Some(b'h')) if is(b"http2-settings") => Self::Hop,
            (16, Some(b'p')) if is(b"proxy-connection") => Self::Hop,
            (17, Some(b't')) if is(b"transfer-encoding") => Self::TransferEncoding,
            (_, Some(b'l')) if is_mesh(name) => Self::Mesh,
            (13 | 18, Some(b'h')) if is_ours(name) => Self::Mesh,
            (_, _) => Self::EndToEnd,
        }
    }

    /// Whether a field of this kind is the two ends' business, of which no hop makes or drops any by itself.
    pub fn is_end_to_end(self) -> bool {
        match self {
            Self::EndToEnd | Self::Expect | Self::Trailer => true,
            Self::Mesh
            | Self::Host
            | Self::ContentLength
            | Self::TransferEncoding
            | Self::Connection
            | Self::Upgrade
            | Self::Te
            | Self::Hop => false,
        }
    }

    /// Whether a field of this kind reaches the other side under its own name.
    pub fn is_forwarded(self) -> bool {
        match self {
            Self::EndToEnd | Self::Mesh | Self::Expect | Self::Trailer => true,
            Self::Host
            | Self::ContentLength
            | Self::TransferEncoding
            | Self::Connection
            | Self::Upgrade
            | Self::Te
            | Self::Hop => false,
        }
    }
}

/// `l5d-…`, where `_` counts as `-`: to an application behind CGI naming the two are one header.
fn is_mesh(name: &[u8]) -> bool {
    matches!(name, [b'l' | b'L', b'5', b'd' | b'D', b'-' | b'_', ..])
}

/// What proxies alone say of a request, likewise.
fn is_ours(name: &[u8]) -> bool {
    // As proxies spell it.
    if name == b"hauberk-request-id" {
        return true;
    }
    let is = |ours: &[u8]| {
        let same = |(a, b): (&u8, &u8)| a.eq_ignore_ascii_case(b) || (*a == b'_' && *b == b'-');
        name.len() == ours.len() && name.iter().zip(ours).all(same)
    };
    is(b"hauberk-error") || is(b"hauberk-request-id")
}

/// One field as it stands in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// In the case in which it was sent.
    pub name: &'a [u8],
    /// Without whitespace around it.
    pub value: &'a [u8],
    /// What it is to us.
    pub kind: Kind,
}

/// A range of the block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

impl Span {
    pub(crate) fn new(start: usize, len: usize) -> Result<Self, H1Error> {
        match (u32::try_from(start), u32::try_from(len)) {
            (Ok(start), Ok(len)) => Ok(Self { start, len }),
            (Err(_), _) | (_, Err(_)) => Err(H1Error::HeadTooLarge),
        }
    }

    pub(crate) fn of(self, block: &[u8]) -> &[u8] {
        let start = self.start as usize;
        block.get(start..start.saturating_add(self.len as usize)).unwrap_or_default()
    }

    /// The same bytes, sharing the block.
    pub(crate) fn share(self, block: &Bytes) -> Bytes {
        if self.end() <= block.len() { block.slice(self.start as usize..self.end()) } else { Bytes::new() }
    }

    /// The same bytes as text; every span that is read so was checked to be ASCII.
    pub(crate) fn text(self, block: &[u8]) -> &str {
        std::str::from_utf8(self.of(block)).unwrap_or_default()
    }

    pub(crate) fn end(self) -> usize {
        (self.start as usize).saturating_add(self.len as usize)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    name: u32,
    value: u32,
    value_len: u32,
    name_len: u16,
    pub(crate) kind: Kind,
}

impl Slot {
    fn new(name: Span, value: Span, kind: Kind) -> Result<Self, H1Error> {
        if name.len as usize > NAME_BYTES_MAX {
            return Err(H1Error::FieldName);
        }
        let name_len = u16::try_from(name.len).map_err(|_| H1Error::FieldName)?;
        Ok(Self { name: name.start, value: value.start, value_len: value.len, name_len, kind })
    }

    pub(crate) fn start(&self) -> usize {
        self.name as usize
    }

    pub(crate) fn name(&self) -> Span {
        Span { start: self.name, len: u32::from(self.name_len) }
    }

    pub(crate) fn value(&self) -> Span {
        Span { start: self.value, len: self.value_len }
    }
}

/// The slots of a section, before its block is known. On the heap: heads move through many futures.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    slots: Vec<Slot>,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new() }
    }

    /// Makes room for so many fields.
    pub(crate) fn reserve(&mut self, fields: usize) {
        self.slots.reserve_exact(fields);
    }

    pub(crate) fn push(&mut self, name: Span, value: Span, kind: Kind) -> Result<(), H1Error> {
        self.slots.push(Slot::new(name, value, kind)?);
        Ok(())
    }

    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Whether no more fields are here than may be. Before [`Table::nominate`]: what the sender calls hop-by-hop counts.
    pub(crate) fn is_within(&self, limits: &Limits) -> bool {
        let end_to_end = || self.slots().iter().filter(|slot| slot.kind.is_end_to_end()).count();
        self.slots.len() <= limits.fields_max
            || (self.slots.len() <= limits.fields_of_all_kinds_max() && end_to_end() <= limits.fields_max)
    }

    /// Marks what `Connection` names as belonging to the connection. Framing fields keep their kind.
    pub(crate) fn nominate(&mut self, block: &[u8]) {
        let is_connection = |slot: &&Slot| slot.kind == Kind::Connection;
        let named: Vec<Span> = self.slots().iter().filter(is_connection).map(Slot::value).collect();
        for token in named.iter().flat_map(|value| list(value.of(block))) {
            for slot in &mut self.slots {
                if slot.kind.is_forwarded() && slot.name().of(block).eq_ignore_ascii_case(token) {
                    slot.kind = Kind::Hop;
                }
            }
        }
    }
}

/// What the `Connection` fields of a message say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Connection {
    close: bool,
    keep_alive: bool,
    /// `upgrade` is named.
    pub(crate) upgrade: bool,
    /// A field is named that no table knows to be hop-by-hop.
    pub(crate) nominates: bool,
}

impl Connection {
    /// Adds one field's value.
    pub(crate) fn read(&mut self, value: &[u8]) {
        for token in list(value) {
            let is = |name: &[u8]| token.eq_ignore_ascii_case(name);
            match () {
                () if is(b"close") => self.close = true,
                () if is(b"keep-alive") => self.keep_alive = true,
                () if is(b"upgrade") => self.upgrade = true,
                () if is(b"te") => {}
                () => self.nominates = true,
            }
        }
    }

    /// Whether the connection stays open (RFC 9112 §9.3).
    pub(crate) fn persists(self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }
}

/// The fields of a head or trailer section, in their order. Cheap to move.
#[derive(Clone, Debug)]
pub struct Headers {
    pub(crate) block: Bytes,
    pub(crate) table: Table,
}

impl Headers {
    /// Every field, also those that are not forwarded.
    pub fn all(&self) -> impl Iterator<Item = Field<'_>> {
        self.table.slots().iter().map(|slot| Field {
            name: slot.name().of(&self.block),
            value: slot.value().of(&self.block),
            kind: slot.kind,
        })
    }

    /// The fields that an intermediary passes on: neither framing nor hop-by-hop, by name or by `Connection`.
    pub fn forwarded(&self) -> impl Iterator<Item = Field<'_>> {
        self.all().filter(|field| field.kind.is_forwarded())
    }

    /// All values of `name` among the forwarded fields, in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.forwarded()
            .filter(move |field| field.name.eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| field.value)
    }

    /// Number of fields of all kinds.
    pub fn len(&self) -> usize {
        self.table.slots.len()
    }

    /// Whether there is no field at all.
    pub fn is_empty(&self) -> bool {
        self.table.slots.is_empty()
    }

    /// Bytes of the whole section as received.
    pub fn bytes(&self) -> usize {
        self.block.len()
    }

    pub(crate) fn text(&self, span: Span) -> &str {
        span.text(&self.block)
    }
}
