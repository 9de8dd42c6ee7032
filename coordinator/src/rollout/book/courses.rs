//! All rollouts of a store: those that can be read, and what is known of those that cannot.
//!
//! One row that cannot be read stops nothing but itself. It is named wherever rollouts are listed, and whoever would begin something beside it
//! is told how to end it.

use super::{Course, Error};
use crate::store::{Store, TaskState};
use crate::task::{Kind, is_of_rollout};

/// All rollouts, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Courses {
    /// Those that can be read.
    pub courses: Vec<Course>,
    /// Those that cannot.
    pub unreadable: Vec<Unreadable>,
}

/// A rollout that is stored and cannot be read: by a newer program's hand, or damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The name of its task.
    pub task: String,
    /// Why, in words.
    pub reason: String,
    /// Whether it may still change what serves, as far as its task says.
    pub is_under_way: bool,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} cannot be read: {}", self.task, self.reason)
    }
}

impl Courses {
    /// Reads them.
    ///
    /// # Errors
    /// [`Error::Store`], where no task can be read.
    pub fn read(store: &dyn Store) -> Result<Self, Error> {
        let mut all = Self::default();
        for row in store.tasks()?.iter().filter(|row| is_of_rollout(row)) {
            let read = match Kind::of(row) {
                Ok(Kind::Rollout(order)) => Course::read(store, *order),
                Ok(Kind::Training(_)) => continue,
                Err(error) => Err(Error::Damaged { name: row.name.clone(), reason: error.to_string() }),
            };
            match read {
                Ok(course) => all.courses.push(course),
                Err(error) => {
                    let reason = match error {
                        Error::Damaged { reason, .. } => reason,
                        error => error.to_string(),
                    };
                    let is_under_way = matches!(row.state, TaskState::Running | TaskState::Paused);
                    all.unreadable.push(Unreadable {
                        task: row.name.clone(),
                        reason: reason.trim().to_owned(),
                        is_under_way,
                    });
                }
            }
        }
        Ok(all)
    }

    /// The rollout under way.
    pub fn under_way(&self) -> Option<&Course> {
        self.courses.iter().find(|course| course.is_under_way())
    }

    /// Refuses where a rollout is under way, or may be as far as anybody can tell; `end` says what ends one that can be read.
    ///
    /// # Errors
    /// [`Error::Unfit`].
    pub fn check_none_under_way(&self, end: &str) -> Result<(), Error> {
        if let Some(course) = self.under_way() {
            return Err(Error::Unfit(format!("the rollout '{}' is under way: {end} it first", course.order.name)));
        }
        match self.unreadable.iter().find(|of| of.is_under_way) {
            Some(of) => Err(Error::Unfit(format!(
                "{of}; it may be under way: a newer program may read it, and `sordino-coordinator task cancel {}` ends it",
                of.task
            ))),
            None => Ok(()),
        }
    }
}
