//! A device's versions: what the registry says, what is here, what serves.

use super::clock::TIMES;
use super::{Device, Error, Host};
use crate::event::Timestamp;
use crate::version::{Fault, Keeper, Kept, self_test};
use sordino_shared::control::hexadecimal;
use sordino_shared::model::Model;
use sordino_shared::registry::{Choice, RUNTIME, Trusted, VersionInfo};
use sordino_shared::secagg::digest;

impl<H: Host> Device<H> {
    /// What it believes of the registry.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn registry(&self) -> Result<Trusted, Error> {
        match self.store.get(REGISTRY)? {
            Some(stored) => Ok(Trusted::from_bytes(&stored)?),
            None => Ok(Trusted::new(self.federation.root.as_bytes())?),
        }
    }

    /// Keeps what it believes from now on: what has passed every check of a look at [`Self::registry_time`].
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn set_registry(&mut self, registry: &Trusted) -> Result<(), Error> {
        self.alone()?;
        let times = self.times()?.looked(&self.registry()?, registry, self.host.now());
        Ok(self.store.change(&[(REGISTRY, &registry.to_bytes()), (TIMES, &times.to_bytes())], &[])?)
    }

    /// What the registry says for this device.
    ///
    /// # Errors
    /// [`enum@Error`]; also where the server says more than was signed.
    pub fn choice(&self) -> Result<Choice, Error> {
        self.choice_of(&self.registry()?)
    }

    /// What a registry would say for this device, before it is kept.
    ///
    /// # Errors
    /// As [`Self::choice`].
    pub fn choice_of(&self, registry: &Trusted) -> Result<Choice, Error> {
        let group = self.host.group();
        Ok(Choice::new(registry, &self.identity.secret(), group.as_deref(), self.registry_time()?)?)
    }

    /// Keeps a version, once it has passed its self-test; returns whether it did. It does not serve yet. One that does not pass is not
    /// tried again.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn keep_version(&mut self, info: &VersionInfo, bytes: &[u8]) -> Result<bool, Error> {
        self.alone()?;
        let mut versions = self.versions()?;
        let test = match Model::from_bytes(bytes) {
            _ if info.min_runtime > RUNTIME => Err(Fault::Newer { wanted: info.min_runtime, runtime: RUNTIME }),
            Err(error) => Err(Fault::Unreadable(error.to_string())),
            Ok(model) => {
                let history = self.learning(model.tracks())?.train.iter().map(|example| example.track.0).collect();
                // Beside the questions that came with it its own listener, whose answer nobody knows beforehand.
                let own = sordino_shared::registry::Probe { history, best: None };
                let probes: Vec<_> = info.probes.iter().cloned().chain([own]).collect();
                self_test(&model, &probes, MOST_LIST_MS, || self.host.now().max(0) as u64)
            }
        };
        let counter = info.release_counter;
        let taken = versions.keep(Kept { counter, sha256: hexadecimal(&digest(bytes)) }, test).is_ok();
        let stored = versions.to_bytes();
        match taken {
            true => self.store.change(&[(VERSIONS, &stored), (&name(counter), bytes)], &[])?,
            false => self.store.put(VERSIONS, &stored)?,
        }
        Ok(taken)
    }

    /// Does what the registry says with what is here: lets the version serve that it names, lets go of those that it does not, and takes note
    /// of the stage of a rollout.
    ///
    /// # Errors
    /// [`enum@Error`]; also where what is good for all has gone back.
    pub fn settle(&mut self, choice: &Choice) -> Result<(), Error> {
        self.alone()?;
        let mut versions = self.versions()?;
        versions.serve(choice.serve, choice.good).map_err(|error| Error::Kept(error.to_string()))?;
        let kept: Vec<u64> = choice.keep.iter().copied().chain(choice.spare).collect();
        let gone: Vec<String> = versions.retain(&kept).into_iter().map(name).collect();
        let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
        self.store.change(&[(VERSIONS, &versions.to_bytes())], &gone)?;
        let is_served = choice.serve.is_some();
        self.store.put(SWITCHED_OFF, &[u8::from(!is_served && choice.good.is_some())])?;
        self.join_stage(choice.place.as_ref())
    }

    /// The host says that the model did not load, or took the application down. With the third time within 24 hours the version before
    /// it serves, if there is one, asking nobody: returns whether that has just happened.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn model_failed(&mut self) -> Result<bool, Error> {
        let (now, mut falls) = (Timestamp(self.host.now()), false);
        self.store.update(VERSIONS, |stored| -> Result<_, Error> {
            let mut versions = read(stored)?;
            falls = versions.failed(now);
            Ok(Some(versions.to_bytes()))
        })?;
        self.note_day(|day| day.not_loaded = true)?;
        Ok(falls)
    }

    /// What it knows of its versions.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn versions(&self) -> Result<Keeper, Error> {
        read(self.store.get(VERSIONS)?.as_ref().map(|stored| stored.as_slice()))
    }

    /// The model that it ranks with.
    ///
    /// # Errors
    /// [`enum@Error`]; also where its bytes are not those that were verified.
    pub fn model(&self) -> Result<Option<Model>, Error> {
        let versions = self.versions()?;
        versions.current().map(|kept| self.load_version(kept)).transpose()
    }

    /// A version that is here, its bytes verified again.
    pub(super) fn load_version(&self, kept: &Kept) -> Result<Model, Error> {
        let missing = || Error::Kept(format!("version {} is gone", kept.counter));
        let bytes = self.store.get(&name(kept.counter))?.ok_or_else(missing)?;
        if hexadecimal(&digest(&bytes)) != kept.sha256 {
            return Err(Error::Kept(format!("version {} has other bytes than were verified", kept.counter)));
        }
        Model::from_bytes(&bytes).map_err(|error| Error::Kept(error.to_string()))
    }

    /// Why there is nothing to rank with.
    pub(super) fn no_model(&self) -> Error {
        match self.store.get(SWITCHED_OFF) {
            Ok(Some(flag)) if flag.as_slice() == [1] => Error::SwitchedOff,
            _ => Error::NoModel,
        }
    }

    /// Forgets the models, says how many, and remembers what was good.
    pub(super) fn forget_versions(&mut self) -> Result<usize, Error> {
        let mut versions = self.versions()?;
        let gone: Vec<String> = versions.kept().iter().map(|kept| name(kept.counter)).collect();
        versions.forget();
        let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
        self.store.change(&[(VERSIONS, &versions.to_bytes())], &gone)?;
        Ok(gone.len())
    }
}

fn read(stored: Option<&[u8]>) -> Result<Keeper, Error> {
    let keeper = stored.map(Keeper::from_bytes).transpose();
    Ok(keeper.map_err(|error| Error::Kept(error.to_string()))?.unwrap_or_default())
}

fn name(counter: u64) -> String {
    format!("model {counter}")
}

pub(super) const REGISTRY: &str = "registry";
pub(super) const VERSIONS: &str = "versions";
const SWITCHED_OFF: &str = "switched off";
// A list that takes longer than this would be felt, whatever the phone.
const MOST_LIST_MS: u64 = 2000;
