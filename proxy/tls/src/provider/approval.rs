//! Whether this process may say of itself that it is in approved mode: shown by using the module, never assumed.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, KeyPair as _, UnparsedPublicKey};
use rustls::crypto::SupportedKxGroup;

use super::profile::{PROFILE, Profile};
use super::{PostQuantum, facts, provider};

/// The module that a program links, as its own headers name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module {
    /// Such as `AWS-LC FIPS`.
    pub name: &'static str,
    /// Such as `3.1.0`.
    pub version: &'static str,
}

impl Module {
    /// AWS-LC as it is released, without a certificate.
    #[cfg(feature = "standard")]
    #[must_use]
    pub fn standard() -> Self {
        let version = aws_lc_rs::awslc_version();
        Self { name: "AWS-LC", version }
    }
}

/// Why this process is not in approved mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotApproved {
    /// The build offers algorithms that no certified module approves of.
    #[error("this build is not of the FIPS profile")]
    Build,
    /// The module says of itself that it is another.
    #[error("the linked cryptographic module is not a FIPS module in approved mode")]
    Module,
    /// The configuration that TLS would run with is not approved in every part.
    #[error("the TLS configuration has a part that is not approved")]
    Configuration,
    /// An algorithm did not do what it must.
    #[error("the self-test of {0} failed")]
    SelfTest(&'static str),
}

/// Whether approved mode is asked for, and holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// Nobody asked.
    NotAsked,
    /// It was shown.
    Approved,
    /// It was not: nothing may be served.
    Refused(NotApproved),
}

/// Whether this process may serve. A build of the FIPS profile asks for approved mode itself.
#[must_use]
pub fn approval(is_required: bool) -> Approval {
    if !is_required && PROFILE == Profile::Standard {
        return Approval::NotAsked;
    }
    match approve() {
        Ok(()) => Approval::Approved,
        Err(why) => Approval::Refused(why),
    }
}

/// Shows that this process is in approved mode.
///
/// The module tests its own integrity and its algorithms before `main`, and ends the process if a test fails. Here each
/// algorithm of the profile is used once, which also runs the module's tests that wait for the first use.
///
/// # Errors
/// [`NotApproved`] says what is not as it must be; nothing may be served then.
fn approve() -> Result<(), NotApproved> {
    if PROFILE != Profile::Fips {
        return Err(NotApproved::Build);
    }
    let facts = facts(PostQuantum::Prefer);
    if !facts.fips {
        return Err(NotApproved::Module);
    }
    if !provider(PostQuantum::Prefer).fips() || !provider(PostQuantum::Require).fips() {
        return Err(NotApproved::Configuration);
    }
    self_test()
}

/// Uses each algorithm of the FIPS profile once.
fn self_test() -> Result<(), NotApproved> {
    let failed = |what| move || NotApproved::SelfTest(what);
    for group in Profile::Fips.groups(PostQuantum::Prefer) {
        agrees(group).ok_or_else(failed(super::group_name(group.name())))?;
    }
    digests().ok_or_else(failed("SHA-256"))?;
    seals().ok_or_else(failed("AES-256-GCM"))?;
    signs().ok_or_else(failed("ECDSA P-256"))
}

/// Both ends of a key exchange hold one secret.
fn agrees(group: &'static dyn SupportedKxGroup) -> Option<()> {
    let client = group.start().ok()?;
    let server = group.start_and_complete(client.pub_key()).ok()?;
    let secret = client.complete(&server.pub_key).ok()?;
    (secret.secret_bytes() == server.secret.secret_bytes()).then_some(())
}

/// FIPS 180-4's example of one block: the digest of `abc`.
fn digests() -> Option<()> {
    const OF_ABC: [u8; 32] = [
        0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0,
        0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
    ];
    (digest::digest(&digest::SHA256, b"abc").as_ref() == OF_ABC).then_some(())
}

/// Test case 13 of the GCM specification: nothing sealed under a key of zeros has this tag. One that is altered is refused.
fn seals() -> Option<()> {
    const TAG: [u8; 16] =
        [0x53, 0x0f, 0x8a, 0xfb, 0xc7, 0x45, 0x36, 0xb9, 0xa9, 0x63, 0xb4, 0xf1, 0xc4, 0xcb, 0x73, 0x8b];
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[0; 32]).ok()?);
    let nonce = || Nonce::assume_unique_for_key([0; NONCE_LEN]);
    key.open_in_place(nonce(), Aad::empty(), &mut TAG.to_vec()).ok()?;
    let mut altered = TAG.to_vec();
    altered.iter_mut().take(1).for_each(|byte| *byte ^= 1);
    key.open_in_place(nonce(), Aad::empty(), &mut altered).is_err().then_some(())
}

/// A fresh key signs, and its signature is of nothing else.
fn signs() -> Option<()> {
    let pair =
        aws_lc_rs::signature::EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING)
            .ok()?;
    let signature = pair.sign(&aws_lc_rs::rand::SystemRandom::new(), b"approved").ok()?;
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, pair.public_key().as_ref());
    public.verify(b"approved", signature.as_ref()).ok()?;
    public.verify(b"not approved", signature.as_ref()).is_err().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_of_the_profile_passes_its_self_test() {
        assert_eq!(self_test(), Ok(()));
    }

    #[cfg(not(feature = "fips"))]
    #[test]
    fn a_standard_build_never_says_that_it_is_approved() {
        assert_eq!(approval(true), Approval::Refused(NotApproved::Build));
        assert_eq!(approval(false), Approval::NotAsked);
    }
}
