//! Definitions and accounting against published implementations' own values.

use serde_json::Value;
use sordino_shared::evaluate::{Gain, Judged, Ties};
use sordino_shared::math;
use sordino_shared::privacy::accountant::correlated::{
    ParticipationLimits, restarted_trees_sensitivity_squared, square_root, toeplitz_sensitivity,
    tree_sensitivity_squared,
};
use sordino_shared::privacy::accountant::distributed::{Sensitivity, rounded_norm_squared};
use sordino_shared::privacy::accountant::{gaussian, loss, renyi, zcdp};
use std::collections::BTreeMap;

fn read(name: &str) -> Option<Value> {
    let text = std::fs::read_to_string(sordino_tests::reference(name)?).expect("a readable file");
    Some(serde_json::from_str(&text).expect("JSON"))
}

fn judged(row: &Value, ties: Ties) -> (Judged, bool) {
    let qrels = row["qrels"].as_object().expect("qrels");
    let grade = |name: &str| qrels.get(name).and_then(Value::as_u64).unwrap_or(0) as u32;
    let run = row["run"].as_object().expect("a run");
    let list: Vec<(&str, f64, u32)> =
        run.iter().map(|(name, score)| (name.as_str(), score.as_f64().expect("a score"), grade(name))).collect();
    let missed: Vec<u32> = qrels.keys().filter(|name| !run.contains_key(*name)).map(|name| grade(name)).collect();
    let mut scores: Vec<f64> = list.iter().map(|item| item.1).collect();
    scores.sort_by(f64::total_cmp);
    let tied = scores.windows(2).any(|pair| pair[0] == pair[1]);
    let complete = missed.iter().all(|&g| g == 0);
    (Judged::new(&list, &missed, ties), !tied && complete)
}

// A metric's name in each library and what it is in ours. `None` for what we do not claim.
fn ours(library: &str, name: &str, j: &Judged) -> Option<f64> {
    if let ("sklearn", Some(k)) = (library, name.strip_prefix("ndcg@").and_then(|n| n.strip_suffix("_exp"))) {
        return Some(j.ndcg(k.parse().ok(), Gain::Exponential));
    }
    let (base, k) = match name.rsplit_once(['_', '@']) {
        Some((base, k)) if k.parse::<usize>().is_ok() => (base, k.parse().ok()),
        _ => (name, None),
    };
    let cut = k.unwrap_or(usize::MAX);
    Some(match (library, base) {
        ("recommenders", "map_at_k") => j.average_precision_min(cut),
        ("recommenders", "ndcg_binary") => j.ndcg(k, Gain::Binary),
        ("recommenders", "ndcg_raw") => j.ndcg(k, Gain::Linear),
        ("recommenders", "ndcg_exp") | ("ranx", "ndcg_burges") => j.ndcg(k, Gain::Exponential),
        (_, "ndcg" | "ndcg_cut") => j.ndcg(k, Gain::Linear),
        (_, "map" | "map_cut") => j.average_precision(k),
        (_, "recip_rank" | "mrr") => j.reciprocal_rank(k),
        (_, "recall") => j.recall(cut),
        (_, "P" | "precision") => j.precision(cut),
        (_, "success" | "hit_rate") => j.hit(cut),
        (_, "Rprec" | "r-precision") => j.r_precision(),
        (_, "f1") => j.f1(cut),
        _ => return None,
    })
}

#[test]
fn every_metric_agrees_with_the_libraries() {
    let Some(file) = read("metrics-reference.json") else { return };
    let mut compared = BTreeMap::<String, usize>::new();
    let mut unknown = std::collections::BTreeSet::new();
    for row in file["rows"].as_array().expect("rows") {
        for (library, values) in row["expected"].as_object().expect("values") {
            // trec_eval breaks ties by name; the others are compared where no two scores are equal.
            let ties = if library == "pytrec_eval" { Ties::Trec } else { Ties::Against };
            let (judged, untied_and_complete) = judged(row, ties);
            // scikit-learn averages over ties and knows only what is in the list: compared elsewhere.
            if library == "sklearn" && !untied_and_complete {
                continue;
            }
            for (name, expected) in values.as_object().expect("metrics") {
                let Some(got) = ours(library, name, &judged) else {
                    unknown.insert(format!("{library} {name}"));
                    continue;
                };
                let expected = expected.as_f64().expect("a number");
                assert!((got - expected).abs() <= 1e-9, "{} {library} {name}: {got} {expected}", row["id"]);
                *compared.entry(library.clone()).or_default() += 1;
            }
        }
    }
    println!("compared: {compared:?}; not claimed: {unknown:?}");
    for library in ["pytrec_eval", "ranx", "recommenders"] {
        assert!(compared.get(library).is_some_and(|&n| n > 0), "nothing of {library} was compared");
    }
}

