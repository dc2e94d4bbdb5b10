//! ML-KEM-768 (FIPS 203) as the hybrid group uses it. Published vectors run through the example `mlkem_kat`.

use aws_lc_rs::kem::{AlgorithmId, DecapsulationKey, EncapsulationKey, ML_KEM_768};

/// Bytes of an encapsulation key.
pub(super) const ENCAPSULATION_KEY_BYTES: usize = 1184;
/// Bytes of a ciphertext.
pub(super) const CIPHERTEXT_BYTES: usize = 1088;

/// Why a step of the KEM failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum KemError {
    /// The key does not pass the checks of FIPS 203 §7.2 or §7.3.
    #[error("the key is not an ML-KEM-768 key")]
    Key,
    /// The ciphertext has the wrong length.
    #[error("the ciphertext is not one of ML-KEM-768")]
    Ciphertext,
    /// The random generator or the module failed.
    #[error("the module failed")]
    Module,
}

/// A fresh decapsulation key.
pub(super) fn generate() -> Result<DecapsulationKey<AlgorithmId>, KemError> {
    DecapsulationKey::generate(&ML_KEM_768).map_err(|_| KemError::Module)
}

/// The encapsulation key of `key`, in bytes.
pub(super) fn public(key: &DecapsulationKey<AlgorithmId>) -> Result<Vec<u8>, KemError> {
    let bytes =
        key.encapsulation_key().and_then(|public| public.key_bytes()).map_err(|_| KemError::Module)?;
    Ok(bytes.as_ref().to_vec())
}

/// Opens `ciphertext`. One that was made for another key gives another secret, never an error (FIPS 203 §6.3).
pub(super) fn open(key: &DecapsulationKey<AlgorithmId>, ciphertext: &[u8]) -> Result<Vec<u8>, KemError> {
    let secret = key.decapsulate(ciphertext.into()).map_err(|_| KemError::Ciphertext)?;
    Ok(secret.as_ref().to_vec())
}

/// A ciphertext for `encapsulation_key`, and the secret in it.
///
/// # Errors
/// [`KemError::Key`] if the key's length or its modulus check is wrong.
pub(super) fn encapsulate(encapsulation_key: &[u8]) -> Result<(Vec<u8>, Vec<u8>), KemError> {
    let key = EncapsulationKey::new(&ML_KEM_768, encapsulation_key).map_err(|_| KemError::Key)?;
    let (ciphertext, secret) = key.encapsulate().map_err(|_| KemError::Key)?;
    Ok((ciphertext.as_ref().to_vec(), secret.as_ref().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expanded decapsulation key and the encapsulation key of a fresh pair.
    fn generate_pair() -> (Vec<u8>, Vec<u8>) {
        let key = generate().expect("generates");
        let secret = key.key_bytes().expect("bytes").as_ref().to_vec();
        (secret, public(&key).expect("public"))
    }

    fn decapsulate(secret_key: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>, KemError> {
        open(&DecapsulationKey::new(&ML_KEM_768, secret_key).map_err(|_| KemError::Key)?, ciphertext)
    }

    #[test]
    fn both_ends_hold_the_same_secret() {
        let (secret_key, public_key) = generate_pair();
        assert_eq!(public_key.len(), ENCAPSULATION_KEY_BYTES);
        let (ciphertext, sent) = encapsulate(&public_key).expect("encapsulates");
        assert_eq!(ciphertext.len(), CIPHERTEXT_BYTES);
        assert_eq!(decapsulate(&secret_key, &ciphertext).expect("decapsulates"), sent);
    }

    #[test]
    fn an_altered_ciphertext_gives_another_secret() {
        let (secret_key, public_key) = generate_pair();
        let (mut ciphertext, sent) = encapsulate(&public_key).expect("encapsulates");
        ciphertext[0] ^= 1;
        assert_ne!(decapsulate(&secret_key, &ciphertext).expect("implicit rejection"), sent);
    }

    #[test]
    fn malformed_keys_and_ciphertexts_are_refused() {
        let (secret_key, mut public_key) = generate_pair();
        assert_eq!(decapsulate(&secret_key, &[0; 5]), Err(KemError::Ciphertext));
        assert_eq!(encapsulate(&public_key[1..]), Err(KemError::Key));
        // A coefficient of 4095 is not below the modulus 3329 (FIPS 203 §7.2).
        public_key[0] = 0xff;
        public_key[1] |= 0x0f;
        assert_eq!(encapsulate(&public_key), Err(KemError::Key));
    }
}
