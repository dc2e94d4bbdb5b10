//! Corpora as text: one input a line, with `\\`, `\r`, `\n`, `\t` and `\xNN` for what is not printable ASCII. Empty
//! lines and lines that begin with `#` are for the reader.

/// Reads a corpus. What is no escape stands for itself.
#[must_use]
pub fn parse(text: &str) -> Vec<Vec<u8>> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(unescape).collect()
}

/// One input of a line.
#[must_use]
pub fn unescape(line: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let (decoded, after) = match (byte, after) {
            (b'\\', [b'r', after @ ..]) => (b'\r', after),
            (b'\\', [b'n', after @ ..]) => (b'\n', after),
            (b'\\', [b't', after @ ..]) => (b'\t', after),
            (b'\\', [b'\\', after @ ..]) => (b'\\', after),
            (b'\\', [b'x', high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (*byte, after),
            },
            _ => (*byte, after),
        };
        out.push(decoded);
        rest = after;
    }
    out
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_bytes_and_comments_are_not() {
        let inputs = parse("# of a test\nGET / HTTP/1.1\\r\\n\n\n\\x00\\xfFa\\\\\\q\n\\#x\n");
        assert_eq!(inputs, [&b"GET / HTTP/1.1\r\n"[..], b"\0\xffa\\\\q", b"\\#x"]);
    }
}
