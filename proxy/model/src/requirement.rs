//! What an authorization requires of a request beyond the client's network and identity: headers, a token, the word of
//! another service. `data` obtains what is needed and the decisions here judge it.

use std::sync::Arc;
use std::time::Duration;

use crate::jwt::TokenError;

/// All of it must be met.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Requirements {
    /// Headers of the request.
    pub headers: Vec<HeaderRequirement>,
    /// A token that the request carries.
    pub token: Option<Arc<TokenRequirement>>,
    /// A service that is asked.
    pub external: Option<Arc<ExternalCheck>>,
}

impl Requirements {
    /// Request headers that are the proxy's to write, by these requirements: no client may set them.
    pub fn written_headers(&self) -> impl Iterator<Item = &Arc<str>> {
        let claims = self.token.iter().flat_map(|token| token.headers.iter().map(|(_, header)| header));
        claims.chain(self.external.iter().flat_map(|external| &external.sets))
    }
}

/// What a header must be.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderRequirement {
    /// In lower case.
    pub name: Arc<str>,
    /// How it is judged.
    pub test: HeaderTest,
}

/// How the values of a header are judged. Each value counts: none may hide behind another.
#[derive(Clone, Debug, PartialEq)]
pub enum HeaderTest {
    /// There is a value.
    Present,
    /// There is none.
    Absent,
    /// There is a value, and each is one of these.
    Exact(Vec<Arc<[u8]>>),
    /// There is a value, and each begins with one of these.
    Prefix(Vec<Arc<[u8]>>),
    /// There is a value, and each matches from its first to its last character.
    Pattern(Pattern),
}

impl HeaderTest {
    /// Judges all values of the header.
    pub fn holds<'v>(&self, values: impl Iterator<Item = &'v [u8]>) -> bool {
        let mut values = values.peekable();
        if values.peek().is_none() {
            return *self == Self::Absent;
        }
        values.all(|value| match self {
            Self::Present => true,
            Self::Absent => false,
            Self::Exact(all) => all.iter().any(|one| **one == *value),
            Self::Prefix(all) => all.iter().any(|one| value.starts_with(one)),
            Self::Pattern(pattern) => pattern.spans(value),
        })
    }
}

/// A regular expression whose time is linear in the text; equal by its source.
#[derive(Clone, Debug)]
pub struct Pattern(regex_lite::Regex);

impl Pattern {
    /// Reads it.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn parse(text: &str) -> Result<Self, regex_lite::Error> {
        // By itself first, so that no unbalanced bracket escapes the group.
        regex_lite::Regex::new(text)?;
        regex_lite::Regex::new(&format!("^(?:{text})$")).map(Self)
    }

    fn spans(&self, value: &[u8]) -> bool {
        std::str::from_utf8(value).is_ok_and(|text| {
            self.0.find(text).is_some_and(|found| found.start() == 0 && found.end() == text.len())
        })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// A JSON Web Token that the request must carry.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenRequirement {
    /// `namespace/name` of the object that says so.
    pub name: Arc<str>,
    /// The `iss` claim.
    pub issuer: Arc<str>,
    /// The `aud` claim names one of these.
    pub audiences: Vec<Arc<str>>,
    /// With which the issuer signs.
    pub keys: Vec<VerificationKey>,
    /// How far the issuer's clock may be from ours.
    pub skew: Duration,
    /// Where the token is, in the order in which it is looked for.
    pub sources: Vec<TokenSource>,
    /// What its claims must be.
    pub claims: Vec<ClaimRequirement>,
    /// Whether the application gets to see the token.
    pub forwards_token: bool,
    /// Claims told to the application: path, and header in lower case.
    pub headers: Vec<(Vec<Arc<str>>, Arc<str>)>,
}

/// Where a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// In a header (lower case), behind a prefix that is compared without regard to case.
    Header {
        /// Name.
        name: Arc<str>,
        /// Such as `Bearer `.
        prefix: Arc<str>,
    },
    /// In a cookie.
    Cookie(Arc<str>),
}

/// What one claim must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRequirement {
    /// Names from the outermost object inwards.
    pub path: Vec<Arc<str>>,
    /// If any: the claim is one of these.
    pub any_of: Vec<Arc<str>>,
    /// The claim, a list of strings or words between spaces, has all of these.
    pub contains: Vec<Arc<str>>,
}

