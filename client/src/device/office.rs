//! An operator whose one person signs everything and who runs the server, for tests.

use super::{Device, Pretend};
use crate::device::{Host, Settings};
use sordino_shared::control::{Announced, Download, Federation, PublicKey};
use sordino_shared::model::Model;
use sordino_shared::privacy::ledger::Ledger;
use sordino_shared::registry::{
    Error, OnlineFiles, Refresh, RolloutTerms, Root, Serving, StageTerms, Targets, VersionInfo, sign_online, sign_root,
    sign_targets,
};
use sordino_shared::rollout::Share;
use sordino_shared::secagg::{Identity, digest};
use std::path::Path;
use zeroize::Zeroizing;

/// When offices begin.
pub(super) const START: i64 = 1_700_000_000_000;
pub(super) const HOUR: i64 = 3_600_000;
pub(super) const DAY: i64 = 24 * HOUR;
/// Tracks of the models that its devices have.
pub(super) const TRACKS: u32 = 40;

pub(super) struct Office {
    person: Identity,
    root: Vec<u8>,
    signed: Root,
    targets: Targets,
    version: u64,
}

/// What a server hands out: the people's file and its own.
pub(super) struct Word {
    targets: Vec<u8>,
    online: OnlineFiles,
}

impl Office {
    /// Versions 1 and 2 and the rollout `spring` of the second, in two stages of a half, are signed for 30 days; the root holds for a year.
    pub(super) fn new() -> Self {
        let person = Identity::from_secret(&Zeroizing::new([1; 32]));
        let signed = Root::of(1, &[person.public()], 1, &person.public(), START + 365 * DAY);
        let root = sign_root(&signed, &[&person]);
        let mut targets = Targets::empty(&person.public(), START + 30 * DAY);
        for counter in [1, 2] {
            let info = VersionInfo { release_counter: counter, ..VersionInfo::default() };
            targets.add_version(&Download { digest: [counter as u8; 32], length: 1 }, &info);
        }
        let share = Share::parts_per_million(500_000).expect("a half");
        let stages = vec![StageTerms { share, shadow: false }; 2];
        let terms = RolloutTerms { candidate: 2, salt: "00".repeat(16), stages, report_hours: 24, worst_percent: 70 };
        targets.add_rollout("spring", &Download { digest: [9; 32], length: 1 }, &terms);
        Self { person, root, signed, targets, version: 0 }
    }

    pub(super) fn federation(&self) -> Federation {
        let key = PublicKey(self.person.public());
        Federation {
            server: "127.0.0.1:1".into(),
            name: "s".into(),
            population: "p".into(),
            authority: key.clone(),
            operator: key,
            ca: String::new(),
            root: String::from_utf8(self.root.clone()).expect("text"),
        }
    }

    /// People sign the same for thirty days more.
    pub(super) fn renew(&mut self, now: i64) {
        self.targets = self.targets.next(&self.person.public(), now + 30 * DAY);
    }

    /// The server signs what serves, at its own time.
    pub(super) fn sign(&mut self, serving: &Serving, now: i64) -> Word {
        self.version += 1;
        let targets = sign_targets(&self.targets, &self.signed, &[&self.person]).expect("its one person");
        let online = sign_online(serving, (self.targets.number(), &targets), self.version, &self.person, now);
        Word { targets, online }
    }

    /// A device that has versions 1 and 2 and a phone of this time. Version 1 likes the first tracks, version 2 the last.
    pub(super) fn device(&self, folder: &Path) -> (Device<Pretend>, Pretend) {
        let mut phone = Pretend::at(START);
        // A key says that there is a ledger.
        drop(Ledger::create(&folder.join("ledger"), Settings::default().ledger, START).expect("a ledger"));
        phone.store_secret(&Zeroizing::new([5; 32])).expect("stored");
        let mut device = self.open(folder, &phone);
        [1, 2].into_iter().for_each(|counter| load(&mut device, counter));
        (device, phone)
    }

    /// The device that is in a folder, as after a restart.
    pub(super) fn open(&self, folder: &Path, phone: &Pretend) -> Device<Pretend> {
        Device::open(folder, self.federation(), Settings::default(), phone.clone()).expect("a device")
    }

    /// A device's look at what the server has signed; then it loads what it is to have, and does what that says.
    pub(super) fn look(&self, device: &mut Device<Pretend>, word: &Word) -> Result<(), Error> {
        let download = |bytes: &[u8]| Download { digest: digest(bytes), length: bytes.len() as u64 };
        let OnlineFiles { timestamp, snapshot, rollout, serving } = &word.online;
        let announced = Announced { timestamp: download(timestamp), roots: vec![download(&self.root)] };
        let all = [timestamp, snapshot, &word.targets, rollout, serving];
        let mut look = Refresh::new(device.registry().expect("a registry"), &announced);
        while let Some(wanted) = look.wanted() {
            let bytes = all.iter().find(|bytes| digest(bytes) == wanted.digest).expect("it is there");
            look.take(bytes, device.registry_time().expect("a store"))?;
        }
        device.set_registry(&look.done().expect("everything is there")).expect("a store");
        let choice = device.choice().expect("as signed");
        for counter in &choice.keep {
            if device.versions().expect("a store").wants(*counter) {
                load(device, *counter);
            }
        }
        device.settle(&choice).expect("allowed");
        Ok(())
    }
}

fn load(device: &mut Device<Pretend>, counter: u64) {
    let weight = |track: u32| if counter == 1 { TRACKS - track } else { track } as f32;
    let model = Model::Popularity((0..TRACKS).map(|track| 1.0 + weight(track)).collect());
    let info = VersionInfo { release_counter: counter, ..VersionInfo::default() };
    assert!(device.keep_version(&info, &model.to_bytes()).expect("a store"));
}
