//! Reading bodies: slices in, slices out, nothing copied.

use bytes::{Buf, Bytes, BytesMut};

use super::grammar::is_value_byte;
use super::trailers::{self, Trailers};
use super::{Body, H1Error, Limits, Scan};

/// Most digits of a chunk size, leading zeros included.
const SIZE_DIGITS_MAX: usize = 16;

/// Most bytes of one chunk line after its size.
const EXTENSION_BYTES_MAX: usize = 256;

/// Most bytes of chunk extensions in one body. They are dropped, so they may not be what the sender pays us in.
const EXTENSIONS_BYTES_MAX: usize = 16 * 1024;

/// What one step of a [`Decoder`] yields.
#[derive(Debug)]
pub enum Decoded {
    /// The next bytes of the body, never empty.
    Data(Bytes),
    /// The trailers; [`Decoded::End`] follows.
    Trailers(Box<Trailers>),
    /// The body is complete. Bytes left in the buffer belong to the next message.
    End,
    /// Nothing more can be said before more bytes arrive.
    NeedMore,
}

/// Takes a body off a buffer by the framing that its head declared.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    limits: Limits,
    extensions: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// So many bytes are left; more than none.
    Length(u64),
    UntilClose,
    ChunkLine,
    /// So many bytes of the current chunk are left; more than none.
    ChunkData(u64),
    ChunkEnd,
    Trailers(Scan),
    Done,
}

impl Decoder {
    /// A decoder for a body framed so.
    pub fn new(body: Body, limits: &Limits) -> Self {
        let state = match body {
            Body::None | Body::Length(0) => State::Done,
            Body::Length(length) => State::Length(length),
            Body::Chunked => State::ChunkLine,
            Body::UntilClose => State::UntilClose,
        };
        Self { state, limits: *limits, extensions: 0 }
    }

    /// Takes the next piece off `buf`. After an error the connection is of no use.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Decoded, H1Error> {
        loop {
            match self.state {
                State::Done => return Ok(Decoded::End),
                State::UntilClose if buf.is_empty() => return Ok(Decoded::NeedMore),
                State::UntilClose => return Ok(Decoded::Data(buf.split().freeze())),
                State::Length(left) | State::ChunkData(left) => return Ok(self.data(buf, left)),
                State::ChunkLine => {
                    let Some(line) = chunk_line(buf)? else { return Ok(Decoded::NeedMore) };
                    self.extensions = self.extensions.saturating_add(line.extension_bytes);
                    if self.extensions > EXTENSIONS_BYTES_MAX {
                        return Err(H1Error::ChunkExtensions);
                    }
                    buf.advance(line.bytes);
                    self.state = match line.size {
                        0 => State::Trailers(Scan::default()),
                        size => State::ChunkData(size),
                    };
                }
                State::ChunkEnd => match buf.as_ref() {
                    [b'\r', b'\n', ..] => {
                        buf.advance(2);
                        self.state = State::ChunkLine;
                    }
                    [] | [b'\r'] => return Ok(Decoded::NeedMore),
                    [..] => return Err(H1Error::ChunkEnd),
                },
                State::Trailers(mut scan) => {
                    let read = trailers::resume(buf, &self.limits, &mut scan)?;
                    let Some(trailers) = read else {
                        self.state = State::Trailers(scan);
                        return Ok(Decoded::NeedMore);
                    };
                    self.state = State::Done;
                    if !trailers.is_empty() {
                        return Ok(Decoded::Trailers(Box::new(trailers)));
                    }
                }
            }
        }
    }

    fn data(&mut self, buf: &mut BytesMut, left: u64) -> Decoded {
        if buf.is_empty() {
            return Decoded::NeedMore;
        }
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let left = left.saturating_sub(take as u64);
        let chunked = matches!(self.state, State::ChunkData(_));
        self.state = match (left, chunked) {
            (0, true) => State::ChunkEnd,
            (0, false) => State::Done,
            (left, true) => State::ChunkData(left),
            (left, false) => State::Length(left),
        };
        Decoded::Data(buf.split_to(take).freeze())
    }

    /// What the sender's close means: the end of a body that ends so, or a body cut short. Call after the buffer was
    /// decoded to [`Decoded::NeedMore`].
    pub fn close(&mut self) -> Result<(), H1Error> {
        match self.state {
            State::Done | State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            State::Length(_)
            | State::ChunkLine
            | State::ChunkData(_)
            | State::ChunkEnd
            | State::Trailers(_) => Err(H1Error::Truncated),
        }
    }

    /// Whether the whole body was taken.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }
}

struct ChunkLine {
    size: u64,
    bytes: usize,
    extension_bytes: usize,
}

/// `chunk-size [chunk-ext] CRLF`; whitespace is allowed only inside the extensions.
fn chunk_line(buf: &[u8]) -> Result<Option<ChunkLine>, H1Error> {
    let digits = buf.iter().take(SIZE_DIGITS_MAX + 1).take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits > SIZE_DIGITS_MAX {
        return Err(H1Error::ChunkSize);
    }
    let (number, rest) = buf.split_at_checked(digits).unwrap_or((buf, &[]));
    let (bytes, extension_bytes) = match rest {
        [] | [b'\r'] if digits > 0 || rest.is_empty() => return Ok(None),
        [b'\r', b'\n', ..] if digits > 0 => (digits + 2, 0),
        [b';' | b' ' | b'\t', ..] if digits > 0 => match extension(rest)? {
            None => return Ok(None),
            Some(len) => (digits + len + 2, len),
        },
        [..] => return Err(H1Error::ChunkLine),
    };
    let text = std::str::from_utf8(number).map_err(|_| H1Error::ChunkLine)?;
    let size = u64::from_str_radix(text, 16).map_err(|_| H1Error::ChunkSize)?;
    if size > i64::MAX as u64 {
        return Err(H1Error::ChunkSize);
    }
    Ok(Some(ChunkLine { size, bytes, extension_bytes }))
}

/// Length of the extensions before their CRLF. RFC 9112 §7.1.1 allows bad whitespace before the semicolon only.
fn extension(rest: &[u8]) -> Result<Option<usize>, H1Error> {
    let bound = rest.get(..=EXTENSION_BYTES_MAX).unwrap_or(rest);
    let plain = bound.iter().take_while(|&&byte| is_value_byte(byte)).count();
    let (text, end) = rest.split_at_checked(plain).unwrap_or((rest, &[]));
    let first = text.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
    if first.is_some_and(|&byte| byte != b';') {
        return Err(H1Error::ChunkLine);
    }
    match end {
        _ if plain > EXTENSION_BYTES_MAX => Err(H1Error::ChunkExtensions),
        [] | [b'\r'] => Ok(None),
        [b'\r', b'\n', ..] if first.is_some() => Ok(Some(plain)),
        [..] => Err(H1Error::ChunkLine),
    }
}
