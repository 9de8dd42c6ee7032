//! A store that forgets with its process: the reference that the others are held against, and for simulations.

use super::audit::AuditRow;
use super::{
    Aggregate, Change, Entry, Error, Finished, Phase, RoundRow, Store, TaskRow, TaskState, Verdict, VersionRow,
};
use sordino_shared::secagg::Hash;
use std::collections::BTreeMap;

/// Everything in maps.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    tasks: Vec<TaskRow>,
    rounds: Vec<RoundRow>,
    receipts: BTreeMap<Hash, BTreeMap<u32, Hash>>,
    partials: BTreeMap<Hash, Vec<Vec<u8>>>,
    aggregates: Vec<(String, Aggregate)>,
    versions: Vec<VersionRow>,
    events: BTreeMap<String, Vec<String>>,
    serving: (u64, Option<String>),
    audit: Vec<AuditRow>,
}

impl MemoryStore {
    fn note(&mut self, at: i64, what: &str) {
        let before = self.audit.last().map(|row| (row.number, row.hash));
        self.audit.push(AuditRow::after(before.as_ref(), at, what));
    }

    // What a change was made upon, before anything of it is done.
    fn check(&self, change: &Change) -> Result<(), Error> {
        if let Some(task) = change.task.as_ref().filter(|task| self.tasks.iter().any(|known| known.name == task.name)) {
            return Err(Error::Exists(format!("a task '{}'", task.name)));
        }
        let fits = |seen: u64, there: u64| if seen == there { Ok(()) } else { Err(Error::Overtaken) };
        if let Some(new) = &change.events {
            fits(new.after, self.events.get(&new.rollout).map_or(0, Vec::len) as u64)?;
        }
        change.serving.as_ref().map_or(Ok(()), |(seen, _)| fits(*seen, self.serving.0))
    }

    fn round_in(&mut self, context: &Hash, phase: impl FnOnce(Phase) -> bool) -> Option<&mut RoundRow> {
        self.rounds.iter_mut().find(|round| round.context == *context).filter(|round| phase(round.phase))
    }
}

impl Store for MemoryStore {
    fn add_task(&mut self, task: &TaskRow, at: i64) -> Result<(), Error> {
        if self.tasks.iter().any(|known| known.name == task.name) {
            return Err(Error::Exists(format!("a task '{}'", task.name)));
        }
        self.tasks.push(task.clone());
        self.note(at, &super::words::added(task));
        Ok(())
    }

    fn remove_task(&mut self, name: &str, at: i64) -> Result<(), Error> {
        let at_place = self.tasks.iter().position(|task| task.name == name);
        let place = at_place.ok_or_else(|| Error::Missing(format!("task '{name}'")))?;
        if self.rounds.iter().any(|round| round.task == name) {
            return Err(Error::HasRounds(name.to_owned()));
        }
        self.tasks.remove(place);
        self.note(at, &super::words::removed(name));
        Ok(())
    }

    fn tasks(&self) -> Result<Vec<TaskRow>, Error> {
        Ok(self.tasks.clone())
    }

    fn set_task(&mut self, name: &str, state: TaskState, why: Option<&str>, at: i64) -> Result<(), Error> {
        let task = self.tasks.iter_mut().find(|task| task.name == name);
        let task = task.ok_or_else(|| Error::Missing(format!("task '{name}'")))?;
        if super::is_news(task.state, task.why.as_deref(), state, why) {
            (task.state, task.why) = (state, why.map(str::to_owned));
            self.note(at, &super::words::set(name, state, why));
        }
        Ok(())
    }

    fn open_round(&mut self, round: &RoundRow) -> Result<(), Error> {
        let same = |known: &RoundRow| known.task == round.task && known.number == round.number;
        if self.rounds.iter().any(|known| same(known) || known.context == round.context) {
            return Err(Error::Exists(format!("a round {} of task '{}'", round.number, round.task)));
        }
        self.rounds.push(round.clone());
        self.note(round.opened, &super::words::opened(round));
        Ok(())
    }

    fn round(&self, context: &Hash) -> Result<Option<RoundRow>, Error> {
        Ok(self.rounds.iter().find(|round| round.context == *context).cloned())
    }

    fn rounds(&self, task: &str, most: usize) -> Result<Vec<RoundRow>, Error> {
        let of_task = self.rounds.iter().rev().filter(|round| round.task == task);
        Ok(of_task.take(most).map(|round| RoundRow { state: Vec::new(), ..round.clone() }).collect())
    }

    fn advance(&mut self, context: &Hash, from: Phase, to: Phase, state: &[u8], at: i64) -> Result<bool, Error> {
        let Some(round) = self.round_in(context, |phase| phase == from) else { return Ok(false) };
        (round.phase, round.state, round.changed) = (to, state.to_vec(), at);
        let what = super::words::moved(&round.task, round.number, to, "");
        self.note(at, &what);
        Ok(true)
    }

