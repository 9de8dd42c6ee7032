use super::*;
use crate::control::{Announced, Download};
use crate::rollout::{Arm, Bucket, Share};
use crate::secagg::{Hash, Identity, digest};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

const DAY: i64 = 86_400_000;
const NOW: i64 = 1_700_000_000_000;

fn key(number: u8) -> Identity {
    Identity::from_secret(&Zeroizing::new([number; 32]))
}

fn download(bytes: &[u8]) -> Download {
    Download { digest: digest(bytes), length: bytes.len() as u64 }
}

/// The operator's people, and their server.
struct Office {
    roots: Vec<Vec<u8>>,
    root: Root,
    targets: Targets,
    serving: Serving,
    online: Identity,
    version: u64,
    files: BTreeMap<Hash, Vec<u8>>,
}

const PEOPLE: [u8; 3] = [1, 2, 3];

impl Office {
    fn new() -> Self {
        let online = key(9);
        let people = PEOPLE.map(|number| key(number).public());
        let root = Root::of(1, &people, 2, &online.public(), NOW + 365 * DAY);
        let signed = sign_root(&root, &[&key(1), &key(2)]);
        let targets = Targets::empty(&online.public(), NOW + 30 * DAY);
        let (serving, files) = (Serving::default(), BTreeMap::new());
        Self { roots: vec![signed], root, targets, serving, online, version: 0, files }
    }

    fn sign_version(&mut self, counter: u64) {
        let info = VersionInfo { release_counter: counter, task: "t".into(), min_runtime: 1, ..VersionInfo::default() };
        self.targets.add_version(&download(&counter.to_le_bytes()), &info);
    }

    fn sign_rollout(&mut self, name: &str, candidate: u64) {
        let stage = |parts, shadow| StageTerms { share: Share::parts_per_million(parts).expect("a share"), shadow };
        let stages = vec![stage(100_000, true), stage(250_000, false), stage(500_000, false)];
        self.targets.add_rollout(
            name,
            &download(b"policy"),
            &RolloutTerms { candidate, salt: "07".repeat(16), stages, report_hours: 24, worst_percent: 70 },
        );
    }

    fn put(&mut self, bytes: Vec<u8>) -> Download {
        let download = download(&bytes);
        self.files.insert(download.digest, bytes);
        download
    }

    fn publish(&mut self, now: i64) -> Announced {
        let targets = sign_targets(&self.targets, &self.root, &[&key(2), &key(3)]).expect("their keys");
        self.publish_with(targets, now)
    }

    fn publish_with(&mut self, targets: Vec<u8>, now: i64) -> Announced {
        self.version += 1;
        let online = sign_online(&self.serving, (self.targets.number(), &targets), self.version, &self.online, now);
        for bytes in [targets, online.serving, online.rollout, online.snapshot] {
            self.put(bytes);
        }
        let timestamp = self.put(online.timestamp);
        let roots = self.roots.clone().into_iter().map(|root| self.put(root)).collect();
        Announced { timestamp, roots }
    }

    fn trusted(&self) -> Trusted {
        Trusted::new(&self.roots[0]).expect("its own root")
    }

    fn refresh(&self, trusted: &Trusted, announced: &Announced, now: i64) -> Result<Trusted, Error> {
        self.refresh_with(trusted, announced, now, |_, bytes| bytes)
    }

    // With whatever a server makes of the files.
    fn refresh_with(
        &self,
        trusted: &Trusted,
        announced: &Announced,
        now: i64,
        change: impl Fn(usize, Vec<u8>) -> Vec<u8>,
    ) -> Result<Trusted, Error> {
        let mut refresh = Refresh::new(trusted.clone(), announced);
        for number in 0.. {
            let Some(wanted) = refresh.wanted() else { break };
            refresh.take(&change(number, self.files[&wanted.digest].clone()), now)?;
        }
        Ok(refresh.done().expect("everything is there"))
    }
}

fn office() -> Office {
    let mut office = Office::new();
    [3, 5].into_iter().for_each(|counter| office.sign_version(counter));
    office.sign_rollout("spring", 5);
    office.serving.good = Some(3);
    office
}

