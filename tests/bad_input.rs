//! Bad input: one sentence that says what to do, exit code 2, nothing left behind; and odd files that are fine.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output};

fn simulator(folder: &Path, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_simulator-under-test");
    Command::new(program).args(arguments).current_dir(folder).output().expect("the program starts")
}

fn refused(folder: &Path, arguments: &[&str], needle: &str) {
    refused_by("run", folder, arguments, needle);
}

fn refused_by(command: &str, folder: &Path, arguments: &[&str], needle: &str) {
    let mut all = vec![command, "--out", "out", "--json", "figures.json"];
    all.extend(arguments);
    let output = simulator(folder, &all);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {words}");
    assert!(words.contains(needle), "{arguments:?}: '{words}' does not say '{needle}'");
    assert!(!words.contains("panicked"), "{words}");
    let left: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder")
        .filter_map(|e| e.ok().map(|e| e.file_name().to_string_lossy().into_owned()))
        .filter(|name| name.contains("out") || name.contains("figures"))
        .collect();
    assert!(left.is_empty(), "{arguments:?} left {left:?}");
}

fn file(folder: &Path, name: &str, text: &str) -> String {
    std::fs::write(folder.join(name), text).expect("a file");
    name.to_owned()
}

fn csv(folder: &Path, name: &str, text: &str) -> String {
    format!("csv:{}", file(folder, name, text))
}

// Listeners with 8 tracks each out of `tracks`.
fn listening(listeners: usize, tracks: usize) -> String {
    let mut text = String::from("user,item,timestamp\n");
    for user in 0..listeners {
        for k in 0..8 {
            let _ = writeln!(text, "u{user},i{},{}", (user * 3 + k * k) % tracks, 1_600_000_000 + k * 4000);
        }
    }
    text
}

#[test]
fn each_gets_its_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let f = folder.path();
    refused(f, &["--data", "csv:nowhere.csv"], "no such file");
    refused(f, &["--data", "vinyl:x"], "choose one of");
    refused(f, &["--data", "movielens"], "KIND:PATH");
    let good = csv(f, "good.csv", &listening(40, 60));
    refused(f, &["--data", &good, "--epsilon", "0"], "epsilon");
    refused(f, &["--data", &good, "--epsilon", "-1"], "epsilon");
    refused(f, &["--data", &good, "--epsilon", "nan"], "epsilon");
    refused(f, &["--data", &good, "--delta", "1"], "delta");
    refused(f, &["--data", &good, "--rounds", "0"], "--rounds");
    refused(f, &["--data", &good, "--dim", "0"], "--dim");
    refused(f, &["--data", &good, "--dim", "61"], "61");
    refused(f, &["--data", &good, "--cohort", "0"], "--cohort");
    refused(f, &["--data", &good, "--population", "3"], "--population");
    refused(f, &["--data", &good, "--protocol", "loo99"], "--protocol loo");
    refused(f, &["--data", &good, "--baselines", "magic"], "magic");
    refused(f, &["--scenario", "none.toml"], "none.toml");
    std::fs::write(f.join("bad.toml"), "epsilom = 2").expect("a file");
    refused(f, &["--scenario", "bad.toml"], "epsilom");
    for (name, text, needle) in [
        ("empty.csv", String::new(), "empty"),
        ("head.csv", "user,item,timestamp\n".into(), "no events"),
        ("one.csv", listening(1, 60), "one listener"),
        ("few.csv", listening(40, 12), "too few"),
        ("column.csv", "user,song,timestamp\na,b,1\n".into(), "song"),
        ("kind.csv", "user,item,timestamp,kind\na,b,1,hum\n".into(), "hum"),
    ] {
        refused(f, &["--data", &csv(f, name, &text)], needle);
    }
    for (name, text, needle) in [
        ("nan.csv", listening(3, 60) + "u1,i1,NaN\n", "line 26"),
        ("negative.csv", listening(3, 60) + "u1,i1,-5\n", "negative"),
        ("cut.csv", listening(3, 60) + "u1,i", "line 26"),
    ] {
        refused(f, &["--data", &csv(f, name, &text), "--strict"], needle);
    }
    std::fs::create_dir(f.join("ml")).expect("a folder");
    std::fs::write(f.join("ml/ratings.csv"), "userId,movieId,rating\n1,2,3\n").expect("a file");
    refused(f, &["--data", "movielens:ml"], "header");
    std::fs::create_dir(f.join("kr")).expect("a folder");
    std::fs::write(f.join("kr/events.parquet"), b"PAR1 cut off").expect("a file");
    refused(f, &["--data", "kuairand:kr"], "Parquet");
}

