//! Pages as a stranger reads them: commands in indented blocks, and the blocks that show what a command prints.

use std::path::{Path, PathBuf};

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository")
}

/// A page of the docs.
#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) name: &'static str,
    text: String,
}

/// A command as it is written, with what the page shows of its output.
#[derive(Clone)]
pub(crate) struct Command {
    pub(crate) line: String,
    pub(crate) shown: Option<String>,
}

impl Page {
    pub(crate) fn read(name: &'static str) -> Self {
        let text = std::fs::read_to_string(root().join(name)).expect("a page");
        Self { name, text }
    }

    /// Its commands in order. A block that is no command, behind a paragraph that ends in a colon, is what the last
    /// command before it prints.
    pub(crate) fn commands(&self) -> Vec<Command> {
        let mut commands: Vec<Command> = Vec::new();
        let mut before = "";
        for block in self.blocks() {
            match block {
                Block::Text(text) => before = text,
                Block::Code(lines) if lines.iter().any(|line| is_command(line)) => {
                    let lines = lines.into_iter().filter(|line| is_command(line));
                    commands.extend(lines.map(|line| Command { line, shown: None }));
                }
                Block::Code(lines) => {
                    if let (true, Some(last)) = (before.trim_end().ends_with(':'), commands.last_mut()) {
                        last.shown = Some(lines.join("\n"));
                    }
                }
            }
        }
        commands
    }

    fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        for paragraph in self.text.split("\n\n") {
            let lines: Vec<&str> = paragraph.lines().collect();
            if !lines.is_empty() && lines.iter().all(|line| line.starts_with("    ")) {
                let code = lines.iter().map(|line| line[4..].to_owned());
                match blocks.last_mut() {
                    // Blank lines do not end a block.
                    Some(Block::Code(before)) => {
                        before.push(String::new());
                        before.extend(code);
                    }
                    _ => blocks.push(Block::Code(code.collect())),
                }
            } else {
                blocks.push(Block::Text(paragraph));
            }
        }
        blocks
    }
}

enum Block<'a> {
    Text(&'a str),
    Code(Vec<String>),
}

fn is_command(line: &str) -> bool {
    ["cargo ", "sordino-simulator ", "sordino-coordinator ", "sordino-device "].iter().any(|p| line.starts_with(p))
}
