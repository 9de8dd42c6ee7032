//! A device's key and certificate: asked for once with a token, then renewed over the connections that it makes.

use super::{Error, Line, NOBODY};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use sordino_shared::control::{Enrol, Enrolled, MOST_REQUEST, Reject, Renew};
use sordino_shared::secagg::{Hash, Identity};
use sordino_shared::wire::{self, Kind};

/// Who a device is, for connections and for rounds.
pub struct Credentials {
    /// Its key pair.
    pub identity: Identity,
    /// What the authority says about it.
    pub enrolled: Enrolled,
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
    let pair = KeyPair::try_from(&PrivatePkcs8KeyDer::from(identity.pkcs8().as_slice())).map_err(failed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, NOBODY);
    Ok(params.serialize_request(&pair).map_err(failed)?.der().to_vec())
}
