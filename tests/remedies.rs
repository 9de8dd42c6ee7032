//! A message that names a remedy is right about it: commands and flags that texts name are there, and what a message says to do helps.

use sordino_coordinator::config::FILE;
use sordino_coordinator::settings::File;
use sordino_shared::model::Model;
use sordino_tests::remedies::{faults, help, literals, programs, sources};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

// Words in backticks that are no commands: keys and values of files, names of figures. A new one that is none either goes here.
const WORDS: &[&str] = &["auto", "inf", "late", "leaving", "asks", "runs", "times", "share", "names", "rows", "toml"];

fn words() -> BTreeSet<String> {
    let mut words: BTreeSet<String> = WORDS.iter().map(|word| (*word).to_owned()).collect();
    fn of(tree: &clap::Command, words: &mut BTreeSet<String>) {
        for arg in tree.get_arguments() {
            words.extend(arg.get_long().map(str::to_owned));
            words.extend(arg.get_possible_values().iter().map(|value| value.get_name().to_owned()));
        }
        tree.get_subcommands().for_each(|tree| of(tree, words));
    }
    programs().iter().for_each(|tree| of(tree, &mut words));
    for file in File::ALL {
        let text = file.commented();
        words.extend(
            text.lines().filter_map(|line| Some(line.trim_start_matches("# ").split_once(" = ")?.0.to_owned())),
        );
    }
    words
}

#[test]
fn commands_that_texts_name_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let words = words();
    let mut wrong = Vec::new();
    let mut texts = 0;
    let mut hold = |text: &str, own: &str, words: Option<&BTreeSet<String>>, whose: &str| {
        texts += 1;
        wrong.extend(faults(text, own, words).into_iter().map(|fault| format!("{whose}: {fault}")));
    };
    for (folder, own) in [
        ("shared/src", "sordino-coordinator"),
        ("coordinator/src", "sordino-coordinator"),
        ("client/src", "sordino-device"),
        ("client/device/src", "sordino-device"),
        ("simulator/src", "sordino-simulator"),
    ] {
        // What stands between backticks in the list of keys is what a key may be.
        let is_text = |file: &std::path::PathBuf| !file.components().any(|part| part.as_os_str() == "keys");
        for file in sources(&root.join(folder)).into_iter().filter(is_text) {
            let source = std::fs::read_to_string(&file).expect("source");
            literals(&source).iter().for_each(|text| hold(text, own, Some(&words), &file.display().to_string()));
        }
    }
    for program in programs() {
        let name = program.get_name().to_owned();
        help(&program).iter().for_each(|text| hold(text, &name, None, &format!("{name} --help")));
    }
    for page in ["README.md", "docs/operations.md", "docs/settings.md"] {
        let text = std::fs::read_to_string(root.join(page)).expect("a page");
        // Commands stand in lines that are set in, as they are typed.
        for line in text.lines().filter(|line| line.starts_with("    ")) {
            let line =
                line.trim().replace("cargo run --release -p ", "").replace("cargo run -p ", "").replace(" -- ", " ");
            let line = line.split(" #").next().unwrap_or(&line).to_owned();
            if programs().iter().any(|program| line.starts_with(program.get_name())) {
                hold(&format!("`{}`", line.split('|').next().unwrap_or(&line)), "sordino-coordinator", None, page);
            }
        }
    }
    assert!(texts > 1000, "{texts} texts: the source was not found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_command_that_is_not_there_is_found() {
    let found = |text: &str| !faults(text, "sordino-coordinator", Some(&words())).is_empty();
    for wrong in [
        "`rebase` the ledger",
        "run `sordino-coordinator budget raise`",
        "`task add FILE --fast`",
        "`sordino-coordinator budget set --epsilon 8 --because x`",
        "`sordino-device rebase`",
        "`rollout sign versions`",
    ] {
        assert!(found(wrong), "{wrong}");
    }
    for right in [
        "`task add FILE`",
        "`sordino-coordinator budget set --epsilon 8 {folder}`",
        "`registry.automatic`",
        "a ` alone",
    ] {
        assert!(!found(right), "{right}");
    }
    let source = "fn a() -> &'static str { /* x */ 'c'; \"one `init`\\\n   two\" } // \"no\"\n#[cfg(test)]\nmod tests { \"no\" }";
    assert_eq!(literals(source), ["one `init`two"]);
}

