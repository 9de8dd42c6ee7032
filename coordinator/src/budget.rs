//! Changing what a population may spend: in its ledger, in the settings and in the audit log, in this order.
//!
//! The ledger's record is what counts: it is written whole or not at all, so a crash leaves the budget of before or the new one. The
//! row of the audit log comes last and says that everything is written; [`open`] finishes what lacks it. A server holds its ledger's
//! lock, so a budget changes while none runs.

use crate::config::{self, Config};
use crate::files::write_whole;
use crate::ledger::PopulationLedgers;
use crate::store::{self, Change, Store};
use sordino_shared::plain;
use sordino_shared::privacy::ledger::{self, Budget, History, Ledger, Policy, Record};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a budget does not change, or is not known.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A larger budget without a reason.
    #[error("{to} is more than {from}: a larger budget needs a reason, add --why \"...\"")]
    NeedsReason {
        /// What is in force.
        from: String,
        /// What is wanted.
        to: String,
    },
    /// A server runs.
    #[error("a coordinator is running in {}, which holds the ledger: stop that one first", .0.display())]
    Running(PathBuf),
    /// Settings that were edited by hand.
    #[error(
        "{settings} allows {given}, and the population's ledger {ledger}: a budget changes in both at once, by \
         `sordino-coordinator budget set --epsilon {} --delta {:e} --why \"...\" {folder}`; or put the ledger's back into {settings}",
        given.0.epsilon, given.0.delta
    )]
    Edited {
        /// The settings' file.
        settings: String,
        /// What it says.
        given: Words,
        /// What the ledger says.
        ledger: Words,
        /// The coordinator's folder, as a shell takes it.
        folder: String,
    },
    /// The ledger is gone.
    #[error(
        "{} is missing, and with it what the population has spent: put its latest copy back, or begin anew in another \
         folder with `sordino-coordinator init`", .0.display()
    )]
    Lost(PathBuf),
    /// The ledger.
    #[error(transparent)]
    Ledger(ledger::Error),
    /// The settings.
    #[error(transparent)]
    Settings(#[from] config::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The settings cannot be written.
    #[error("{path} cannot be written: {fault}; run the same command again")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        fault: std::io::Error,
    },
}

/// A budget, as people read it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Words(pub Budget);

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "epsilon {} at delta {:e}", self.0.epsilon, self.0.delta)
    }
}

/// A budget that came into force.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// What was in force before.
    pub from: Budget,
    /// What is since.
    pub to: Budget,
    /// Why.
    pub why: String,
    // Its record's place in the ledger.
    record: usize,
}

impl Changed {
    /// Whether a device may spend more than before, in either number.
    pub fn raises(&self) -> bool {
        raises(&self.from, &self.to)
    }

    // The same from every attempt, and of this record alone: so a row is written once.
    fn words(&self, population: &str) -> String {
        let Self { from, to, why, record, .. } = self;
        format!("population {population}: budget {} instead of {} [record {record}]: {why}", Words(*to), Words(*from))
    }
}

fn raises(from: &Budget, to: &Budget) -> bool {
    to.epsilon > from.epsilon || to.delta > from.delta
}

/// All changes of a budget, the oldest first.
pub fn changes(history: &History) -> Vec<Changed> {
    let policies = history.records().iter().enumerate().filter_map(|(record, of)| match of {
        Record::Policy { at, policy, reason } => Some((record, *at, policy.budget.tidy(), reason)),
        Record::Spend(_) => None,
    });
    let policies: Vec<_> = policies.collect();
    let change = |pair: &[(usize, i64, Budget, &String)]| Changed {
        at: pair[1].1,
        from: pair[0].2,
        to: pair[1].2,
        why: pair[1].3.clone(),
        record: pair[1].0,
    };
    policies.windows(2).map(change).collect()
}

/// A budget that is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// Its epsilon.
    pub epsilon: f64,
    /// Its delta; the one that is in force where there is none.
    pub delta: Option<f64>,
}

impl From<Budget> for Wanted {
    fn from(Budget { epsilon, delta }: Budget) -> Self {
        Self { epsilon, delta: Some(delta) }
    }
}

