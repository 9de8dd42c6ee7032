//! What a device checks of the roster before it deals a share (docs/protocol.md, 2.3).

use super::{Neighbour, Neighbourhood, Peer, Place, Refusal};
use crate::secagg::graph::Graph;
use crate::secagg::identity::{PublicIdentity, Wanted, graph_seed};
use crate::secagg::merkle;
use crate::secagg::messages::{Advertisement, Roster};
use crate::secagg::terms::Terms;
use crate::secagg::transcript::Hash;
use std::collections::BTreeSet;

/// What the roster is held against.
pub(super) struct Trusted<'a> {
    pub(super) terms: &'a Terms,
    pub(super) context: Hash,
    pub(super) authority: &'a PublicIdentity,
    pub(super) now: i64,
}

/// The graph as the device lays it itself.
struct Laid {
    graph: Graph,
    seed: Option<Hash>,
    roster: Hash,
}

impl Trusted<'_> {
    /// Every check, in the order of section 2.3.
    pub(super) fn neighbourhood(
        &self,
        roster: &Roster,
        own: &Advertisement,
    ) -> Result<(Neighbourhood, Vec<Peer>), Refusal> {
        if roster.context != self.context {
            return Err(Refusal::OtherRound);
        }
        let laid = self.lay(roster)?;
        let slots: Vec<u32> = laid.graph.neighbours(roster.position).collect();
        let members = shown(roster, &slots)?;
        if *members[slots.len()] != *own {
            return Err(Refusal::OwnEntry);
        }
        check_distinct(&roster.members)?;
        let (mut neighbours, mut peers) = (Vec::with_capacity(slots.len()), Vec::with_capacity(slots.len()));
        for (slot, (&position, member)) in slots.iter().zip(members).enumerate() {
            self.check_member(member, slot)?;
            neighbours.push(Neighbour { position, identity: member.certificate.key });
            let back = laid.graph.slot(position, roster.position).expect("the graph is symmetric");
            let (sealing_key, masking_key) = (member.sealing_key, member.masking_key);
            peers.push(Peer { reverse_slot: back as u32, sealing_key, masking_key });
        }
        Ok((self.settle(roster, &laid, neighbours), peers))
    }

    /// The graph for a roster of this size, drawn by the authority where it is sparse.
    fn lay(&self, roster: &Roster) -> Result<Laid, Refusal> {
        let (n, least, most) = (roster.devices, self.terms.min_survivors(), self.terms.cohort());
        if !(least..=most).contains(&n) || roster.position >= n {
            return Err(Refusal::RosterSize { found: n, least, most });
        }
        let degree = self.terms.assumptions().degree(n)?;
        let hash = Roster::hash(&self.context, n, &roster.root);
        let seed = if degree.neighbours + 1 < n {
            let wanted = Wanted { round: self.terms.round_id(), context: self.context, roster: hash };
            let drawn = roster.draw.and_then(|draw| graph_seed(self.authority, &wanted, &draw));
            Some(drawn.ok_or(Refusal::Undrawn)?)
        } else {
            None
        };
        Ok(Laid { graph: Graph::new(n, degree, seed.as_ref()), seed, roster: hash })
    }

    fn check_member(&self, member: &Advertisement, slot: usize) -> Result<(), Refusal> {
        let statement = Advertisement::statement(&self.context, &member.sealing_key, &member.masking_key);
        let identity = PublicIdentity::new(&member.certificate.key).ok_or(Refusal::Certificate { slot })?;
        if !member.certificate.holds(self.authority, self.now) {
            return Err(Refusal::Certificate { slot });
        }
        if !identity.signed(&statement, &member.signature) {
            return Err(Refusal::AdvertisedKeys { slot });
        }
        Ok(())
    }

    fn settle(&self, roster: &Roster, laid: &Laid, neighbours: Vec<Neighbour>) -> Neighbourhood {
        let (degree, shape) = (laid.graph.degree(), self.terms.shape());
        let place = Place {
            context: self.context,
            roster: laid.roster,
            devices: roster.devices,
            position: roster.position,
            threshold: degree.threshold,
            min_survivors: self.terms.min_survivors(),
            values: shape.values,
            bits: shape.bits,
            seed: laid.seed,
            least_in_window: self.terms.assumptions().least_in_window(roster.devices, degree.neighbours),
        };
        Neighbourhood { place, neighbours }
    }
}

/// The advertisements by slot, and the device's own after them, if exactly these are shown and the proof puts each at its
/// place.
fn shown<'a>(roster: &'a Roster, slots: &[u32]) -> Result<Vec<&'a Advertisement>, Refusal> {
    let mut positions = slots.to_vec();
    positions.push(roster.position);
    positions.sort_unstable();
    if positions.len() != roster.members.len() {
        return Err(Refusal::Neighbours("there are more or fewer of them"));
    }
    let leaf = |(&position, member): (&u32, &Advertisement)| (position, merkle::leaf(&member.to_bytes()));
    let leaves: Vec<(u32, Hash)> = positions.iter().zip(&roster.members).map(leaf).collect();
    if merkle::root(roster.devices as usize, &leaves, &roster.proof) != Some(roster.root) {
        return Err(Refusal::Neighbours("they are not at those places of the roster"));
    }
    let member_at = |position: &u32| {
        let at = positions.binary_search(position).expect("the position is one of those shown");
        &roster.members[at]
    };
    Ok(slots.iter().chain([&roster.position]).map(member_at).collect())
}

/// A roster stands in the order of identities, so that one that stands twice shows; round keys are all different.
fn check_distinct(members: &[Advertisement]) -> Result<(), Refusal> {
    let ascending = members.windows(2).all(|pair| pair[0].certificate.key < pair[1].certificate.key);
    let keys: BTreeSet<&Hash> = members.iter().flat_map(|m| [&m.sealing_key, &m.masking_key]).collect();
    if ascending && keys.len() == 2 * members.len() { Ok(()) } else { Err(Refusal::CommonKeys) }
}
