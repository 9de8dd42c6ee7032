//! The coordinator as its users run it, but that its store can kill the process before or after a durable write, or
//! has a bug planted in it.
//!
//! `coordinator-under-test FOLDER`, with `DIE_AT=before:freeze` or `after:flush` (the first of its name), `PLANT=early`, `twice` or `volatile`, `COUNT=file`.

use sordino_coordinator::config::Config;
use sordino_coordinator::server::{Folder, Server};
use sordino_coordinator::store::{
    Aggregate, AuditRow, Change, Entry, Error, Finished, Phase, RoundRow, SqliteStore, Store, TaskRow, TaskState,
    Verdict, VersionRow,
};
use sordino_shared::secagg::Hash;
use std::path::{Path, PathBuf};

fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).expect("a folder"));
    tracing_subscriber::fmt()
        .with_env_filter(std::env::var("SORDINO_LOG").unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .init();
    let store = Watched::new(&folder)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let _server = Server::start(&folder, Config::load(&folder)?, Box::new(store)).await?;
        std::future::pending::<()>().await;
        Ok(())
    })
}

/// A store that counts its writes, dies at one of them, or breaks its word.
struct Watched {
    inner: SqliteStore,
    folder: PathBuf,
    die: Option<(When, String)>,
    plant: Option<Plant>,
    // A batch that was answered for and is not written yet: the first bug.
    owed: Option<Owed>,
}

struct Owed {
    context: Hash,
    entries: Vec<Entry>,
    sum: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum When {
    Before,
    After,
}

#[derive(Clone, Copy, PartialEq)]
enum Plant {
    /// Answers before it commits.
    Early,
    /// Does not look for duplicates.
    Twice,
    /// Says that a freeze is durable and writes it with the next change of phase.
    Volatile,
}

impl Watched {
    fn new(folder: &Path) -> anyhow::Result<Self> {
        let die = std::env::var("DIE_AT").ok().and_then(|text| {
            let (when, at) = text.split_once(':')?;
            let when = if when == "before" { When::Before } else { When::After };
            Some((when, at.to_owned()))
        });
        let plant = match std::env::var("PLANT").as_deref() {
            Ok("early") => Some(Plant::Early),
            Ok("twice") => Some(Plant::Twice),
            Ok("volatile") => Some(Plant::Volatile),
            _ => None,
        };
        let inner = SqliteStore::open(&Folder(folder.to_owned()).store())?;
        Ok(Self { inner, folder: folder.to_owned(), die, plant, owed: None })
    }

    /// One durable write, with the process's death on one side of it if that is wanted.
    fn write<T>(&mut self, name: &str, body: impl FnOnce(&mut SqliteStore) -> T) -> T {
        if std::env::var_os("COUNT").is_some() {
            let line = format!("{name}\n");
            let path = self.folder.join("writes");
            let before = std::fs::read_to_string(&path).unwrap_or_default();
            std::fs::write(path, before + &line).expect("a note");
        }
        self.die_if(When::Before, name);
        let result = body(&mut self.inner);
        self.die_if(When::After, name);
        result
    }

    fn die_if(&self, when: When, name: &str) {
        if self.die.as_ref().is_some_and(|(at, of)| *at == when && of == name) {
            // As the system would: nothing is cleaned up.
            let _ = std::process::Command::new("kill").arg("-9").arg(std::process::id().to_string()).status();
            loop {
                std::thread::park();
            }
        }
    }

    fn pay(&mut self) -> Result<(), Error> {
        let Some(Owed { context, entries, sum }) = self.owed.take() else { return Ok(()) };
        self.inner.flush(&context, &entries, &mut |_| sum.clone()).map(|_| ())
    }

    fn twice(&self) -> PathBuf {
        self.folder.join("twice")
    }
}

impl Store for Watched {
    fn add_task(&mut self, task: &TaskRow, at: i64) -> Result<(), Error> {
        self.write("add_task", |store| store.add_task(task, at))
    }

    fn remove_task(&mut self, name: &str, at: i64) -> Result<(), Error> {
        self.write("remove_task", |store| store.remove_task(name, at))
    }

