//! What a shell and `man` know of the program: made from the same list of commands that reads its words.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, write};
use crate::error::{Error, Result};

/// Completes commands and flags at the press of Tab.
#[derive(Args, Debug)]
#[command(after_help = WHERE)]
pub(super) struct Completions {
    /// The shell that they are for
    shell: Shell,
}

const WHERE: &str = "\
Where they go:
  nascent completions bash > ~/.local/share/bash-completion/completions/nascent
  nascent completions fish > ~/.config/fish/completions/nascent.fish
  nascent completions zsh  > FOLDER/_nascent     (a folder of fpath)";

/// Without FOLDER, the page of the program itself is printed.
#[derive(Args, Debug)]
pub(super) struct Man {
    /// Write the pages of all commands into this folder, which is there
    folder: Option<PathBuf>,
}

impl Completions {
    pub(super) fn run(self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "nascent", &mut script);
        write(&script)
    }
}

impl Man {
    pub(super) fn run(self) -> Result<()> {
        let Some(folder) = self.folder else {
            let mut page = Vec::new();
            let page_made = clap_mangen::Man::new(Cli::command()).render(&mut page);
            page_made.map_err(|reason| Error::file("stdout".as_ref(), "write", reason))?;
            return write(&page);
        };
        clap_mangen::generate_to(Cli::command(), &folder)
            .map_err(|reason| Error::file(&folder, "write the pages", reason).hinted("the folder has to be there"))
    }
}
