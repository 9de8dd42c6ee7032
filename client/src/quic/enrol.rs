//! A device's key and certificate: asked for once with a token, then renewed over the connections that it makes.

use super::{Error, Line, NOBODY};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use sordino_shared::control::{Enrol, Enrolled, MOST_REQUEST, Reject, Renew};
use sordino_shared::secagg::{Hash, Identity};
use sordino_shared::wire::{self, Kind};
use zeroize::Zeroizing;

/// Who a device is, for connections and for rounds.
pub struct Credentials {
    /// Its key pair.
    pub identity: Identity,
    /// What the authority says about it.
    pub enrolled: Enrolled,
}

/// An Ed25519 secret, as TLS wants to have it.
pub struct Key(pub Zeroizing<[u8; 32]>);

impl Key {
    /// PKCS #8, version 1 (RFC 8410, section 7).
    pub fn pkcs8(&self) -> PrivatePkcs8KeyDer<'static> {
        let mut der = Vec::with_capacity(48);
        der.extend_from_slice(&[
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
        ]);
        der.extend_from_slice(self.0.as_slice());
        PrivatePkcs8KeyDer::from(der)
    }
}

/// Asks for a first certificate; the line needs no credentials.
///
/// # Errors
/// [`enum@Error`]; [`Error::Rejected`] where the token or the attestation is refused.
pub async fn enrol(line: &Line, identity: &Identity, token: Hash, attestation: Vec<u8>) -> Result<Enrolled, Error> {
    let request = Enrol { token, request: certificate_request(identity)?, attestation };
    answer(line.exchange(&request.to_frame(), most).await?, identity)
}

/// Asks for the next certificate of the same key.
///
/// # Errors
/// [`enum@Error`].
pub async fn renew(line: &Line, identity: &Identity) -> Result<Enrolled, Error> {
    let request = Renew { request: certificate_request(identity)? };
    answer(line.exchange(&request.to_frame(), most).await?, identity)
}

fn most(kind: Kind) -> Option<usize> {
    match kind {
        Kind::Enrolled => Some(MOST_REQUEST),
        Kind::Reject => Some(0),
        _ => None,
    }
}

fn answer(frame: Vec<u8>, identity: &Identity) -> Result<Enrolled, Error> {
    if wire::kind_of(&frame)? == Kind::Reject {
        return Err(Error::Rejected(Reject::from_frame(&frame)?));
    }
    let enrolled = Enrolled::from_frame(&frame)?;
    if enrolled.certificate.key != identity.public().bytes() {
        return Err(Error::Settings("the certificate that came back is of another key".to_owned()));
    }
    Ok(enrolled)
}

fn certificate_request(identity: &Identity) -> Result<Vec<u8>, Error> {
    let failed = |error: rcgen::Error| Error::Settings(format!("no certificate request can be made: {error}"));
    let pair = KeyPair::try_from(&Key(identity.secret()).pkcs8()).map_err(failed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, NOBODY);
    Ok(params.serialize_request(&pair).map_err(failed)?.der().to_vec())
}
