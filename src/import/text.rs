//! Text files, plain or gzipped, line by line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use crate::data::Reporter;
use crate::error::{Error, Result};

/// Lines between two looks at the progress.
const LOOK: u64 = 1 << 16;

/// A text file that is being read.
pub(super) struct Text {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    buffer: Vec<u8>,
    line: u64,
    /// Bytes of the file, as it lies on disk, that were read.
    read: Arc<AtomicU64>,
    size: u64,
}

struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(room)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

impl Text {
    /// Opens a file. Whether it is gzipped, its first bytes say, not its name.
    ///
    /// # Errors
    /// [`Error::File`].
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| Error::file(path, "read", error);
        let file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let read = Arc::new(AtomicU64::new(0));
        let mut plain = BufReader::with_capacity(1 << 20, Counted { inner: file, read: Arc::clone(&read) });
        let zipped = plain.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn BufRead> = if zipped {
            Box::new(BufReader::with_capacity(1 << 20, MultiGzDecoder::new(plain)))
        } else {
            Box::new(plain)
        };
        Ok(Self { path: path.to_path_buf(), reader, buffer: Vec::new(), line: 0, read, size })
    }

    /// The next line without its end; `None` after the last.
    ///
    /// # Errors
    /// [`Error::File`], also if a gzipped file is cut short.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>> {
        self.buffer.clear();
        let n = self.reader.read_until(b'\n', &mut self.buffer);
        let n = n.map_err(|error| Error::file(&self.path, format!("read after line {}", self.line), error))?;
        if n == 0 {
            return Ok(None);
        }
        self.line += 1;
        while matches!(self.buffer.last(), Some(b'\n' | b'\r')) {
            self.buffer.pop();
        }
        Ok(Some(&self.buffer))
    }

    /// Something is wrong with the line that was read last.
    pub(super) fn wrong(&self, problem: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::input(&self.path, format!("line {}", self.line), problem, hint)
    }

    /// Begins to show how much of the file is read.
    pub(super) fn begin(&self, reporter: &mut dyn Reporter) {
        reporter.begin(&format!("reading {}", short(&self.path)), 0, self.size.max(1));
    }

    /// Shows how much of the file is read, now and then.
    pub(super) fn show(&self, reporter: &mut dyn Reporter) {
        if self.line.is_multiple_of(LOOK) {
            reporter.advance(self.read.load(Ordering::Relaxed), &format!("line {}", self.line));
        }
    }
}

/// A file's name with that of its folder.
pub(super) fn short(path: &Path) -> String {
    let mut parts: Vec<_> = path.iter().rev().take(2).map(|part| part.to_string_lossy().into_owned()).collect();
    parts.reverse();
    parts.join("/")
}

/// The file of this name in `folder`, plain or with `.gz` behind its name.
pub(super) fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    [name.to_owned(), format!("{name}.gz")].iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// The first of several files in `folder`, plain or gzipped.
///
/// # Errors
/// [`Error::Input`] that says what was looked for.
pub(super) fn find_any(folder: &Path, names: &[&str]) -> Result<PathBuf> {
    names.iter().find_map(|name| find(folder, name)).ok_or_else(|| {
        let wanted = names.iter().map(|name| format!("{name} or {name}.gz")).collect::<Vec<_>>().join(", ");
        Error::input(folder, "folder", format!("none of these files is here: {wanted}"), "copy the whole folder")
    })
}

/// Lets `visit` see the fields of each line. Tabs stand between them, in a `.csv` commas; quotes around a field are dropped.
///
/// # Errors
/// [`Error::File`], and those of `visit`.
pub(super) fn fields(path: &Path, visit: impl FnMut(&Text, &[&str]) -> Result<()>) -> Result<()> {
    fields_between(path, separator(path), visit)
}

/// The same with what stands between fields.
///
/// # Errors
/// [`Error::File`], and those of `visit`.
pub(super) fn fields_between(
    path: &Path,
    separator: char,
    mut visit: impl FnMut(&Text, &[&str]) -> Result<()>,
) -> Result<()> {
    let mut text = Text::open(path)?;
    while let Some(line) = text.next()? {
        let line = String::from_utf8_lossy(line).into_owned();
        if !line.is_empty() {
            let fields: Vec<&str> = split(&line, separator);
            visit(&text, &fields)?;
        }
    }
    Ok(())
}

/// What stands between fields of a file, by its name.
pub(super) fn separator(path: &Path) -> char {
    if ends_with(path, ".csv") { ',' } else { '\t' }
}

/// Whether a file's name ends so, in any case and before `.gz`.
pub(super) fn ends_with(path: &Path, end: &str) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name.trim_end_matches(".gz").ends_with(end)
}

/// The fields of a line. A quoted field may hold the separator.
pub(super) fn split(line: &str, separator: char) -> Vec<&str> {
    if !line.contains('"') {
        return line.split(separator).collect();
    }
    let (mut fields, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, letter) in line.char_indices() {
        if letter == '"' {
            quoted = !quoted;
        } else if letter == separator && !quoted {
            fields.push(line[start..at].trim_matches('"'));
            start = at + letter.len_utf8();
        }
    }
    fields.push(line[start..].trim_matches('"'));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_field_may_hold_a_comma() {
        assert_eq!(split("a,\"b,c\",d", ','), ["a", "b,c", "d"]);
        assert_eq!(split("a,b", ','), ["a", "b"]);
        assert_eq!(split("\"\",x", ','), ["", "x"]);
    }
}