#[test]
fn what_is_signed_is_believed_and_comes_back_from_the_store() {
    let mut office = office();
    let announced = office.publish(NOW);
    let trusted = office.refresh(&office.trusted(), &announced, NOW).expect("all is signed");
    assert_eq!(trusted.versions(), [3, 5]);
    let (file, info) = trusted.version(5).expect("signed");
    assert_eq!((file, info.release_counter), (download(&5u64.to_le_bytes()), 5));
    assert_eq!((trusted.version(4), trusted.serving().good), (None, Some(3)));
    let targets = sign_targets(&office.targets, &office.root, &[&key(1), &key(2)]).expect("their keys");
    let (root, targets) = read_offline(&office.roots, &targets).expect("all is signed");
    assert_eq!((root, targets.rollouts()), (office.root.clone(), vec!["spring".to_owned()]));
    assert_eq!(Trusted::from_bytes(&trusted.to_bytes()).expect("its own bytes"), trusted);
    // With nothing new only the timestamp is loaded.
    let mut again = Refresh::new(trusted.clone(), &announced);
    again.take(&office.files[&announced.timestamp.digest], NOW).expect("the same");
    assert!(again.wanted().is_none());
    assert_eq!(again.done(), Some(trusted));
}

#[test]
fn each_fault_has_its_own_reason() {
    let mut office = office();
    let first = office.publish(NOW);
    office.serving.pins.push(Pin { group: "testers".into(), counter: 3, until: NOW + DAY });
    let second = office.publish(NOW + 1000);
    let fresh = office.trusted();
    let known = office.refresh(&fresh, &second, NOW).expect("all is signed");
    let with = |change: &dyn Fn(usize, Vec<u8>) -> Vec<u8>| office.refresh_with(&fresh, &second, NOW, change);
    // The past again.
    let older = Error::Older { role: Role::Timestamp, offered: 1, known: 2 };
    assert_eq!(office.refresh(&known, &first, NOW), Err(older));
    // A server that is cut off from its operator, and one that nobody feeds any more.
    let late = |days: i64| office.refresh(&fresh, &second, NOW + days * DAY);
    assert!(matches!(late(2), Err(Error::Expired { role: Role::Timestamp, .. })));
    assert!(matches!(late(400), Err(Error::Expired { role: Role::Root, .. })));
    assert_eq!(known.freshness(NOW), Freshness::Fresh);
    assert_eq!(known.freshness(NOW + 2 * DAY), Freshness::Stale);
    assert_eq!(known.freshness(NOW + 9 * DAY), Freshness::Frozen);
    // Files 0 to 4: timestamp, snapshot, targets, rollout, serving. A truncated one, and one bit of it.
    for (file, name) in [(1, "snapshot"), (2, "targets"), (3, "rollout"), (4, "serving.json")] {
        let at = |number: usize| number == file;
        let cut = with(&|n, b| if at(n) { b[..b.len() - 1].to_vec() } else { b });
        assert_eq!(cut, Err(Error::Length(name.into())));
        let flipped = with(&|n, mut b| {
            b[20] ^= u8::from(at(n));
            b
        });
        assert_eq!(flipped, Err(Error::Hash(name.into())));
    }
    assert!(matches!(with(&|_, b| b[..b.len() / 2].to_vec()), Err(Error::Format(_))));
    // A timestamp whose number was changed is signed by nobody.
    let forged = with(&|n, b| {
        let text = String::from_utf8(b).expect("text");
        if n == 0 { text.replace("\"version\":2", "\"version\":9").into_bytes() } else { text.into_bytes() }
    });
    assert_eq!(forged, Err(Error::Threshold { role: Role::Timestamp, valid: 0, needed: 1 }));
    assert!(matches!(with(&|_, _| office.roots[0].clone()), Err(Error::OtherRole { wanted: Role::Timestamp, .. })));
}

