//! Names of workloads, compared as identities and never as host names.

use std::fmt;
use std::sync::Arc;

/// A workload identity: a Linkerd DNS-like name (`web.shop.serviceaccount.identity.linkerd.cluster.local`)
/// or a SPIFFE URI (`spiffe://cluster.local/ns/shop/sa/web`).
///
/// Always lower case for the DNS form, without a trailing dot; a URI is kept exactly as given.
/// Equality is equality of identities.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(Arc<str>);

/// Most bytes of an identity: a DNS name has 253 at most, a SPIFFE ID 2048 (SPIFFE-ID §2.3).
pub const IDENTITY_BYTES_MAX: usize = 2048;

/// Why a text is not an identity.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Nothing was given.
    #[error("an identity may not be empty")]
    Empty,
    /// Longer than [`IDENTITY_BYTES_MAX`], or a DNS form over 253 bytes.
    #[error("an identity of {0} bytes is too long")]
    TooLong(usize),
    /// A character that neither form allows.
    #[error("an identity may not contain {0:?}")]
    Character(char),
}

impl Identity {
    /// Reads either form. A trailing dot of the DNS form is dropped and its letters become lower case.
    ///
    /// # Errors
    /// [`IdentityError`] says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        if text.starts_with("spiffe://") {
            if text.len() > IDENTITY_BYTES_MAX {
                return Err(IdentityError::TooLong(text.len()));
            }
            if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '?' | '#' | '%')) {
                return Err(IdentityError::Character(bad));
            }
            return Ok(Self(Arc::from(text)));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(IdentityError::Empty);
        }
        if name.len() > 253 {
            return Err(IdentityError::TooLong(name.len()));
        }
        // `a..` would be one identity here and another where its dot is dropped again.
        if name.split('.').any(str::is_empty) {
            return Err(IdentityError::Character('.'));
        }
        if let Some(bad) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')))
        {
            return Err(IdentityError::Character(bad));
        }
        Ok(Self(Arc::from(name.to_ascii_lowercase())))
    }

    /// The text of the identity.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is a SPIFFE URI.
    #[must_use]
    pub fn is_uri(&self) -> bool {
        self.0.starts_with("spiffe://")
    }

    /// The shared text, for a metric label.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_has_one_spelling() {
        for (text, known) in [("Web.Shop.", "web.shop"), ("spiffe://a.test/ns/b", "spiffe://a.test/ns/b")] {
            let identity = Identity::parse(text).expect(text);
            assert_eq!(identity.as_str(), known);
            assert_eq!(Identity::parse(known), Ok(identity));
        }
        for text in ["", ".", "a..", ".a", "a..b"] {
            assert!(Identity::parse(text).is_err(), "{text}");
        }
    }
}
