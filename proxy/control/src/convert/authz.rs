//! What an authorization requires beyond the Linkerd messages (`AuthzExtension`).
//!
//! Whatever is not understood here makes the authorization admit nobody, and leaves the rest of the policy in force.

use std::sync::Arc;
use std::time::Duration;

use hauberk_model::identity::Identity;
use hauberk_model::inbound::Authentication;
use hauberk_model::requirement::{
    Algorithm, ClaimRequirement, ExternalCheck, HeaderRequirement, HeaderTest, KeyMaterial, Pattern,
    Requirements, TokenRequirement, TokenSource, VerificationKey,
};

use super::Malformed;
use crate::extension::proto;

/// Requirements that this proxy can judge.
const KNOWN: [&str; 3] = ["external", "headers", "token"];

/// Reads an extension: who the client must be, and what the request must bring.
///
/// # Errors
/// [`Malformed`]: nobody can be admitted by it.
pub(super) fn read(extension: proto::AuthzExtension) -> Result<(Authentication, Requirements), Malformed> {
    if !extension.requires.iter().all(|name| KNOWN.contains(&name.as_str())) {
        return Err(Malformed::Missing("a requirement of an authorization"));
    }
    let proof = extension.proof.ok_or(Malformed::Missing("proof"))?;
    let requirements = Requirements {
        headers: extension.headers.into_iter().map(header).collect::<Result<_, _>>()?,
        token: extension.token.map(token).transpose()?.map(Arc::new),
        external: extension.external.map(external).transpose()?.map(Arc::new),
    };
    Ok((authentication(&proof)?, requirements))
}

fn authentication(proof: &proto::ClientProof) -> Result<Authentication, Malformed> {
    if proof.anyone {
        return Ok(Authentication::Unauthenticated);
    }
    let (mut identities, mut suffixes) = (Vec::new(), Vec::new());
    for pattern in &proof.identities {
        match (pattern.as_str(), pattern.strip_prefix("*.")) {
            ("*", _) => suffixes.push(Vec::new()),
            (_, Some(suffix)) => {
                suffixes.push(suffix.split('.').map(|part| part.to_ascii_lowercase().into()).collect());
            }
            (exact, None) => {
                let identity = Identity::parse(exact);
                identities.push(identity.map_err(|error| Malformed::unreadable("identity", error))?);
            }
        }
    }
    Ok(Authentication::TlsIdentities { identities, suffixes })
}

fn header(proto: proto::HeaderCondition) -> Result<HeaderRequirement, Malformed> {
    use proto::header_condition::Test;
    let bytes = |texts: proto::Texts| texts.values.into_iter().map(|text| text.into_bytes().into()).collect();
    let test = match proto.test {
        Some(Test::Present(true)) => HeaderTest::Present,
        Some(Test::Absent(true)) => HeaderTest::Absent,
        Some(Test::Exact(texts)) => HeaderTest::Exact(bytes(texts)),
        Some(Test::Prefix(texts)) => HeaderTest::Prefix(bytes(texts)),
        Some(Test::Regex(text)) => HeaderTest::Pattern(
            Pattern::parse(&text).map_err(|error| Malformed::unreadable("header pattern", error))?,
        ),
        Some(Test::Present(false) | Test::Absent(false)) | None => {
            return Err(Malformed::Missing("test of a header"));
        }
    };
    if proto.name.is_empty() {
        return Err(Malformed::Missing("name of a header"));
    }
    Ok(HeaderRequirement { name: proto.name.to_ascii_lowercase().into(), test })
}

fn token(proto: proto::TokenRequirement) -> Result<TokenRequirement, Malformed> {
    if proto.issuer.is_empty() || proto.audiences.is_empty() {
        return Err(Malformed::Missing("issuer or audiences of a token"));
    }
    let claim = |claim: proto::ClaimCondition| ClaimRequirement {
        path: texts(claim.path),
        any_of: texts(claim.any_of),
        contains: texts(claim.contains),
    };
    Ok(TokenRequirement {
        name: proto.name.into(),
        issuer: proto.issuer.into(),
        audiences: texts(proto.audiences),
        keys: proto.keys.into_iter().filter_map(key).collect(),
        skew: Duration::from_secs(proto.skew_seconds.into()),
        sources: proto.sources.into_iter().map(source).collect::<Result<_, _>>()?,
        claims: proto.claims.into_iter().map(claim).collect(),
        forwards_token: proto.forwards_token,
        headers: proto
            .headers
            .into_iter()
            .map(|one| (texts(one.path), one.header.to_ascii_lowercase().into()))
            .collect(),
    })
}

