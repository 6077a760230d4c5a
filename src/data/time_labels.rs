//! Times that labels tell: `E8.5`, `day-3`, `24h` beside `2d`.
//!
//! A label is words, a number, and perhaps a unit. Numbers can be compared only where everything around them says the same, so labels of
//! different kinds (`E16.5` beside `P2`) are refused, but for units whose lengths are known, which are converted.

/// Labels read as times.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LabelTimes {
    /// Time of each label.
    pub(super) times: Vec<f64>,
    /// The unit that labels of different units were brought to.
    pub(super) unit: Option<&'static str>,
}

/// Why labels are no times.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unclear {
    /// A clause: `holds "mixed", which has no number`.
    pub(super) problem: String,
    /// An order of the labels that may be meant.
    pub(super) order: Option<Vec<String>>,
}

/// One label: the words before its number, the number, the words after it. In small letters, without what joins them.
struct Label<'a> {
    text: &'a str,
    before: String,
    /// A sign between letters and number, which is a hyphen where all labels have it.
    sign: Option<char>,
    number: f64,
    after: String,
}

/// A unit of time, in hours, and what times are counted from (`pf` of `hpf`: fertilisation).
#[derive(Clone, Debug, PartialEq)]
struct Unit {
    hours: f64,
    since: String,
}

/// Times of different `labels`.
pub(super) fn times(labels: &[String]) -> Result<LabelTimes, Unclear> {
    let read: Vec<Label<'_>> = labels.iter().map(|label| Label::read(label)).collect::<Result<_, _>>()?;
    signs_agree(&read)?;
    let as_they_are = |unit| LabelTimes { times: read.iter().map(|label| label.number).collect(), unit };
    // 0 is the same in every unit.
    let kinds: Vec<&Label<'_>> = read.iter().filter(|label| !label.is_bare_zero()).collect();
    if kinds.windows(2).all(|pair| (&pair[0].before, &pair[0].after) == (&pair[1].before, &pair[1].after)) {
        return Ok(as_they_are(None));
    }
    let measured: Option<Vec<(&str, Unit)>> = kinds.iter().map(|label| label.unit()).collect();
    let measured = measured
        .filter(|all| all.windows(2).all(|pair| (pair[0].0, &pair[0].1.since) == (pair[1].0, &pair[1].1.since)));
    let Some(measured) = measured else { return Err(different(&kinds)) };
    #[allow(clippy::float_cmp, reason = "lengths of units, from one table")]
    if measured.windows(2).all(|pair| pair[0].1.hours == pair[1].1.hours) {
        return Ok(as_they_are(None));
    }
    let hours = |label: &Label<'_>| label.unit().map_or(0.0, |(_, unit)| label.number * unit.hours);
    Ok(LabelTimes { times: read.iter().map(hours).collect(), unit: Some("hours") })
}

impl<'a> Label<'a> {
    fn read(text: &'a str) -> Result<Self, Unclear> {
        let unclear = |problem: String| Unclear { problem: format!("holds {text:?}, {problem}"), order: None };
        let trimmed = text.trim();
        let whole = trimmed.parse::<f64>().ok().filter(|number| number.is_finite());
        if let Some(number) = whole {
            return Ok(Self { text, before: String::new(), sign: None, number, after: String::new() });
        }
        let Some(start) = trimmed.find(|letter: char| letter.is_ascii_digit()) else {
            return Err(unclear("which has no number".to_owned()));
        };
        let (head, tail) = trimmed.split_at(start);
        let mut end = digits(tail);
        if let Some(decimals) = tail[end..].strip_prefix('.').map(digits).filter(|&decimals| decimals > 0) {
            end += 1 + decimals;
        }
        let (number, after) = tail.split_at(end);
        let number: f64 = number.parse().map_err(|_| unclear("which has no number".to_owned()))?;
        let after = after.trim_start_matches([' ', '_', '-', '.']).trim_end_matches([' ', '.']).to_lowercase();
        if after.contains(|letter: char| letter.is_ascii_digit()) {
            return Err(unclear("which has more than one number".to_owned()));
        }
        let words = head.trim_end_matches(|letter: char| !letter.is_alphanumeric());
        let joint = &head[words.len()..];
        let last = joint.chars().next_back().filter(|&letter| is_sign(letter));
        let is_negative =
            words.is_empty() && joint.trim_start().chars().all(is_minus) && joint.trim().chars().count() == 1;
        if !is_negative && last.is_some() && joint.chars().count() > 1 {
            return Err(unclear("of which it is open whether its number is negative".to_owned()));
        }
        let (sign, number) = if is_negative { (None, -number) } else { (last, number) };
        Ok(Self { text, before: words.trim().to_lowercase(), sign, number, after })
    }

    fn is_bare_zero(&self) -> bool {
        self.number == 0.0 && self.before.is_empty() && self.after.is_empty()
    }

    /// The unit behind the number, or the one before it, and the words that remain before the number.
    fn unit(&self) -> Option<(&str, Unit)> {
        if self.after.is_empty() {
            return Some(("", unit(&self.before)?));
        }
        Some((&self.before, unit(&self.after)?))
    }
}

/// How many digits `text` begins with.
fn digits(text: &str) -> usize {
    text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len())
}

fn is_minus(letter: char) -> bool {
    matches!(letter, '-' | '−' | '–')
}

