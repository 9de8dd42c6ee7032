//! `rollout`: planned, signed, started, watched, explained, held, promoted, taken back.

mod act;
mod keys;
mod plan;
mod show;

/// Everything about rollouts.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Says what each stage of a fleet can see, and refuses a policy whose last stage cannot see its margins.
    Plan(plan::Plan),
    /// Makes every verdict of an exported course again from its sums, one event in JSON a line.
    Verify(plan::Verify),
    /// Tries a policy on a made-up fleet: how often its gates would be wrong, and how often right.
    Simulate(plan::Simulate),
    /// Signs versions and rollouts; for a machine of its own.
    #[command(subcommand)]
    Sign(keys::Sign),
    /// Makes and changes the keys of those who sign.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Gives people tokens with rights, and takes them away.
    #[command(subcommand)]
    People(keys::People),
    /// Starts a signed rollout.
    Start(act::Start),
    /// Lets a version serve all devices at once, the first of all or past every gate.
    Serve(act::Serve),
    /// Stays in the stage until somebody resumes.
    Hold(act::Because),
    /// Goes on from where it was held.
    Resume(act::Plain),
    /// Goes on to the next stage, where that waits for somebody.
    Promote(act::Promote),
    /// Takes the candidate back, for good.
    Abort(act::Because),
    /// Goes back to the version before, or to old weights that were signed anew.
    Rollback(act::Rollback),
    /// Switches learnt models off on every device, or on again.
    Baseline(act::Baseline),
    /// Lets a group of devices stay with a version for some days.
    Pin(act::Pin),
    /// Lets a group go with all others again.
    Unpin(act::Unpin),
    /// Shows who is kept back, or ends that.
    Holdback(act::Holdback),
    /// Says where the rollout under way stands, and what serves.
    Status(show::Status),
    /// Lists all rollouts.
    List(show::List),
    /// Tells what happened in a rollout.
    History(show::History),
    /// Explains a look: effects, intervals, bounds, and a picture.
    Explain(show::Explain),
    /// Writes a rollout's events, one in JSON a line, as `verify` reads them.
    Export(show::Export),
}

impl Command {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Plan(command) => command.run(),
            Self::Verify(command) => command.run(),
            Self::Simulate(command) => command.run(),
            Self::Sign(command) => command.run(),
            Self::Keys(command) => command.run(),
            Self::People(command) => command.run(),
            Self::Start(command) => command.run(),
            Self::Serve(command) => command.run(),
            Self::Hold(command) => command.hold(),
            Self::Resume(command) => command.resume(),
            Self::Promote(command) => command.run(),
            Self::Abort(command) => command.abort(),
            Self::Rollback(command) => command.run(),
            Self::Baseline(command) => command.run(),
            Self::Pin(command) => command.run(),
            Self::Unpin(command) => command.run(),
            Self::Holdback(command) => command.run(),
            Self::Status(command) => command.run(),
            Self::List(command) => command.run(),
            Self::History(command) => command.run(),
            Self::Explain(command) => command.run(),
            Self::Export(command) => command.run(),
        }
    }
}
