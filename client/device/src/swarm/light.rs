//! A device of a swarm: everything of a real one but its folder. It keeps no ledger and no event store, since nobody's
//! listening is behind it.

use sordino_client::masks;
use sordino_client::part::{Error, Participant, Round};
use sordino_client::quic::{self, Credentials, Line};
use sordino_client::train::Randomness;
use sordino_shared::control::{Enrolled, Federation};
use sordino_shared::privacy::Noised;
use sordino_shared::secagg::device::{Member, Policy, Ready, Unsaved, Uploaded};
use sordino_shared::secagg::messages::Upload;
use sordino_shared::secagg::{Hash, Identity};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// How a device of a swarm comes to its vector.
pub type Vectors = Box<dyn FnMut(&Round) -> Result<Noised, Error> + Send>;

/// A device without a folder.
pub struct Light {
    credentials: Credentials,
    policy: Policy,
    vectors: Vectors,
    records: BTreeMap<Hash, Vec<u8>>,
}

impl Light {
    /// Enrols a key with a token.
    ///
    /// # Errors
    /// As of [`quic::enrol`].
    pub async fn enrol(
        endpoint: &quinn::Endpoint,
        federation: &Federation,
        token: Hash,
        identity: Identity,
        vectors: Vectors,
    ) -> Result<Self, quic::Error> {
        let line = Line::new(endpoint, federation, None)?;
        let enrolled = quic::enrol(&line, &identity, token, Vec::new()).await?;
        line.hang_up().await;
        Ok(Self::new(federation, identity, enrolled, vectors))
    }

    /// A device that is enrolled.
    pub fn new(federation: &Federation, identity: Identity, enrolled: Enrolled, vectors: Vectors) -> Self {
        let policy = Policy::new(federation.authority.0.clone(), federation.operator.0.clone());
        Self { credentials: Credentials { identity, enrolled }, policy, vectors, records: BTreeMap::new() }
    }

    /// Who it is.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Its records of rounds under way.
    pub fn records(&self) -> &BTreeMap<Hash, Vec<u8>> {
        &self.records
    }
}

/// A key pair from the operating system.
///
/// # Errors
/// Where it gives no random bytes.
pub fn new_identity() -> Result<Identity, quic::Error> {
    let mut randomness =
        Randomness::from_operating_system().map_err(|error| quic::Error::Settings(error.to_string()))?;
    Ok(masks::identity(&mut randomness))
}

impl Participant for Light {
    fn member(&self) -> Member<'_> {
        Member { identity: &self.credentials.identity, certificate: &self.credentials.enrolled.certificate }
    }

    fn policy(&self) -> &Policy {
        &self.policy
    }

    fn now(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
    }

    fn upload(&mut self, round: &Round, ready: Ready) -> Result<Unsaved<Uploaded, Upload>, Error> {
        let noised = (self.vectors)(round)?;
        Ok(ready.mask(&noised, &self.credentials.identity)?)
    }

    fn save(&mut self, context: &Hash, record: &[u8]) -> Result<(), Error> {
        self.records.insert(*context, record.to_vec());
        Ok(())
    }

    fn forget(&mut self, context: &Hash) -> Result<(), Error> {
        self.records.remove(context);
        Ok(())
    }
}