// One row's mechanism in our terms: what we claim (with how tight it must be) and, where there is one, the Renyi figure.
struct Claimed {
    epsilon: f64,
    // The published figures that ours must not be below, and must not be a thousandth above.
    floor: &'static [&'static str],
    ceiling: &'static [&'static str],
    renyi: Option<f64>,
}

fn claimed(kind: &str, p: &Value) -> Option<Claimed> {
    let number = |name: &str| p[name].as_f64().unwrap_or_else(|| panic!("{kind} has no {name}"));
    let count = |name: &str| p[name].as_u64().unwrap_or_else(|| panic!("{kind} has no {name}"));
    let delta = number("delta");
    let tight = |mechanism, steps| loss::epsilon(&[(mechanism, steps)], delta);
    let by_renyi = |mechanism, steps| Some(renyi::epsilon(&[(mechanism, steps)], delta));
    const TIGHT: &[&str] = &["eps_pld_upper"];
    const EXACT: &[&str] = &["eps_exact"];
    let gaussian_of = |z: f64| Claimed {
        epsilon: gaussian::epsilon(&[z], delta),
        floor: EXACT,
        ceiling: EXACT,
        renyi: Some(zcdp::epsilon(0.5 / (z * z), delta)),
    };
    Some(match kind {
        "gaussian_composed" => Claimed {
            floor: &["eps_exact", "eps_lower"],
            ceiling: TIGHT,
            ..gaussian_of(number("noise_multiplier") / number("steps").sqrt())
        },
        "zcdp_to_approx_dp" => Claimed {
            epsilon: zcdp::epsilon(number("rho"), delta),
            floor: &["eps_cks20_opt"],
            ceiling: &["eps_rdp"],
            renyi: None,
        },
        "poisson_subsampled_gaussian" => {
            let (rate, noise_multiplier) = (number("sampling_probability"), number("noise_multiplier"));
            Claimed {
                epsilon: tight(loss::Mechanism::PoissonGaussian { rate, noise_multiplier }, count("steps")),
                floor: &["eps_lower"],
                ceiling: TIGHT,
                renyi: by_renyi(renyi::Mechanism::PoissonGaussian { rate, noise_multiplier }, count("steps")),
            }
        }
        "laplace_composed" => {
            let scale = number("scale") / number("sensitivity");
            Claimed {
                epsilon: tight(loss::Mechanism::Laplace { scale }, count("steps")),
                floor: &["eps_lower"],
                ceiling: TIGHT,
                renyi: by_renyi(renyi::Mechanism::Laplace { scale }, count("steps")),
            }
        }
        "discrete_laplace_composed" => {
            let inverse_scale = number("noise_parameter_1_over_scale");
            let sensitivity = count("sensitivity") as u32;
            Claimed {
                epsilon: tight(loss::Mechanism::DiscreteLaplace { inverse_scale, sensitivity }, count("steps")),
                floor: &[],
                ceiling: TIGHT,
                renyi: None,
            }
        }
        "randomised_response_composed" => {
            let (noise, choices) = (number("noise_parameter"), count("num_buckets") as u32);
            Claimed {
                epsilon: tight(loss::Mechanism::RandomisedResponse { noise, choices }, count("steps")),
                floor: &[],
                ceiling: TIGHT,
                renyi: by_renyi(renyi::Mechanism::RandomisedResponse { noise, choices }, count("steps")),
            }
        }
        "discrete_gaussian" => {
            let (deviation, sensitivity) = (number("sigma"), count("sensitivity") as u32);
            let rho = math::powi(f64::from(sensitivity) / deviation, 2) / 2.0;
            Claimed {
                epsilon: tight(loss::Mechanism::DiscreteGaussian { deviation, sensitivity }, count("steps")),
                floor: &["eps_lower"],
                ceiling: TIGHT,
                renyi: Some(zcdp::epsilon(rho * number("steps"), delta)),
            }
        }
        "skellam_scalar" => {
            let (variance, sensitivity) = (number("variance"), count("sensitivity") as u32);
            let size = f64::from(sensitivity);
            let sum =
                renyi::Mechanism::Skellam { sensitivity: Sensitivity { l2_squared: size * size, l1: size }, variance };
            Claimed {
                epsilon: tight(loss::Mechanism::Skellam { variance, sensitivity }, count("steps")),
                floor: &[],
                ceiling: TIGHT,
                renyi: by_renyi(sum, count("steps")),
            }
        }
        "ddgauss" | "skellam" if number("sampling_probability") == 1.0 => {
            let (gamma, local) = (number("gamma"), number("local_stddev"));
            let devices = count("num_clients") as usize;
            let length = count("dim_padded") as usize;
            let squared = rounded_norm_squared(number("l2_clip") / gamma, length as f64, number("beta"));
            let sensitivity = Sensitivity { l2_squared: squared, l1: (length as f64 * squared).sqrt().min(squared) };
            let local_variance = math::powi(local / gamma, 2);
            let mechanism = match kind {
                "ddgauss" => renyi::Mechanism::GaussianSum { sensitivity, local_variance, devices, length },
                _ => {
                    renyi::Mechanism::Skellam { sensitivity, variance: math::powi(number("central_stddev") / gamma, 2) }
                }
            };
            let orders: Vec<f64> = (2..=128).map(f64::from).chain([256.0]).collect();
            let epsilon = renyi::epsilon_at(&[(mechanism, count("steps"))], delta, &orders);
            Claimed { epsilon, floor: &["eps_rdp"], ceiling: &["eps_rdp"], renyi: None }
        }
        "without_replacement_gaussian" => {
            let mechanism = renyi::Mechanism::WithoutReplacementGaussian {
                rate: number("cohort") / number("population"),
                noise_multiplier: number("noise_multiplier"),
            };
            let epsilon = renyi::epsilon(&[(mechanism, count("steps"))], delta);
            Claimed { epsilon, floor: &[], ceiling: &["eps_rdp"], renyi: None }
        }
        "mf_toeplitz" => {
            let limits =
                ParticipationLimits { most: count("max_participations") as u32, separation: count("min_sep") as u32 };
            let coefficients = square_root(count("bands") as usize);
            let sensitivity =
                toeplitz_sensitivity(&coefficients, count("n") as usize, limits).expect("limits that make sense");
            gaussian_of(number("noise_stddev") / sensitivity)
        }
        "tree_single_epoch" => {
            let squared = restarted_trees_sensitivity_squared(&[count("steps") as usize]);
            gaussian_of(number("noise_multiplier") / squared.sqrt())
        }
        "tree_restart" => {
            let steps = p["steps_list"].as_array().expect("steps");
            let leaves: Vec<usize> = steps.iter().map(|s| s.as_u64().expect("a count") as usize).collect();
            gaussian_of(number("noise_multiplier") / restarted_trees_sensitivity_squared(&leaves).sqrt())
        }
        "tree_no_restart" => {
            let limits = ParticipationLimits {
                most: count("max_participation") as u32,
                separation: count("min_separation_nodes_between") as u32 + 1,
            };
            let squared = tree_sensitivity_squared(count("total_steps") as usize, limits).expect("limits");
            gaussian_of(number("noise_multiplier") / squared.sqrt())
        }
        _ => return None,
    })
}