/// A key without an algorithm that we know verifies nothing, and is left out.
fn key(proto: proto::VerificationKey) -> Option<VerificationKey> {
    let algorithms: Vec<Algorithm> =
        proto.algorithms.iter().filter_map(|name| Algorithm::parse(name)).collect();
    let material = if proto.point.is_empty() {
        KeyMaterial::Rsa { modulus: proto.modulus.into(), exponent: proto.exponent.into() }
    } else {
        KeyMaterial::Point(proto.point.into())
    };
    let id = (!proto.id.is_empty()).then(|| proto.id.into());
    (!algorithms.is_empty()).then_some(VerificationKey { id, algorithms, material })
}

fn source(proto: proto::TokenSource) -> Result<TokenSource, Malformed> {
    use proto::token_source::From as At;
    match proto.from {
        Some(At::Header(name)) => {
            Ok(TokenSource::Header { name: name.to_ascii_lowercase().into(), prefix: proto.prefix.into() })
        }
        Some(At::Cookie(name)) => Ok(TokenSource::Cookie(name.into())),
        None => Err(Malformed::Missing("source of a token")),
    }
}

fn external(proto: proto::ExternalCheck) -> Result<ExternalCheck, Malformed> {
    let address = proto.address.parse();
    let context = proto.context.into_iter().map(|(name, value)| (name.into(), value.into()));
    if proto.timeout_ms == 0 || proto.authority.is_empty() {
        return Err(Malformed::Missing("timeout or authority of external authorization"));
    }
    Ok(ExternalCheck {
        name: proto.name.into(),
        address: address
            .map_err(|error| Malformed::unreadable("address of external authorization", error))?,
        authority: proto.authority.into(),
        timeout: Duration::from_millis(proto.timeout_ms.into()),
        cache: Duration::from_millis(proto.cache_ms.into()),
        dangerous_allow_on_failure: proto.dangerous_allow_on_failure,
        headers: lower(proto.headers),
        sets: lower(proto.sets),
        context: context.collect(),
    })
}

fn lower(all: Vec<String>) -> Vec<Arc<str>> {
    all.into_iter().map(|name| name.to_ascii_lowercase().into()).collect()
}

fn texts(all: Vec<String>) -> Vec<Arc<str>> {
    all.into_iter().map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extension() -> proto::AuthzExtension {
        proto::AuthzExtension {
            proof: Some(proto::ClientProof { anyone: true, ..Default::default() }),
            ..Default::default()
        }
    }

    #[test]
    fn an_unknown_requirement_or_no_proof_or_an_unreadable_test_admits_nobody() {
        assert!(read(extension()).is_ok());
        let unknown = proto::AuthzExtension { requires: vec!["tea".to_owned()], ..extension() };
        assert!(read(unknown).is_err());
        assert!(read(proto::AuthzExtension { proof: None, ..extension() }).is_err());
        for test in [
            None,
            Some(proto::header_condition::Test::Present(false)),
            Some(proto::header_condition::Test::Regex("(".to_owned())),
            Some(proto::header_condition::Test::Regex("a)|(b".to_owned())),
        ] {
            let header = proto::HeaderCondition { name: "x".to_owned(), test };
            assert!(read(proto::AuthzExtension { headers: vec![header], ..extension() }).is_err());
        }
    }

    #[test]
    fn a_proof_without_identities_admits_nobody() {
        let proof = proto::ClientProof::default();
        let nobody = Authentication::TlsIdentities { identities: vec![], suffixes: vec![] };
        assert_eq!(authentication(&proof), Ok(nobody));
    }
}