    fn flush(
        &mut self,
        context: &Hash,
        entries: &[Entry],
        sum: &mut dyn FnMut(&[bool]) -> Vec<u8>,
    ) -> Result<Vec<Verdict>, Error> {
        let collects = self.round_in(context, |phase| phase == Phase::Collecting).is_some();
        let receipts = self.receipts.entry(*context).or_default();
        let verdicts: Vec<Verdict> =
            entries.iter().map(|entry| super::judge(receipts.get(&entry.position), &entry.digest, collects)).collect();
        let new: Vec<bool> = verdicts.iter().map(|verdict| *verdict == Verdict::Counted).collect();
        if new.contains(&true) {
            let part = sum(&new);
            let added =
                entries.iter().zip(&new).filter(|(_, new)| **new).map(|(entry, _)| (entry.position, entry.digest));
            receipts.extend(added);
            self.partials.entry(*context).or_default().push(part);
        }
        Ok(verdicts)
    }

    fn freeze(&mut self, context: &Hash, at: i64) -> Result<bool, Error> {
        let survivors = self.receipts.get(context).map_or(0, BTreeMap::len);
        let Some(round) = self.round_in(context, |phase| phase == Phase::Collecting) else { return Ok(false) };
        (round.phase, round.changed) = (Phase::Frozen, at);
        let what = super::words::moved(&round.task, round.number, Phase::Frozen, &format!("{survivors} survivors"));
        self.note(at, &what);
        Ok(true)
    }

    fn receipts(&self, context: &Hash) -> Result<Vec<Entry>, Error> {
        let entry = |(&position, &digest): (&u32, &Hash)| Entry { position, digest };
        Ok(self.receipts.get(context).map(|receipts| receipts.iter().map(entry).collect()).unwrap_or_default())
    }

    fn partials(&self, context: &Hash) -> Result<Vec<Vec<u8>>, Error> {
        Ok(self.partials.get(context).cloned().unwrap_or_default())
    }

    fn finish(
        &mut self,
        context: &Hash,
        aggregate: &Aggregate,
        outcome: Finished<'_>,
        note: &str,
        at: i64,
    ) -> Result<bool, Error> {
        if self.round_in(context, |phase| phase == Phase::Unmasking).is_none() {
            return Ok(false);
        }
        if let Finished::Look(change) = outcome {
            self.check(change)?;
        }
        let Some(round) = self.round_in(context, |phase| phase == Phase::Unmasking) else { return Ok(false) };
        (round.phase, round.changed, round.note) = (Phase::Done, at, note.to_owned());
        round.state.clear();
        let (task, what) = (round.task.clone(), super::words::moved(&round.task, round.number, Phase::Done, note));
        self.partials.remove(context);
        self.aggregates.push((task, aggregate.clone()));
        if let Finished::Version(version) = outcome {
            let number = self.versions.len() as u64 + 1;
            self.versions.push(VersionRow { number, ..version.clone() });
        }
        self.note(at, &what);
        if let Finished::Look(change) = outcome {
            self.change(change, at)?;
        }
        Ok(true)
    }

    fn change(&mut self, change: &Change, at: i64) -> Result<(), Error> {
        self.check(change)?;
        if let Some(task) = &change.task {
            self.add_task(task, at)?;
        }
        if let Some(new) = &change.events {
            self.events.entry(new.rollout.clone()).or_default().extend(new.events.iter().cloned());
        }
        if let Some((seen, document)) = &change.serving {
            self.serving = (seen + 1, Some(document.clone()));
        }
        if let Some((task, state)) = &change.state {
            self.set_task(task, *state, None, at)?;
        }
        change.words.iter().for_each(|words| self.note(at, words));
        Ok(())
    }

    fn events(&self, rollout: &str) -> Result<Vec<String>, Error> {
        Ok(self.events.get(rollout).cloned().unwrap_or_default())
    }

    fn serving(&self) -> Result<(u64, Option<String>), Error> {
        Ok(self.serving.clone())
    }

    fn abandon(&mut self, context: &Hash, note: &str, at: i64) -> Result<bool, Error> {
        let Some(round) = self.round_in(context, |phase| !phase.is_over()) else { return Ok(false) };
        (round.phase, round.changed, round.note) = (Phase::Abandoned, at, note.to_owned());
        round.state.clear();
        let what = super::words::moved(&round.task, round.number, Phase::Abandoned, note);
        self.partials.remove(context);
        self.note(at, &what);
        Ok(true)
    }

    fn forget(&mut self, before: i64) -> Result<usize, Error> {
        let old = self.rounds.iter().filter(|round| round.phase.is_over() && round.changed < before);
        Ok(old
            .filter(|round| self.receipts.remove(&round.context).is_some_and(|receipts| !receipts.is_empty()))
            .count())
    }

    fn aggregates(&self, task: &str) -> Result<Vec<Aggregate>, Error> {
        Ok(self.aggregates.iter().filter(|(of, _)| of == task).map(|(_, aggregate)| aggregate.clone()).collect())
    }

    fn import(&mut self, version: &VersionRow, at: i64) -> Result<u64, Error> {
        let number = self.versions.len() as u64 + 1;
        self.versions.push(VersionRow { number, ..version.clone() });
        self.note(at, &super::words::imported(number, version));
        Ok(number)
    }

    fn versions(&self) -> Result<Vec<VersionRow>, Error> {
        Ok(self.versions.clone())
    }

    fn audit(&self) -> Result<Vec<AuditRow>, Error> {
        Ok(self.audit.clone())
    }
}
