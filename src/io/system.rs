//! What Linux tells in files of lines of itself and of this process; other systems have none.

use std::fs;

/// What stands behind `key` in the first line of the file at `path` that begins with it, without spaces around it; `None` where there is no
/// such file or line.
pub(crate) fn told_by_system(path: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)).map(|rest| rest.trim().to_owned())
}
