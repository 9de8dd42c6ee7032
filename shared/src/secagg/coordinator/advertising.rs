//! Step 0: keys come in, the roster is closed, its graph is drawn (docs/protocol.md, 2.2 and 2.3).

use super::roster::{Cohort, Draw};
use super::{Abandoned, Error, Sharing, Step};
use crate::secagg::finder::{Assumptions, Degree};
use crate::secagg::graph::Graph;
use crate::secagg::identity::{PublicIdentity, SignatureBytes, Wanted, graph_seed};
use crate::secagg::keys::{RoundKey, Scope};
use crate::secagg::lanes::Shape;
use crate::secagg::merkle::{self, Tree};
use crate::secagg::messages::{Advertisement, Roster};
use crate::secagg::terms::Terms;
use crate::secagg::transcript::Hash;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Keys come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Advertising {
    rules: Rules,
    // By identity.
    members: BTreeMap<Hash, Advertisement>,
    // Every round key that was advertised.
    keys: BTreeSet<Hash>,
}

/// The same as it is written: the maps follow from the list.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    rules: Rules,
    members: Vec<Advertisement>,
}

impl From<Stored> for Advertising {
    fn from(Stored { rules, members }: Stored) -> Self {
        let keys = members.iter().flat_map(|member| [member.sealing_key, member.masking_key]).collect();
        let members = members.into_iter().map(|member| (member.certificate.key, member)).collect();
        Self { rules, members, keys }
    }
}

impl From<Advertising> for Stored {
    fn from(Advertising { rules, members, .. }: Advertising) -> Self {
        Self { rules, members: members.into_values().collect() }
    }
}

/// What of the terms the coordinator goes by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Rules {
    round: Hash,
    context: Hash,
    authority: Hash,
    cohort: u32,
    min_survivors: u32,
    shape: Shape,
    assumptions: Exact,
}

/// Assumptions by their bits: a float need not survive a form in text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Exact {
    security_bits: u32,
    colluding: u64,
    dropping: u64,
}

/// An advertisement that holds by itself.
pub struct CheckedAdvertisement(Advertisement);

impl Advertising {
    /// An empty roster under these terms.
    pub fn new(terms: &Terms, authority: &PublicIdentity) -> Self {
        let assumptions = terms.assumptions();
        let rules = Rules {
            round: terms.round_id(),
            context: terms.context(),
            authority: authority.bytes(),
            cohort: terms.cohort(),
            min_survivors: terms.min_survivors(),
            shape: terms.shape(),
            assumptions: Exact {
                security_bits: assumptions.security_bits,
                colluding: assumptions.colluding.to_bits(),
                dropping: assumptions.dropping.to_bits(),
            },
        };
        Self { rules, members: BTreeMap::new(), keys: BTreeSet::new() }
    }