// Whoever holds the server's key signs timestamps for ever. What they stand upon expires all the same, at a look and without one.
#[test]
fn a_fresh_timestamp_prolongs_nothing_else() {
    let mut office = office();
    office.publish(NOW);
    let targets = sign_targets(&office.targets, &office.root, &[&key(2), &key(3)]).expect("their keys");
    let announced = office.publish(NOW);
    let looked = office.refresh(&office.trusted(), &announced, NOW).expect("all is signed");
    assert_eq!(looked.expires(), (Role::Timestamp, NOW + DAY));
    // A timestamp of a later day over the snapshot of the first, with the number that it had.
    let timestamp_over = |office: &mut Office, now: i64, snapshot: Option<&sign::OnlineFiles>| {
        let files =
            sign_online(&office.serving, (office.targets.number(), &targets), office.version, &office.online, now);
        let of = super::metadata::FileMeta::of(office.version, snapshot.map_or(&files.snapshot, |of| &of.snapshot));
        let text = String::from_utf8(files.timestamp).expect("text");
        let mut value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let signed = value["signed"].take();
        let mut listing: super::metadata::Listing = serde_json::from_value(signed).expect("a timestamp");
        listing.version += (now - NOW) as u64 / 1000;
        listing.meta.insert(Role::Snapshot.file(), of);
        let bytes = super::metadata::write(&listing, &[&office.online]);
        Announced { timestamp: office.put(bytes), roots: announced.roots.clone() }
    };
    let first = sign_online(&office.serving, (office.targets.number(), &targets), office.version, &office.online, NOW);
    // Within the week all is in date, and only the timestamp is loaded.
    let later = timestamp_over(&mut office, NOW + 6 * DAY, Some(&first));
    let known = office.refresh(&looked, &later, NOW + 6 * DAY).expect("in date");
    assert!(known.is_newer_than(&looked) && !looked.is_newer_than(&looked));
    assert_eq!((known.freshness(NOW + 6 * DAY), known.expires().0), (Freshness::Fresh, Role::Timestamp));
    // After it the snapshot, and what says what serves, are not; the look is refused and changes nothing.
    for days in [8, 300] {
        let late = timestamp_over(&mut office, NOW + days * DAY, Some(&first));
        let refused = office.refresh(&known, &late, NOW + days * DAY);
        assert!(matches!(refused, Err(Error::Expired { role: Role::Snapshot, .. })), "{days}: {refused:?}");
        // A look that was refused gives nothing to believe either.
        let mut look = Refresh::new(known.clone(), &late);
        assert!(look.take(&office.files[&late.timestamp.digest], NOW + days * DAY).is_err());
        assert!(look.wanted().is_none() && look.done().is_none());
        // Also where somebody believes the timestamp on its own.
        let mut believed = known.clone();
        believed.take_timestamp(&office.files[&late.timestamp.digest], NOW + days * DAY).expect("signed");
        let expected = if days == 8 { Freshness::Stale } else { Freshness::Frozen };
        assert_eq!((believed.freshness(NOW + days * DAY), believed.expires().0), (expected, Role::Snapshot), "{days}");
    }
    // A server that signs all that it can sign is stopped by what people have signed: targets of thirty days, a root of a year.
    office.version += 2_000_000;
    let announced = office.publish_with(targets.clone(), NOW + 31 * DAY);
    let refused = office.refresh(&known, &announced, NOW + 31 * DAY);
    assert!(matches!(refused, Err(Error::Expired { role: Role::Targets, .. })), "{refused:?}");
}

#[test]
fn each_role_that_is_out_of_date_is_found_at_use() {
    let mut office = office();
    let announced = office.publish(NOW);
    let known = office.refresh(&office.trusted(), &announced, NOW).expect("all is signed");
    for role in Role::ALL {
        let mut trusted = known.clone();
        let past = super::metadata::time_text(NOW - DAY);
        match role {
            Role::Root => trusted.root.expires = past,
            Role::Timestamp => trusted.timestamp.as_mut().expect("there").expires = past,
            Role::Snapshot => trusted.snapshot.as_mut().expect("there").expires = past,
            Role::Targets => trusted.targets.as_mut().expect("there").expires = past,
            Role::Rollout => trusted.rollout.as_mut().expect("there").expires = past,
        }
        assert_eq!(trusted.expires(), (role, NOW - DAY));
        assert_eq!(
            [0, 6].map(|days| trusted.freshness(NOW + days * DAY)),
            [Freshness::Stale, Freshness::Frozen],
            "{role}"
        );
        // A look that finds nothing new finds that too; a root or timestamp that has expired does not come so far.
        let mut look = Refresh::new(trusted, &announced);
        let refused = look.take(&office.files[&announced.timestamp.digest], NOW);
        let is_found = matches!(&refused, Err(Error::Expired { role: found, .. }) if *found == role);
        assert!(is_found || role == Role::Timestamp && refused.is_ok(), "{role}: {refused:?}");
    }
    let mut damaged = known.clone();
    damaged.root.expires = "never".into();
    assert_eq!(damaged.freshness(NOW), Freshness::Frozen, "a date that cannot be read has passed");
}

