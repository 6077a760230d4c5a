//! Settings in layers: defaults, then a file, then flags.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use strsim::levenshtein;
use toml::{Table, Value};

use super::shipped;
use crate::error::{Error, Result};

/// What `file` and `overrides` of the form `dotted.key=value` say, each with the place where it stands, the last one counting most.
pub(super) fn read(file: Option<&Path>, overrides: &[String]) -> Result<Vec<(String, Table)>> {
    let mut layers = Vec::new();
    if let Some(path) = file {
        layers.push((path.display().to_string(), read_table(path)?));
    }
    for text in overrides {
        layers.push((format!("--set {text}"), parse_override(text)?));
    }
    Ok(layers)
}

/// The settings that remain when `layers` are laid over `defaults`.
pub(super) fn settled<T: Serialize + DeserializeOwned>(
    defaults: &T,
    layers: Vec<(String, Table)>,
    file: Option<&Path>,
) -> Result<T> {
    let defaults = table_of(defaults);
    let mut effective = defaults.clone();
    let mut given = Vec::new();
    for (place, layer) in layers {
        given.extend(leaves("", &layer).into_iter().map(|(key, value)| (place.clone(), key, value)));
        overlay(&mut effective, layer, &place, "")?;
    }
    Value::Table(effective.clone()).try_into().map_err(|reason: toml::de::Error| {
        culprit::<T>(&defaults, &given).unwrap_or_else(|| Error::Config {
            place: file.map_or_else(|| "settings".to_owned(), |path| path.display().to_string()),
            problem: reason.message().to_owned(),
            hint: shipped::hint(),
        })
    })
}

/// Settings as a table of tables.
pub(super) fn table_of(settings: &impl Serialize) -> Table {
    Table::try_from(settings).expect("settings are numbers, words, lists and tables")
}

/// The value at a dotted key.
pub(super) fn value_at<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let (name, rest) = key.split_once('.').map_or((key, None), |(name, rest)| (name, Some(rest)));
    let value = table.get(name)?;
    rest.map_or(Some(value), |rest| value_at(value.as_table()?, rest))
}

/// The first dotted key of a value of `table` that `defaults` do not have.
pub(super) fn first_unknown(defaults: &Table, table: &Table) -> Option<String> {
    leaves("", table).into_iter().map(|(key, _)| key).find(|key| value_at(defaults, key).is_none())
}

/// Dotted keys of all values of `table`.
fn leaves(prefix: &str, table: &Table) -> Vec<(String, Value)> {
    let of_entry = |(name, value): (&String, &Value)| match value {
        Value::Table(inner) => leaves(&format!("{prefix}{name}."), inner),
        value => vec![(format!("{prefix}{name}"), value.clone())],
    };
    table.iter().flat_map(of_entry).collect()
}

/// What is wrong with the first of the values `given`, as place, key and value, that the defaults cannot have in place of their own: serde
/// knows neither key nor place.
fn culprit<T: DeserializeOwned>(defaults: &Table, given: &[(String, String, Value)]) -> Option<Error> {
    given.iter().find_map(|(place, key, value)| {
        let mut alone = defaults.clone();
        overlay(&mut alone, nested(key, value.clone())?, place, "").ok()?;
        let reason = Value::Table(alone).try_into::<T>().err()?;
        let default = value_at(defaults, key).map(Value::to_string);
        Some(Error::Config {
            place: place.clone(),
            problem: format!("{key} = {value}: {}", wanted(reason.message())),
            hint: default.map_or_else(String::new, |default| format!("the default is {key} = {default}")),
        })
    })
}

/// What serde wants of a value, in words that need no knowledge of Rust.
fn wanted(message: &str) -> String {
    let numbers = [
        ("usize", "must be a whole number, 0 or more".to_owned()),
        ("u64", "must be a whole number, 0 or more".to_owned()),
        ("u32", format!("must be a whole number from 0 to {}", u32::MAX)),
        ("u8", format!("must be a whole number from 0 to {}", u8::MAX)),
        ("f64", "must be made of numbers".to_owned()),
        ("a string", "must be made of text in quotes".to_owned()),
    ];
    let known = numbers.into_iter().find(|(kind, _)| message.trim_end().ends_with(&format!("expected {kind}")));
    if let Some((_, words)) = known {
        return words;
    }
    // `invalid length 3, expected an array of length 2` of few, `…, expected 2 elements in sequence` of many.
    let length = message.strip_prefix("invalid length").and_then(|rest| {
        let mut numbers = rest.split(|letter: char| !letter.is_ascii_digit()).filter(|digits| !digits.is_empty());
        numbers.next_back()
    });
    match length {
        Some(length) => format!("must be a list of {length}"),
        None => message.replace("unknown variant", "cannot be").replace(", expected", "; must be"),
    }
}

