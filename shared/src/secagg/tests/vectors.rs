//! The library against `tests/vectors`, which another implementation wrote (`tests/vectors/generate.py`).

use super::*;
use crate::plan::Rotation;
use crate::secagg::finder::Adversary;
use crate::secagg::graph::Graph;
use crate::secagg::keys::{Scope, expand, self_mask_key};
use crate::secagg::lanes::{Lanes, Sign};
use crate::secagg::merkle::{self, Tree};
use crate::secagg::messages::{Delivery, Roster};
use crate::secagg::shamir::{Polynomial, combine};
use crate::secagg::transcript::Transcript;
use crate::secagg::{Shape, plan_digest};
use curve25519_dalek::Scalar;
use rand_core::{TryCryptoRng, TryRng};
use serde_json::Value;

fn file(name: &str) -> Value {
    let path = format!("{}/../tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).expect("the vectors are in the repository")).expect("JSON")
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("hexadecimal text");
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hexadecimal")).collect()
}

fn hash(value: &Value) -> Hash {
    hex(value).try_into().expect("32 bytes")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn number(value: &Value) -> u32 {
    value.as_u64().expect("a number") as u32
}

fn numbers(value: &Value) -> Vec<u32> {
    list(value).iter().map(number).collect()
}

/// Hands out the bytes that the vectors fix.
struct Script(Vec<u8>);

impl TryRng for Script {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("keys are drawn as bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("keys are drawn as bytes")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        let rest = self.0.split_off(bytes.len());
        bytes.copy_from_slice(&std::mem::replace(&mut self.0, rest));
        Ok(())
    }
}

impl TryCryptoRng for Script {}

#[test]
fn degrees_and_rings() {
    FORCED.set(None);
    let vectors = file("graph.json");
    for row in list(&vectors["degrees"]) {
        let assumptions = Assumptions {
            security_bits: number(&row[3]),
            colluding: row[1].as_f64().expect("a share"),
            dropping: row[2].as_f64().expect("a share"),
        };
        let adversary = if row[4] == "curious" { Adversary::Curious } else { Adversary::SemiMalicious };
        let found = assumptions.harary(number(&row[0]), adversary).expect("a graph");
        assert_eq!((found.neighbours, found.threshold), (number(&row[5]), number(&row[6])), "{row}");
    }
    for row in list(&vectors["complete"]) {
        let found = Assumptions::default().degree(number(&row[0])).expect("a graph");
        assert_eq!((found.neighbours, found.threshold), (number(&row[1]), number(&row[2])), "{row}");
    }
    for row in list(&vectors["windows"]) {
        let colluding = row[1].as_f64().expect("a share");
        let assumptions = Assumptions { security_bits: number(&row[2]), colluding, dropping: 0.0 };
        assert_eq!(assumptions.least_in_window(number(&row[0]), number(&row[3])), number(&row[4]), "{row}");
    }
    for row in list(&vectors["rings"]) {
        let degree = Degree { neighbours: number(&row["degree"]), threshold: 2 };
        let graph = Graph::new(number(&row["devices"]), degree, Some(&hash(&row["seed"])));
        assert_eq!(graph.neighbours(0).collect::<Vec<_>>(), numbers(&row["neighbours_of_0"]));
        assert_eq!(graph.neighbours(5).collect::<Vec<_>>(), numbers(&row["neighbours_of_5"]));
    }
}

#[test]
fn masks_packing_trees_shares_and_keys() {
    let vectors = file("primitives.json");
    for row in list(&vectors["masks"]) {
        let mut lanes = Lanes::zeros(Shape { values: number(&row["values"]), bits: number(&row["bits"]) });
        lanes.add_mask(&hash(&row["key"]), Sign::Plus);
        assert_eq!(lanes.residues().collect::<Vec<_>>(), numbers(&row["residues"]));
    }
    for row in list(&vectors["packing"]) {
        let values = numbers(&row["values"]);
        let mut lanes = Lanes::zeros(Shape { values: values.len() as u32, bits: number(&row["bits"]) });
        let packed = hex(&row["packed"]);
        assert!(lanes.add_packed(&packed));
        assert!(lanes.residues().eq(values));
        assert_eq!(lanes.pack(), packed);
    }
    for row in list(&vectors["trees"]) {
        let leaves = number(&row["leaves"]);
        let tree = Tree::new((0..leaves).map(|i| merkle::leaf(&[i as u8])).collect());
        assert_eq!(tree.root(), hash(&row["root"]));
        let proof: Vec<Hash> = list(&row["proof"]).iter().map(hash).collect();
        assert_eq!(tree.proof(&numbers(&row["shown"])), proof);
    }
    let shamir = &vectors["shamir"];
    let coefficients: Vec<Hash> = list(&shamir["coefficients"]).iter().map(hash).collect();
    let wide = |bytes: &Hash| [&bytes[..], &[0; 32]].concat();
    let secret = Scalar::from_bytes_mod_order(coefficients[0]);
    let polynomial = Polynomial::new(&secret, 4, &mut Script(coefficients[1..].iter().flat_map(wide).collect()));
    let shares: Vec<Hash> = list(&shamir["shares"]).iter().map(hash).collect();
    for (slot, share) in shares.iter().enumerate() {
        assert_eq!(*polynomial.share(slot), *share);
    }
    assert_eq!(*combine([1, 2, 4, 6].iter().map(|&slot| (slot, &shares[slot]))).expect("shares"), coefficients[0]);
    let keys = &vectors["keys"];
    let (secret, scope) =
        (hash(&keys["secret"]), Scope { context: hash(&keys["context"]), roster: hash(&keys["roster"]) });
    assert_eq!(*self_mask_key(&secret, &scope.context), hash(&keys["self"]));
    assert_eq!(*expand(&secret, &Transcript::new("x25519").add(&scope.context)), hash(&keys["x25519"]));
    assert_eq!(*expand(&secret, &scope.transcript("mask").number(3).number(9)), hash(&keys["mask"]));
    assert_eq!(*expand(&secret, &scope.transcript("enc").number(9).number(3)), hash(&keys["enc"]));
}

// Every frame of a round of five devices, one of which drops out, to the byte.
#[test]
fn a_whole_round() {
    FORCED.set(None);
    let vectors = file("round.json");
    let blocks = vec![
        BlockLayout::new("rows", 6, 2, 1.0).by_track(),
        BlockLayout { rotation: Rotation::Hadamard, ..BlockLayout::new("gram", 5, 1, 2.0) },
    ];
    let request = PlanRequest { rho: Some(0.1), rotation_seed: 5, honest_fraction: 0.7, ..PlanRequest::new(5, blocks) };
    let plan = RoundPlan::new(request).expect("a plan");
    assert_eq!(plan_digest(&plan), hash(&vectors["plan_digest"]));
    let model = hash(&vectors["model"]);
    let assumptions = Assumptions { security_bits: 64, colluding: 0.0, dropping: 0.0 };
    let terms = Terms::new("vectors", 7, &plan, model, assumptions).expect("good terms");
    assert_eq!(terms.context(), hash(&vectors["context"]));
    let identity = |value: &Value| Identity::from_secret(&zeroize::Zeroizing::new(hash(value)));
    let authority = Authority::new(identity(&vectors["authority"]), BTreeMap::new());
    let operator = identity(&vectors["operator"]);
    let offer = terms.offer(&operator);
    assert_eq!(offer.to_frame(), hex(&vectors["offer"]));
    let policy =
        Policy { least_survivors: 3, least_colluding: 0.0, ..Policy::new(authority.public(), operator.public()) };
    let now = vectors["now"].as_i64().expect("a time");
    let dropped = number(&vectors["dropped"]) as usize;

    let identities: Vec<Identity> = list(&vectors["devices"]).iter().map(identity).collect();
    let mut coordinator = Advertising::new(&terms, &authority.public());
    let mut advertised = Vec::new();
    for (at, identity) in identities.iter().enumerate() {
        let certificate = authority.certify(&identity.public(), now);
        let member = Member { identity, certificate: &certificate };
        let mut script = Script(hex(&vectors["randomness"][at]["advertise"]));
        let (state, keys) =
            device::advertise(Joining { offer: &offer, plan: &plan, model, policy: &policy, member }, now, &mut script)
                .expect("terms");
        let frame = keys.to_frame(&state.context());
        assert_eq!(frame, hex(&vectors["advertisements"][at]));
        let (context, keys) = Advertisement::from_frame(&frame).expect("a frame");
        coordinator.record(coordinator.check(&context, keys, now).expect("good")).expect("a place");
        advertised.push(state);
    }
    let drawing = coordinator.close().expect("enough");
    let mut coordinator = drawing.open(None).expect("a complete graph");
    assert_eq!(number(&vectors["threshold"]), coordinator.cohort().graph().degree().threshold);
    let mut shared = Vec::new();
    for (at, state) in advertised.into_iter().enumerate() {
        let roster = coordinator.cohort().roster_for(at as u32);
        assert_eq!(roster.to_frame(), hex(&vectors["rosters"][at]));
        assert_eq!(Roster::hash(&roster.context, roster.devices, &roster.root), hash(&vectors["roster"]));
        let mut script = Script(hex(&vectors["randomness"][at]["share"]));
        let (state, shares) = state.share(&roster, &identities[at], now, &mut script).expect("a good roster");
        let frame = shares.to_frame();
        assert_eq!(frame, hex(&vectors["shares"][at]));
        let shares = Shares::from_frame(&frame, 4).expect("a frame");
        coordinator.record(coordinator.check(shares).expect("good")).expect("the first");
        shared.push(state);
    }
    let mut coordinator = coordinator.close().expect("enough");
    let mut sum = MaskedSum::new(terms.shape());
    let mut uploaded = Vec::new();
    for (at, state) in shared.into_iter().enumerate() {
        let delivery = coordinator.delivery_for(at as u32).expect("alive").to_frame();
        assert_eq!(delivery, hex(&vectors["deliveries"][at]));
        let ready = state.receive(&Delivery::from_frame(&delivery, 4).expect("a frame")).expect("good shares");
        if at == dropped {
            continue;
        }
        let values: Vec<i64> = list(&vectors["vectors"][at]).iter().map(|v| v.as_i64().expect("a value")).collect();
        let vector = Noised::of_blocks(vec![values[..12].to_vec(), values[12..].to_vec()]);
        let (state, upload) = saved(ready.mask(&vector, &identities[at]).expect("a vector"));
        let frame = upload.to_frame();
        assert_eq!(frame, hex(&vectors["uploads"][at.to_string()]));
        let checked = coordinator.check(ReceivedUpload::from_frame(frame.as_slice(), terms.shape()).expect("a frame"));
        let checked = checked.expect("good");
        assert_eq!(coordinator.record(&checked), Ok(true));
        sum.add(&checked);
        uploaded.push((at, state));
    }
    let mut coordinator = coordinator.close().expect("enough");
    let survivors = coordinator.survivors();
    assert_eq!(survivors.to_frame(), hex(&vectors["survivors"]));
    let mut agreed = Vec::new();
    for (at, state) in uploaded {
        let (state, agreement) = saved(state.agree(&survivors, &identities[at]).expect("good survivors"));
        assert_eq!(agreement.to_frame(), hex(&vectors["agreements"][at.to_string()]));
        coordinator.record(&coordinator.check(&agreement).expect("good"));
        agreed.push((at, state));
    }
    let mut coordinator = coordinator.close().expect("enough");
    for (at, state) in agreed {
        let quorum = coordinator.quorum_for(at as u32).expect("enough");
        assert_eq!(quorum.to_frame(), hex(&vectors["quorums"][at.to_string()]));
        let (_, answer) = saved(state.unmask(&quorum, &identities[at]).expect("a quorum"));
        assert_eq!(answer.to_frame(), hex(&vectors["answers"][at.to_string()]));
        coordinator.record(coordinator.check(answer).expect("good"));
    }
    let outcome = coordinator.open(sum, &plan).expect("enough");
    let residues: Vec<u32> = outcome.sum.blocks().iter().flatten().map(|value| *value as u32).collect();
    assert_eq!(residues, numbers(&vectors["sum"]));
}