    fn tasks(&self) -> Result<Vec<TaskRow>, Error> {
        self.inner.tasks()
    }

    fn set_task(&mut self, name: &str, state: TaskState, why: Option<&str>, at: i64) -> Result<(), Error> {
        self.write("set_task", |store| store.set_task(name, state, why, at))
    }

    fn open_round(&mut self, round: &RoundRow) -> Result<(), Error> {
        self.write("open_round", |store| store.open_round(round))
    }

    fn round(&self, context: &Hash) -> Result<Option<RoundRow>, Error> {
        self.inner.round(context)
    }

    fn rounds(&self, task: &str, most: usize) -> Result<Vec<RoundRow>, Error> {
        self.inner.rounds(task, most)
    }

    fn advance(&mut self, context: &Hash, from: Phase, to: Phase, state: &[u8], at: i64) -> Result<bool, Error> {
        let late = self.plant == Some(Plant::Volatile) && from == Phase::Frozen;
        self.write(&format!("advance to {}", to.name()), |store| {
            if late {
                store.freeze(context, at)?;
            }
            store.advance(context, from, to, state, at)
        })
    }

    fn flush(
        &mut self,
        context: &Hash,
        entries: &[Entry],
        sum: &mut dyn FnMut(&[bool]) -> Vec<u8>,
    ) -> Result<Vec<Verdict>, Error> {
        if self.plant == Some(Plant::Early) {
            self.pay()?;
            let all = vec![true; entries.len()];
            self.owed = Some(Owed { context: *context, entries: entries.to_vec(), sum: sum(&all) });
            return Ok(vec![Verdict::Counted; entries.len()]);
        }
        let verdicts = self.write("flush", |store| store.flush(context, entries, sum))?;
        if self.plant == Some(Plant::Twice) && verdicts.contains(&Verdict::Known) {
            let known: Vec<bool> = verdicts.iter().map(|verdict| *verdict == Verdict::Known).collect();
            std::fs::write(self.twice(), sum(&known)).expect("the second sum");
        }
        Ok(verdicts)
    }

    fn freeze(&mut self, context: &Hash, at: i64) -> Result<bool, Error> {
        if self.plant == Some(Plant::Volatile) {
            return Ok(true);
        }
        self.die_if(When::Before, "freeze");
        self.pay()?;
        self.write("freeze", |store| store.freeze(context, at))
    }

    fn receipts(&self, context: &Hash) -> Result<Vec<Entry>, Error> {
        self.inner.receipts(context)
    }

    fn partials(&self, context: &Hash) -> Result<Vec<Vec<u8>>, Error> {
        let mut partials = self.inner.partials(context)?;
        partials.extend(std::fs::read(self.twice()));
        Ok(partials)
    }

    fn finish(
        &mut self,
        context: &Hash,
        aggregate: &Aggregate,
        outcome: Finished<'_>,
        note: &str,
        at: i64,
    ) -> Result<bool, Error> {
        self.write("finish", |store| store.finish(context, aggregate, outcome, note, at))
    }

    fn change(&mut self, change: &Change, at: i64) -> Result<(), Error> {
        self.write("change", |store| store.change(change, at))
    }

    fn events(&self, rollout: &str) -> Result<Vec<String>, Error> {
        self.inner.events(rollout)
    }

    fn serving(&self) -> Result<(u64, Option<String>), Error> {
        self.inner.serving()
    }

    fn abandon(&mut self, context: &Hash, note: &str, at: i64) -> Result<bool, Error> {
        self.write("abandon", |store| store.abandon(context, note, at))
    }

    fn forget(&mut self, before: i64) -> Result<usize, Error> {
        self.inner.forget(before)
    }

    fn aggregates(&self, task: &str) -> Result<Vec<Aggregate>, Error> {
        self.inner.aggregates(task)
    }

    fn import(&mut self, version: &VersionRow, at: i64) -> Result<u64, Error> {
        self.write("import", |store| store.import(version, at))
    }

    fn versions(&self) -> Result<Vec<VersionRow>, Error> {
        self.inner.versions()
    }

    fn audit(&self) -> Result<Vec<AuditRow>, Error> {
        self.inner.audit()
    }
}
