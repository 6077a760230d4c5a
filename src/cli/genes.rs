//! Lists of genes, as words and as files.

use std::path::Path;

use crate::config::Config;
use crate::data::{Frame, GeneNames, GenesUsed};
use crate::error::{Error, Result};
use crate::io;

/// All genes of a file.
const ALL: &str = "all";
/// What stands before the name of a column that a file is called like, too.
const COLUMN: &str = "column:";

/// What the words after `--genes` of `nascent graph` mean for the file `input`.
pub(super) fn used(text: Option<&str>, input: &Path) -> Result<GenesUsed> {
    Ok(match text {
        None => GenesUsed::VelocityGenes,
        Some(ALL) => GenesUsed::All,
        Some(words) => match file(words, input)? {
            Some(file) => GenesUsed::Named(listed(file)?),
            None => GenesUsed::Column(column(words).to_owned()),
        },
    })
}

/// Lets exactly the genes of these words be fitted, which are those of the file `input`.
pub(super) fn fit_only(words: &str, input: &Path, config: &mut Config) -> Result<()> {
    let file = if words == ALL { None } else { file(words, input)? };
    let preprocess = &mut config.preprocess;
    (preprocess.genes, preprocess.genes_from) = match file {
        Some(file) => (listed(file)?, String::new()),
        None => (Vec::new(), column(words).to_owned()),
    };
    config.validate()
}

/// The list that is meant by `words`; `None` if they name a column.
///
/// # Errors
/// [`Error::Input`] if a file and a column of `input` are called so.
fn file<'a>(words: &'a str, input: &Path) -> Result<Option<&'a Path>> {
    let path = Path::new(words);
    if words.starts_with(COLUMN) || !path.is_file() {
        return Ok(None);
    }
    if var(input).and_then(|var| var.get(words)?.truths()).is_some() {
        let problem = format!("--genes {words} is this column of truth values, and a file");
        let hint = format!("say --genes ./{words} for the file, --genes {COLUMN}{words} for the column");
        return Err(Error::input(input, format!("var[{words:?}]"), problem, hint));
    }
    Ok(Some(path))
}

fn column(words: &str) -> &str {
    words.strip_prefix(COLUMN).unwrap_or(words)
}

/// The genes of a file. One that cannot be read is told of by those who need it.
fn var(input: &Path) -> Option<Frame> {
    io::outline(input).ok().map(|outline| outline.var)
}

/// Genes as a file, or with commas between them, which are those of the file `input`.
///
/// # Errors
/// [`Error::Input`] if a file and a gene of `input` are called so, or the list cannot be read.
pub(super) fn asked(words: &str, input: &Path) -> Result<Vec<String>> {
    if Path::new(words).is_file() {
        if var(input).is_some_and(|var| !GeneNames::of(&var).find(words).is_empty()) {
            let problem = format!("--genes {words} is a gene, and a file");
            let hint =
                format!("say --genes ./{words} for the file, --genes {words}, with a comma behind it for the gene");
            return Err(Error::input(input, "var", problem, hint));
        }
        return listed(Path::new(words));
    }
    Ok(words.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// The names in a file: the first field of every line that has one. Spreadsheets save them in UTF-8 or UTF-16, with or without a byte
/// order mark.
fn listed(path: &Path) -> Result<Vec<String>> {
    let bytes = std::fs::read(path).map_err(|reason| Error::file(path, "read", reason))?;
    let Some(text) = decoded(&bytes) else {
        let hint = "save it as text in UTF-8, with one gene per line";
        return Err(Error::input(path, "file", "this is no text in UTF-8 or UTF-16", hint));
    };
    let field = |line: &str| line.split(['\t', ',', ';']).next().map(|name| name.trim().trim_matches('"').to_owned());
    let names: Vec<String> = text.lines().filter_map(field).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Err(Error::input(path, "file", "no gene is listed", "wanted is one gene per line"));
    }
    Ok(names)
}

/// Text from bytes; `None` if they are none. Without a mark, zeros beside letters tell UTF-16.
fn decoded(bytes: &[u8]) -> Option<String> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16(&units).ok()
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [1..=255, 0, ..] => utf16(bytes, u16::from_le_bytes),
        [0, 1..=255, ..] => utf16(bytes, u16::from_be_bytes),
        _ => String::from_utf8(bytes.to_vec()).ok().filter(|text| !text.contains('\0')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_in_the_encodings_of_spreadsheets() {
        let text = "Gad1\r\nSox2\r\n";
        let wide = |unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
        let (little, big) = (wide(u16::to_le_bytes), wide(u16::to_be_bytes));
        let marked = |mark: &[u8], rest: &[u8]| [mark, rest].concat();
        let all = [
            text.as_bytes().to_vec(),
            marked(&[0xef, 0xbb, 0xbf], text.as_bytes()),
            marked(&[0xff, 0xfe], &little),
            marked(&[0xfe, 0xff], &big),
            little,
            big,
        ];
        for bytes in all {
            assert_eq!(decoded(&bytes).as_deref(), Some(text), "{bytes:?}");
        }
        assert_eq!(decoded(&[0x89, b'P', b'N', b'G']), None);
    }
}
