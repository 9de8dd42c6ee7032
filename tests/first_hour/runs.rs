//! How each command is tried: what stands for the words in capitals, what must be there before, what it may answer the
//! second time.

use crate::pages::{Command, root};
use crate::rows::{FILES, ROWS, SETS, TASK_NAME};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

/// How a command is tried.
#[derive(Clone, Copy)]
pub(crate) enum Plan {
    /// It ends well, both times.
    Runs,
    /// It ends well the first time, and the second time refuses in a sentence that holds this.
    Once(&'static str),
    /// The same, while a coordinator serves.
    Served,
    /// It starts a coordinator, which goes on until something else is to be tried.
    Serves,
    /// It is not tried here, for a reason.
    Not(&'static str),
}

impl Plan {
    /// The plan of the first row of which the command has the words.
    pub(crate) fn of(command: &Command) -> Option<Self> {
        ROWS.iter().find(|(words, _)| command.line.contains(words)).map(|&(_, plan)| plan)
    }
}

/// The words by which commands are known.
pub(crate) fn known() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|&(words, _)| words)
}

/// A stranger's folder, with a coordinator that may be serving.
pub(crate) struct Trial {
    home: tempfile::TempDir,
    programs: PathBuf,
    serving: Option<Child>,
    // The folder of the last `init`.
    folder: String,
}

impl Trial {
    pub(crate) fn new() -> Self {
        let target = std::env::current_exe().expect("a program").ancestors().nth(3).expect("target").to_owned();
        let built = std::process::Command::new(env!("CARGO"))
            .args(["build", "--release", "--quiet", "--manifest-path"])
            .arg(root().join("Cargo.toml"))
            .args(["-p", "sordino-simulator", "-p", "sordino-coordinator", "-p", "sordino-device", "--bins"])
            .status()
            .expect("cargo");
        assert!(built.success(), "the programs are built");
        let home = tempfile::tempdir().expect("a folder");
        for folder in ["coordinator", "simulator"] {
            copy(&root().join(folder), &home.path().join(folder));
        }
        for (name, text) in FILES {
            std::fs::write(home.path().join(name), text).expect("written");
        }
        Self { home, programs: target.join("release"), serving: None, folder: "sordino-federation".into() }
    }

    /// Tries a command as a person would who follows the page, for the first or the second time.
    pub(crate) fn run(&mut self, command: &Command, first: bool) -> Result<(), String> {
        let plan = Plan::of(command).ok_or("no row says how to try it")?;
        if let Plan::Not(reason) = plan {
            println!("  not tried: {reason}");
            return Ok(());
        }
        let line = self.filled(&command.line)?;
        let words = words(&line);
        if let Some(at) = words.iter().position(|word| word == "init") {
            self.folder = words.get(at + 1).filter(|word| !word.starts_with('-')).cloned().unwrap_or_default();
            // A device of the coordinator before is no device of this one.
            let _ = std::fs::remove_dir_all(self.home.path().join("sordino-device"));
        }
        match plan {
            Plan::Served if self.serving.is_none() => {
                self.serve(&["sordino-coordinator".to_owned(), "serve".to_owned(), self.folder.clone()])?;
            }
            Plan::Served => {}
            _ => self.stop(),
        }
        if let Plan::Serves = plan {
            return self.serve(&words);
        }
        let output = self.program(&words).output().map_err(|error| error.to_string())?;
        let told = format!("{}{}", text(&output.stdout), text(&output.stderr));
        match plan {
            Plan::Once(refusal) if !first => {
                let refused = !output.status.success() && told.contains(refusal);
                return if refused { Ok(()) } else { Err(format!("it should be refused by '{refusal}':\n{told}")) };
            }
            _ if !output.status.success() => return Err(format!("{}\n{told}", output.status)),
            _ => {}
        }
        if line.contains("enrol token") {
            let tokens = self.home.path().join(&self.folder).join("tokens.txt");
            std::fs::write(tokens, &output.stdout).map_err(|error| error.to_string())?;
        }
        // What a swarm learns is shown once: the second finds nothing left to do.
        match &command.shown {
            Some(shown) if first || !matches!(plan, Plan::Served) => compare(shown, &output),
            _ => Ok(()),
        }
    }

