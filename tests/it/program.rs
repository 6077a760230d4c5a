//! The program as its users meet it, for the tests of commands.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// A folder of its own for each test, and the program run in it.
pub(crate) struct Program {
    folder: TempDir,
}

impl Program {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nascent"));
        command.current_dir(self.folder.path()).args(words.split_whitespace()).stdin(Stdio::null());
        command
    }

    /// Runs `nascent` with `words`, separated by spaces.
    pub(crate) fn run(&self, words: &str) -> Output {
        self.command(words).output().expect("the program starts")
    }

    /// Runs `nascent` and expects success; returns what it prints.
    pub(crate) fn succeed(&self, words: &str) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "nascent {words}:\n{}", errors(&output));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Runs `nascent` and expects exit code `code`; returns what it complains.
    pub(crate) fn fail(&self, words: &str, code: i32) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(code), "nascent {words}:\n{}", errors(&output));
        errors(&output)
    }

    /// Starts `nascent` without waiting for it.
    pub(crate) fn start(&self, words: &str) -> Child {
        self.command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
    }

    /// The same, to hear afterwards what it says.
    #[cfg_attr(not(unix), allow(dead_code, reason = "only signals are sent to it"))]
    pub(crate) fn listened(&self, words: &str) -> Child {
        self.command(words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }

    /// A small simulated file called `name`.
    pub(crate) fn simulate(&self, name: &str, cells: usize, genes: usize, branches: usize) -> PathBuf {
        self.succeed(&format!(
            "simulate --cells {cells} --genes {genes} --branches {branches} --seed 3 --output {name}"
        ));
        self.path(name)
    }
}

pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
