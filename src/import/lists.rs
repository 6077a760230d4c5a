//! Lists of names, and what stands between the fields of tables, as people write both from R and from Python.
//!
//! R's `write.table` puts a space between fields unless it is told otherwise, names in quotes, and numbers of rows before them;
//! `write.csv` the numbers, too, and `write.csv2` semicolons. So does pandas with its index, from 0 on.

use std::path::Path;

use super::text::{self, Text, fields_between, separator, split};
use crate::error::Result;

/// Lines of a list from which its layout is told.
const LINES: usize = 50;
/// Lines of a table from which its layout is told: a line may be long.
const LINES_OF_TABLE: usize = 3;
/// What may stand between fields.
const SEPARATORS: [char; 4] = ['\t', ',', ';', ' '];

/// How a list of names is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    separator: char,
    /// Whether the number of the row stands before the names, and whether a line of heads is above.
    numbered: Option<bool>,
}

impl Layout {
    /// From the first lines, and what the name of the file says of the separator.
    fn new(lines: &[String], usual: char) -> Self {
        let others = || SEPARATORS.into_iter().filter(|&other| other != usual);
        for separator in std::iter::once(usual).chain(others()) {
            let rows: Vec<Vec<&str>> = lines.iter().map(|line| split(line, separator)).collect();
            if let Some(head) = numbers(&rows) {
                return Self { separator, numbered: Some(head) };
            }
        }
        // A space, or a comma in a .tsv, may belong to a name, unless names are in quotes.
        let in_quotes = |separator: char| {
            let all = |line: &String| line.starts_with('"') && line.ends_with('"') && split(line, separator).len() > 1;
            !lines.is_empty() && lines.iter().all(all)
        };
        let separator = others().find(|&other| !in_quotes(usual) && in_quotes(other)).unwrap_or(usual);
        Self { separator, numbered: None }
    }
}

/// Whether rows begin with their number, from 0 or 1 on, and have a name behind; and if so, whether a line of heads is above.
fn numbers(rows: &[Vec<&str>]) -> Option<bool> {
    for head in [false, true] {
        for start in [0, 1] {
            let counted = rows.get(usize::from(head)..).unwrap_or_default();
            let is_next = |(at, row): (usize, &Vec<&str>)| {
                row[0] == (at + start).to_string() && row.get(1).is_some_and(|name| !name.trim().is_empty())
            };
            // One line may begin with any number.
            if counted.len() > 1 && counted.iter().enumerate().all(is_next) {
                return Some(head);
            }
        }
    }
    None
}

fn first_lines(path: &Path, n: usize) -> Result<Vec<String>> {
    let (mut text, mut lines) = (Text::open(path)?, Vec::new());
    while lines.len() < n
        && let Some(line) = text.next()?
    {
        if !line.is_empty() {
            lines.push(String::from_utf8_lossy(line).into_owned());
        }
    }
    Ok(lines)
}

/// Lets `visit` see the fields of each line of a list of names, without numbers of rows and their head.
///
/// # Errors
/// [`Error::File`](crate::Error::File), [`Error::Input`](crate::Error::Input) if a line has a number alone, and those of `visit`.
pub(super) fn list(path: &Path, mut visit: impl FnMut(&[&str]) -> Result<()>) -> Result<()> {
    let Layout { separator, numbered } = Layout::new(&first_lines(path, LINES)?, separator(path));
    let mut is_head = numbered == Some(true);
    fields_between(path, separator, |text, fields| {
        if std::mem::take(&mut is_head) {
            return Ok(());
        }
        match (numbered, fields) {
            (None, names) | (Some(_), [_, names @ ..]) if !names.is_empty() => visit(names),
            _ => Err(text.wrong("a number and a name were wanted, as on the lines before", "write the list again")),
        }
    })
}

/// The first name of every line.
///
/// # Errors
/// As [`list`].
pub(super) fn first_names(path: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    list(path, |fields| {
        names.push(fields[0].trim().to_owned());
        Ok(())
    })?;
    Ok(names)
}

/// What stands between the fields of a table with heads above: what makes most fields, of which each line has as many, the head as
/// many or one fewer; of equals, what the name of the file says.
///
/// # Errors
/// [`Error::File`](crate::Error::File).
pub(super) fn separator_of_table(path: &Path) -> Result<char> {
    let lines = first_lines(path, LINES_OF_TABLE)?;
    let usual = text::separator(path);
    let width = |separator: char| {
        let widths: Vec<usize> = lines.iter().map(|line| split(line, separator).len()).collect();
        match widths[..] {
            [head, width, ref others @ ..] => {
                let fits = (head == width || head + 1 == width) && others.iter().all(|&other| other == width);
                if fits { width } else { 0 }
            }
            _ => 0,
        }
    };
    let better = |best: char, other: char| if width(other) > width(best) { other } else { best };
    Ok(SEPARATORS.into_iter().fold(usual, better))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(text: &str, usual: char) -> (char, Option<bool>) {
        let Layout { separator, numbered } =
            Layout::new(&text.lines().map(str::to_owned).collect::<Vec<String>>(), usual);
        (separator, numbered)
    }

    /// As R 4.2 writes them: `write.table` with and without its defaults, `write.csv`; pandas' `to_csv`.
    #[test]
    fn numbers_of_rows_are_told_from_names() {
        assert_eq!(layout("\"x\"\n\"1\" \"A B\"\n\"2\" \"C\"", '\t'), (' ', Some(true)));
        assert_eq!(layout("1 A\n2 B", '\t'), (' ', Some(false)));
        assert_eq!(layout("\"\",\"x\"\n\"1\",\"A\"\n\"2\",\"B\"", ','), (',', Some(true)));
        assert_eq!(layout("\tid\n0\tA\n1\tB", '\t'), ('\t', Some(true)));
        assert_eq!(layout("\"id\" \"name\"\n\"G1\" \"A\"", '\t'), (' ', None));
    }

    #[test]
    fn names_stay_whole_where_nothing_tells_that_they_are_several() {
        for text in ["cell 1\ncell 2", "1\n2\n3", "0 \n1 ", "7 A\n8 B", "1 A", "H1-2,H1-3\nB", "\"x\"\n\"A B\""] {
            assert_eq!(layout(text, '\t'), ('\t', None), "{text}");
        }
    }
}
