//! The words after `nascent gather`.

use std::path::PathBuf;

use clap::Args;

use super::print;
use crate::error::Result;
use crate::io;

/// Puts a file that reaches into other files into one: links into other files, values that lie in other files, and datasets that are put
/// together from others (virtual datasets) are replaced by what they stand for.
///
/// All other commands refuse such files: a file could make them read any file of this machine, and results would be written into the file
/// that a link leads to. This one reads the files that FILE names, and says which; give it files that you trust. None of them is changed.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Gather {
    /// The .h5ad file that names the others
    file: PathBuf,
    /// The .h5ad file to write
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  nascent gather linked.h5ad --output whole.h5ad";

/// As many elements are named.
const MOST_NAMED: usize = 10;

impl Gather {
    pub(super) fn run(self) -> Result<()> {
        let found = io::gather(&self.output, &self.file)?;
        let output = self.output.display();
        if found.elements.is_empty() {
            return print(&format!("wrote {output}: {} lies within one file already", self.file.display()));
        }
        let mut elements = found.elements;
        let n = elements.len();
        if n > MOST_NAMED {
            elements.truncate(MOST_NAMED);
            elements.push("…".to_owned());
        }
        let what = if n == 1 { "element" } else { "elements" };
        let files: Vec<String> = found.files.iter().map(|path| format!("\n  {}", path.display())).collect();
        print(&format!(
            "wrote {output}, with {n} {what} that lay elsewhere: {}\nread, beside {}:{}",
            elements.join(", "),
            self.file.display(),
            files.concat()
        ))
    }
}
