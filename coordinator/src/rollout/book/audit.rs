//! Making every verdict again, and holding what is stored against the audit log.

use super::{Course, Courses, Error, ordered, words};
use crate::rollout::controller::{Event, verify};
use crate::store::{AuditRow, Store};

/// What came of it.
#[derive(Debug, Default)]
pub struct Audit {
    /// Rollouts that follow from what is stored, and are what the log tells of.
    pub rollouts: usize,
    /// Their verdicts.
    pub verdicts: usize,
    /// The others, each with the first fault that was found: the others are gone through all the same.
    pub faults: Vec<Error>,
}

/// Makes every verdict of every rollout again from its sums, and holds its order and each event against the audit log.
///
/// # Errors
/// [`Error::Store`]. What does not follow, or is not in the log where it should be, or where the log tells of more, is among the faults.
pub fn audit(store: &dyn Store) -> Result<Audit, Error> {
    let log = store.audit()?;
    let Courses { courses, unreadable } = Courses::read(store)?;
    let mut audit = Audit::default();
    for course in &courses {
        match check(store, course, &log) {
            Ok(()) => {
                audit.rollouts += 1;
                audit.verdicts += course.events.iter().filter(|event| matches!(event, Event::Looked { .. })).count();
            }
            Err(fault) => audit.faults.push(fault),
        }
    }
    audit.faults.extend(unreadable.into_iter().map(|of| Error::Damaged { name: of.task, reason: of.reason }));
    Ok(audit)
}

fn check(store: &dyn Store, course: &Course, log: &[AuditRow]) -> Result<(), Error> {
    let name = &course.order.name;
    let damaged = |reason: String| Error::Damaged { name: name.clone(), reason };
    verify(&course.order.policy, course.order.devices, &course.events).map_err(|broken| damaged(broken.to_string()))?;
    let text = toml::to_string(&course.order).expect("a policy has a form in TOML");
    let written = store.events(name)?;
    let events = written.iter().zip(&course.events).map(|(written, event)| words(name, event, written));
    let expected: Vec<String> = std::iter::once(ordered(&course.order, &text)).chain(events).collect();
    let about = format!("rollout {name}: ");
    let told: Vec<&str> = log.iter().map(|row| row.what.as_str()).filter(|row| row.starts_with(&about)).collect();
    match expected.iter().zip(&told).position(|(expected, told)| expected != told) {
        Some(0) => Err(damaged("its order is not what the audit log says".into())),
        Some(number) => Err(damaged(format!("event {number} is not what the audit log says"))),
        None if expected.len() != told.len() => {
            let (told, there) = (told.len().saturating_sub(1), written.len());
            Err(damaged(format!("the audit log tells of {told} events, and there are {there}")))
        }
        None => Ok(()),
    }
}
