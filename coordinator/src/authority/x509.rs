//! Keys in files, and certificates for connections. The same Ed25519 keys sign in rounds: what is signed there begins with
//! the protocol's name behind its length, a certificate's body with a DER sequence, and TLS signs under a prefix of its own,
//! so none of the three passes for another.

use super::Error;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519,
};
use rustls::pki_types::{CertificateSigningRequestDer, PrivatePkcs8KeyDer};
use sordino_shared::control::{Code, Reject, from_hexadecimal, hexadecimal};
use sordino_shared::secagg::{Hash, Identity};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

/// A key pair in a file that its owner alone may read.
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// The file of this name.
    pub fn new(folder: &Path, name: &str) -> Self {
        Self { path: folder.join(name) }
    }

    /// Makes a key, once.
    ///
    /// # Errors
    /// [`enum@Error`]; also where there is one.
    pub fn create(&self) -> Result<Identity, Error> {
        let mut secret = Zeroizing::new([0u8; 32]);
        getrandom::fill(secret.as_mut_slice()).map_err(|_| Error::Randomness)?;
        let failed = |fault| Error::File { path: self.path.clone(), fault };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&self.path).map_err(failed)?;
        let digits = Zeroizing::new(hexadecimal(secret.as_slice()));
        file.write_all(digits.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        }
        Ok(Identity::from_secret(&secret))
    }

    /// Reads the key.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn load(&self) -> Result<Identity, Error> {
        let digits =
            std::fs::read_to_string(&self.path).map_err(|fault| Error::File { path: self.path.clone(), fault })?;
        let digits = Zeroizing::new(digits);
        let secret = Zeroizing::new(from_hexadecimal(&digits).ok_or_else(|| Error::Key(self.path.clone()))?);
        Ok(Identity::from_secret(&secret))
    }
}

/// A key pair's secret, for TLS and for signing certificates.
pub fn ed25519_pkcs8(identity: &Identity) -> PrivatePkcs8KeyDer<'static> {
    PrivatePkcs8KeyDer::from(identity.pkcs8().to_vec())
}

/// The Ed25519 key in a certificate (DER), if that is what it is for.
pub fn device_of(certificate: &[u8]) -> Option<Hash> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let key = &certificate.tbs_certificate.subject_pki;
    let is_ed25519 = key.algorithm.algorithm.to_id_string() == ED25519;
    Hash::try_from(key.subject_public_key.data.as_ref()).ok().filter(|_| is_ed25519)
}

/// A certificate request whose signature holds.
pub(super) struct Request {
    csr: CertificateSigningRequestParams,
    key: Hash,
}

impl Request {
    pub(super) fn read(der: &[u8]) -> Result<Self, Reject> {
        let unreadable =
            |error: &dyn std::fmt::Display| Reject::new(Code::Invalid, format!("the certificate request: {error}"));
        let csr = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(der))
            .map_err(|error| unreadable(&error))?;
        use rcgen::PublicKeyData;
        if csr.public_key.algorithm() != &PKCS_ED25519 {
            return Err(unreadable(&"only Ed25519 keys are certified"));
        }
        let key = Hash::try_from(csr.public_key.der_bytes()).map_err(|_| unreadable(&"the key has another length"))?;
        Ok(Self { csr, key })
    }

    pub(super) fn key(&self) -> Hash {
        self.key
    }
}

/// What devices' certificates are issued with.
pub(super) struct Issuing {
    issuer: Issuer<'static, KeyPair>,
    ca: Vec<u8>,
}

impl Issuing {
    pub(super) fn new(identity: &Identity) -> Result<Self, Error> {
        let Pair { issuer, certificate, .. } = Pair::authority(identity, "sordino enrolment authority")?;
        Ok(Self { issuer, ca: certificate })
    }

    pub(super) fn ca(&self) -> &[u8] {
        &self.ca
    }

    /// A certificate of the requested key, in which nothing else of the request is taken over.
    pub(super) fn issue(&self, request: &Request, now: i64, not_after: i64) -> Result<Vec<u8>, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named("sordino device");
        // Devices' clocks differ a little.
        params.not_before = time(now - 3_600_000).into();
        params.not_after = time(not_after).into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let request = CertificateSigningRequestParams { params, public_key: request.csr.public_key.clone() };
        Ok(request.signed_by(&self.issuer)?.der().to_vec())
    }
}

/// A key with its certificate.
pub struct Pair {
    issuer: Issuer<'static, KeyPair>,
    text: String,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
}

impl Pair {
    /// A certificate of an authority over its own key. The same key always gives one with which what it signed before holds.
    ///
    /// # Errors
    /// [`Error::Certificate`].
    pub fn authority(identity: &Identity, name: &str) -> Result<Self, Error> {
        let pair = KeyPair::try_from(&ed25519_pkcs8(identity))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.serial_number = Some(vec![1].into());
        let certificate = params.clone().self_signed(&pair)?;
        let (text, certificate) = (certificate.pem(), certificate.der().to_vec());
        Ok(Self { issuer: Issuer::new(params, pair), text, certificate })
    }

    /// The certificate in PEM.
    pub fn pem(&self) -> String {
        self.text.clone()
    }

    /// The coordinator's own certificate for connections, for this name.
    ///
    /// # Errors
    /// [`Error::Certificate`].
    pub fn server(&self, identity: &Identity, name: &str) -> Result<Vec<u8>, Error> {
        let pair = KeyPair::try_from(&ed25519_pkcs8(identity))?;
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name = named("sordino coordinator");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        Ok(params.signed_by(&pair, &self.issuer)?.der().to_vec())
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

fn time(ms: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

const ED25519: &str = "1.3.101.112";