/// Changes the budget of the population of a coordinator's folder, and gives what came into force; `None` where that was in force
/// already.
///
/// # Errors
/// [`enum@Error`]. The budget of before is in force then, or the new one: running the same again finishes it.
pub fn set(
    folder: &Path,
    store: &mut dyn Store,
    wanted: impl Into<Wanted>,
    why: Option<&str>,
    now: i64,
) -> Result<Option<Changed>, Error> {
    let config = Config::read(folder)?;
    let (mut ledger, _) = settled(folder, &config, store)?;
    let (from, wanted) = (ledger.policy().budget.tidy(), wanted.into());
    let wanted = Budget { epsilon: wanted.epsilon, delta: wanted.delta.unwrap_or(from.delta) }.tidy();
    if wanted == from {
        // Also where the settings were edited by hand: the ledger's word goes.
        write_settings(folder, wanted)?;
        return Ok(None);
    }
    // One line of a listing is one change: a reason cannot look like another one.
    let why = match why.and_then(plain::reason) {
        Some(why) => why,
        None if raises(&from, &wanted) => {
            return Err(Error::NeedsReason { from: Words(from).to_string(), to: Words(wanted).to_string() });
        }
        None => "lowered".to_owned(),
    };
    let policy = Policy { budget: wanted, ..ledger.policy().clone() };
    ledger.rebase(policy, &why, now).map_err(Error::Ledger)?;
    let changed = changes(ledger.history()).pop();
    if let Some(changed) = &changed {
        write_settings(folder, changed.to)?;
        record(changed, &config.listen.population, store)?;
    }
    Ok(changed)
}

/// Opens the ledger of a coordinator's folder for a server, and gives the settings with the budget that is in force. What a crash left
/// unfinished of a change is finished, and told.
///
/// # Errors
/// [`enum@Error`]; [`Error::Edited`] where the settings say something else.
pub fn open(folder: &Path, config: Config, store: &mut dyn Store) -> Result<(PopulationLedgers, Config), Error> {
    let (ledger, finished) = settled(folder, &config, store)?;
    let budget = ledger.policy().budget.tidy();
    let given = given(&config);
    for changed in &finished {
        tracing::warn!(
            budget = %Words(changed.to),
            why = changed.why,
            "a change of the budget was in force and not written everywhere: it is now"
        );
    }
    // What was finished just now has put the settings right; whoever read them before has a budget of before.
    if given != budget && finished.iter().all(|changed| changed.from != given) {
        return Err(Error::Edited {
            settings: config::FILE.into(),
            given: Words(given),
            ledger: Words(budget),
            folder: crate::files::quoted(folder),
        });
    }
    let mut ledgers = PopulationLedgers::new(folder);
    let population = config.listen.population.clone();
    ledgers.adopt(&population, ledger);
    let privacy = config::Privacy { epsilon: budget.epsilon, delta: budget.delta };
    Ok((ledgers, Config { privacy, ..config }))
}

/// The ledger of a coordinator's folder, to look at, whoever holds it.
///
/// # Errors
/// [`enum@Error`].
pub fn history(folder: &Path, population: &str) -> Result<History, Error> {
    let path = PopulationLedgers::new(folder).path(population);
    History::read(&path).map_err(|error| of_ledger(error, folder, &path))
}

/// The ledger of a coordinator's folder under its lock: while it is held no server runs there, and none starts.
///
/// # Errors
/// [`Error::Running`] where one does, [`Error::Lost`], [`Error::Ledger`].
pub fn hold(folder: &Path, population: &str) -> Result<Ledger, Error> {
    let path = PopulationLedgers::new(folder).path(population);
    Ledger::inspect(&path).map_err(|error| of_ledger(error, folder, &path))
}

