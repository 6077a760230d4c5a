//! Matrix Market files, entry by entry.
//!
//! Source: Boisvert, Pozo & Remington 1996, "The Matrix Market exchange formats" (coordinate format).

use std::path::Path;

use super::text::Text;
use crate::data::Reporter;
use crate::error::{Error, Result};

const ANEW: &str = "the file was not written or copied to its end; fetch or write it again";

/// Rows and columns that the head of a file states.
///
/// # Errors
/// [`Error::Input`] if it is no Matrix Market file of counts.
pub(super) fn shape(path: &Path) -> Result<[usize; 2]> {
    let [n_rows, n_cols, _] = head(&mut Text::open(path)?, path)?;
    Ok([n_rows, n_cols])
}

/// Rows, columns and entries that the head of a file states.
fn head(text: &mut Text, path: &Path) -> Result<[usize; 3]> {
    const WRITTEN: &str =
        "matrices are read as STAR, kb, alevin-fry and scipy.io.mmwrite write them: coordinate real or integer general";
    let none = || Error::input(path, "line 1", "this is no Matrix Market file", WRITTEN);
    let banner = String::from_utf8_lossy(text.next()?.ok_or_else(none)?).to_lowercase();
    let words: Vec<&str> = banner.split_whitespace().collect();
    match words[..] {
        ["%%matrixmarket", "matrix", "coordinate", "real" | "integer", "general"] => {}
        ["%%matrixmarket", ..] => {
            return Err(text.wrong(format!("a sparse matrix of counts was wanted, found \"{banner}\""), WRITTEN));
        }
        _ => return Err(none()),
    }
    loop {
        let line = text.next()?.ok_or_else(|| Error::input(path, "head", "the size of the matrix is missing", ANEW))?;
        if line.starts_with(b"%") || line.trim_ascii().is_empty() {
            continue;
        }
        let words = String::from_utf8_lossy(line).into_owned();
        let numbers: Option<Vec<usize>> = words.split_whitespace().map(|word| word.parse().ok()).collect();
        let numbers = numbers.and_then(|numbers| <[usize; 3]>::try_from(numbers).ok());
        return numbers
            .ok_or_else(|| text.wrong(format!("rows, columns and entries were wanted, found \"{words}\""), ANEW));
    }
}

/// Lets `visit` see every entry: row and column from 0, and the `N` numbers behind them.
///
/// # Errors
/// [`Error::Input`] naming the line, if the matrix has not `wanted` rows and columns, or an entry cannot be; and what `visit` gives.
pub(super) fn read<const N: usize>(
    path: &Path,
    wanted: [usize; 2],
    reporter: &mut dyn Reporter,
    mut visit: impl FnMut(usize, usize, [f64; N]) -> Result<()>,
) -> Result<()> {
    let mut text = Text::open(path)?;
    let [n_rows, n_cols, n_entries] = head(&mut text, path)?;
    if [n_rows, n_cols] != wanted {
        return Err(Error::input(
            path,
            "size",
            format!("the lists of names beside it want {} × {}, found {n_rows} × {n_cols}", wanted[0], wanted[1]),
            "the matrix and the names are of different runs, or one of the files is cut short",
        ));
    }
    text.begin(reporter);
    let mut found = 0;
    while let Some(line) = text.next()? {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let Some((row, col, values)) = entry(line) else {
            let line = String::from_utf8_lossy(line).into_owned();
            return Err(text.wrong(format!("row, column and {N} number(s) were wanted, found \"{line}\""), ANEW));
        };
        if row == 0 || row > n_rows || col == 0 || col > n_cols {
            return Err(text.wrong(format!("entry {row}, {col} in a matrix of {n_rows} × {n_cols}"), ANEW));
        }
        if let Some(wrong) = values.iter().find(|value| !is_count(**value)) {
            // In decimals a number of R's for what is not there fills the screen.
            let (wrong, hint) = if *wrong > f64::from(f32::MAX) {
                (format!("{wrong:e}"), "R writes 1e308 for NA: put 0 where nothing was counted")
            } else {
                (wrong.to_string(), "give the raw counts of the pipeline")
            };
            return Err(text.wrong(format!("a count was wanted, found {wrong}"), hint));
        }
        visit(row - 1, col - 1, values)?;
        found += 1;
        text.show(reporter);
    }
    reporter.end(&format!("read {} ({found} entries)", super::text::short(path)));
    if found != n_entries {
        return Err(Error::input(path, "end", format!("{n_entries} entries were announced, found {found}"), ANEW));
    }
    Ok(())
}

/// Row, column and numbers of a line.
fn entry<const N: usize>(line: &[u8]) -> Option<(usize, usize, [f64; N])> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let (row, col) = (whole(words.next()?)?, whole(words.next()?)?);
    let mut values = [0.0; N];
    for value in &mut values {
        *value = number(words.next()?)?;
    }
    words.next().is_none().then_some((row, col, values))
}

fn whole(word: &[u8]) -> Option<usize> {
    let digit = |sum: usize, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| usize::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    };
    word.iter().try_fold(0, digit)
}

/// Whether a number may be a count, and fits where counts are held.
pub(super) fn is_count(value: f64) -> bool {
    value >= 0.0 && (value as f32).is_finite()
}

/// A number; most are small and whole, and read without the general way.
pub(super) fn number(word: &[u8]) -> Option<f64> {
    let short = !word.is_empty() && word.len() <= 15;
    if let Some(whole) = whole(word).filter(|_| short) {
        return Some(whole as f64);
    }
    std::str::from_utf8(word).ok()?.trim().parse().ok()
}
