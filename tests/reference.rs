//! Definitions and accounting against published implementations' own values.

use serde_json::Value;
use sordino_shared::evaluate::{Gain, Judged, Ties};
use sordino_shared::privacy::accountant::{gaussian, zcdp};
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

#[test]
fn accounting_is_never_below_the_truth_and_tight_where_it_is_exact() {
    let Some(file) = read("dp-reference.json") else { return };
    let mut compared = 0;
    for row in file["rows"].as_array().expect("rows") {
        let number = |value: &Value| value.as_f64().expect("a number");
        let params = &row["params"];
        match row["kind"].as_str() {
            Some("gaussian_composed") => {
                let multipliers = vec![number(&params["noise_multiplier"]); number(&params["steps"]) as usize];
                let got = gaussian::epsilon(&multipliers, number(&params["delta"]));
                let exact = row.get("eps_exact").unwrap_or(&row["eps_lower"]);
                assert!(got >= number(exact) * (1.0 - 1e-9), "{}: {got} is below {exact}", row["id"]);
                assert!(got <= number(&row["eps_pld_upper"]) * 1.001, "{}: {got} is loose", row["id"]);
            }
            Some("zcdp_to_approx_dp") => {
                let got = zcdp::epsilon(number(&params["rho"]), number(&params["delta"]));
                assert!(got >= number(&row["eps_cks20_opt"]) * (1.0 - 1e-9), "{}: {got}", row["id"]);
                assert!(got <= number(&row["eps_rdp"]) * 1.001, "{}: {got}", row["id"]);
            }
            Some("discrete_gaussian") => {
                let rho = number(&params["steps"])
                    * (number(&params["sensitivity"]) / number(&params["sigma"])).powi(2)
                    / 2.0;
                let got = zcdp::epsilon(rho, number(&params["delta"]));
                assert!(got >= number(&row["eps_lower"]), "{}: {got}", row["id"]);
                assert!(got <= number(&row["eps_rdp"]) * 1.001, "{}: {got}", row["id"]);
            }
            // Kinds that this accountant does not claim.
            _ => continue,
        }
        compared += 1;
    }
    assert!(compared > 0, "no row was compared");
}