fn is_sign(letter: char) -> bool {
    is_minus(letter) || letter == '+'
}

/// A hyphen that all labels have separates (`day-1`, `day-2`); beside labels without it (`D-2`, `D0`) it may be a minus.
fn signs_agree(labels: &[Label<'_>]) -> Result<(), Unclear> {
    let Some(signed) = labels.iter().find(|label| label.sign.is_some()) else { return Ok(()) };
    let Some(other) = labels.iter().find(|label| label.sign != signed.sign && !label.is_bare_zero()) else {
        return Ok(());
    };
    let problem = format!(
        "holds {:?} beside {:?}: it is open whether the sign is a hyphen or belongs to the number",
        signed.text, other.text
    );
    Err(Unclear { problem, order: None })
}

/// The unit that `word` names. `m` is none: it may be minutes or months.
fn unit(word: &str) -> Option<Unit> {
    const UNITS: [(&[&str], f64); 4] = [
        (&["min", "mins", "minute", "minutes"], 1.0 / 60.0),
        (&["h", "hr", "hrs", "hour", "hours"], 1.0),
        (&["d", "day", "days"], 24.0),
        (&["w", "wk", "wks", "week", "weeks"], 168.0),
    ];
    if let Some((_, hours)) = UNITS.iter().find(|(names, _)| names.contains(&word)) {
        return Some(Unit { hours: *hours, since: String::new() });
    }
    // hpf, dpi, wpc: hours, days, weeks post …
    let since = word.get(1..).filter(|since| since.len() == 2 && since.starts_with('p'))?;
    let (_, hours) = UNITS.iter().find(|(names, _)| names[0] == &word[..1])?;
    Some(Unit { hours: *hours, since: since.to_owned() })
}

/// What to say of labels that cannot be compared.
fn different(labels: &[&Label<'_>]) -> Unclear {
    let first = labels[0];
    let differs = |label: &&&Label<'_>| (&label.before, &label.after) != (&first.before, &first.after);
    let other = labels.iter().find(differs).map_or(first.text, |label| label.text);
    let problem = format!("holds {:?} beside {other:?}, whose numbers cannot be compared", first.text);
    // Embryonic days come before postnatal ones; how long after is for the user to know.
    let stage = |label: &Label<'_>| match label.before.as_str() {
        "e" | "embryo" | "embryonic" | "embryonic day" => Some(0_u8),
        "p" | "pn" | "postnatal" | "postnatal day" => Some(1),
        _ => None,
    };
    let staged: Option<Vec<(u8, &Label<'_>)>> = labels.iter().map(|label| Some((stage(label)?, *label))).collect();
    let order = staged.map(|mut staged| {
        staged.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.number.total_cmp(&b.1.number)));
        staged.into_iter().map(|(_, label)| label.text.to_owned()).collect()
    });
    Unclear { problem, order }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(labels: &[&str]) -> Result<Vec<f64>, Unclear> {
        times(&labels.iter().map(|&label| label.to_owned()).collect::<Vec<_>>()).map(|read| read.times)
    }

    #[test]
    fn what_joins_words_and_number_is_no_part_of_the_number() {
        for labels in [
            ["day-0", "day-3"],
            ["day_0", "day_3"],
            ["Day 0", "day3"],
            ["day.0", "day.3"],
            ["day - 0", "day - 3"],
            ["0 dpf", "3dpf"],
            ["0", "3"],
            ["0", "3d"],
            ["d0", "day 3"],
            ["WT_d0", "wt_d3"],
        ] {
            assert_eq!(of(&labels), Ok(vec![0.0, 3.0]), "{labels:?}");
        }
        assert_eq!(of(&["E8.5", "E7.25"]), Ok(vec![8.5, 7.25]));
        assert_eq!(of(&["-2", "0", "1.5"]), Ok(vec![-2.0, 0.0, 1.5]));
    }

    #[test]
    fn units_of_known_length_are_converted() {
        let wanted = Ok(vec![24.0, 48.0, 168.0, 0.5, 0.0]);
        assert_eq!(of(&["24h", "2d", "1 week", "30 min", "0"]), wanted);
        assert_eq!(of(&["24hpf", "2dpf"]), Ok(vec![24.0, 48.0]));
        assert_eq!(of(&["hour 12", "day 1"]), Ok(vec![12.0, 24.0]));
        assert!(of(&["24hpf", "2dpi"]).is_err());
    }

    #[test]
    fn what_is_ambiguous_is_refused() {
        for labels in [
            &["E16.5", "P2"][..],
            &["D-2", "D0"],
            &["day -1", "day -2"],
            &["day--1", "day--2"],
            &["day+1", "day-1"],
            &["day3", "4"],
            &["3d", "6m"],
            &["0-4h", "4-8h"],
            &["rep1_day3", "rep1_day4"],
            &["control", "3d"],
            &["E8,5", "E7,5"],
            &["1", "inf"],
        ] {
            assert!(of(labels).is_err(), "{labels:?}: {:?}", of(labels));
        }
    }

    #[test]
    fn embryonic_days_are_proposed_before_postnatal_ones() {
        let order = of(&["P2", "E16.5", "P0", "E9"]).expect_err("not comparable").order;
        assert_eq!(order, Some(["E9", "E16.5", "P0", "P2"].map(str::to_owned).to_vec()));
    }
}
