//! Answers questions about the ML-KEM-768 of this crate's cryptographic module, for runs of published vectors.
//!
//! One question a line, `operation hex…`; one answer a line, `ok hex…`, `refused`, or `error reason`. `-` is no bytes.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, Write as _};

use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};

/// What came of a question.
enum Answer {
    /// The module did it; these are the fields.
    Done(Vec<Vec<u8>>),
    /// The module refused the input.
    Refused,
    /// The question makes no sense.
    Error(&'static str),
}

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line?;
        if line == "version" {
            writeln!(out, "aws-lc {}", aws_lc_rs::awslc_version())?;
        } else {
            match answer(&line) {
                Answer::Done(fields) => {
                    let fields: Vec<_> = fields.iter().map(|field| to_hex(field)).collect();
                    writeln!(out, "ok {}", fields.join(" "))?;
                }
                Answer::Refused => writeln!(out, "refused")?,
                Answer::Error(reason) => writeln!(out, "error {reason}")?,
            }
        }
        out.flush()?;
    }
    Ok(())
}

fn answer(line: &str) -> Answer {
    let mut words = line.split(' ');
    let operation = words.next().unwrap_or_default();
    let Some(input) = words.map(from_hex).collect::<Option<Vec<_>>>() else {
        return Answer::Error("not hexadecimal");
    };
    let done = match (operation, input.as_slice()) {
        ("generate", []) => generate(),
        ("encapsulate", [key]) => encapsulate(key),
        ("decapsulate", [key, ciphertext]) => decapsulate(key, ciphertext),
        _ => return Answer::Error("unknown operation"),
    };
    done.map_or(Answer::Refused, Answer::Done)
}

/// A fresh key pair: the expanded decapsulation key and the encapsulation key. The module takes no seed from outside.
fn generate() -> Option<Vec<Vec<u8>>> {
    let key = DecapsulationKey::generate(&ML_KEM_768).ok()?;
    let public = key.encapsulation_key().ok()?;
    Some(vec![key.key_bytes().ok()?.as_ref().to_vec(), public.key_bytes().ok()?.as_ref().to_vec()])
}

fn encapsulate(key: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (ciphertext, secret) = EncapsulationKey::new(&ML_KEM_768, key).ok()?.encapsulate().ok()?;
    Some(vec![ciphertext.as_ref().to_vec(), secret.as_ref().to_vec()])
}

fn decapsulate(key: &[u8], ciphertext: &[u8]) -> Option<Vec<Vec<u8>>> {
    let key = DecapsulationKey::new(&ML_KEM_768, key).ok()?;
    let secret = key.decapsulate(Ciphertext::from(ciphertext)).ok()?;
    Some(vec![secret.as_ref().to_vec()])
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text == "-" {
        return Some(Vec::new());
    }
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