/// The settings in the file `path`, or those that come with the program under that name.
fn read_table(path: &Path) -> Result<Table> {
    let text = match shipped::named(path) {
        Some(text) => Cow::from(text),
        None => Cow::from(fs::read_to_string(path).map_err(|reason| Error::Config {
            place: path.display().to_string(),
            problem: format!("cannot read the config: {reason}"),
            hint: shipped::hint(),
        })?),
    };
    text.parse().map_err(|reason: toml::de::Error| {
        let line = reason.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        Error::Config {
            place: format!("{}, line {line}", path.display()),
            problem: reason.message().to_owned(),
            hint: "this is not valid TOML: text needs quotes, tables are written [like.this]".to_owned(),
        }
    })
}

/// `a.b=c` as the table `{a: {b: c}}`; what is no TOML value is taken as text.
fn parse_override(text: &str) -> Result<Table> {
    let bad = || Error::Config {
        place: format!("--set {text}"),
        problem: "must look like dotted.key=value".to_owned(),
        hint: "for example --set model.train.epochs=500".to_owned(),
    };
    let (key, value) = text.split_once('=').ok_or_else(bad)?;
    let (key, value) = (key.trim(), value.trim());
    if key.is_empty() || key.split('.').any(str::is_empty) {
        return Err(bad());
    }
    let parsed = format!("value = {value}").parse::<Table>().ok();
    let value = parsed.and_then(|mut table| table.remove("value")).unwrap_or_else(|| Value::String(value.to_owned()));
    nested(key, value).ok_or_else(bad)
}

/// `a.b` and a value as the table `{a: {b: value}}`.
fn nested(key: &str, value: Value) -> Option<Table> {
    let nest = |inner: Value, name: &str| Value::Table(Table::from_iter([(name.to_owned(), inner)]));
    match key.rsplit('.').fold(value, nest) {
        Value::Table(table) => Some(table),
        _ => None,
    }
}

/// Lays `layer` over `base`, whose keys are all there are.
fn overlay(base: &mut Table, layer: Table, place: &str, prefix: &str) -> Result<()> {
    for (name, value) in layer {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let Some(known) = base.get_mut(&name) else {
            return Err(unknown_key(&key, &name, base, place));
        };
        match (known, value) {
            (Value::Table(known), Value::Table(inner)) => overlay(known, inner, place, &key)?,
            // A whole number is a fine value for a setting with decimals.
            (known @ Value::Float(_), Value::Integer(whole)) => *known = Value::Float(whole as f64),
            (known, value) if known.same_type(&value) => *known = value,
            (known, value) => {
                return Err(Error::Config {
                    place: place.to_owned(),
                    problem: format!("{key} = {value} is {}; wanted {}", with_article(&value), with_article(known)),
                    hint: format!("the default is {key} = {known}"),
                });
            }
        }
    }
    Ok(())
}

fn with_article(value: &Value) -> String {
    let name = match value {
        Value::String(_) => "text in quotes",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    };
    name.to_owned()
}

fn unknown_key(key: &str, name: &str, base: &Table, place: &str) -> Error {
    let nearest = base.keys().min_by_key(|known| levenshtein(known, name));
    let close = nearest.filter(|known| levenshtein(known, name) <= 1 + known.len() / 3);
    let table = key.strip_suffix(name).map_or("", |prefix| prefix.trim_end_matches('.'));
    let where_ = if table.is_empty() { "at the top level".to_owned() } else { format!("in [{table}]") };
    let known: Vec<&str> = base.keys().map(String::as_str).collect();
    Error::Config {
        place: place.to_owned(),
        problem: format!("unknown key {key}"),
        hint: match close {
            Some(close) => format!("did you mean {close}? Known {where_}: {}", known.join(", ")),
            None => format!("known {where_}: {}", known.join(", ")),
        },
    }
}
