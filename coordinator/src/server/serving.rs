//! What serves, and what people do to rollouts, at a running server.

use super::hub::Hub;
use super::rollout_view::RolloutView;
use super::version_view::{SignedView, VersionView};
use super::{Error, now};
use crate::registry::{Keys, Office};
use crate::rollout::acts::{Act, Signed, Who, perform};
use crate::rollout::book::{self, Course, Courses};
use crate::rollout::controller::Actor;
use crate::rollout::people::People;
use crate::store::{Store, VersionRow};
use sordino_shared::control::{from_hexadecimal, hexadecimal};
use sordino_shared::registry::Serving;
use std::sync::{Arc, PoisonError};

impl Hub {
    /// Signs what serves, and looks where rollouts stand, from a thread that may block.
    pub(super) fn publish(&self) -> Result<(), Error> {
        let stored = self.storage.wait(|store| Stored::read(store))?;
        self.tell(&stored)
    }

    /// The same upon what was read.
    pub(super) fn tell(&self, stored: &Stored) -> Result<(), Error> {
        let published = self.published.publish(&self.models, &stored.serving, now());
        self.see(stored);
        Ok(published?)
    }

    /// Who a token is of.
    ///
    /// # Errors
    /// In a sentence.
    pub fn whose(&self, token: &str) -> Result<Actor, String> {
        let people = People::load(&self.folder).map_err(|error| error.to_string())?;
        people.whose(token).map_err(|error| error.to_string())
    }

    /// Somebody does something to a rollout, or to what serves; says what was done.
    ///
    /// # Errors
    /// Why nothing was done, in a sentence.
    pub async fn act(&self, act: Act, token: &str, second: Option<&str>) -> Result<String, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let first = self.whose(token)?;
        let second = second.map(|token| self.whose(token)).transpose()?;
        let office = Office::new(self.published.folder());
        let signed = office.begun().map_err(|error| text(&error))?;
        let done = self.storage.call(move |store| {
            let policy = |name: &str| office.policy(&signed.targets, name);
            let signed = Signed { targets: &signed.targets, policy: &policy };
            perform(store, &signed, &act, &Who { first: &first, second: second.as_ref() }, now())
        });
        let done = done.await.map_err(|error| text(&error))?;
        self.refresh().await.map_err(|error| text(&error))?;
        Ok(done)
    }

    /// In trials a version serves as soon as it is made. Whatever of it a crash has left undone is done when it is asked again.
    pub(super) fn release(&self, version: &VersionRow) -> Result<(), Error> {
        if !self.config.registry.automatic {
            return Ok(());
        }
        let office = Office::new(self.published.folder());
        let targets = office.begun()?.targets;
        let serving = self.storage.wait(|store| book::serving(store))?.1;
        let served = serving.good.and_then(|good| targets.version_of(good));
        // The comparison at a training's end often leaves the model as it was: devices have it.
        if served.is_some_and(|(file, _)| hexadecimal(&file.digest) == version.digest) {
            return self.publish();
        }
        let of_version =
            |counter: &u64| targets.version_of(*counter).is_some_and(|(_, of)| of.version == version.number);
        let counter = match targets.versions().into_iter().find(of_version) {
            Some(counter) => counter,
            None => {
                let unknown = || crate::registry::Error::Unfit("the version's file is gone".into());
                let digest = from_hexadecimal(&version.digest).ok_or_else(unknown)?;
                let bytes = self.models.get(&digest).ok_or_else(unknown)?;
                office.sign_version(version, &bytes, &Keys::load_all(&self.people)?, now())?
            }
        };
        if serving.good.is_none_or(|good| good < counter) {
            let words =
                format!("version {} serves all as number {counter}, as `registry.automatic` says", version.number);
            self.storage.wait(move |store| book::serve_all(store, counter, &words, now()))?;
        }
        self.publish()
    }

    /// What a process that ended too early has left undone.
    pub(super) async fn catch_up(self: &Arc<Self>) -> Result<(), Error> {
        let newest = self.storage.call(|store| store.versions()).await?.pop();
        let (Some(version), true) = (newest, self.config.registry.automatic) else { return Ok(()) };
        let hub = self.clone();
        let released = tokio::task::spawn_blocking(move || hub.release(&version)).await.expect("it does not panic");
        if let Err(error) = released {
            tracing::error!(%error, "the newest version does not serve");
        }
        Ok(())
    }

    // Takes note of where rollouts stand, and what is known of versions.
    fn see(&self, stored: &Stored) {
        let Stored { serving, courses, versions } = stored;
        let signed = self.published.signed();
        let begun: Vec<&str> = courses.iter().map(|course| course.order.name.as_str()).collect();
        let shown = Shown {
            rollouts: courses.iter().rev().take(MOST_ROLLOUTS).map(RolloutView::of).collect(),
            versions: VersionView::all(versions, &signed, serving),
            signed: signed.without(&begun),
        };
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = shown;
    }
}

/// What serves, and all that it follows from.
pub(super) struct Stored {
    serving: Serving,
    courses: Vec<Course>,
    versions: Vec<VersionRow>,
}

impl Stored {
    pub(super) fn read(store: &dyn Store) -> Result<Self, book::Error> {
        // A rollout that cannot be read is told of by its task's driver, and what serves is published all the same.
        let courses = Courses::read(store)?.courses;
        Ok(Self { serving: book::serving(store)?.1, courses, versions: store.versions()? })
    }
}

/// The same as people see it.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) rollouts: Vec<RolloutView>,
    pub(super) versions: Vec<VersionView>,
    pub(super) signed: SignedView,
}

const MOST_ROLLOUTS: usize = 5;
