//! When a round goes on, and how.

use super::{Live, State};
use crate::store::{Entry, Phase};
use sordino_shared::privacy::decode;
use sordino_shared::secagg::coordinator::Abandoned;
use sordino_shared::secagg::{MaskedSum, SignatureBytes, Wanted};

/// What is due. Each is made durable, then applied.
pub enum Decision {
    /// The roster is closed: this phase and state are to be stored.
    Advance(Next),
    /// The authority is to sign the roster, if it is asked for; then [`Live::drawn`].
    Draw(Option<Wanted>),
    /// The collecting is to end: [`crate::store::Store::freeze`], then [`Live::freeze`] with the receipts.
    Freeze,
    /// The sum is to be opened: [`Live::opened`] with the partial sums.
    Open,
    /// The round is to be given up.
    Abandon(String),
}

/// The next phase with its state.
pub struct Next(Box<State>);

/// What came out of opening a sum.
pub struct Opening {
    /// The decoded sum, block by block.
    pub sum: Vec<Vec<f64>>,
    /// The deviation of its noise, by block.
    pub deviations: Vec<f64>,
    /// Devices in it.
    pub devices: usize,
    /// Devices whose shares were complained of.
    pub disputes: usize,
}

impl Next {
    /// The phase.
    pub fn phase(&self) -> Phase {
        self.0.phase()
    }

    /// The state, for the store.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }
}

impl Live {
    /// What is due now, if anything is.
    pub fn decide(&self, now: i64) -> Option<Decision> {
        let over = |limit_ms: i64| now.saturating_sub(self.entered) >= limit_ms;
        let deadlines = &self.setting.deadlines;
        match &self.state {
            State::Advertising(state) if state.is_full() || over(deadlines.advertise_ms) => {
                Some(next(state.clone().close().map(State::Drawing)))
            }
            State::Drawing(state) => Some(Decision::Draw(state.wanted())),
            State::Sharing(state) if state.devices() == state.cohort().devices() || over(deadlines.share_ms) => {
                Some(next(state.clone().close().map(State::Collecting)))
            }
            State::Collecting(state) if self.counted >= state.alive().count() || over(deadlines.upload_ms) => {
                Some(Decision::Freeze)
            }
            State::Frozen(state) if state.devices() >= self.counted || over(deadlines.agree_ms) => {
                Some(next(state.clone().close().map(State::Unmasking)))
            }
            State::Unmasking(state) if state.ready() => Some(Decision::Open),
            State::Unmasking(_) if over(deadlines.unmask_ms) => {
                Some(Decision::Abandon("too few of the survivors gave out the shares that open the sum".to_owned()))
            }
            _ => None,
        }
    }

    /// When the present step's time is over.
    pub fn deadline(&self) -> Option<i64> {
        let deadlines = &self.setting.deadlines;
        let limit = match &self.state {
            State::Advertising(_) => deadlines.advertise_ms,
            State::Sharing(_) => deadlines.share_ms,
            State::Collecting(_) => deadlines.upload_ms,
            State::Frozen(_) => deadlines.agree_ms,
            State::Unmasking(_) => deadlines.unmask_ms,
            State::Drawing(_) => 0,
            State::Done | State::Abandoned(_) => return None,
        };
        Some(self.entered.saturating_add(limit))
    }

    /// The roster's graph is laid, from the authority's signature where it needs one.
    pub fn drawn(&self, draw: Option<SignatureBytes>) -> Decision {
        match &self.state {
            State::Drawing(state) => next(state.clone().open(draw).map(State::Sharing)),
            _ => unreachable!("only a roster that is being drawn is drawn"),
        }
    }

    /// Enters the next phase, which is durable.
    pub fn apply(&mut self, next: Next, now: i64) {
        (self.state, self.entered) = (*next.0, now);
    }

    /// The freeze is durable: the survivors are those with receipts.
    pub fn freeze(&mut self, receipts: &[Entry], now: i64) {
        let State::Collecting(state) = &self.state else { unreachable!("only a round that collects is frozen") };
        let frozen = Self::frozen(state.clone(), receipts);
        (self.state, self.entered, self.counted) = (frozen, now, receipts.len() as u32);
    }

    /// Opens the sum.
    ///
    /// # Errors
    /// Why it stays masked.
    pub fn opened(&self, partials: &[Vec<u8>]) -> Result<Opening, String> {
        let State::Unmasking(state) = &self.state else { unreachable!("only a sum whose shares are there is opened") };
        let mut sum = MaskedSum::new(self.terms.shape());
        if !partials.iter().all(|part| sum.add_packed(part)) {
            return Err("a partial sum in the store has another shape than the round".to_owned());
        }
        let outcome = state.clone().open(sum, &self.plan).map_err(|abandoned| abandoned.to_string())?;
        let devices = outcome.sum.devices();
        Ok(Opening {
            sum: decode(&outcome.sum, &self.plan),
            deviations: self.plan.blocks().iter().map(|block| block.sum_deviation(devices)).collect(),
            devices,
            disputes: outcome.disputes.len(),
        })
    }

    /// The round is over, durably.
    pub fn end(&mut self, given_up: Option<String>, now: i64) {
        (self.state, self.entered) = (given_up.map_or(State::Done, State::Abandoned), now);
    }
}

fn next(state: Result<State, Abandoned>) -> Decision {
    match state {
        Ok(state) => Decision::Advance(Next(Box::new(state))),
        Err(abandoned) => Decision::Abandon(abandoned.to_string()),
    }
}