    /// Certificate, signature and order of the keys: a device that advertised a key of low order would make its
    /// neighbours refuse.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn check(&self, context: &Hash, advertisement: Advertisement, now: i64) -> Result<CheckedAdvertisement, Error> {
        if *context != self.rules.context {
            return Err(Error::OtherRound);
        }
        let authority = PublicIdentity::new(&self.rules.authority).ok_or(Error::Certificate)?;
        let identity = PublicIdentity::new(&advertisement.certificate.key).ok_or(Error::Certificate)?;
        if !advertisement.certificate.holds(&authority, now) {
            return Err(Error::Certificate);
        }
        let (sealing, masking) = (&advertisement.sealing_key, &advertisement.masking_key);
        if !identity.signed(&Advertisement::statement(context, sealing, masking), &advertisement.signature) {
            return Err(Error::Keys("not signed for this round"));
        }
        let probe = RoundKey::from_secret(context);
        if probe.agree(sealing).is_none() || probe.agree(masking).is_none() {
            return Err(Error::Keys("of low order"));
        }
        Ok(CheckedAdvertisement(advertisement))
    }

    /// Takes the device into the roster. The same advertisement may come again.
    ///
    /// # Errors
    /// [`Error::Keys`] for a key that is there already, also of the same device under other keys; [`Error::Full`].
    pub fn record(&mut self, checked: CheckedAdvertisement) -> Result<(), Error> {
        let advertisement = checked.0;
        let identity = advertisement.certificate.key;
        match self.members.get(&identity) {
            Some(known) if *known == advertisement => return Ok(()),
            Some(_) => return Err(Error::Keys("others than the device advertised before")),
            None if self.members.len() as u32 >= self.rules.cohort => return Err(Error::Full(self.rules.cohort)),
            None => {}
        }
        let (sealing, masking) = (advertisement.sealing_key, advertisement.masking_key);
        if sealing == masking || self.keys.contains(&sealing) || self.keys.contains(&masking) {
            return Err(Error::Keys("used already"));
        }
        self.keys.extend([sealing, masking]);
        self.members.insert(identity, advertisement);
        Ok(())
    }

    /// Whether the device has advertised.
    pub fn has(&self, identity: &Hash) -> bool {
        self.members.contains_key(identity)
    }

    /// Whether there is room for no more.
    pub fn is_full(&self) -> bool {
        self.devices() >= self.rules.cohort
    }

    /// Devices so far.
    pub fn devices(&self) -> u32 {
        self.members.len() as u32
    }

    /// Closes the roster, in the order of identities.
    ///
    /// # Errors
    /// [`Abandoned`].
    pub fn close(self) -> Result<Drawing, Abandoned> {
        let (found, least) = (self.devices(), self.rules.min_survivors);
        if found < least {
            return Err(Abandoned::TooFew { step: Step::Advertise, found, least });
        }
        let members: Vec<Advertisement> = self.members.into_values().collect();
        let tree = Tree::new(members.iter().map(|member| merkle::leaf(&member.to_bytes())).collect());
        let roster = Roster::hash(&self.rules.context, found, &tree.root());
        let degree = self.rules.assumptions.known().degree(found)?;
        Ok(Drawing { rules: self.rules, roster, members, tree, degree })
    }
}

/// The roster is closed; its graph is drawn by the authority where not everybody is everybody's neighbour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawing {
    rules: Rules,
    roster: Hash,
    members: Vec<Advertisement>,
    tree: Tree,
    degree: Degree,
}

impl Drawing {
    /// Devices in the roster.
    pub fn devices(&self) -> u32 {
        self.members.len() as u32
    }

    /// What the authority signs, for [`crate::secagg::Authority::draw`]; `None` where the graph is complete and needs no drawing.
    pub fn wanted(&self) -> Option<Wanted> {
        let complete = self.degree.neighbours as usize + 1 == self.members.len();
        let Rules { round, context, .. } = self.rules;
        (!complete).then_some(Wanted { round, context, roster: self.roster })
    }

    /// Lays the graph.
    ///
    /// # Errors
    /// [`Abandoned`].
    pub fn open(self, draw: Option<SignatureBytes>) -> Result<Sharing, Abandoned> {
        let (devices, degree) = (self.members.len() as u32, self.degree);
        let (draw, seed) = match (self.wanted(), draw) {
            (None, _) => (None, None),
            (Some(wanted), Some(draw)) => {
                let authority = PublicIdentity::new(&self.rules.authority).ok_or(Abandoned::Undrawn)?;
                let seed = graph_seed(&authority, &wanted, &draw).ok_or(Abandoned::Undrawn)?;
                (Some(Draw(draw)), Some(seed))
            }
            (Some(_), None) => return Err(Abandoned::Undrawn),
        };
        Ok(Sharing::new(Cohort {
            scope: Scope { context: self.rules.context, roster: self.roster },
            shape: self.rules.shape,
            min_survivors: self.rules.min_survivors,
            least_in_window: self.rules.assumptions.known().least_in_window(devices, degree.neighbours),
            members: self.members,
            graph: Graph::new(devices, degree, seed.as_ref()),
            tree: self.tree,
            draw,
        }))
    }
}

impl Exact {
    fn known(&self) -> Assumptions {
        let (colluding, dropping) = (f64::from_bits(self.colluding), f64::from_bits(self.dropping));
        Assumptions { security_bits: self.security_bits, colluding, dropping }
    }
}