/// A folder in which the programs are called by their names.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin).expect("a folder");
        for (name, program) in [
            ("sordino-coordinator", env!("CARGO_BIN_EXE_operator-under-test")),
            ("sordino-device", env!("CARGO_BIN_EXE_device-under-test")),
        ] {
            symlink(program, bin.join(name)).expect("a link");
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).expect("a file");
    }

    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap_or_default());
        command.args(["-c", line]).current_dir(self.folder.path()).env("PATH", path).env_remove("SORDINO_TOKEN");
        command
    }

    fn run(&self, line: &str) -> Output {
        self.shell(line).output().expect("a shell")
    }

    /// Runs a line that must work; what it prints.
    fn works(&self, line: &str) -> String {
        let output = self.run(line);
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{line}\n{out}{error}");
        out + &error
    }

    /// Runs a line that must be refused; what it says, once.
    fn refused(&self, line: &str) -> String {
        let output = self.run(line);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}\n{}{error}", text(&output.stdout));
        assert!(error.starts_with("error: ") && !error.contains("panicked"), "{line}: {error}");
        error
    }

    /// Refused, its remedy run as it is written, and then it works.
    fn mends(&self, line: &str, changes: &[(&str, &str)]) -> String {
        let told = self.refused(line);
        self.follow(&told, 0, changes);
        self.works(line)
    }

    /// Runs what a message says between backticks, placeholders put in.
    fn follow(&self, told: &str, place: usize, changes: &[(&str, &str)]) -> String {
        let commands: Vec<&str> =
            told.split('`').skip(1).step_by(2).filter(|quoted| quoted.starts_with("sordino-")).collect();
        let mut command = commands.get(place).unwrap_or_else(|| panic!("no remedy {place}: {told}")).to_string();
        for (from, to) in changes {
            assert!(command.contains(from), "{command} has no {from}");
            command = command.replace(from, to);
        }
        let command = command.replace("FOLDER", "sordino-federation");
        self.works(&command)
    }

    /// Whether a server starts with this line; it is stopped then.
    fn serves(&self, line: &str) -> bool {
        let mut child =
            self.shell(&format!("exec {line}")).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a shell");
        let mut first = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).expect("text");
        child.kill().expect("it is ours");
        child.wait().expect("it ended");
        first.starts_with("devices: udp")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const HERE: &str = "--listen 127.0.0.1:0 --admin 127.0.0.1:0 --public 127.0.0.1:1";

fn task(name: &str, epsilon: &str) -> String {
    format!(
        "name = \"{name}\"\nworkload = \"embedding\"\n[catalogue]\ntracks = 60\n[privacy]\nepsilon = {epsilon}\ndelta = 1e-6\n\
         [cohort]\ndevices = 200\n"
    )
}

