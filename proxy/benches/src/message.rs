//! HTTP/1.1 heads and bodies as they arrive, over `httparse`. Enough for both ends of a benchmark: what it does not
//! know is an error.

/// Fields of one head.
const FIELDS_MAX: usize = 64;

/// A message that is none.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("malformed HTTP/1.1: {0}")]
pub struct Malformed(pub &'static str);

/// The first line and what of the fields matters here.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// Status of a response; 0 in a request.
    pub status: u16,
    /// Target of a request; empty in a response.
    pub path: String,
    /// Bytes of the head.
    pub length: usize,
    /// How the body ends.
    pub body: Body,
    /// Whether the sender closes after this message.
    pub close: bool,
}

/// What is still to come of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// So many bytes.
    Bytes(u64),
    /// A chunk's size line; the size so far.
    ChunkSize(u64),
    /// The rest of the size line.
    ChunkExtension(u64),
    /// Bytes of a chunk.
    Chunk(u64),
    /// The line end after a chunk.
    ChunkEnd,
    /// Trailer lines; bytes seen of the current one.
    Trailers(u32),
    /// Nothing.
    Done,
}

/// Parses the head of a request, once it is there whole.
pub fn request(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut parsed = httparse::Request::new(&mut fields);
    let status = parsed.parse(bytes).map_err(|_| Malformed("request head"))?;
    let httparse::Status::Complete(length) = status else { return Ok(None) };
    let (body, close) = framing(parsed.headers, Body::Done)?;
    Ok(Some(Head { status: 0, path: parsed.path.unwrap_or("/").to_owned(), length, body, close }))
}

/// Parses the head of a response to GET or POST, once it is there whole.
pub fn response(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut parsed = httparse::Response::new(&mut fields);
    let status = parsed.parse(bytes).map_err(|_| Malformed("response head"))?;
    let httparse::Status::Complete(length) = status else { return Ok(None) };
    let status = parsed.code.unwrap_or(0);
    let without_body = matches!(status, 100..=199 | 204 | 304);
    // Until the end of the connection: no peer of the benchmark answers so.
    let (body, close) = framing(parsed.headers, Body::Bytes(u64::MAX))?;
    let body = if without_body { Body::Done } else { body };
    Ok(Some(Head { status, path: String::new(), length, body, close }))
}

fn framing(fields: &[httparse::Header<'_>], otherwise: Body) -> Result<(Body, bool), Malformed> {
    let (mut body, mut close) = (otherwise, false);
    for field in fields {
        if field.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(field.value).map_err(|_| Malformed("content-length"))?;
            let length = text.trim().parse().map_err(|_| Malformed("content-length"))?;
            body = if length == 0 { Body::Done } else { Body::Bytes(length) };
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            body = Body::ChunkSize(0);
        } else if field.name.eq_ignore_ascii_case("connection") {
            close |= field.value.eq_ignore_ascii_case(b"close");
        }
    }
    Ok((body, close))
}

impl Body {
    /// Takes what belongs to this body from the front of `bytes`, gives its content to `keep`, and says how many
    /// bytes were taken.
    pub fn take(&mut self, bytes: &[u8], mut keep: impl FnMut(&[u8])) -> Result<usize, Malformed> {
        let mut rest = bytes;
        while *self != Self::Done {
            let Some((first, tail)) = rest.split_first() else { break };
            match *self {
                Self::Bytes(left) | Self::Chunk(left) => {
                    let taken = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let (content, tail) = rest.split_at_checked(taken).ok_or(Malformed("length"))?;
                    keep(content);
                    rest = tail;
                    *self = self.after(left.saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX)));
                }
                state @ (Self::ChunkSize(_)
                | Self::ChunkExtension(_)
                | Self::ChunkEnd
                | Self::Trailers(_)
                | Self::Done) => {
                    *self = state.line(*first)?;
                    rest = tail;
                }
            }
        }
        Ok(bytes.len().saturating_sub(rest.len()))
    }

    fn after(self, left: u64) -> Self {
        match (self, left) {
            (Self::Chunk(_), 0) => Self::ChunkEnd,
            (Self::Chunk(_), left) => Self::Chunk(left),
            (_, 0) => Self::Done,
            (_, left) => Self::Bytes(left),
        }
    }

    /// One byte of the lines between the chunks.
    fn line(self, byte: u8) -> Result<Self, Malformed> {
        match (self, byte) {
            (Self::ChunkSize(0) | Self::ChunkExtension(0), b'\n') => Ok(Self::Trailers(0)),
            (Self::ChunkSize(size) | Self::ChunkExtension(size), b'\n') => Ok(Self::Chunk(size)),
            (Self::ChunkSize(size), b'\r' | b';') => Ok(Self::ChunkExtension(size)),
            (Self::ChunkSize(size), _) => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed("chunk size"))?;
                let size = size.checked_mul(16).and_then(|size| size.checked_add(digit.into()));
                size.map(Self::ChunkSize).ok_or(Malformed("chunk size"))
            }
            (Self::ChunkExtension(size), _) => Ok(Self::ChunkExtension(size)),
            (Self::ChunkEnd, b'\r') => Ok(Self::ChunkEnd),
            (Self::ChunkEnd, b'\n') => Ok(Self::ChunkSize(0)),
            (Self::ChunkEnd, _) => Err(Malformed("chunk end")),
            (Self::Trailers(0), b'\n') => Ok(Self::Done),
            (Self::Trailers(_), b'\n') => Ok(Self::Trailers(0)),
            (Self::Trailers(seen), b'\r') => Ok(Self::Trailers(seen)),
            (Self::Trailers(seen), _) => Ok(Self::Trailers(seen.saturating_add(1))),
            (state @ (Self::Bytes(_) | Self::Chunk(_) | Self::Done), _) => Ok(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(bytes: &[u8], piece: usize) -> (Vec<u8>, usize) {
        let head = response(bytes).unwrap().unwrap();
        let (mut body, mut content, mut used) = (head.body, Vec::new(), head.length);
        for part in bytes[head.length..].chunks(piece) {
            used += body.take(part, |piece| content.extend(piece)).unwrap();
        }
        assert_eq!(body, Body::Done);
        (content, used)
    }

    #[test]
    fn a_body_ends_where_its_length_or_its_last_chunk_says() {
        let counted = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhelloNEXT";
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\na: b\r\n\r\nNEXT";
        for bytes in [counted.as_slice(), chunked.as_slice()] {
            for piece in 1..bytes.len() {
                let (content, used) = whole(bytes, piece);
                assert_eq!(content, b"hello");
                assert_eq!(&bytes[used..], b"NEXT");
            }
        }
    }

    #[test]
    fn a_head_is_waited_for() {
        assert_eq!(request(b"GET / HTTP/1.1\r\nhost: a\r\n"), Ok(None));
        let head = request(b"POST /echo HTTP/1.1\r\ncontent-length: 3\r\nconnection: close\r\n\r\n")
            .unwrap()
            .unwrap();
        assert_eq!((head.path.as_str(), head.body, head.close), ("/echo", Body::Bytes(3), true));
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = request(&bytes);
            let _ = response(&bytes);
            let mut body = Body::ChunkSize(0);
            let _ = body.take(&bytes, |_| {});
        }
    }
}
