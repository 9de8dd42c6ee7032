//! The devices of a round, once they are settled.

use super::{Abandoned, Device, Error, Step};
use crate::secagg::graph::Graph;
use crate::secagg::identity::{PublicIdentity, SignatureBytes};
use crate::secagg::keys::{Scope, byte_array};
use crate::secagg::lanes::Shape;
use crate::secagg::merkle::Tree;
use crate::secagg::messages::{Advertisement, Bits, Roster};
use crate::secagg::transcript::{Hash, Transcript};
use serde::{Deserialize, Serialize};

/// Roster, graph and what of the terms the later steps need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cohort {
    pub(super) scope: Scope,
    pub(super) shape: Shape,
    pub(super) min_survivors: u32,
    pub(super) least_in_window: u32,
    pub(super) members: Vec<Advertisement>,
    pub(super) graph: Graph,
    pub(super) tree: Tree,
    pub(super) draw: Option<Draw>,
}

/// The authority's signature from which the graph follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Draw(#[serde(with = "byte_array")] pub(super) SignatureBytes);

impl Cohort {
    /// n.
    pub fn devices(&self) -> u32 {
        self.members.len() as u32
    }

    /// The graph of neighbours.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// d and b.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The identity at a position.
    pub fn identity(&self, position: u32) -> Option<Hash> {
        self.members.get(position as usize).map(|member| member.certificate.key)
    }

    /// The position of an identity.
    pub fn position(&self, identity: &Hash) -> Option<u32> {
        self.members.binary_search_by_key(identity, |member| member.certificate.key).ok().map(|at| at as u32)
    }

    /// R0': what the device at this position is told.
    ///
    /// # Panics
    /// If there is no such position.
    pub fn roster_for(&self, position: u32) -> Roster {
        let mut positions: Vec<u32> = self.graph.neighbours(position).chain([position]).collect();
        positions.sort_unstable();
        Roster {
            context: self.scope.context,
            devices: self.devices(),
            position,
            root: self.tree.root(),
            draw: self.draw.as_ref().map(|draw| draw.0),
            members: positions.iter().map(|&at| self.members[at as usize].clone()).collect(),
            proof: self.tree.proof(&positions),
        }
    }

    pub(super) fn threshold(&self) -> u32 {
        self.graph.degree().threshold
    }

    pub(super) fn device(&self, position: u32) -> Device {
        Device { position, identity: self.identity(position) }
    }

    /// Whether enough of the neighbours of every live device are among `left` to open its secret.
    pub(super) fn check_openable(&self, alive: &Bits, left: &Bits, step: Step) -> Result<(), Abandoned> {
        let least = self.threshold();
        for position in alive.iter() {
            let found = self.graph.neighbours(position).filter(|&other| left.contains(other)).count() as u32;
            if found < least {
                return Err(Abandoned::Closed { step, device: self.device(position), found, least });
            }
        }
        Ok(())
    }

    /// Whether the device at the position signed the statement, in this round.
    pub(super) fn check(
        &self,
        context: &Hash,
        position: u32,
        statement: impl FnOnce() -> Transcript,
        signature: &SignatureBytes,
    ) -> Result<(), Error> {
        if *context != self.scope.context {
            return Err(Error::OtherRound);
        }
        let device = self.device(position);
        let identity = device.identity.ok_or(Error::NoPart(device))?;
        let key = PublicIdentity::new(&identity).ok_or(Error::Signature(device))?;
        if key.signed(&statement(), signature) { Ok(()) } else { Err(Error::Signature(device)) }
    }
}
