//! The enrolment authority: who is a device, and which graph a round has.
//!
//! It has a key and a database of its own, apart from the coordinator's. Run by the same hands, as by default, it protects
//! against outsiders only: whoever holds both can surround a device with inventions (docs/privacy.md, section 10).

mod attestation;
mod x509;

pub use attestation::Attestation;
pub use x509::{KeyFile, Pair, device_of, ed25519_pkcs8};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use sordino_shared::control::{Code, Enrol, Enrolled, Reject};
use sordino_shared::secagg::{self, AlreadyDrawn, Hash, Identity, PublicIdentity, SignatureBytes, Wanted, digest};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use thiserror::Error;

/// Why the authority cannot work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Its files cannot be read or written.
    #[error("{path}: {fault}")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        fault: std::io::Error,
    },
    /// Its database failed.
    #[error("the authority's database failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// No certificate can be made.
    #[error("no certificate can be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A key file holds no key.
    #[error("{0} holds no key of this program's: restore it from a copy")]
    Key(std::path::PathBuf),
    /// No random bytes.
    #[error("the operating system gives no random bytes")]
    Randomness,
}

/// An enrolled device, for the operator.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DeviceRow {
    /// Its key, in hexadecimal.
    pub key: String,
    /// When it enrolled, in milliseconds since 1970.
    pub enrolled: i64,
    /// Until when its certificate holds.
    pub not_after: i64,
    /// When and why it was revoked, if it was.
    pub revoked: Option<String>,
}

/// The authority with its key and its database.
pub struct Authority {
    identity: Identity,
    issuer: x509::Issuing,
    database: Mutex<Connection>,
    attestation: Attestation,
    days: u32,
}

