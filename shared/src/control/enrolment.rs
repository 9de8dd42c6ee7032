//! How a device comes to a certificate, and to the next one.

use crate::secagg::{Certificate, Hash, SignatureBytes};
use crate::wire::{self, Kind};

/// A request for a first certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrol {
    /// A token that is good for one certificate.
    pub token: Hash,
    /// A certificate request (PKCS #10, DER) of the device's Ed25519 key.
    pub request: Vec<u8>,
    /// What the platform says about the device; empty where nothing is asked.
    pub attestation: Vec<u8>,
}

impl Enrol {
    /// To a frame.
    pub fn to_frame(&self) -> Vec<u8> {
        let lengths = (self.token, self.request.len() as u32);
        wire::encode(Kind::Enrol, &lengths, &[&self.request, &self.attestation])
    }

    /// From a frame.
    ///
    /// # Errors
    /// As of [`wire::Error`].
    pub fn from_frame(frame: &[u8]) -> Result<Self, wire::Error> {
        let ((token, length), payload): ((Hash, u32), _) =
            wire::decode(frame, Kind::Enrol, MOST_REQUEST + MOST_ATTESTATION)?;
        let (request, attestation) = payload.split_at_checked(length as usize).ok_or(wire::Error::Payload)?;
        Ok(Self { token, request: request.to_vec(), attestation: attestation.to_vec() })
    }
}

/// A request for the next certificate of the same key, over a connection that the present one holds for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renew {
    /// A certificate request (PKCS #10, DER) of the same key.
    pub request: Vec<u8>,
}

impl Renew {
    /// To a frame.
    pub fn to_frame(&self) -> Vec<u8> {
        wire::encode(Kind::Renew, &(), &[&self.request])
    }

    /// From a frame.
    ///
    /// # Errors
    /// As of [`wire::Error`].
    pub fn from_frame(frame: &[u8]) -> Result<Self, wire::Error> {
        let ((), request) = wire::decode(frame, Kind::Renew, MOST_REQUEST)?;
        Ok(Self { request: request.to_vec() })
    }
}

/// What the authority says about a device, in both forms: for the connection and for the rounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// For rounds.
    pub certificate: Certificate,
    /// For connections (X.509, DER), of the same key and time.
    pub x509: Vec<u8>,
}

impl Enrolled {
    /// To a frame.
    pub fn to_frame(&self) -> Vec<u8> {
        let Certificate { key, not_after, signature } = self.certificate;
        wire::encode(Kind::Enrolled, &(key, not_after, signature), &[&self.x509])
    }

    /// From a frame.
    ///
    /// # Errors
    /// As of [`wire::Error`].
    pub fn from_frame(frame: &[u8]) -> Result<Self, wire::Error> {
        let ((key, not_after, signature), x509): ((Hash, i64, SignatureBytes), _) =
            wire::decode(frame, Kind::Enrolled, MOST_REQUEST)?;
        Ok(Self { certificate: Certificate { key, not_after, signature }, x509: x509.to_vec() })
    }
}

/// The most bytes of a certificate request, or of a certificate.
pub const MOST_REQUEST: usize = 4096;
/// The most bytes of an attestation.
pub const MOST_ATTESTATION: usize = 16 * 1024;