#[test]
fn odd_but_good_files_run_and_foreign_folders_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let f = folder.path();
    let plain = listening(40, 60).replacen("user,item,timestamp\n", "", 1);
    let data = csv(f, "plain.csv", &plain);
    let arguments =
        ["run", "--data", &data, "--epsilon", "inf", "--baselines", "none", "--curve", "none", "--json", "f.json"];
    let output = simulator(f, &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for file in ["config.toml", "metrics.jsonl", "results.json", "report.html", "model.bin"] {
        assert!(f.join("sordino-out").join(file).is_file(), "{file}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(f.join("f.json")).expect("figures")).expect("JSON");
    for key in
        ["seed", "epsilon", "delta", "rounds", "devices", "population", "mode", "fidelity", "threads", "model_sha256"]
    {
        assert!(json["run"].get(key).is_some(), "run.{key}");
    }
    for key in [
        "hr@10",
        "ndcg@10",
        "map@10",
        "mrr",
        "recall@20",
        "ndcg@10_full",
        "recall@20_full",
        "coverage@10",
        "gini@10",
        "seconds_training",
        "device_updates_per_second",
        "peak_rss_bytes",
    ] {
        assert!(json["methods"]["sordino"].get(key).is_some(), "methods.sordino.{key}");
    }
    // A bad row is left out, and said with what the file was taken for.
    let one_bad = csv(f, "bad-row.csv", &(listening(40, 60) + "u1,i1,soon\n"));
    let output = simulator(f, &[&arguments[..2], &[&one_bad], &arguments[3..]].concat());
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(words.contains("passed over: 1 x timestamp that is none (first in line 322)"), "{words}");
    assert!(words.contains("bad-row.csv: UTF-8; separated by commas; a header;"), "{words}");
    // The same again replaces an own folder; a stranger's is left alone.
    assert!(simulator(f, &arguments).status.success());
    std::fs::create_dir(f.join("mine")).expect("a folder");
    std::fs::write(f.join("mine/letter.txt"), "dear").expect("a file");
    let mut elsewhere = arguments.to_vec();
    elsewhere.extend(["--out", "mine"]);
    assert_eq!(simulator(f, &elsewhere).status.code(), Some(2));
    assert!(f.join("mine/letter.txt").is_file());
    assert!(simulator(f, &["report", "sordino-out"]).status.success());
}

#[test]
fn the_ncf_files_bring_their_own_test() {
    let folder = tempfile::tempdir().expect("a folder");
    let f = folder.path();
    let (mut train, mut test, mut negative) = (String::new(), String::new(), String::new());
    for user in 0..30 {
        for k in 0..6 {
            let _ = writeln!(train, "{user}\t{}\t1\t{}", (user + k * 7) % 150, 1000 + k);
        }
        let item = (user + 3) % 150;
        let _ = writeln!(test, "{user}\t{item}\t1\t5000");
        let others: Vec<String> = (0..99).map(|k| ((user + 50 + k) % 150).to_string()).collect();
        let _ = writeln!(negative, "({user},{item})\t{}", others.join("\t"));
    }
    std::fs::create_dir(f.join("set")).expect("a folder");
    for (name, text) in [("x.train.rating", &train), ("x.test.rating", &test), ("x.test.negative", &negative)] {
        std::fs::write(f.join("set").join(name), text).expect("a file");
    }
    let arguments = [
        "run",
        "--data",
        "ncf:set",
        "--protocol",
        "loo99",
        "--epsilon",
        "inf",
        "--baselines",
        "popularity",
        "--curve",
        "none",
    ];
    let output = simulator(f, &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(f.join("set/x.test.negative"), negative.replacen("(3,", "(4,", 1)).expect("a file");
    let output = simulator(f, &arguments);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("row 4"), "{}", String::from_utf8_lossy(&output.stderr));
}

fn privacy(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut all = vec!["privacy"];
    all.extend(arguments);
    let output = simulator(folder, &all);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn privacy_commands_refuse_what_makes_no_sense() {
    let folder = tempfile::tempdir().expect("a folder");
    let f = folder.path();
    let gaussian = ["epsilon", "--mechanism", "gaussian", "--noise"];
    for (noise, needle) in [("0", "positive"), ("-1", "positive"), ("nan", "positive"), ("inf", "positive")] {
        let (code, _, words) = privacy(f, &[&gaussian[..], &[noise]].concat());
        assert!(code == Some(2) && words.contains(needle), "{noise}: {words}");
    }
    for (flags, needle) in [
        (["--noise", "1", "--delta", "0"], "delta"),
        (["--noise", "1", "--delta", "1"], "delta"),
        (["--noise", "1", "--rate", "0"], "--rate"),
        (["--noise", "1", "--steps", "0"], "--steps"),
    ] {
        let (code, _, words) = privacy(f, &[&["epsilon", "--mechanism", "poisson-gaussian"][..], &flags].concat());
        assert!(code == Some(2) && words.contains(needle), "{flags:?}: {words}");
    }
    let (code, _, words) = privacy(f, &["calibrate", "--mechanism", "gaussian", "--epsilon", "0"]);
    assert!(code == Some(2) && words.contains("epsilon"), "{words}");
    std::fs::write(f.join("plan.toml"), "mode = \"secure\"\ncohort = 0\n").expect("a file");
    let (code, _, words) = privacy(f, &["explain", "plan.toml"]);
    assert!(code == Some(2) && words.contains("plan.toml"), "{words}");
    std::fs::write(f.join("ledger"), "").expect("a file");
    let (code, _, words) = privacy(f, &["ledger", "ledger"]);
    assert!(code == Some(2) && words.contains("empty"), "{words}");
}

#[test]
fn calibrated_noise_keeps_its_epsilon_as_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    for mechanism in
        ["gaussian", "poisson-gaussian", "laplace", "discrete-gaussian", "skellam", "zcdp", "matrix", "tree"]
    {
        let common = ["--mechanism", mechanism, "--steps", "16", "--delta", "1e-6"];
        let (_, out, words) = privacy(folder.path(), &[&["calibrate"][..], &common, &["--epsilon", "1.5"]].concat());
        let noise =
            out.strip_prefix("noise ").and_then(|rest| rest.split(':').next()).unwrap_or_else(|| panic!("{words}"));
        let (_, out, _) = privacy(folder.path(), &[&["epsilon"][..], &common, &["--noise", noise]].concat());
        let epsilon: f64 = out.split_whitespace().nth(1).and_then(|e| e.parse().ok()).expect("a number");
        assert!(epsilon <= 1.5 && epsilon > 1.499, "{mechanism}: {epsilon}");
    }
}

#[test]
fn plans_are_explained_for_every_mode() {
    let folder = tempfile::tempdir().expect("a folder");
    let f = folder.path();
    for (mode, needle) in [
        ("secure", "the coordinator, with 40 colluders"),
        ("local", "anybody, with everybody"),
        ("central", "readers of the models"),
        ("central-mf", "readers of all models"),
    ] {
        let text = format!(
            "mode = \"{mode}\"\ncohort = 100\nhonest_fraction = 0.6\nepsilon = 2.0\ndelta = 1e-6\nrounds = 8\n\
             [[blocks]]\nname = \"rows\"\nrows = 100\nwidth = 4\nclip = 1.0\n"
        );
        std::fs::write(f.join("plan.toml"), text).expect("a file");
        let (code, out, words) = privacy(f, &["explain", "plan.toml"]);
        assert!(code == Some(0) && out.contains(needle) && out.contains("In words"), "{mode}: {out} {words}");
        // The plan's claim is never above what was asked for.
        let claim: f64 = out
            .lines()
            .find(|line| line.contains(needle))
            .and_then(|line| line.split("  ").filter_map(|cell| cell.trim().parse().ok()).next())
            .unwrap_or_else(|| panic!("{out}"));
        assert!(claim <= 2.0005 && claim > 1.9, "{mode}: {claim}");
    }
}

#[test]
fn what_cannot_be_ranked_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let f = folder.path();
    let bare = csv(f, "bare.csv", &listening(30, 40));
    refused_by("rank", f, &["--data", &bare], "how long it was heard");
    let undated = csv(f, "undated.csv", &listening(30, 40).replace(",1600", ",1"));
    refused_by("rank", f, &["--data", &undated], "no dates");
    refused_by("rank", f, &["--test-days", "9999"], "leave no day to learn from");
    refused_by("rank", f, &["--test-days", "0"], "at least 1");
    refused_by("rank", f, &["--ranker-rounds", "0"], "at least 1");
    let settings = file(f, "ranker.toml", "rounds = 3\nraets_clip = 2\n");
    refused_by("rank", f, &["--ranker", &settings], "raets_clip");
    let settings = file(f, "ranker.toml", "rates_clip = 0\n");
    refused_by("rank", f, &["--ranker", &settings], "above zero");
    refused_by("rank", f, &["--hidden", "16,0"], "from 1 to 512");
    refused_by("rank", f, &["--protocol", "loo"], "leave it out");
    refused_by("rank", f, &["--population", "3"], "fewer than");
}

#[test]
fn labels_without_truth_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let f = folder.path();
    let bare = csv(f, "bare.csv", &listening(30, 40));
    refused_by("labels", f, &["--data", &bare], "20 of each are needed");
    refused_by("labels", f, &["--population", "3"], "fewer than");
    refused_by("labels", f, &["--baselines", "none"], "leave it out");
    let settings = file(f, "labels.toml", "folds = 1\n");
    refused_by("labels", f, &["--settings", &settings], "at least 2 folds");
    let settings = file(f, "labels.toml", "[bands]\nfractions = [0.5, 0.2]\n");
    refused_by("labels", f, &["--settings", &settings], "must rise");
}

