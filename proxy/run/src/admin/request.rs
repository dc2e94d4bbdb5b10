//! Requests of the admin server: just enough of HTTP/1.1 (RFC 9112) for probes, scrapers and curl.

/// Most bytes of a head.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Most bytes of a body: a log filter.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// A whole request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) body: String,
}

/// Why a request is not answered as asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) reason: &'static str,
}

const MALFORMED: Refused = Refused { status: 400, reason: "malformed request" };

/// Reads a request once it is complete; `None`: more bytes are needed.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Request>, Refused> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return match bytes.len() > HEAD_BYTES_MAX {
            true => Err(Refused { status: 431, reason: "the head is too large" }),
            false => Ok(None),
        };
    };
    if end > HEAD_BYTES_MAX {
        return Err(Refused { status: 431, reason: "the head is too large" });
    }
    let (head, rest) = bytes.split_at_checked(end).ok_or(MALFORMED)?;
    let head = std::str::from_utf8(head).map_err(|_| MALFORMED)?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1" | "HTTP/1.0"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(MALFORMED);
    };
    let length = body_length(lines)?;
    let body = rest.get(4..).unwrap_or_default();
    let Some(body) = body.get(..length) else { return Ok(None) };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(Some(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        body: std::str::from_utf8(body).map_err(|_| MALFORMED)?.to_owned(),
    }))
}

fn body_length<'a>(lines: impl Iterator<Item = &'a str>) -> Result<usize, Refused> {
    let mut length = None;
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(MALFORMED)?;
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Refused { status: 501, reason: "transfer codings are not supported here" });
        }
        if name.eq_ignore_ascii_case("content-length") {
            let value: usize = value.trim().parse().map_err(|_| MALFORMED)?;
            if length.is_some_and(|length| length != value) {
                return Err(MALFORMED);
            }
            length = Some(value);
        }
    }
    match length.unwrap_or(0) {
        length if length > BODY_BYTES_MAX => Err(Refused { status: 413, reason: "the body is too large" }),
        length => Ok(length),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_read_once_it_is_whole() {
        let bytes = b"PUT /proxy-log-level?x HTTP/1.1\r\nHost: a\r\ncontent-length: 5\r\n\r\ndebug";
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]), Ok(None), "{cut}");
        }
        let request = parse(bytes).expect("request").expect("whole");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("PUT", "/proxy-log-level"));
        assert_eq!((request.query.as_str(), request.body.as_str()), ("x", "debug"));
    }

    #[test]
    fn what_is_too_large_or_ambiguous_is_refused() {
        let status = |text: &str| parse(text.as_bytes()).err().map(|refused| refused.status);
        assert_eq!(status(&"a".repeat(9_000)), Some(431));
        assert_eq!(status("PUT / HTTP/1.1\r\ncontent-length: 99999\r\n\r\n"), Some(413));
        assert_eq!(status("PUT / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n"), Some(400));
        assert_eq!(status("PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"), Some(501));
        assert_eq!(status("GET  / HTTP/1.1\r\n\r\n"), Some(400));
        assert_eq!(status("GET / HTTP/2\r\n\r\n"), Some(400));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
            let _ = parse(&[bytes.as_slice(), b"\r\n\r\n"].concat());
        }
    }
}
