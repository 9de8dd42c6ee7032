//! A hash tree over the roster, with one proof for all of a device's neighbours (docs/protocol.md, section 4).
//!
//! Leaves and nodes are hashed under different first bytes (RFC 6962), and the last node of an odd level goes up as it
//! is. A proof is the list of hashes that a verifier cannot compute itself, level by level, from left to right: its
//! shape follows from the number of leaves and the positions shown, so there is one valid proof and no choice in it.

use super::transcript::Hash;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// All levels of a tree, leaves first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tree {
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// The tree over at least one leaf.
    pub(crate) fn new(leaves: Vec<Hash>) -> Self {
        assert!(!leaves.is_empty(), "a roster has devices");
        let mut levels = vec![leaves];
        loop {
            let last = &levels[levels.len() - 1];
            if last.len() == 1 {
                return Self { levels };
            }
            let above = last
                .chunks(2)
                .map(|pair| match pair {
                    [left, right] => node(left, right),
                    _ => pair[0],
                })
                .collect();
            levels.push(above);
        }
    }

    /// The root.
    pub(crate) fn root(&self) -> Hash {
        self.levels[self.levels.len() - 1][0]
    }

    /// The hashes beside the way from the leaves at `positions` (ascending) to the root.
    pub(crate) fn proof(&self, positions: &[u32]) -> Vec<Hash> {
        let mut proof = Vec::new();
        let mut known = positions.to_vec();
        for level in &self.levels[..self.levels.len() - 1] {
            known = step(&known, level.len(), |missing| proof.push(level[missing as usize]));
        }
        proof
    }
}

/// The root that the leaves at ascending positions and the proof lead to; `None` where the proof has another shape.
pub(crate) fn root(leaves: usize, shown: &[(u32, Hash)], proof: &[Hash]) -> Option<Hash> {
    assert!(shown.windows(2).all(|pair| pair[0].0 < pair[1].0), "positions come from the graph, in order");
    if shown.last()?.0 as usize >= leaves {
        return None;
    }
    let mut proof = proof.iter();
    let mut level: Vec<(u32, Hash)> = shown.to_vec();
    let mut width = leaves;
    while width > 1 {
        let mut above = Vec::with_capacity(level.len());
        let mut known = level.iter().peekable();
        while let Some(&(place, own)) = known.next() {
            let hash = if place % 2 == 1 {
                // A right child whose left one was not shown: that one was taken together with it otherwise.
                node(proof.next()?, &own)
            } else if place as usize + 1 == width {
                own
            } else {
                match known.next_if(|next| next.0 == place + 1) {
                    Some((_, right)) => node(&own, right),
                    None => node(&own, proof.next()?),
                }
            };
            above.push((place / 2, hash));
        }
        level = above;
        width = width.div_ceil(2);
    }
    match (proof.next(), level.as_slice()) {
        (None, [(0, root)]) => Some(*root),
        _ => None,
    }
}

/// The hash of a leaf.
pub(crate) fn leaf(bytes: &[u8]) -> Hash {
    Sha256::new().chain_update([LEAF]).chain_update(bytes).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([NODE]).chain_update(left).chain_update(right).finalize().into()
}

// One level up from ascending places, with the places that are missing beside them handed to `take`.
fn step(known: &[u32], width: usize, mut take: impl FnMut(u32)) -> Vec<u32> {
    let mut above: Vec<u32> = Vec::with_capacity(known.len());
    for (i, &place) in known.iter().enumerate() {
        let sibling = place ^ 1;
        let shown = if place % 2 == 1 { i > 0 && known[i - 1] == sibling } else { known.get(i + 1) == Some(&sibling) };
        if !shown && (sibling as usize) < width {
            take(sibling);
        }
        if above.last() != Some(&(place / 2)) {
            above.push(place / 2);
        }
    }
    above
}

const LEAF: u8 = 0;
const NODE: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(n: usize) -> Vec<Hash> {
        (0..n).map(|i| leaf(&i.to_le_bytes())).collect()
    }

    #[test]
    fn every_set_of_positions_is_proven_and_nothing_else_is() {
        for n in 1..=9usize {
            let tree = Tree::new(leaves(n));
            for set in 1u32..1 << n {
                let positions: Vec<u32> = (0..n as u32).filter(|i| set >> i & 1 == 1).collect();
                let proof = tree.proof(&positions);
                let shown: Vec<(u32, Hash)> =
                    positions.iter().map(|&p| (p, leaf(&(p as usize).to_le_bytes()))).collect();
                assert_eq!(root(n, &shown, &proof), Some(tree.root()), "{n} {positions:?}");
                let mut other = shown.clone();
                other[0].1[0] ^= 1;
                assert_ne!(root(n, &other, &proof), Some(tree.root()));
                // At another position, with a hash too many and with one too few.
                let moved: Vec<(u32, Hash)> = shown.iter().map(|&(p, h)| (p + 1, h)).collect();
                assert_ne!(root(n, &moved, &proof), Some(tree.root()));
                let longer: Vec<Hash> = proof.iter().copied().chain([[0; 32]]).collect();
                assert_eq!(root(n, &shown, &longer), None);
                if let Some((_, shorter)) = proof.split_last() {
                    assert_eq!(root(n, &shown, shorter), None);
                }
            }
        }
        assert_eq!(root(3, &[], &[]), None);
    }

    #[test]
    fn neighbours_share_their_proof() {
        let tree = Tree::new(leaves(1000));
        let positions: Vec<u32> = (0..112).map(|i| i * 8).collect();
        assert!(tree.proof(&positions).len() < 112 * 4);
    }
}