// Noise that is correlated over rounds of one kind would be accounted wrongly over rounds of several.
#[test]
fn correlated_noise_is_refused_where_rounds_are_of_several_kinds() {
    let folder = tempfile::tempdir().expect("a folder");
    let f = folder.path();
    let scenario = file(
        f,
        "scenario.toml",
        "method = \"fedmf\"\nmode = \"central-mf\"\n[world]\nlisteners = 300\ntracks = 100\nartists = 20\n",
    );
    for command in ["rank", "cold-start"] {
        refused_by(command, f, &["--scenario", &scenario], "central-mf");
    }
}

#[test]
fn what_cannot_be_held_out_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let f = folder.path();
    let bare = csv(f, "bare.csv", &listening(30, 40));
    refused_by("cold-start", f, &["--data", &bare], "neither tags nor titles");
    for share in ["0", "1", "nan", "-0.5"] {
        refused_by("cold-start", f, &[&format!("--held-out={share}")], "share of the catalogue");
    }
    refused_by("cold-start", f, &["--data", &bare, "--held-out", "0.001"], "leaves none on one side");
    refused_by("cold-start", f, &["--buckets", "0"], "buckets");
    refused_by("cold-start", f, &["--tower-rounds", "0"], "above zero");
    refused_by("cold-start", f, &["--curve", "1,2"], "leave it out");
    let settings = file(f, "cold.toml", "held_ot = 0.1\n");
    refused_by("cold-start", f, &["--settings", &settings], "held_ot");
}

