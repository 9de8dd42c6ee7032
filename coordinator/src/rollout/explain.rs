//! What was decided and why, in words and as a picture of characters.

use super::controller::{Controller, Event, Phase};
use super::gate::{Decision, Judged, Reason, Verdict};
use std::fmt::Write;

/// An event in one sentence.
pub fn sentence(event: &Event) -> String {
    let by = |who: &Option<String>| who.as_ref().map_or_else(|| "by itself".to_owned(), |who| format!("by {who}"));
    match event {
        Event::Started { who, .. } => format!("begun by {who}"),
        Event::Looked { stage, decision, .. } => {
            format!("stage {}, look {}: {}", stage + 1, decision.look, verdict(decision))
        }
        Event::Waits { stage, .. } => format!("stage {} is over and has passed: somebody has to say yes", stage + 1),
        Event::Advanced { to, who, why, .. } => {
            let by = if who.is_empty() { "by itself".to_owned() } else { format!("by {}", who.join(" and ")) };
            let past = if who.len() == 2 { ", past the gate" } else { "" };
            let why = why.as_ref().map(|why| format!("{past}: {why}")).unwrap_or_default();
            format!("on to stage {} {by}{why}", to + 1)
        }
        Event::Held { who, why, .. } => format!("held {}: {why}", by(who)),
        Event::Resumed { who, .. } => format!("resumed by {who}"),
        Event::Aborted { who, why, .. } => format!("taken back {}: {why}", by(who)),
    }
}

/// Where a rollout stands, in words.
pub fn standing(controller: &Controller) -> String {
    fn of(phase: &Phase) -> String {
        match phase {
            Phase::Draft => "not begun".into(),
            Phase::Observing(stage) => format!("stage {}, looking", stage + 1),
            Phase::Passed(stage) => format!("stage {}, passed; its time is not over", stage + 1),
            Phase::Waiting(stage) => format!("stage {}, passed; waits for somebody to promote it", stage + 1),
            Phase::Full => "all devices have it".into(),
            Phase::Held(before) => format!("held in {}", of(before)),
            Phase::Aborted => "taken back".into(),
        }
    }
    of(controller.phase())
}

/// A verdict with its reason.
pub fn verdict(decision: &Decision) -> String {
    let word = match decision.verdict {
        Verdict::Pass => "passed",
        Verdict::Breach => "breached",
        Verdict::Inconclusive => "inconclusive",
    };
    let why = match decision.reason {
        Reason::AllAbove => "no guardrail that decides here is worse by its margin".to_owned(),
        Reason::OnlyWatched => "no guardrail decides here, and none did harm at any look".to_owned(),
        Reason::Harm { guardrail } => format!("{} is worse, whenever one had looked", guardrail.name()),
        Reason::NotYet { guardrail } => format!("{} is not known well enough yet", guardrail.name()),
        Reason::LooksAreOver { guardrail } => {
            format!("the planned looks are over, and {} is not known to be within its margin", guardrail.name())
        }
        Reason::TooFew => "too few devices in an arm for anything to be claimed".to_owned(),
        Reason::ArmsDiffer => "the arms differ in size more than chance allows, so they are not compared".to_owned(),
        Reason::NoData => "nothing was released, and no data is no verdict".to_owned(),
    };
    format!("{word}, since {why}")
}

/// A look with everything that it was decided from.
pub fn explain(decision: &Decision) -> String {
    let mut out = format!("look {}: {}\n", decision.look, verdict(decision));
    if decision.judged.is_empty() {
        return out;
    }
    let widest = decision.judged.iter().map(reach).fold(1e-6, f64::max);
    let _ = writeln!(
        out,
        "each line: worse on the left, better on the right, {:.2} points to each end; ( ) the 95 % interval of this look,\n\
         o the estimate, ! the least harm whenever one looks, M the margin, + no difference; what is only watched\n\
         can take the candidate back, and is no condition to go on\n",
        100.0 * widest
    );
    for judged in &decision.judged {
        let Judged { guardrail, estimate, margin, z, bound, harm_at_least } = judged;
        let word = if estimate.good < 0.0 { "worse" } else { "better" };
        let _ = write!(
            out,
            "{:<28} |{}|\n{:<28}  {:.3} % against {:.3} %: {:.3} points {word}, error {:.3}",
            guardrail.name(),
            picture(judged, widest),
            "",
            100.0 * estimate.treatment,
            100.0 * estimate.control,
            100.0 * estimate.good.abs(),
            100.0 * estimate.error,
        );
        let _ = match (margin, z, bound) {
            (Some(margin), Some(z), Some(bound)) => {
                write!(out, "; may be {:.2} worse: z {z:.2}, and {bound:.2} is needed", 100.0 * margin)
            }
            (Some(margin), ..) => write!(out, "; may be {:.2} worse; the planned looks are over", 100.0 * margin),
            (None, ..) => write!(out, "; watched only"),
        };
        let harm = match *harm_at_least > 0.0 {
            true => format!("; at least {:.3} worse: taken back", 100.0 * harm_at_least),
            false => String::new(),
        };
        let _ = writeln!(out, "{harm}");
    }
    out
}

fn reach(judged: &Judged) -> f64 {
    let interval = judged.estimate.good.abs() + TWO_SIDED_95 * judged.estimate.error;
    interval.max(judged.margin.unwrap_or(0.0)).max(judged.harm_at_least)
}

fn picture(judged: &Judged, widest: f64) -> String {
    let mut line = vec![' '; 2 * HALF + 1];
    let at = |value: f64| ((value / widest).clamp(-1.0, 1.0) * HALF as f64).round() as isize + HALF as isize;
    let (good, error) = (judged.estimate.good, judged.estimate.error);
    let (low, high) = (at(good - TWO_SIDED_95 * error), at(good + TWO_SIDED_95 * error));
    (low..=high).for_each(|place| line[place as usize] = '-');
    let mut put = |place: isize, mark| line[place as usize] = mark;
    put(at(0.0), '+');
    put(low, '(');
    put(high, ')');
    if let Some(margin) = judged.margin {
        put(at(-margin), 'M');
    }
    if judged.harm_at_least > 0.0 {
        put(at(-judged.harm_at_least), '!');
    }
    put(at(good), 'o');
    line.into_iter().collect()
}

const HALF: usize = 30;
const TWO_SIDED_95: f64 = 1.959964;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::observed::Estimate;
    use crate::rollout::{Gate, Guardrail, Observed};

    #[test]
    fn a_picture_shows_what_the_numbers_say() {
        let estimate = Estimate { treatment: 0.45, control: 0.35, good: -0.1, error: 0.01 };
        let judged = Judged {
            guardrail: Guardrail::SkipRate,
            estimate,
            margin: Some(0.01),
            z: Some(-9.0),
            bound: Some(4.2),
            harm_at_least: 0.06,
        };
        let reason = Reason::Harm { guardrail: Guardrail::SkipRate };
        let decision = Decision { look: 2, verdict: Verdict::Breach, reason, shares: vec![], judged: vec![judged] };
        let text = explain(&decision);
        for part in
            ["breached, since skip rate", "10.000 points worse", "45.000 % against 35.000 %", "at least 6.000 worse"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        let line = picture(&judged, reach(&judged));
        let place = |mark| line.find(mark).expect("a mark");
        assert!(place('(') < place('o') && place('o') < place(')') && place(')') < place('!'), "{line}");
        assert!(place('!') < place('M') && place('M') < place('+'), "{line}");
        assert_eq!(place('('), 0, "the widest fills its half");
        let none = Gate::default().decide(&[], &Observed::default());
        assert!(explain(&none).contains("no data is no verdict"));
    }
}
