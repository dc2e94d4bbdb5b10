//! base64url without padding (RFC 4648 §5, RFC 7515 §2), in its one canonical form.

/// The bytes; `None` for a character outside of the alphabet, padding, a length that no bytes have, or bits that are left
/// over and not zero: two texts never stand for the same bytes.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.as_bytes().chunks(4) {
        let mut bits: u32 = 0;
        for byte in group {
            bits = bits << 6 | value(*byte)?;
        }
        match group.len() {
            4 => bytes.extend_from_slice(bits.to_be_bytes().get(1..)?),
            3 if bits & 0b11 == 0 => bytes.extend_from_slice((bits >> 2).to_be_bytes().get(2..)?),
            2 if bits & 0b1111 == 0 => bytes.extend_from_slice((bits >> 4).to_be_bytes().get(3..)?),
            _ => return None,
        }
    }
    Some(bytes)
}

fn value(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_rfc_without_padding() {
        for (text, bytes) in [
            ("", ""),
            ("Zg", "f"),
            ("Zm8", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg", "foob"),
            ("Zm9vYmE", "fooba"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(decode("-_8"), Some(vec![0xfb, 0xff]));
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        for text in ["Zg==", "Zh", "Zm9", "Z", "Zm9vY", "Zm+v", "Zm/v", "Zm 9", "Zm9v\n", "Zé"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