#[test]
fn experiments_say_what_they_need() {
    let folder = tempfile::tempdir().expect("a folder");
    let f = folder.path();
    let good = csv(f, "good.csv", &listening(40, 60));
    let few = csv(f, "short.csv", &listening(40, 60));
    refused_by("evaluate", f, &["--data", &good, "--models", "none.bin"], "none.bin");
    file(f, "no-model.bin", "SORDINO");
    refused_by("evaluate", f, &["--data", &good, "--models", "no-model.bin"], "no model of ours");
    refused_by("evaluate", f, &["--data", &good, "--models", "x.bin", "--method", "ials"], "--method");
    refused_by("evaluate", f, &["--data", &good, "--metrics-epsilon", "-1"], "epsilon");
    refused_by("run", f, &["--data", &few, "--stream"], "days");
    refused_by("run", f, &["--data", &good, "--stream", "--method", "ials"], "--method");
    refused_by("run", f, &["--data", &good, "--stream", "--stream-settings", "none.toml"], "none.toml");
    file(f, "one.toml", "steps = 1\n");
    refused_by("run", f, &["--data", &good, "--stream", "--stream-settings", "one.toml"], "at least 2 steps");
    refused_by("run", f, &["--data", &good, "--stream-settings", "one.toml"], "--stream");
    refused_by("poison", f, &["--data", &good, "--shares", "0"], "shares of liars");
    refused_by("poison", f, &["--data", &good, "--method", "ials"], "--method");
    refused_by("large", f, &["--data", &good, "--tracks", "1000"], "--tracks");
    refused_by("large", f, &["--data", &good], "nothing is public");
    refused_by("large", f, &["--rows", "0"], "at least 1");
    refused_by("run", f, &["--data", &good, "--policy", "none.toml"], "none.toml");
}