impl Authority {
    /// Opens the authority in this folder.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn open(folder: &Path, days: u32, attestation: Attestation) -> Result<Self, Error> {
        let identity = KeyFile::new(folder, KEY).load()?;
        let issuer = x509::Issuing::new(&identity)?;
        let database = Connection::open(folder.join(DATABASE))?;
        database.busy_timeout(Duration::from_secs(10))?;
        database.pragma_update(None, "journal_mode", "WAL")?;
        database.pragma_update(None, "synchronous", "FULL")?;
        database.execute_batch(SCHEMA)?;
        Ok(Self { identity, issuer, database: Mutex::new(database), attestation, days })
    }

    /// Makes the authority's key in this folder, once.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn init(folder: &Path) -> Result<PublicIdentity, Error> {
        Ok(KeyFile::new(folder, KEY).create()?.public())
    }

    /// The key that devices trust.
    pub fn public(&self) -> PublicIdentity {
        self.identity.public()
    }

    /// The certificate under which devices' certificates stand, DER.
    pub fn ca(&self) -> &[u8] {
        self.issuer.ca()
    }

    /// Makes tokens, each good for one certificate until its time is over. The database keeps their hashes alone.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn tokens(&self, count: usize, not_after: i64) -> Result<Vec<Hash>, Error> {
        let mut tokens = vec![[0u8; 32]; count];
        getrandom::fill(tokens.as_flattened_mut()).map_err(|_| Error::Randomness)?;
        let mut database = self.database();
        let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for token in &tokens {
            transaction
                .execute("INSERT INTO token (hash, not_after) VALUES (?1, ?2)", params![digest(token), not_after])?;
        }
        transaction.commit()?;
        Ok(tokens)
    }

    /// Certifies a new device. A token that was used for the same key gives that key another certificate, so that a device
    /// whose answer was lost can ask again.
    ///
    /// # Errors
    /// [`Reject`].
    pub fn enrol(&self, enrol: &Enrol, now: i64) -> Result<Enrolled, Reject> {
        let request = x509::Request::read(&enrol.request)?;
        let key = request.key();
        self.attestation.accepts(&key, &enrol.attestation).map_err(|reason| Reject::new(Code::Attestation, reason))?;
        let not_after = self.not_after(now);
        let mut database = self.database();
        let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate).map_err(busy)?;
        let hash = digest(&enrol.token);
        let token: Option<(i64, Option<Hash>)> = transaction
            .query_row("SELECT not_after, device FROM token WHERE hash = ?1", [hash], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
            .map_err(busy)?;
        match token {
            None => return Err(Reject::new(Code::Token, "this token was never given out")),
            Some((_, Some(device))) if device != key => {
                return Err(Reject::new(Code::Token, "this token has been used"));
            }
            Some((end, None)) if end < now => return Err(Reject::new(Code::Token, "this token's time is over")),
            Some(_) => {}
        }
        if is_revoked(&transaction, &key).map_err(busy)? {
            return Err(Reject::new(Code::Revoked, "this device was revoked"));
        }
        transaction.execute("UPDATE token SET device = ?2 WHERE hash = ?1", params![hash, key]).map_err(busy)?;
        transaction
            .execute(
                "INSERT INTO device (key, enrolled, not_after) VALUES (?1, ?2, ?3)
                 ON CONFLICT (key) DO UPDATE SET not_after = excluded.not_after",
                params![key, now, not_after],
            )
            .map_err(busy)?;
        transaction.commit().map_err(busy)?;
        drop(database);
        self.certify(&request, now, not_after)
    }

    /// Certifies a device once more, whose present certificate the connection was made with.
    ///
    /// # Errors
    /// [`Reject`].
    pub fn renew(&self, device: &Hash, request: &[u8], now: i64) -> Result<Enrolled, Reject> {
        let request = x509::Request::read(request)?;
        if request.key() != *device {
            return Err(Reject::new(Code::Invalid, "a certificate is renewed for the same key only"));
        }
        let not_after = self.not_after(now);
        let mut database = self.database();
        let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate).map_err(busy)?;
        if is_revoked(&transaction, device).map_err(busy)? {
            return Err(Reject::new(Code::Revoked, "this device was revoked"));
        }
        let changed = transaction
            .execute("UPDATE device SET not_after = ?2 WHERE key = ?1", params![device, not_after])
            .map_err(busy)?;
        if changed == 0 {
            return Err(Reject::new(Code::NotEnrolled, "this device is not enrolled"));
        }
        transaction.commit().map_err(busy)?;
        drop(database);
        self.certify(&request, now, not_after)
    }

    /// Revokes a device for good.
    ///
    /// # Errors
    /// [`enum@Error`]; `false` where there is no such device.
    pub fn revoke(&self, device: &Hash, reason: &str, now: i64) -> Result<bool, Error> {
        let what = format!("{reason} (at {now})");
        let changed = self
            .database()
            .execute("UPDATE device SET revoked = ?2 WHERE key = ?1 AND revoked IS NULL", params![device, what])?;
        Ok(changed == 1)
    }

    /// The devices that were revoked.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn revoked(&self) -> Result<BTreeSet<Hash>, Error> {
        let database = self.database();
        let mut statement = database.prepare_cached("SELECT key FROM device WHERE revoked IS NOT NULL")?;
        let keys = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(keys)
    }

    /// When a device enrolled.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn enrolled_at(&self, device: &Hash) -> Result<Option<i64>, Error> {
        let database = self.database();
        let mut statement = database.prepare_cached("SELECT enrolled FROM device WHERE key = ?1")?;
        Ok(statement.query_row([device], |row| row.get(0)).optional()?)
    }

    /// Devices whose certificate holds and that were not revoked.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn eligible(&self, now: i64) -> Result<u64, Error> {
        let count: i64 = self.database().query_row(
            "SELECT count(*) FROM device WHERE revoked IS NULL AND not_after >= ?1",
            [now],
            |row| row.get(0),
        )?;
        Ok(count as u64)
    }

    /// All devices.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn devices(&self) -> Result<Vec<DeviceRow>, Error> {
        let database = self.database();
        let mut statement =
            database.prepare_cached("SELECT key, enrolled, not_after, revoked FROM device ORDER BY enrolled, key")?;
        let rows = statement.query_map([], |row| {
            let key: Hash = row.get(0)?;
            Ok(DeviceRow {
                key: sordino_shared::control::hexadecimal(&key),
                enrolled: row.get(1)?,
                not_after: row.get(2)?,
                revoked: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Signs a round's roster, once; what was signed is durable before the signature is given out.
    ///
    /// # Errors
    /// [`Draw`].
    pub fn draw(&self, wanted: &Wanted) -> Result<SignatureBytes, Draw> {
        let mut database = self.database();
        let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let known: Option<Hash> = transaction
            .query_row("SELECT digest FROM drawing WHERE round = ?1", [wanted.round], |row| row.get(0))
            .optional()?;
        let drawn: BTreeMap<Hash, Hash> = known.map(|digest| (wanted.round, digest)).into_iter().collect();
        let mut authority = secagg::Authority::new(Identity::from_secret(&self.identity.secret()), drawn);
        let signature = authority.draw(wanted)?;
        transaction.execute(
            "INSERT INTO drawing (round, digest) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            params![wanted.round, wanted.digest()],
        )?;
        transaction.commit()?;
        Ok(signature)
    }

    fn certify(&self, request: &x509::Request, now: i64, not_after: i64) -> Result<Enrolled, Reject> {
        let unable =
            |error: &dyn std::fmt::Display| Reject::new(Code::Busy, format!("no certificate can be made: {error}"));
        let key =
            PublicIdentity::new(&request.key()).ok_or_else(|| Reject::new(Code::Invalid, "the key is a weak one"))?;
        let authority = secagg::Authority::new(Identity::from_secret(&self.identity.secret()), BTreeMap::new());
        let certificate = authority.certify(&key, not_after);
        let x509 = self.issuer.issue(request, now, not_after).map_err(|error| unable(&error))?;
        Ok(Enrolled { certificate, x509 })
    }

    fn not_after(&self, now: i64) -> i64 {
        // Whole seconds, as X.509 counts: both forms of a certificate end together.
        (now / 1000 + i64::from(self.days) * 86_400) * 1000
    }

    fn database(&self) -> MutexGuard<'_, Connection> {
        self.database.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Why a roster is not signed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Draw {
    /// Another one was.
    #[error(transparent)]
    Already(#[from] AlreadyDrawn),
    /// The database failed.
    #[error("the authority's database failed: {0}")]
    Database(#[from] rusqlite::Error),
}

fn is_revoked(database: &Connection, key: &Hash) -> rusqlite::Result<bool> {
    let revoked: Option<bool> = database
        .query_row("SELECT revoked IS NOT NULL FROM device WHERE key = ?1", [key], |row| row.get(0))
        .optional()?;
    Ok(revoked.unwrap_or(false))
}

fn busy(error: rusqlite::Error) -> Reject {
    tracing::error!(%error, "the authority's database failed");
    Reject::new(Code::Busy, "the authority cannot answer now: come again later")
}

const KEY: &str = "authority.key";
const DATABASE: &str = "authority.sqlite";
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS token (hash BLOB PRIMARY KEY, not_after INTEGER NOT NULL, device BLOB) STRICT;
CREATE TABLE IF NOT EXISTS device (key BLOB PRIMARY KEY, enrolled INTEGER NOT NULL, not_after INTEGER NOT NULL,
                                   revoked TEXT) STRICT;
DROP TABLE IF EXISTS drawn;
CREATE TABLE IF NOT EXISTS drawing (round BLOB PRIMARY KEY, digest BLOB NOT NULL) STRICT;";

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    fn authority(folder: &Path) -> Authority {
        Authority::open(folder, 7, Attestation::None).expect("an authority")
    }

    fn request(identity: &Identity) -> Vec<u8> {
        let pair = KeyPair::try_from(&ed25519_pkcs8(identity)).expect("a key");
        CertificateParams::default().serialize_request(&pair).expect("a request").der().to_vec()
    }

    fn device(number: u8) -> Identity {
        Identity::from_secret(&zeroize::Zeroizing::new([number; 32]))
    }

    const NOW: i64 = 1_700_000_000_000;

    #[test]
    fn a_token_is_good_for_one_device() {
        let folder = tempfile::tempdir().expect("a folder");
        Authority::init(folder.path()).expect("a key");
        assert!(Authority::init(folder.path()).is_err(), "a key is made once");
        let authority = authority(folder.path());
        let tokens = authority.tokens(2, NOW + 1000).expect("tokens");
        let enrol = |token, device: &Identity, now| {
            authority.enrol(&Enrol { token, request: request(device), attestation: Vec::new() }, now)
        };
        let enrolled = enrol(tokens[0], &device(1), NOW).expect("the first");
        assert!(enrolled.certificate.holds(&authority.public(), NOW + 6 * 86_400_000));
        assert!(!enrolled.certificate.holds(&authority.public(), NOW + 7 * 86_400_000 + 1));
        assert_eq!(device_of(&enrolled.x509), Some(device(1).public().bytes()));
        assert!(enrol(tokens[0], &device(1), NOW).is_ok(), "an answer that was lost");
        let code = |result: Result<Enrolled, Reject>| result.expect_err("refused").code;
        assert_eq!(code(enrol(tokens[0], &device(2), NOW)), Code::Token);
        assert_eq!(code(enrol([9; 32], &device(2), NOW)), Code::Token);
        assert_eq!(code(enrol(tokens[1], &device(2), NOW + 1001)), Code::Token);
        assert!(authority.revoke(&device(1).public().bytes(), "lost", NOW).expect("no fault"));
        assert_eq!(code(enrol(tokens[0], &device(1), NOW)), Code::Revoked);
        assert_eq!(code(authority.renew(&device(1).public().bytes(), &request(&device(1)), NOW)), Code::Revoked);
        assert_eq!(authority.revoked().expect("no fault").len(), 1);
    }

    #[test]
    fn certificates_are_renewed_for_the_same_key() {
        let folder = tempfile::tempdir().expect("a folder");
        Authority::init(folder.path()).expect("a key");
        let authority = authority(folder.path());
        let token = authority.tokens(1, NOW).expect("a token")[0];
        let key = device(1).public().bytes();
        authority
            .enrol(&Enrol { token, request: request(&device(1)), attestation: Vec::new() }, NOW)
            .expect("enrolled");
        let later = NOW + 5 * 86_400_000;
        let renewed = authority.renew(&key, &request(&device(1)), later).expect("renewed");
        assert!(renewed.certificate.holds(&authority.public(), later + 6 * 86_400_000));
        assert!(authority.renew(&key, &request(&device(2)), later).is_err(), "another key");
        assert!(authority.renew(&device(2).public().bytes(), &request(&device(2)), later).is_err(), "never enrolled");
        let mut forged = request(&device(1));
        let end = forged.len();
        forged[end - 1] ^= 1;
        assert!(authority.renew(&key, &forged, later).is_err(), "a request that its key did not sign");
    }

    #[test]
    fn a_round_is_drawn_once_also_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        Authority::init(folder.path()).expect("a key");
        let wanted = Wanted { round: [1; 32], context: [2; 32], roster: [3; 32] };
        let signature = authority(folder.path()).draw(&wanted).expect("the first");
        let again = authority(folder.path());
        assert_eq!(again.draw(&wanted).expect("the same"), signature);
        // Neither another roster nor the same under other terms.
        for other in [Wanted { roster: [4; 32], ..wanted }, Wanted { context: [4; 32], ..wanted }] {
            assert!(matches!(again.draw(&other), Err(Draw::Already(_))));
        }
    }
}