#[test]
fn folders() {
    let desk = Desk::new();
    // None, and one with a space in its name: what is printed is taken by a shell.
    desk.mends("sordino-coordinator status 'my music'", &[]);
    let told = desk.works(&format!("sordino-coordinator init 'my own' --example {HERE}"));
    let next = told.lines().find_map(|line| line.strip_prefix("next: ")).expect("a next command");
    assert!(desk.serves(next), "{next}");
    // Twice: the first way goes on with it, the second sets it aside.
    let again = desk.refused("sordino-coordinator init 'my own'");
    let serve = again.split('`').nth(1).expect("a remedy").to_owned();
    assert!(desk.serves(&serve), "{serve}");
    desk.follow(&again, 1, &[("--again", &format!("--again {HERE}"))]);
    assert!(desk.path("my own.before-1").join("coordinator.sqlite").is_file(), "nothing is lost");
    desk.works("sordino-coordinator status 'my own.before-1'");
    let real = desk.works(&format!("sordino-coordinator init music {HERE}"));
    assert!(real.contains("least_age_hours = 0") && real.contains("24 hours"), "{real}");
    assert!(desk.refused("sordino-coordinator init music --example --again").contains("no trial"));
    // Files that are gone.
    std::fs::remove_file(desk.path("music").join(FILE)).expect("gone");
    desk.mends("sordino-coordinator status music", &[]);
    std::fs::remove_file(desk.path("music/coordinator.sqlite")).expect("gone");
    assert!(desk.refused("sordino-coordinator status music").contains("put its last copy back"));
    std::fs::remove_file(desk.path("my own/default.ledger")).expect("gone");
    let lost = desk.refused("sordino-coordinator budget show 'my own'");
    assert!(lost.contains("default.ledger is missing"), "{lost}");
    // Other people's folders stay as they are.
    std::fs::create_dir(desk.path("letters")).expect("a folder");
    desk.write("letters/dear.txt", "dear");
    assert!(desk.refused("sordino-coordinator init letters").contains("dear.txt"));
    assert_eq!(std::fs::read_dir(desk.path("letters")).expect("a folder").count(), 1);
    // An `init` that was killed leaves what the next one clears away.
    desk.works("mkdir half half/.unfinished; touch half/operator.key; sordino-coordinator init half && sordino-coordinator status half");
    assert!(desk.refused("sordino-coordinator init other --public host").contains("host:4433"));
    assert!(!desk.path("other").exists(), "nothing is left");
}

#[test]
fn budgets() {
    let desk = Desk::new();
    for epsilon in ["60", "600"] {
        assert!(
            desk.refused(&format!("sordino-coordinator init f --epsilon {epsilon}")).contains("up to epsilon 37.5")
        );
    }
    desk.works(&format!("sordino-coordinator init f {HERE}"));
    // A task that can never be paid.
    desk.write("dear.toml", task("dear", "35.0"));
    desk.mends("sordino-coordinator task add dear.toml f", &[("...", "a trial")]);
    desk.write("dearer.toml", task("dearer", "500.0"));
    assert!(desk.refused("sordino-coordinator task add dearer.toml f").contains("up to epsilon 37.5"));
    // Beside the first, a second can hardly be paid.
    desk.write("second.toml", task("second", "20.0"));
    let warned = desk.works("sordino-coordinator task add second.toml f");
    assert!(warned.contains("warning"), "{warned}");
    let shown = desk.follow(&warned, 0, &[]);
    assert!(
        shown.contains("may still spend") && shown.contains("instead of epsilon 8 at delta 1e-6: a trial"),
        "{shown}"
    );
    // Settings that were edited, also to what no server takes.
    for epsilon in ["3.0", "60.0"] {
        let settings = std::fs::read_to_string(desk.path("f").join(FILE)).expect("settings");
        let lines: Vec<String> = settings
            .lines()
            .map(|line| if line.starts_with("epsilon") { format!("epsilon = {epsilon}") } else { line.to_owned() })
            .collect();
        desk.write(&format!("f/{FILE}"), lines.join("\n"));
        assert!(!desk.serves("sordino-coordinator serve f"));
        let told = desk.refused("sordino-coordinator serve f --log off");
        let changes: &[(&str, &str)] = if told.contains("...") { &[("...", "edited")] } else { &[] };
        desk.follow(&told, 0, changes);
        assert!(desk.serves("sordino-coordinator serve f"), "{told}");
    }
    let refused = desk.refused("sordino-coordinator budget set --epsilon 9 f");
    assert!(refused.contains("add --why"), "{refused}");
    let raised = desk.works("sordino-coordinator budget set --epsilon 9 --why 'a second task' f");
    assert!(raised.contains("devices are not asked"), "{raised}");
    let log = desk.works("sordino-coordinator audit show f");
    assert!(
        log.contains("budget epsilon 9 at delta 1e-6 instead of epsilon 8 at delta 1e-6")
            && log.contains("a second task")
    );
    assert!(desk.works("sordino-coordinator audit verify f").contains("unbroken"));
}