#[test]
fn who_has_never_looked_is_not_fresh() {
    let trusted = office().trusted();
    assert!(!trusted.has_looked());
    let at = |days: i64| trusted.freshness(NOW + days * DAY);
    assert_eq!([0, 300, 366, 380, 50 * 365].map(at), {
        use Freshness::{Frozen, Stale};
        [Stale, Stale, Stale, Frozen, Frozen]
    });
}

#[test]
fn one_key_of_two_signs_nothing_nor_does_one_key_twice() {
    let mut office = office();
    for keys in [vec![key(2)], vec![key(2), key(2)]] {
        let keys: Vec<&Identity> = keys.iter().collect();
        let refused = sign_targets(&office.targets, &office.root, &keys);
        assert_eq!(refused, Err(Error::Threshold { role: Role::Targets, valid: 1, needed: 2 }));
        // As a thief would write it.
        let announced = office.publish_with(super::metadata::write(&office.targets, &keys), NOW);
        let refused = office.refresh(&office.trusted(), &announced, NOW);
        assert_eq!(refused, Err(Error::Threshold { role: Role::Targets, valid: 1, needed: 2 }));
    }
    let (foreign, second) = (key(8), key(2));
    let refused = sign_targets(&office.targets, &office.root, &[&foreign, &second]);
    assert!(matches!(refused, Err(Error::ForeignKey(_, Role::Targets))));
    // The server's own key neither.
    let targets = super::metadata::write(&office.targets, &[&office.online, &second]);
    let announced = office.publish_with(targets, NOW);
    assert!(matches!(office.refresh(&office.trusted(), &announced, NOW), Err(Error::Threshold { .. })));
}

#[test]
fn files_of_different_times_are_not_mixed() {
    let mut office = office();
    let first = office.publish(NOW);
    let known = office.refresh(&office.trusted(), &first, NOW).expect("all is signed");
    // The server signs an older set of targets under a newer snapshot.
    office.targets = office.targets.next(&office.online.public(), NOW + 30 * DAY);
    let second = office.publish(NOW);
    let newer = office.refresh(&known, &second, NOW).expect("all is signed");
    office.targets = Office::new().targets;
    let third = office.publish(NOW);
    let older = Error::Older { role: Role::Targets, offered: 1, known: 2 };
    assert_eq!(office.refresh(&newer, &third, NOW), Err(older));
    // Or it says that a file is another version than it is.
    let targets = sign_targets(&office.targets, &office.root, &[&key(1), &key(2)]).expect("their keys");
    let files = sign_online(&office.serving, (7, &targets), 9, &office.online, NOW);
    let timestamp = office.put(files.timestamp);
    for bytes in [files.snapshot, targets] {
        office.put(bytes);
    }
    let announced = Announced { timestamp, roots: first.roots };
    assert!(matches!(office.refresh(&newer, &announced, NOW), Err(Error::Mixed(_))));
}