// The ledger under its lock, once every change is written everywhere; and those that were not: the last one after a crash, more of
// them where the store was put back from a copy.
fn settled(folder: &Path, config: &Config, store: &mut dyn Store) -> Result<(Ledger, Vec<Changed>), Error> {
    let population = &config.listen.population;
    let ledger = hold(folder, population)?;
    let rows: BTreeSet<String> = store.audit()?.into_iter().map(|row| row.what).collect();
    let is_told = |changed: &Changed| rows.contains(&changed.words(population));
    let finished: Vec<Changed> = changes(ledger.history()).into_iter().filter(|changed| !is_told(changed)).collect();
    // Settings that say neither a budget of before nor the new one were edited since: they are for `open` to refuse.
    if finished.iter().any(|changed| changed.from == given(config)) {
        write_settings(folder, ledger.policy().budget.tidy())?;
    }
    for changed in &finished {
        record(changed, population, store)?;
    }
    Ok((ledger, finished))
}

fn record(changed: &Changed, population: &str, store: &mut dyn Store) -> Result<(), Error> {
    let words = vec![changed.words(population)];
    Ok(store.change(&Change { words, ..Change::default() }, changed.at)?)
}

fn given(config: &Config) -> Budget {
    Budget { epsilon: config.privacy.epsilon, delta: config.privacy.delta }.tidy()
}

fn write_settings(folder: &Path, budget: Budget) -> Result<(), Error> {
    let path = folder.join(config::FILE);
    let text = config::with_budget(&config::text(folder)?, budget.epsilon, budget.delta, &path)?;
    write_whole(&path, text.as_bytes()).map_err(|fault| Error::Write { path, fault })
}

