//! Writing bodies: exactly the framing that the head declared, never a byte more.

use bytes::{BufMut, BytesMut};

use super::Body;
use super::encode::EncodeError;
use super::grammar::{is_token, is_value, trim_ows};
use super::trailers;

/// Writes one body.
#[derive(Clone, Debug)]
pub struct Encoder {
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// So many bytes are still owed, possibly none.
    Length(u64),
    Chunked,
    UntilClose,
    Done,
}

/// What goes around a piece of body that the caller writes itself, for instance with a vectored write.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    prefix: [u8; Self::PREFIX_BYTES_MAX],
    prefix_len: usize,
    /// Goes behind the piece.
    pub suffix: &'static [u8],
}

impl Frame {
    /// Sixteen digits and CRLF.
    const PREFIX_BYTES_MAX: usize = 18;

    /// The piece is written as it is.
    const BARE: Self = Self { prefix: [0; Self::PREFIX_BYTES_MAX], prefix_len: 0, suffix: b"" };

    /// Goes before the piece.
    pub fn prefix(&self) -> &[u8] {
        self.prefix.get(..self.prefix_len).unwrap_or_default()
    }

    fn chunk(len: usize) -> Self {
        let mut frame = Self { suffix: b"\r\n", ..Self::BARE };
        let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
        for shift in (0..digits).rev() {
            let digit = (len >> (shift * 4)) & 0xf;
            frame.push(b"0123456789abcdef".get(digit).copied().unwrap_or_default());
        }
        frame.push(b'\r');
        frame.push(b'\n');
        frame
    }

    fn push(&mut self, byte: u8) {
        if let Some(free) = self.prefix.get_mut(self.prefix_len) {
            *free = byte;
            self.prefix_len += 1;
        }
    }
}

impl Encoder {
    /// An encoder for a body framed so.
    pub fn new(body: Body) -> Self {
        let state = match body {
            Body::None => State::Length(0),
            Body::Length(length) => State::Length(length),
            Body::Chunked => State::Chunked,
            Body::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// Accounts for `len` bytes that the caller writes between `prefix` and `suffix`. Write nothing after an error.
    pub fn frame(&mut self, len: usize) -> Result<Frame, EncodeError> {
        match self.state {
            _ if len == 0 => Ok(Frame::BARE),
            State::Length(left) => {
                let left = left.checked_sub(len as u64).ok_or(EncodeError::BodyTooLong)?;
                self.state = State::Length(left);
                Ok(Frame::BARE)
            }
            State::Chunked => Ok(Frame::chunk(len)),
            State::UntilClose => Ok(Frame::BARE),
            State::Done => Err(EncodeError::BodyTooLong),
        }
    }

    /// Writes `data` with its framing.
    pub fn data(&mut self, data: &[u8], out: &mut BytesMut) -> Result<(), EncodeError> {
        let frame = self.frame(data.len())?;
        out.reserve(data.len() + Frame::PREFIX_BYTES_MAX + 2);
        out.put_slice(frame.prefix());
        out.put_slice(data);
        out.put_slice(frame.suffix);
        Ok(())
    }

    /// Ends the body. Trailers are written where the framing has room for them and their names are allowed there.
    ///
    /// A body that ended before its declared length is an error: the connection must then be closed.
    pub fn finish<'a>(
        &mut self,
        trailers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Length(0) | State::UntilClose | State::Done => Ok(()),
            State::Length(_) => Err(EncodeError::BodyTooShort),
            State::Chunked => {
                out.put_slice(b"0\r\n");
                for (name, value) in trailers {
                    let value = trim_ows(value);
                    if is_token(name) && is_value(value) && trailers::is_allowed(name) {
                        for part in [name, b": ", value, b"\r\n"] {
                            out.put_slice(part);
                        }
                    }
                }
                out.put_slice(b"\r\n");
                Ok(())
            }
        }
    }

    /// Whether nothing may be written any more.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Whether the end of the body can only be told by closing.
    pub fn ends_by_close(&self) -> bool {
        matches!(self.state, State::UntilClose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_length_is_kept_exactly() {
        let mut out = BytesMut::new();
        let mut encoder = Encoder::new(Body::Length(3));
        assert_eq!(encoder.data(b"ab", &mut out), Ok(()));
        assert_eq!(encoder.clone().finish(std::iter::empty(), &mut out), Err(EncodeError::BodyTooShort));
        assert_eq!(encoder.data(b"cd", &mut out), Err(EncodeError::BodyTooLong));
        assert_eq!(encoder.data(b"c", &mut out), Ok(()));
        assert_eq!(encoder.finish(std::iter::empty(), &mut out), Ok(()));
        assert_eq!(encoder.data(b"d", &mut out), Err(EncodeError::BodyTooLong));
        assert_eq!(&out[..], b"abc");
    }

    #[test]
    fn an_empty_piece_does_not_end_a_chunked_body() {
        let mut out = BytesMut::new();
        let mut encoder = Encoder::new(Body::Chunked);
        encoder.data(b"", &mut out).unwrap();
        encoder.data(&[b'x'; 26], &mut out).unwrap();
        let trailers = [(&b"grpc-status"[..], &b" 0 "[..]), (b"content-length", b"5"), (b"a", b"b\r\nc")];
        encoder.finish(trailers.into_iter(), &mut out).unwrap();
        assert_eq!(&out[..], b"1a\r\nxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n0\r\ngrpc-status: 0\r\n\r\n");
    }
}
