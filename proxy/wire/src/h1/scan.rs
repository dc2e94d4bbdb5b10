//! Finding a head in a growing buffer, and holding the parser to strict line ends.

use httparse::Header;

use super::H1Error;
use super::diagnose::diagnose;
use super::headers::{Kind, Span, Table};
use super::limits::{EMPTY_LINES_MAX, HEAD_BYTES_MAX, Limits};

/// What is known of a head that is not complete yet, so that each byte is looked at once however slowly it comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan {
    seen: usize,
}

/// Fields for which the parser needs no heap.
pub(crate) const STACK_FIELDS: usize = 64;

impl Scan {
    /// Remembers that the first `len` bytes hold no complete head.
    pub(crate) fn incomplete(&mut self, len: usize) {
        self.seen = len;
    }

    /// Whether `buf` may have become complete since the last look.
    pub(crate) fn may_be_complete(&mut self, buf: &[u8]) -> bool {
        if self.seen == 0 {
            return true;
        }
        let fresh = buf.get(self.seen.saturating_sub(2)..).unwrap_or_default();
        // An empty line ends a head, also where a line end is a bare LF that will be refused.
        let found =
            fresh.windows(2).any(|pair| pair == b"\n\n") || fresh.windows(3).any(|three| three == b"\n\r\n");
        self.seen = buf.len();
        found
    }
}

/// Bytes of the empty lines before a start line; `None` while it is not clear whether one more follows.
pub(crate) fn leading_empty_lines(buf: &[u8]) -> Result<Option<usize>, H1Error> {
    let mut rest = buf;
    for skipped in 0..=EMPTY_LINES_MAX {
        match rest {
            [b'\r', b'\n', tail @ ..] => rest = tail,
            [] | [b'\r'] => return Ok(None),
            [b'\r', ..] => return Err(H1Error::BareCr),
            [b'\n', ..] => return Err(H1Error::BareLf),
            [..] => return Ok(Some(skipped * 2)),
        }
    }
    Err(H1Error::EmptyLines)
}

/// Whether an incomplete head may still become one within the limits.
pub(crate) fn may_grow(head: &[u8], start_line_bytes_max: usize, limits: &Limits) -> Result<(), H1Error> {
    if head.len() > start_line_bytes_max
        && !head.get(..=start_line_bytes_max).unwrap_or(head).contains(&b'\n')
    {
        return Err(H1Error::RequestLineTooLong);
    }
    if head.len() >= limits.head_bytes_max.min(HEAD_BYTES_MAX) {
        return Err(H1Error::HeadTooLarge);
    }
    Ok(())
}

/// Gives the parser's complaint the name of the rule that was broken.
pub(crate) fn complaint(head: &[u8], error: httparse::Error, what: Message) -> H1Error {
    diagnose(head, what).unwrap_or(match error {
        httparse::Error::TooManyHeaders => H1Error::TooManyFields,
        httparse::Error::HeaderName => H1Error::FieldName,
        httparse::Error::HeaderValue => H1Error::FieldValue,
        httparse::Error::NewLine => H1Error::BareCr,
        httparse::Error::Status => H1Error::StatusLine,
        httparse::Error::Token => match what {
            Message::Request => H1Error::Target,
            Message::Response => H1Error::StatusLine,
            Message::Trailers => H1Error::Malformed,
        },
        httparse::Error::Version => match what {
            Message::Request | Message::Response => H1Error::Version,
            Message::Trailers => H1Error::Malformed,
        },
    })
}

/// What is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// Request line and fields.
    Request,
    /// Status line and fields.
    Response,
    /// Fields only.
    Trailers,
}

/// Where `part` lies in `whole`; both come from the same parse.
pub(crate) fn span_in(whole: &[u8], part: &[u8]) -> Result<Span, H1Error> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize);
    let start = start.filter(|start| start.saturating_add(part.len()) <= whole.len());
    Span::new(start.ok_or(H1Error::Malformed)?, part.len())
}

/// Fills the table of a parsed section and checks every byte between names and values, which the parser is lax about:
/// after a name exactly a colon and optional whitespace, after a value optional whitespace and CRLF.
///
/// `at` is where the first field line must begin, `head` ends with the empty line.
pub(crate) fn tabulate(
    head: &[u8],
    at: usize,
    parsed: &[Header<'_>],
    what: Message,
    table: &mut Table,
) -> Result<(), H1Error> {
    let refuse = || diagnose(head, what).unwrap_or(H1Error::Malformed);
    let mut line = at;
    table.reserve(parsed.len());
    for header in parsed {
        let name = span_in(head, header.name.as_bytes())?;
        let value = span_in(head, header.value)?;
        let between = head.get(name.end()..value.start as usize).unwrap_or_default();
        let [b':', padding @ ..] = between else { return Err(refuse()) };
        let after = head.get(value.end()..).unwrap_or_default();
        let trailing = after.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let ends_in_crlf = after.get(trailing..).is_some_and(|rest| rest.starts_with(b"\r\n"));
        if name.start as usize != line
            || !padding.iter().all(|byte| matches!(byte, b' ' | b'\t'))
            || !ends_in_crlf
        {
            return Err(refuse());
        }
        table.push(name, value, Kind::of(header.name.as_bytes()))?;
        line = value.end() + trailing + 2;
    }
    if head.get(line..) != Some(b"\r\n") {
        return Err(refuse());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_empty_lines_are_tolerated_and_no_more() {
        assert_eq!(leading_empty_lines(b"GET"), Ok(Some(0)));
        assert_eq!(leading_empty_lines(b"\r\nGET"), Ok(Some(2)));
        assert_eq!(leading_empty_lines(b"\r\n\r\nGET"), Ok(Some(4)));
        assert_eq!(leading_empty_lines(b"\r\n\r\n"), Ok(None));
        assert_eq!(leading_empty_lines(b"\r"), Ok(None));
        assert_eq!(leading_empty_lines(b""), Ok(None));
        assert_eq!(leading_empty_lines(b"\r\n\r\n\r\nGET"), Err(H1Error::EmptyLines));
        assert_eq!(leading_empty_lines(b"\nGET"), Err(H1Error::BareLf));
        assert_eq!(leading_empty_lines(b"\rGET"), Err(H1Error::BareCr));
    }
}
