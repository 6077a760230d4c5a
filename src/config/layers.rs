//! Settings in layers: defaults, then a file, then flags.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use strsim::levenshtein;
use toml::{Table, Value};

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
    let mut effective = Table::try_from(defaults).expect("settings are numbers, words, lists and tables");
    for (place, layer) in layers {
        overlay(&mut effective, layer, &place, "")?;
    }
    Value::Table(effective.clone()).try_into().map_err(|reason: toml::de::Error| Error::Config {
        place: file.map_or_else(|| "settings".to_owned(), |path| path.display().to_string()),
        problem: with_key(reason.message(), &effective),
        hint: "configs/ has a complete example of each model".to_owned(),
    })
}

/// The message about a word that a setting cannot have, with the setting's key: serde knows the word alone.
fn with_key(message: &str, settings: &Table) -> String {
    let word = message.strip_prefix("unknown variant `").and_then(|rest| rest.split('`').next());
    let key = word.and_then(|word| key_of(settings, word));
    key.map_or_else(|| message.to_owned(), |key| format!("{key}: {message}"))
}

/// Dotted key of the first setting that is this `word`.
fn key_of(settings: &Table, word: &str) -> Option<String> {
    settings.iter().find_map(|(name, value)| match value {
        Value::String(text) if text == word => Some(name.clone()),
        Value::Table(inner) => Some(format!("{name}.{}", key_of(inner, word)?)),
        _ => None,
    })
}

fn read_table(path: &Path) -> Result<Table> {
    let text = fs::read_to_string(path).map_err(|reason| Error::Config {
        place: path.display().to_string(),
        problem: format!("cannot read the config: {reason}"),
        hint: "configs/ has a complete example of each model".to_owned(),
    })?;
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
    let nest = |inner: Value, name: &str| Value::Table(Table::from_iter([(name.to_owned(), inner)]));
    match key.rsplit('.').fold(value, nest) {
        Value::Table(table) => Ok(table),
        _ => Err(bad()),
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
