//! How much memory training may take: words such as `4GB`.

use crate::error::{Error, Result};

/// The key of the setting.
pub(super) const KEY: &str = "model.train.memory";

/// Units by their names in lower case. As for the sizes of memory everywhere, `GB` and `GiB` are both 2³⁰ bytes.
const UNITS: [(&[&str], u32); 4] =
    [(&["kb", "kib", "k"], 10), (&["mb", "mib", "m"], 20), (&["gb", "gib", "g"], 30), (&["tb", "tib", "t"], 40)];

/// Bytes that `text` says; `None` if it is empty: no limit.
///
/// # Errors
/// [`Error::Setting`] if it is no number with a unit, or not above 0.
pub(super) fn parse(text: &str) -> Result<Option<usize>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim().to_lowercase());
    let shift = UNITS.iter().find(|(names, _)| names.contains(&unit.as_str())).map(|(_, shift)| *shift);
    let bytes = number.parse::<f64>().ok().zip(shift).map(|(number, shift)| number * f64::from(shift).exp2());
    match bytes {
        Some(bytes) if bytes >= 1.0 && bytes < usize::MAX as f64 => Ok(Some(bytes as usize)),
        _ => Err(wrong(text, "must be a size such as \"4GB\" or \"500MB\", or \"\" for no limit".to_owned())),
    }
}

/// What `bytes` are, in the largest unit of which there is at least one, rounded up.
pub(super) fn words(bytes: usize) -> String {
    let (unit, size) = [("GB", 1_usize << 30), ("MB", 1 << 20)]
        .into_iter()
        .find(|(_, size)| bytes >= *size)
        .unwrap_or(("kB", 1 << 10));
    let tenths = (bytes as f64 / size as f64 * 10.0).ceil() / 10.0;
    format!("{tenths}{unit}")
}

pub(super) fn wrong(text: &str, wanted: String) -> Error {
    Error::Setting { key: KEY.to_owned(), value: format!("{text:?}"), wanted }
}

#[cfg(test)]
mod tests {
    use super::{parse, words};

    #[test]
    fn sizes_are_read_in_any_case_with_and_without_decimals_and_spaces() {
        for (text, bytes) in
            [("4GB", 4 << 30), ("0.5 gib", 512 << 20), (" 100MB ", 100 << 20), ("2t", 2 << 40), ("1kB", 1024)]
        {
            assert_eq!(parse(text).ok(), Some(Some(bytes)), "{text}");
        }
        assert_eq!(parse("").ok(), Some(None));
    }

    #[test]
    fn what_is_no_size_is_refused_with_its_key() {
        for text in ["much", "4", "GB", "-1GB", "4 PB", "0GB", "1.2.3GB", "1e400GB", "99999999999TB"] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.starts_with("model.train.memory = ") && error.contains("4GB"), "{error}");
        }
    }

    #[test]
    fn a_size_in_words_is_never_less_than_the_size() {
        assert_eq!(words(1 << 30), "1GB");
        assert_eq!(words((1 << 30) + 1), "1.1GB");
        assert_eq!(words(700 << 20), "700MB");
        assert_eq!(words(5), "0.1kB");
        for bytes in [1, 1000, 123_456_789, 1 << 33] {
            assert!(parse(&words(bytes)).ok().flatten().is_some_and(|read| read >= bytes));
        }
    }
}