#[test]
fn empty_lists_and_missing_things() {
    let desk = Desk::new();
    desk.works("sordino-coordinator init f");
    desk.write("task.toml", task("small", "2.0"));
    desk.write("model.bin", Model::Popularity(vec![1.0, 2.0]).to_bytes());
    for (line, changes) in [
        ("task list f", &[("FILE", "task.toml")][..]),
        ("model list f", &[("FILE", "model.bin")]),
        ("enrol list f", &[]),
        ("rollout people list f", &[("NAME", "anna")]),
    ] {
        let told = desk.works(&format!("sordino-coordinator {line}"));
        desk.follow(&told, 0, changes);
    }
    assert!(desk.works("sordino-coordinator rollout list f").contains("no rollout yet"));
    for line in ["model show 9 f", "model export 9 x f"] {
        let told = desk.refused(&format!("sordino-coordinator {line}"));
        desk.follow(&told, 0, &[]);
    }
    let told = desk.refused(&format!("sordino-coordinator enrol revoke {} --why lost f", "0".repeat(64)));
    desk.follow(&told, 0, &[]);
    let told = desk.works("sordino-coordinator task pause small --why 'a fault upstream' f");
    for line in ["task list f", "status f"] {
        let shown = desk.works(&format!("sordino-coordinator {line}"));
        assert!(shown.contains("by the operator: a fault upstream"), "{shown}");
    }
    assert!(desk.works("sordino-coordinator audit show f").contains("a fault upstream"));
    desk.follow(&told, 0, &[]);
    assert!(!desk.works("sordino-coordinator status f").contains("a fault upstream"));
    desk.works("sordino-coordinator task cancel small f");
    assert!(desk.refused("sordino-coordinator task resume small f").contains("cancelled already"));
    // A fault is told once.
    desk.write("no.toml", "name = ");
    let told = desk.refused("sordino-coordinator task add no.toml f");
    assert_eq!(told.matches("TOML parse error").count(), 1, "{told}");
    // More tokens for a swarm.
    desk.works("sordino-coordinator init --example");
    desk.works("head -n 3 sordino-federation/tokens.txt > few.txt");
    let told = desk.refused("sordino-device swarm --devices 5 --tokens few.txt");
    let tokens = desk.follow(&told, 0, &[("N", "5")]);
    assert_eq!(tokens.lines().count(), 5);
}

#[test]
fn plans_of_rollouts() {
    let desk = Desk::new();
    desk.write("spring.toml", "name = \"spring\"\n");
    let told = desk.refused("sordino-coordinator rollout plan spring.toml --devices 200000");
    let proposed = desk.follow(&told, 0, &[]);
    assert!(proposed.contains("5 % shadow"), "{proposed}");
    desk.works("sordino-coordinator rollout plan --devices 200000 --write small.toml");
    desk.works("sordino-coordinator rollout plan small.toml --devices 200000");
    // Whatever the numbers are, columns stand apart.
    let tiny = desk.run("sordino-coordinator rollout plan spring.toml --devices 3000");
    let table = text(&tiny.stdout);
    let rows = table.lines().skip_while(|line| !line.starts_with("guardrail")).take_while(|line| !line.is_empty());
    for row in rows.skip(1) {
        assert_eq!(row.split("  ").filter(|cell| !cell.trim().is_empty()).count(), 6, "{table}");
    }
    for kind in ["coordinator", "task", "rollout"] {
        desk.works(&format!("sordino-coordinator settings {kind} > {kind}.toml"));
    }
    desk.works(&format!("sordino-coordinator init f && cp coordinator.toml f/{FILE}"));
    assert!(desk.works("sordino-coordinator task add task.toml f").contains("my-task"));
    desk.works("sordino-coordinator rollout plan rollout.toml --devices 1000000");
}
