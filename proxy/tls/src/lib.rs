//! Mutual TLS 1.3 between workloads. The only crate that names the TLS library and its cryptography.
//!
//! A [`Keypair`] is made here and certified elsewhere; with the certificate it becomes [`Credentials`], which
//! [`accept`] and [`connect`] use. A [`VerifiedPeer`] comes out of a handshake and from nowhere else.

mod anchors;
mod credentials;
mod handshake;
mod keypair;
mod mac;
mod provider;
#[cfg(test)]
mod testing;
mod token;
mod verify;

pub use anchors::{ANCHORS_MAX, AnchorsError, TrustAnchors};
pub use credentials::{
    ALPN_H2, ALPN_TRANSPORT, Credentials, CredentialsError, CredentialsWatch, Dialer, certificate_der,
};
pub use handshake::{ClientStream, Handshake, HandshakeError, ServerStream, accept, connect};
pub use keypair::{Keypair, KeypairError};
pub use mac::MacKey;
pub use provider::{Approval, Module, NotApproved, PostQuantum, ProviderFacts, approval, facts, warm_up};
pub use token::{sha256, signature_holds};
pub use verify::VerifiedPeer;
