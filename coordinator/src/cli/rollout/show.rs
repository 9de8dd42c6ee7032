//! What there is to see of rollouts, whether a server runs or not.

use super::super::words::{Table, shown};
use super::super::{At, print, time};
use crate::rollout::acts::under_way;
use crate::rollout::book::{self, Course, Courses, Unreadable};
use crate::rollout::explain::{explain, sentence, standing};
use crate::rollout::{Event, Phase};
use crate::server::RolloutView;
use anyhow::{Context, ensure};
use sordino_shared::privacy::rounded;
use sordino_shared::registry::{Mode, Serving};
use std::fmt::Write;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Status {
    /// Prints anew each second until interrupted.
    #[arg(long)]
    watch: bool,
    /// As JSON, all rollouts.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

impl Status {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let store = self.at.store()?;
        loop {
            let Courses { courses, unreadable } = Courses::read(&store)?;
            let serving = book::serving(&store)?.1;
            let text = match self.json {
                true => {
                    let rollouts: Vec<RolloutView> = courses.iter().map(RolloutView::of).collect();
                    let unreadable: Vec<String> = unreadable.iter().map(ToString::to_string).collect();
                    let all = serde_json::json!({ "serving": serving, "rollouts": rollouts, "unreadable": unreadable });
                    serde_json::to_string(&all)? + "\n"
                }
                false => in_words(courses.iter().rfind(|course| course.is_under_way()), &serving) + &named(&unreadable),
            };
            let clear = if self.watch && !self.json { "\x1b[2J\x1b[H" } else { "" };
            print(&format!("{clear}{text}"));
            if !self.watch {
                return Ok(());
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}

fn in_words(course: Option<&Course>, serving: &Serving) -> String {
    let mut out = String::new();
    let version =
        |counter: Option<u64>| counter.map_or_else(|| "none".to_owned(), |counter| format!("version {counter}"));
    let _ = match serving.mode {
        Mode::Good => writeln!(out, "all devices: {}", version(serving.good)),
        Mode::Before => writeln!(out, "all devices: back to {}", version(serving.before)),
        Mode::Baseline => writeln!(out, "all devices: learnt models are switched off"),
    };
    for pin in &serving.pins {
        let _ = writeln!(out, "group '{}': version {} until {}", pin.group, pin.counter, time(pin.until));
    }
    if serving.holdback.is_some() {
        out += &held_back(serving);
    }
    let Some(course) = course else { return out + "no rollout is under way\n" };
    let view = RolloutView::of(course);
    let _ = writeln!(out, "rollout {} of version {}: {}", view.name, view.candidate, view.standing);
    for (number, stage) in view.stages.iter().enumerate() {
        let here = if view.stage == Some(number) { ">" } else { " " };
        let looks = view.looks.iter().filter(|look| look.stage == number).count();
        let kind = if stage.shadow { "shadow" } else { "" };
        let gate = if stage.manual { "  somebody says yes" } else { "" };
        let share = f64::from(stage.share) / 1e4;
        let _ = writeln!(
            out,
            "{here} stage {}  {share:>8} %  {kind:<6}  {looks} of {} looks, at least {} h{gate}",
            number + 1,
            stage.looks,
            stage.dwell_hours
        );
    }
    let (spent, all) = (rounded::up(view.epsilon, 2), rounded::up(view.epsilon_limit, 2));
    let _ = writeln!(out, "epsilon of a device so far {spent}, {all} for all stages");
    if let Some(look) = view.looks.last() {
        let _ = write!(out, "last {}", look.explained);
    }
    out
}

// Those that cannot be read, a line each.
fn named(unreadable: &[Unreadable]) -> String {
    unreadable.iter().map(|of| format!("{of}\n")).collect()
}

/// Who is kept back.
pub(super) fn held_back(serving: &Serving) -> String {
    match &serving.holdback {
        Some(of) => {
            let share = f64::from(u32::from(of.share)) / 1e4;
            format!("kept back: {share} % stay with version {} until {}\n", of.counter, time(of.until))
        }
        None => "nobody is kept back\n".to_owned(),
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    at: At,
}

impl List {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let mut table = Table::new(&["rollout", ">version", "began (UTC)", "where it stands"]);
        let Courses { courses, unreadable } = Courses::read(&self.at.store()?)?;
        for course in courses {
            let began = course.events.first().map_or_else(|| "-".into(), |event| time(event.at()));
            let (name, candidate) = (course.order.name, course.order.candidate.to_string());
            table.row(vec![name, candidate, began, standing(&course.controller)]);
        }
        match table.is_empty() && unreadable.is_empty() {
            true => print(&format!(
                "no rollout yet: `sordino-coordinator rollout start ROLLOUT {}` begins one that is signed\n",
                self.at.quoted()
            )),
            false if table.is_empty() => {}
            false => print(&table.to_string()),
        }
        print(&named(&unreadable));
        Ok(())
    }
}

/// Which rollout.
#[derive(Debug, clap::Args)]
struct Which {
    /// The rollout; the one under way, or the last, without it.
    #[arg(long)]
    rollout: Option<String>,
    #[command(flatten)]
    at: At,
}

impl Which {
    fn course(&self) -> anyhow::Result<Course> {
        let store = self.at.store()?;
        match &self.rollout {
            Some(name) => Ok(Course::load(&store, name)?),
            None => match under_way(&store) {
                Ok(course) => Ok(course),
                Err(_) => Courses::read(&store)?.courses.pop().context("there was no rollout yet"),
            },
        }
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct History {
    #[command(flatten)]
    which: Which,
}

impl History {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let course = self.which.course()?;
        print(&format!("rollout {} of version {}\n", course.order.name, course.order.candidate));
        for event in &course.events {
            print(&format!("{}  {}\n", time(event.at()), shown(&sentence(event))));
        }
        Ok(())
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Explain {
    /// The look, counted over all stages from 1; the last without it.
    #[arg(long)]
    look: Option<usize>,
    #[command(flatten)]
    which: Which,
}

impl Explain {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let course = self.which.course()?;
        let looks: Vec<&Event> = course.events.iter().filter(|event| matches!(event, Event::Looked { .. })).collect();
        ensure!(!looks.is_empty(), "the rollout '{}' has had no look yet", course.order.name);
        let number = self.look.unwrap_or(looks.len());
        let look = number.checked_sub(1).and_then(|at| looks.get(at));
        let Some(Event::Looked { at, stage, release, decision }) = look else {
            anyhow::bail!("the rollout '{}' has had {} looks, not {number}", course.order.name, looks.len());
        };
        let devices = release.sums.map(|arm| arm.iter().map(|cell| cell.count).sum::<f64>());
        print(&format!(
            "rollout {}, stage {}, {}: this release added {:.0} devices with the candidate and {:.0} without (noised counts, deviation {:.1})\n{}",
            course.order.name,
            stage + 1,
            time(*at),
            devices[0],
            devices[1],
            release.noise_variance.sqrt(),
            explain(decision)
        ));
        if matches!(course.controller.phase(), Phase::Aborted) {
            print("the rollout was taken back; devices go on with the version before\n");
        }
        Ok(())
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Export {
    #[command(flatten)]
    which: Which,
}

impl Export {
    pub(super) fn run(self) -> anyhow::Result<()> {
        for event in self.which.course()?.events {
            print(&(serde_json::to_string(&event)? + "\n"));
        }
        Ok(())
    }
}