#[test]
fn accounting_is_never_below_the_truth_and_tight() {
    let Some(file) = read("dp-reference.json") else { return };
    let mut compared = BTreeMap::<&str, usize>::new();
    let mut failures = Vec::new();
    for row in file["rows"].as_array().expect("rows") {
        let kind = row["kind"].as_str().expect("a kind");
        let Some(ours) = claimed(kind, &row["params"]) else {
            println!("not claimed: {}", row["id"]);
            continue;
        };
        *compared.entry(kind).or_default() += 1;
        let figure = |name: &&str| row[*name].as_f64();
        let mut check = |holds: bool, what: &str, limit: f64, got: f64| {
            if !holds {
                failures.push(format!("{}: {what}: ours {got}, limit {limit}", row["id"]));
            }
        };
        // Published values of formulas that are ours too may differ in the last digits.
        for lower in ours.floor.iter().filter_map(figure) {
            check(ours.epsilon >= lower * (1.0 - 1e-9), "below the truth", lower, ours.epsilon);
        }
        for upper in ours.ceiling.iter().filter_map(figure) {
            check(ours.epsilon <= upper * 1.001, "loose", upper, ours.epsilon);
        }
        if let (Some(renyi), Some(theirs)) = (ours.renyi, row["eps_rdp"].as_f64()) {
            check(renyi <= theirs * 1.001, "Renyi is loose", theirs, renyi);
            for lower in ["eps_lower", "eps_exact"].iter().filter_map(figure) {
                check(renyi >= lower, "Renyi below the truth", lower, renyi);
            }
        }
    }
    println!("compared: {compared:?}");
    assert!(compared.len() >= 15, "only {compared:?} were compared");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