    fn serve(&mut self, words: &[String]) -> Result<(), String> {
        let mut child =
            self.program(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(|e| e.to_string())?;
        // A safety net, no measurement: it serves within a second or two.
        let end = Instant::now() + Duration::from_secs(60);
        while std::net::TcpStream::connect("127.0.0.1:9464").is_err() {
            if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
                return Err(format!("ended at once: {status}"));
            }
            if Instant::now() > end {
                let _ = child.kill();
                return Err("the operator's page never answered".into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        self.serving = Some(child);
        Ok(())
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.serving.take() {
            let _ = std::process::Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
    }

    // The command with this machine's names for the words in capitals.
    fn filled(&self, line: &str) -> Result<String, String> {
        let line = line.split(" #").next().unwrap_or(line).trim();
        let mut line = match line.contains("init FOLDER") {
            true => line.replace("FOLDER", "music").replace("music.example", "127.0.0.1"),
            false => line.replace("FOLDER", &self.folder),
        };
        line = line.replace(" NAME", &format!(" {TASK_NAME}"));
        if line.contains("--federation federation.toml") {
            let from = self.home.path().join(&self.folder).join("federation.toml");
            std::fs::copy(from, self.home.path().join("federation.toml")).map_err(|error| error.to_string())?;
        }
        for (word, set) in SETS {
            if line.contains(word) {
                let path = sordino_tests::reference(set).ok_or_else(|| format!("there is no {set}"))?;
                line = line.replace(word, &word.replace("PATH", &path.display().to_string()));
            }
        }
        if line.contains("TOKEN") {
            let tokens = std::fs::read_to_string(self.home.path().join(&self.folder).join("tokens.txt"));
            let token = tokens.ok().and_then(|all| all.lines().last().map(str::to_owned)).ok_or("no tokens")?;
            line = line.replace("TOKEN", &token);
        }
        Ok(line)
    }

    fn program(&self, words: &[String]) -> std::process::Command {
        // `cargo run -p P -- ...` starts the program that the same command has built.
        let (program, arguments) = match words.iter().position(|word| word == "--") {
            Some(at) if words[0] == "cargo" => {
                let package = words.iter().position(|word| word == "-p").map(|p| words[p + 1].clone());
                (package.expect("cargo run names its package"), &words[at + 1..])
            }
            _ => (words[0].clone(), &words[1..]),
        };
        let mut command = std::process::Command::new(self.programs.join(program));
        command.args(arguments).current_dir(self.home.path()).env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.stop();
    }
}

// Words as a shell would cut them.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    for letter in line.chars() {
        match letter {
            '"' => (quoted, any) = (!quoted, true),
            ' ' if !quoted => {
                if any {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            other => {
                word.push(other);
                any = true;
            }
        }
    }
    if any {
        words.push(word);
    }
    words
}

// Each line that a page shows is printed, in this order. What differs from run to run and machine to machine, seconds and
// updates a second, stands in the last columns of tables and is left out; a federation's noise is the operating system's,
// so of its lines the words are compared and not the figures.
fn compare(shown: &str, output: &Output) -> Result<(), String> {
    let printed = text(&output.stdout);
    let federation = shown.contains("devices enrolled");
    let same = |line: &str| match federation {
        true => line.chars().filter(|c| !c.is_ascii_digit() && !matches!(c, '.' | ' ')).collect::<String>(),
        false => line.split_whitespace().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "),
    };
    let mut lines = printed.lines().map(same);
    let columns = shown.lines().find(|line| line.starts_with("method")).map(|head| head.trim_end().len());
    let mut in_table = false;
    for line in shown.lines().filter(|line| !line.trim().is_empty()) {
        in_table = columns.is_some() && (line.starts_with("method") || (in_table && line.contains('±')));
        let wanted = same(line);
        let wanted = match in_table && line.contains('±') {
            true => wanted.rsplitn(3, ' ').last().unwrap_or_default().to_owned(),
            false => wanted,
        };
        if !lines.any(|line| line.starts_with(&wanted)) {
            return Err(format!("the page shows what was not printed (in this order):\n{line}\nprinted:\n{printed}"));
        }
    }
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

// Files of a clone that commands name, without its sources and builds.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true if entry.file_name() != "src" => copy(&path, &to),
            true => {}
            false if path.extension().is_some_and(|ending| ending == "toml") => {
                std::fs::copy(&path, &to).expect("copied");
            }
            false => {}
        }
    }
}