#[test]
fn keys_are_changed_by_those_who_hold_the_old_ones() {
    let mut office = office();
    // A thief of the server's key has raised its numbers.
    office.version = u64::MAX / 2;
    let high = office.publish(NOW);
    let known = office.refresh(&office.trusted(), &high, NOW).expect("all is signed");
    // New people, a new key for the server.
    let people = [11, 12, 13].map(|number| key(number).public());
    let online = key(19);
    let root = Root::of(2, &people, 2, &online.public(), NOW + 700 * DAY);
    let skipped = Root::of(3, &people, 2, &online.public(), NOW + 700 * DAY);
    let both: Vec<Identity> = [1, 3, 11, 12].map(key).into();
    let sign = |root: &Root, of: &[usize]| sign_root(root, &of.iter().map(|&at| &both[at]).collect::<Vec<_>>());
    let announce = |office: &mut Office, root: Vec<u8>| {
        let root = office.put(root);
        Announced { roots: vec![high.roots[0], root], ..high.clone() }
    };
    for (of, valid) in [([0, 2, 3].as_slice(), 1), (&[2, 3], 0)] {
        let announced = announce(&mut office, sign(&root, of));
        let refused = office.refresh(&known, &announced, NOW);
        assert_eq!(refused, Err(Error::Threshold { role: Role::Root, valid, needed: 2 }));
    }
    let announced = announce(&mut office, sign(&skipped, &[0, 1, 2, 3]));
    assert_eq!(office.refresh(&known, &announced, NOW), Err(Error::RootOrder { offered: 3, known: 1 }));
    let signed = sign(&root, &[0, 1, 2, 3]);
    office.roots.push(signed);
    (office.root, office.online, office.version) = (root, online, 4);
    office.targets = office.targets.next(&office.online.public(), NOW + 30 * DAY);
    let targets = sign_targets(&office.targets, &office.root, &[&key(11), &key(13)]).expect("their keys");
    let announced = office.publish_with(targets, NOW);
    let trusted = office.refresh(&known, &announced, NOW).expect("all is signed");
    assert_eq!((trusted.root(), trusted.versions()), (2, vec![3, 5]));
    // What the old people sign counts no more.
    let old = super::metadata::write(&office.targets, &[&key(1), &key(2)]);
    let announced = office.publish_with(old, NOW);
    assert!(matches!(office.refresh(&known, &announced, NOW), Err(Error::Threshold { role: Role::Targets, .. })));
}

// The people hand the rollout role to a key of its own: the snapshot's is not good for it.
#[test]
fn what_serves_is_signed_by_the_key_that_was_handed_it() {
    let mut office = office();
    let handed = Targets::empty(&key(8).public(), NOW + 30 * DAY);
    office.targets = Targets { targets: office.targets.targets.clone(), ..handed };
    let announced = office.publish(NOW);
    let refused = office.refresh(&office.trusted(), &announced, NOW);
    assert_eq!(refused, Err(Error::Threshold { role: Role::Rollout, valid: 0, needed: 1 }));
}

// A secret whose bucket in the rollout is in this arm at this share.
fn secret_in(name: &str, salt: [u8; 16], arm: Option<Arm>, parts: u32) -> [u8; 32] {
    let share = Share::parts_per_million(parts).expect("a share");
    let secrets = (0u8..=255).map(|number| [number; 32]);
    let mut found = secrets.filter(|secret| Bucket::new(secret, name, &salt).arm(share) == arm);
    found.next().expect("one of 256")
}

#[test]
fn devices_choose_what_was_signed_for_them() {
    let mut office = office();
    let candidate = |stage| Some(Candidate { rollout: "spring".into(), counter: 5, stage });
    office.serving = Serving { candidate: candidate(1), before: Some(3), ..office.serving.clone() };
    let believed = |office: &mut Office| {
        let announced = office.publish(NOW);
        office.refresh(&office.trusted(), &announced, NOW).expect("all is signed")
    };
    let choose = |trusted: &Trusted, secret: &[u8; 32], group| Choice::new(trusted, secret, group, NOW);
    let serves = |trusted: &Trusted, secret: &[u8; 32]| choose(trusted, secret, None).expect("as signed").serve;
    let [treated, control] = [Arm::Treatment, Arm::Control].map(|arm| secret_in("spring", [7; 16], Some(arm), 250_000));
    let neither = secret_in("spring", [7; 16], None, 250_000);
    let trusted = believed(&mut office);
    assert_eq!([treated, control, neither].map(|secret| serves(&trusted, &secret)), [Some(5), Some(3), Some(3)]);
    // All of them load the same.
    for secret in [treated, control, neither] {
        assert_eq!(choose(&trusted, &secret, None).expect("as signed").keep, [3, 5]);
    }
    assert!(!format!("{:?}", choose(&trusted, &treated, None)).contains("arm"));
    // In the shadow nobody is served it, and other devices are asked.
    office.serving.candidate = candidate(0);
    let trusted = believed(&mut office);
    let asked = secret_in("spring shadow", [7; 16], Some(Arm::Treatment), 100_000);
    let choice = choose(&trusted, &asked, None).expect("as signed");
    let place = choice.place.expect("a place");
    assert_eq!((choice.serve, place.arm, place.is_shadow), (Some(3), Some(Arm::Treatment), true));
    // Who is pinned or kept back is in no arm.
    office.serving.candidate = candidate(2);
    office.serving.pins = vec![
        Pin { group: "testers".into(), counter: 5, until: NOW + DAY },
        Pin { group: "over".into(), counter: 5, until: NOW - 1 },
        Pin { group: "for good".into(), counter: 5, until: NOW + 40 * DAY },
    ];
    let trusted = believed(&mut office);
    let choice = choose(&trusted, &control, Some("testers")).expect("as signed");
    assert_eq!((choice.serve, choice.place.expect("a place").arm), (Some(5), None));
    for group in ["over", "for good", "others"] {
        assert_eq!(choose(&trusted, &control, Some(group)).expect("as signed").serve, Some(3));
    }
    let share = Share::parts_per_million(50_000).expect("a share");
    office.serving.holdback = Some(Holdback { name: "h".into(), counter: 3, share, until: NOW + DAY });
    office.serving.good = Some(5);
    office.serving.candidate = None;
    let trusted = believed(&mut office);
    let kept_back = secret_in("holdback h", [0; 16], Some(Arm::Treatment), 50_000);
    assert_eq!((serves(&trusted, &kept_back), serves(&trusted, &control)), (Some(3), Some(5)));
    for secret in [kept_back, control] {
        assert_eq!(choose(&trusted, &secret, None).expect("as signed").keep, [3, 5], "both load the same");
    }
    // In a hurry: the one before, or none at all, whoever it is.
    for (mode, expected) in [(Mode::Before, Some(3)), (Mode::Baseline, None)] {
        office.serving.mode = mode;
        let trusted = believed(&mut office);
        assert_eq!(serves(&trusted, &control), expected);
    }
}