fn of_ledger(error: ledger::Error, folder: &Path, path: &Path) -> Error {
    match error {
        ledger::Error::InUse(_) => Error::Running(folder.to_owned()),
        ledger::Error::Missing(_) => Error::Lost(path.to_owned()),
        error => Error::Ledger(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;
    use sordino_shared::privacy::ledger::Spend;
    use sordino_shared::privacy::{Mechanism, Mode};
    use tempfile::TempDir;

    const OLD: Budget = Budget { epsilon: 8.0, delta: 1e-6 };
    const NEW: Budget = Budget { epsilon: 4.0, delta: 1e-6 };

    // A folder with settings, and a ledger with something spent.
    fn folder() -> (TempDir, MemoryStore) {
        let folder = tempfile::tempdir().expect("a folder");
        let text = "# ours\n[privacy] # what a device spends\nepsilon = 8.0 # agreed in May\ndelta = 1e-6\n[listen]\n";
        std::fs::write(folder.path().join(config::FILE), text).expect("settings");
        let mut ledgers = PopulationLedgers::new(folder.path());
        ledgers.create("default", Policy::new(OLD.epsilon, OLD.delta), 0).expect("a ledger");
        ledgers.spend("default", spend(1, 0.3)).expect("it fits");
        (folder, MemoryStore::default())
    }

    fn spend(round: u64, rho: f64) -> Spend {
        Spend {
            at: 0,
            task: "t".into(),
            round,
            what: "rows".into(),
            values: 10,
            mode: Mode::Secure,
            mechanism: Mechanism::DiscreteGaussian,
            rho,
            strategy: None,
            distance: 0.0,
            charged: 0.0,
        }
    }

    fn start(folder: &TempDir, store: &mut MemoryStore) -> Result<(PopulationLedgers, Config), Error> {
        open(folder.path(), Config::load(folder.path())?, store)
    }

    fn rows(store: &MemoryStore) -> usize {
        store.audit().expect("a log").len()
    }

    #[test]
    fn it_changes_everywhere_and_forgets_nothing() {
        let (folder, mut store) = folder();
        let refused =
            set(folder.path(), &mut store, Budget { epsilon: 9.0, delta: 1e-6 }, None, 1).expect_err("refused");
        assert!(matches!(refused, Error::NeedsReason { .. }), "{refused}");
        assert!(set(folder.path(), &mut store, Budget { epsilon: 8.0, delta: 1e-5 }, Some(" "), 1).is_err());
        let changed =
            set(folder.path(), &mut store, NEW, None, 1).expect("lowering needs no reason").expect("a change");
        assert!(!changed.raises() && changed.from == OLD && changed.to == NEW);
        assert_eq!(set(folder.path(), &mut store, NEW, None, 2).expect("the same again"), None);
        assert_eq!(rows(&store), 1);
        let text = config::text(folder.path()).expect("settings");
        assert!(text.contains("epsilon = 4.0 # agreed in May") && text.contains("# ours"), "{text}");
        let (mut ledgers, config) = start(&folder, &mut store).expect("it starts");
        assert_eq!(config.privacy.epsilon, 4.0);
        assert!(ledgers.balance("default").is_some_and(|b| b.rho >= 0.3), "what was spent stays spent");
        ledgers.spend("default", spend(2, 0.3)).expect_err("not within 4 any more");
        // While it is held nobody changes it, and everybody may look.
        assert!(matches!(set(folder.path(), &mut store, OLD, Some("x"), 3), Err(Error::Running(_))));
        assert_eq!(changes(&history(folder.path(), "default").expect("beside the lock")).len(), 1);
        drop(ledgers);
        let up =
            set(folder.path(), &mut store, OLD, Some("a second task"), 4).expect("with a reason").expect("a change");
        assert!(up.raises());
        assert!(store.audit().expect("a log")[1].what.ends_with("a second task"));
        start(&folder, &mut store).expect("it starts").0.spend("default", spend(2, 0.3)).expect("within 8 again");
    }

    // Wherever the process ends, the budget of before or the new one is in force, and the next start has written it everywhere.
    #[test]
    fn a_crash_leaves_one_or_the_other() {
        let (folder, mut store) = folder();
        let settings = std::fs::read(folder.path().join(config::FILE)).expect("settings");
        let ledger = std::fs::read(folder.path().join("default.ledger")).expect("a ledger");
        set(folder.path(), &mut store, NEW, Some("a complaint"), 7).expect("a change");
        let after = (
            std::fs::read(folder.path().join(config::FILE)).expect("settings"),
            std::fs::read(folder.path().join("default.ledger")).expect("a ledger"),
            store.audit().expect("a log"),
        );
        let state = |settings: &[u8], ledger: &[u8]| {
            std::fs::write(folder.path().join(config::FILE), settings).expect("settings");
            std::fs::write(folder.path().join("default.ledger"), ledger).expect("a ledger");
        };
        // Before the ledger's record nothing has happened.
        state(&settings, &ledger);
        let mut store = MemoryStore::default();
        assert_eq!(start(&folder, &mut store).expect("it starts").1.privacy.epsilon, 8.0);
        assert_eq!(rows(&store), 0);
        // After it, with or without the settings: the new one, and the log says why.
        for settings in [&settings, &after.0] {
            state(settings, &after.1);
            let mut store = MemoryStore::default();
            assert_eq!(start(&folder, &mut store).expect("it starts").1.privacy.epsilon, 4.0);
            assert_eq!(store.audit().expect("a log"), after.2);
            assert_eq!(std::fs::read(folder.path().join(config::FILE)).expect("settings"), after.0);
            start(&folder, &mut store).expect("and again");
            assert_eq!(rows(&store), 1, "told once");
        }
    }

    #[test]
    fn settings_that_were_edited_name_the_command() {
        let (folder, mut store) = folder();
        let path = folder.path().join(config::FILE);
        set(folder.path(), &mut store, NEW, None, 1).expect("a change");
        std::fs::write(&path, "[privacy]\nepsilon = 8.0\ndelta = 1e-6\n").expect("settings");
        let words = start(&folder, &mut store).expect_err("refused").to_string();
        let command = format!("budget set --epsilon 8 --delta 1e-6 --why \"...\" {}", folder.path().display());
        assert!(words.contains(&command) && words.contains("epsilon 4 at delta 1e-6"), "{words}");
        set(folder.path(), &mut store, OLD, Some("..."), 2).expect("the command");
        assert_eq!(start(&folder, &mut store).expect("it starts").1.privacy.epsilon, 8.0);
        // Edited, and then another is set, or the ledger's own: that goes.
        std::fs::write(&path, "[privacy]\nepsilon = 60.0\n").expect("settings no server would take");
        set(folder.path(), &mut store, NEW, None, 3).expect("less");
        assert_eq!(start(&folder, &mut store).expect("it starts").1.privacy.epsilon, 4.0);
        set(folder.path(), &mut store, OLD, Some("..."), 3).expect("more");
        std::fs::write(&path, "[privacy]\nepsilon = 60.0\n").expect("settings no server would take");
        set(folder.path(), &mut store, OLD, None, 3).expect("as it is in force");
        assert_eq!(start(&folder, &mut store).expect("it starts").1.privacy.epsilon, 8.0);
    }

    // A store from before several changes: each has its row again, in its order, once.
    #[test]
    fn a_store_that_was_put_back_lacks_no_change() {
        let (folder, mut store) = folder();
        let copy = folder.path().join("copy.toml");
        std::fs::copy(folder.path().join(config::FILE), &copy).expect("a copy");
        set(folder.path(), &mut store, NEW, Some("a complaint"), 1).expect("a change");
        set(folder.path(), &mut store, Budget { epsilon: 6.0, delta: 1e-6 }, Some("a second task"), 2)
            .expect("a change");
        set(folder.path(), &mut store, Budget { epsilon: 5.0, delta: 1e-6 }, None, 3).expect("a change");
        let what = |store: &MemoryStore| -> Vec<String> {
            store.audit().expect("a log").into_iter().map(|row| row.what).collect()
        };
        let told = what(&store);
        assert_eq!(told.len(), 3);
        // With the settings as they are, and with those of before.
        for old in [false, true] {
            if old {
                std::fs::copy(&copy, folder.path().join(config::FILE)).expect("put back");
            }
            let mut store = MemoryStore::default();
            for _ in 0..2 {
                assert_eq!(start(&folder, &mut store).expect("it starts").1.privacy.epsilon, 5.0);
                assert_eq!(what(&store), told, "old settings: {old}");
            }
        }
    }

    // What is not said is read under the lock, and a reason is one line wherever it is shown.
    #[test]
    fn a_change_keeps_the_delta_that_is_in_force_and_to_its_line() {
        let (folder, mut store) = folder();
        set(folder.path(), &mut store, Budget { epsilon: 8.0, delta: 1e-7 }, None, 1).expect("less");
        let why = "agreed\n2026-01-01 00:00:00  epsilon 1 at delta 1e-6 instead of epsilon 8: forged\u{1b}[2J";
        let wanted = Wanted { epsilon: 9.0, delta: None };
        let changed = set(folder.path(), &mut store, wanted, Some(why), 2).expect("more").expect("a change");
        assert_eq!(changed.to, Budget { epsilon: 9.0, delta: 1e-7 });
        assert!(!changed.why.contains(char::is_control), "{}", changed.why);
        assert!(store.audit().expect("a log").iter().all(|row| !row.what.contains(char::is_control)));
        let blank = set(folder.path(), &mut store, Budget { epsilon: 10.0, delta: 1e-7 }, Some("\n\u{1b}"), 3);
        assert!(matches!(blank, Err(Error::NeedsReason { .. })));
    }

    // Whatever digits a budget has, it is told once and known again.
    #[test]
    fn digits_are_no_change() {
        let (folder, mut store) = folder();
        for n in 1..40 {
            let budget = Budget { epsilon: 8.0 - 0.1 * f64::from(n), delta: 1e-6 / f64::from(n) };
            set(folder.path(), &mut store, budget, Some("digits"), 1).expect("less").expect("a change");
            assert_eq!(set(folder.path(), &mut store, budget, None, 2).expect("the same"), None, "{budget:?}");
            start(&folder, &mut store).unwrap_or_else(|error| panic!("{budget:?}: {error}"));
            assert_eq!(rows(&store), n as usize);
        }
    }

    #[test]
    fn a_ledger_that_is_gone_is_told_as_such() {
        let (folder, mut store) = folder();
        std::fs::remove_file(folder.path().join("default.ledger")).expect("gone");
        assert!(matches!(start(&folder, &mut store), Err(Error::Lost(_))));
        assert!(matches!(set(folder.path(), &mut store, NEW, None, 1), Err(Error::Lost(_))));
    }
}