/// Signature algorithms that are accepted. There is no `none`, and none with a shared secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of RFC 7518 §3.1 and RFC 8037 §3.1")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    /// By its JWS name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" => Self::EdDsa,
            _ => return None,
        })
    }
}

/// A public key of an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerificationKey {
    /// `kid`.
    pub id: Option<Arc<str>>,
    /// What it may be used for.
    pub algorithms: Vec<Algorithm>,
    /// The key.
    pub material: KeyMaterial,
}

/// The numbers of a public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyMaterial {
    /// RSA, big-endian without leading zeroes.
    Rsa {
        /// `n`.
        modulus: Arc<[u8]>,
        /// `e`.
        exponent: Arc<[u8]>,
    },
    /// ECDSA: `0x04`, x, y. EdDSA: the 32 bytes.
    Point(Arc<[u8]>),
}

/// A service that is asked about each request (`envoy.service.auth.v3.Authorization`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalCheck {
    /// `namespace/name` of the object that says so.
    pub name: Arc<str>,
    /// The service.
    pub address: std::net::SocketAddr,
    /// `:authority` of the question.
    pub authority: Arc<str>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long an answer holds for equal questions; zero: not at all.
    pub cache: Duration,
    /// Whether a request is admitted if there is no answer.
    pub dangerous_allow_on_failure: bool,
    /// Request headers that are told, in lower case.
    pub headers: Vec<Arc<str>>,
    /// Request headers that the service may set for the application, in lower case.
    pub sets: Vec<Arc<str>>,
    /// Told with each question.
    pub context: Vec<(Arc<str>, Arc<str>)>,
}

/// Why a request is not admitted; of several, the one that got furthest counts, which is the order here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unmet {
    /// No authorization is for this client.
    Client,
    /// A header is not as it must be.
    Header,
    /// There is no token.
    NoToken,
    /// The token proves nothing.
    Token(TokenError),
    /// The token is good, and its claims are not what they must be.
    Claims,
    /// The service that was asked gave no answer.
    Unanswered,
    /// The service that was asked said no.
    Refused,
}

impl Unmet {
    /// A stable name, for metrics and answers.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Header => "header",
            Self::NoToken => "token_missing",
            Self::Token(error) => error.code(),
            Self::Claims => "token_claims",
            Self::Unanswered => "external_unavailable",
            Self::Refused => "external_denied",
        }
    }

    /// Whether the client could come again with a better token: 401, UNAUTHENTICATED.
    #[must_use]
    pub const fn wants_token(self) -> bool {
        matches!(self, Self::NoToken | Self::Token(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(test: &HeaderTest, values: &[&str]) -> bool {
        test.holds(values.iter().map(|value| value.as_bytes()))
    }

    #[test]
    fn every_value_of_a_header_counts_and_there_must_be_one() {
        let texts =
            |all: &[&str]| all.iter().map(|one| Arc::from(one.as_bytes())).collect::<Vec<Arc<[u8]>>>();
        let exact = HeaderTest::Exact(texts(&["gold", "silver"]));
        let prefix = HeaderTest::Prefix(texts(&["team-"]));
        let pattern = HeaderTest::Pattern(Pattern::parse("v[0-9]+|next").expect("a pattern"));
        for (test, values, expected) in [
            (&exact, &["gold"][..], true),
            (&exact, &["gold", "silver"], true),
            (&exact, &["gold", "lead"], false),
            (&exact, &["gold,lead"], false),
            (&exact, &[], false),
            (&prefix, &["team-a"], true),
            (&prefix, &["team-a", "b"], false),
            (&pattern, &["v12"], true),
            (&pattern, &["next"], true),
            (&pattern, &["v12 "], false),
            (&pattern, &["xnext"], false),
            (&pattern, &["v1", "w1"], false),
            (&HeaderTest::Present, &[""], true),
            (&HeaderTest::Present, &[], false),
            (&HeaderTest::Absent, &[], true),
            (&HeaderTest::Absent, &[""], false),
        ] {
            assert_eq!(holds(test, values), expected, "{test:?} {values:?}");
        }
    }

    #[test]
    fn of_several_reasons_the_one_that_got_furthest_counts() {
        let all = [Unmet::Header, Unmet::Claims, Unmet::Client, Unmet::NoToken];
        assert_eq!(all.into_iter().max(), Some(Unmet::Claims));
        assert!(Unmet::Token(TokenError::Expired).wants_token() && !Unmet::Claims.wants_token());
    }
}
