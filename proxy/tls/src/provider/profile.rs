//! What a build offers and accepts: everything, or only what the certified module approves of.
//!
//! `fips-profile/algorithms.ts` says why each is approved; `conformance/fips` holds a built proxy against it.

use rustls::SupportedCipherSuite;
use rustls::crypto::SupportedKxGroup;

use super::{PostQuantum, aead, groups};

/// The profile that this build is of. It cannot change at run time.
pub(crate) const PROFILE: Profile = if cfg!(feature = "fips") { Profile::Fips } else { Profile::Standard };

/// A set of algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Everything of INTERFACE §5.1.
    Standard,
    /// The part of it that is approved: no curve of RFC 7748 or RFC 8032 by itself, no ChaCha20.
    Fips,
}

impl Profile {
    /// Cipher suites, in order of preference.
    pub(super) fn suites(self) -> Vec<SupportedCipherSuite> {
        match self {
            Self::Standard => vec![aead::AES_128, aead::AES_256, aead::CHACHA20],
            Self::Fips => vec![aead::AES_128, aead::AES_256],
        }
    }

    /// Key exchange groups, in order of preference. The first is the one whose share is sent unasked.
    pub(super) fn groups(self, mode: PostQuantum) -> Vec<&'static dyn SupportedKxGroup> {
        match (self, mode) {
            (Self::Standard, PostQuantum::Prefer) => {
                vec![groups::X25519_MLKEM768, groups::X25519, groups::SECP256R1, groups::SECP384R1]
            }
            (Self::Standard, PostQuantum::Require) => vec![groups::X25519_MLKEM768],
            (Self::Fips, PostQuantum::Prefer) => vec![
                groups::X25519_MLKEM768,
                groups::SECP256R1_MLKEM768,
                groups::SECP256R1,
                groups::SECP384R1,
            ],
            (Self::Fips, PostQuantum::Require) => {
                vec![groups::X25519_MLKEM768, groups::SECP256R1_MLKEM768]
            }
            #[cfg(test)]
            (_, PostQuantum::Classical) => vec![groups::X25519],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(groups: Vec<&'static dyn SupportedKxGroup>) -> Vec<&'static str> {
        groups.iter().map(|group| super::super::group_name(group.name())).collect()
    }

    #[test]
    fn the_fips_profile_has_no_group_without_an_approved_part_and_the_hybrid_first() {
        assert_eq!(
            names(Profile::Fips.groups(PostQuantum::Prefer)),
            ["X25519MLKEM768", "SecP256r1MLKEM768", "secp256r1", "secp384r1"]
        );
        assert_eq!(
            names(Profile::Fips.groups(PostQuantum::Require)),
            ["X25519MLKEM768", "SecP256r1MLKEM768"]
        );
    }

    #[test]
    fn the_fips_profile_only_takes_suites_away_and_keeps_aes_gcm() {
        let standard = Profile::Standard.suites();
        let fips = Profile::Fips.suites();
        assert!(fips.iter().all(|suite| standard.contains(suite)));
        let names: Vec<_> = fips.iter().map(|suite| super::super::suite_name(suite.suite())).collect();
        assert_eq!(names, ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]);
    }

    #[test]
    fn the_standard_profile_is_what_it_always_was() {
        assert_eq!(
            names(Profile::Standard.groups(PostQuantum::Prefer)),
            ["X25519MLKEM768", "x25519", "secp256r1", "secp384r1"]
        );
        assert_eq!(names(Profile::Standard.groups(PostQuantum::Require)), ["X25519MLKEM768"]);
        assert_eq!(Profile::Standard.suites().len(), 3);
    }
}