// A thief of the server's key.
#[test]
fn the_server_cannot_say_more_than_was_signed() {
    let mut office = office();
    office.sign_version(7);
    let secret = [1; 32];
    let mut choose = |change: &dyn Fn(&mut Serving)| {
        office.serving = Serving { good: Some(3), ..Serving::default() };
        change(&mut office.serving);
        let announced = office.publish(NOW);
        let trusted = office.refresh(&office.trusted(), &announced, NOW).expect("all is signed");
        Choice::new(&trusted, &secret, None, NOW).map(|choice| choice.serve)
    };
    assert_eq!(choose(&|_| ()), Ok(Some(3)));
    assert!(matches!(choose(&|s| s.good = Some(4)), Err(Error::Unsigned(_))));
    let tries = |rollout: &str, counter, stage| Some(Candidate { rollout: rollout.into(), counter, stage });
    assert!(matches!(choose(&|s| s.candidate = tries("autumn", 5, 0)), Err(Error::Unsigned(_))));
    assert!(matches!(choose(&|s| s.candidate = tries("spring", 7, 0)), Err(Error::Beyond(_))));
    assert!(matches!(choose(&|s| s.candidate = tries("spring", 5, 3)), Err(Error::Beyond(_))));
    let replaced = |s: &mut Serving| (s.good, s.candidate) = (Some(7), tries("spring", 5, 0));
    assert!(matches!(choose(&replaced), Err(Error::Beyond(_))), "a candidate is newer than what is good");
}

// `tests/vectors/registry.py` wrote it, by another implementation of the framework; it lays the same canonical form and the same names of keys
// on other JSON.
#[test]
fn a_registry_of_another_implementation_is_believed() {
    let files: BTreeMap<String, String> =
        serde_json::from_str(include_str!("../../../tests/vectors/registry.json")).expect("a vector");
    let of = |name: &str| files[name].as_bytes();
    let trusted = Trusted::new(of("root")).expect("signed by its own keys");
    let announced = Announced { timestamp: download(of("timestamp")), roots: vec![download(of("root"))] };
    let by_hash: BTreeMap<Hash, &[u8]> =
        files.values().map(|text| (digest(text.as_bytes()), text.as_bytes())).collect();
    let mut refresh = Refresh::new(trusted, &announced);
    while let Some(wanted) = refresh.wanted() {
        refresh.take(by_hash[&wanted.digest], NOW).expect("all is signed");
    }
    let trusted = refresh.done().expect("everything is there");
    let (file, info) = trusted.version(5).expect("signed");
    assert_eq!(file, download(b"the model's bytes"));
    assert_eq!((info.task.as_str(), info.probes.len()), ("embeddings \"and\" \\more\\", 1));
    assert_eq!(trusted.serving().good, Some(5));
}
