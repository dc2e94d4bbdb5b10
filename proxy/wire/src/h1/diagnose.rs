//! Naming the rule that a refused message broke. Runs only after a refusal, so it may be slow.

use super::H1Error;
use super::grammar::{is_tchar, is_token, is_value_byte};
use super::scan::Message;

/// The first broken rule, line by line; `None` if the lines alone break none.
pub(crate) fn diagnose(head: &[u8], what: Message) -> Option<H1Error> {
    let mut first = what != Message::Trailers;
    for line in head.split_inclusive(|&byte| byte == b'\n') {
        let found = match (line_text(line), std::mem::take(&mut first), what) {
            (Err(error), _, _) => Some(error),
            (Ok(Some(text)), true, Message::Request) => request_line(text),
            (Ok(Some(text)), true, Message::Response) => status_line(text),
            (Ok(Some(text)), _, _) => field_line(text),
            (Ok(None), _, _) => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// The line without its end; `None` if its end has not arrived.
fn line_text(line: &[u8]) -> Result<Option<&[u8]>, H1Error> {
    let (text, complete) = match line {
        [text @ .., b'\r', b'\n'] => (text, true),
        [_, .., b'\n'] | [b'\n'] => return Err(H1Error::BareLf),
        [text @ .., b'\r'] => (text, false),
        text => (text, false),
    };
    if text.contains(&b'\r') {
        return Err(H1Error::BareCr);
    }
    Ok(complete.then_some(text))
}

fn request_line(line: &[u8]) -> Option<H1Error> {
    let parts: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    match parts.as_slice() {
        [method, ..] if !is_token(method) => Some(H1Error::Method),
        [_, target, version] if !target.is_empty() => target_bytes(target).or_else(|| version_of(version)),
        [_, ..] if line.len() > 8 && parts.len() > 3 => Some(H1Error::TargetSpace),
        [..] => Some(H1Error::Target),
    }
}

/// A byte that no target may hold.
pub(crate) fn target_bytes(target: &[u8]) -> Option<H1Error> {
    if target.iter().any(|byte| !byte.is_ascii_graphic()) {
        return Some(H1Error::TargetBytes);
    }
    target.contains(&b'#').then_some(H1Error::TargetFragment)
}

fn version_of(version: &[u8]) -> Option<H1Error> {
    match version {
        b"HTTP/1.0" | b"HTTP/1.1" => None,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Some(H1Error::Version)
        }
        [..] => Some(H1Error::Malformed),
    }
}

fn status_line(line: &[u8]) -> Option<H1Error> {
    let (version, rest) = line.split_at_checked(8)?;
    match (version_of(version), rest) {
        (Some(error), _) => Some(error),
        (None, [b' ', a, b, c, reason @ ..]) if [a, b, c].iter().all(|digit| digit.is_ascii_digit()) => {
            let well_formed = reason.is_empty() || reason.first() == Some(&b' ');
            (!well_formed || !reason.iter().all(|&byte| is_value_byte(byte))).then_some(H1Error::StatusLine)
        }
        (None, _) => Some(H1Error::StatusLine),
    }
}

fn field_line(line: &[u8]) -> Option<H1Error> {
    if line.is_empty() {
        return None;
    }
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Some(H1Error::ObsFold);
    }
    let Some(colon) = line.iter().position(|&byte| byte == b':') else { return Some(H1Error::FieldName) };
    let (name, value) = line.split_at(colon);
    match name {
        [.., b' ' | b'\t'] => Some(H1Error::SpaceBeforeColon),
        [] => Some(H1Error::FieldName),
        name if !name.iter().all(|&byte| is_tchar(byte)) => Some(H1Error::FieldName),
        _ => (!value.iter().all(|&byte| is_value_byte(byte))).then_some(H1Error::FieldValue),
    }
}
