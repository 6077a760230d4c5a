//! Data frames: `obs` and `var` in every encoding since anndata 0.7; older ones are in `record`.

use hdf5::{Dataset, Group, Location, ObjectReference1, ReferencedObject};

use super::foreign::other_hdf5;
use super::h5::{self, Kind, Node};
use super::place::{At, Place};
use super::record;
use crate::data::{Column, Frame};
use crate::error::Result;

/// Where anndata before 0.8 keeps the labels of a frame's categorical columns.
pub(super) const LEGACY_CATEGORIES: &str = "__categories";

/// Reads the frame under `key` of `root`. Columns of unknown types are left out.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if there is no frame or it contradicts itself.
pub(super) fn read(root: &Group, key: &str, place: &Place) -> Result<Frame> {
    refuse_other(root, place)?;
    match Node::open(root, key) {
        Some(Node::Group(group)) => read_group(&group, place),
        Some(Node::Dataset(dataset)) => record::read_frame(&dataset, root, place),
        None => Err(missing(root, place)),
    }
}

/// Fails if the file is of another kind, though it may have frames of the same names.
fn refuse_other(root: &Group, place: &Place) -> Result<()> {
    match other_hdf5(root) {
        Some((what, next)) => Err(place.top().error(format!("this is {what}, not .h5ad"), next)),
        None => Ok(()),
    }
}

fn missing(root: &Group, place: &Place) -> crate::Error {
    let present = h5::members(root);
    place.damaged(format!("not found, so this is no AnnData file; at the top there are: {}", quoted(&present)))
}

/// Names in quotes, a few of them.
pub(super) fn quoted(names: &[String]) -> String {
    const SHOWN: usize = 12;
    if names.is_empty() {
        return "none".to_owned();
    }
    let mut list: Vec<String> = names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect();
    if names.len() > SHOWN {
        list.push(format!("and {} more", names.len() - SHOWN));
    }
    list.join(", ")
}

fn read_group(group: &Group, place: &Place) -> Result<Frame> {
    let index_name = index_name(group, place)?;
    let index_place = place.child(&index_name);
    let index = match Node::open(group, &index_name) {
        Some(node) => read_column(group, &index_name, &node, &index_place)?,
        None => None,
    };
    let Some(index) = index else {
        return Err(index_place.damaged("the names of the rows are missing or cannot be read"));
    };
    let mut frame = Frame { index: names_of(&index), columns: Vec::new() };
    for name in column_names(group, &index_name) {
        let Some(node) = Node::open(group, &name) else {
            continue;
        };
        let column_place = place.child(&name);
        if let Some(column) = read_column(group, &name, &node, &column_place)? {
            if column.len() != frame.index.len() {
                return Err(column_place.damaged(format!("{} values for {} rows", column.len(), frame.index.len())));
            }
            frame.columns.push((name, column));
        }
    }
    Ok(frame)
}

fn names_of(index: &Column) -> Vec<String> {
    index.to_labels()
}

/// The name of the dataset that holds the names of the rows.
pub(super) fn index_name(group: &Group, place: &Place) -> Result<String> {
    let named = h5::attr_text(group, "_index");
    let usual = ["_index", "index"].map(str::to_owned);
    named
        .into_iter()
        .chain(usual)
        .find(|name| group.link_exists(name))
        .ok_or_else(|| place.damaged("the names of the rows are missing (no `_index`)"))
}

/// The columns in their order; without the attribute `column-order`, all there are.
pub(super) fn column_names(group: &Group, index_name: &str) -> Vec<String> {
    let listed = group.attr("column-order").ok().map(|attribute| {
        // Without columns the attribute is an empty list of numbers.
        h5::texts(&attribute).unwrap_or_default()
    });
    listed.unwrap_or_else(|| {
        let all = h5::members(group).into_iter();
        all.filter(|name| name != index_name && name != LEGACY_CATEGORIES).collect()
    })
}

/// The number of rows of a frame, without reading it.
pub(super) fn n_rows(root: &Group, key: &str, place: &Place) -> Result<usize> {
    refuse_other(root, place)?;
    match Node::open(root, key) {
        Some(Node::Dataset(dataset)) => Ok(dataset.size()),
        Some(Node::Group(group)) => {
            let name = index_name(&group, place)?;
            match Node::open(&group, &name) {
                Some(Node::Dataset(dataset)) => Ok(dataset.size()),
                Some(node @ Node::Group(_)) => {
                    let column = read_column(&group, &name, &node, &place.child(&name))?;
                    Ok(column.map_or(0, |column| column.len()))
                }
                None => Err(place.damaged("the names of the rows cannot be read")),
            }
        }
        None => Err(missing(root, place)),
    }
}

/// One column; `None` if its type is unknown to us.
pub(super) fn read_column(frame: &Group, name: &str, node: &Node, place: &Place) -> Result<Option<Column>> {
    match node {
        Node::Dataset(dataset) if dataset.ndim() != 1 => Ok(None),
        Node::Dataset(dataset) => match legacy_categories(frame, name, dataset) {
            Some(categories) => {
                let codes = h5::numbers::<i64>(dataset, place)?;
                let ordered = is_ordered(&categories);
                categorical(&codes, labels(&categories, place)?, ordered, place).map(Some)
            }
            None => plain(dataset, place),
        },
        Node::Group(group) => match node.encoding().as_deref() {
            Some("categorical") => read_categorical(group, place).map(Some),
            Some("nullable-integer" | "nullable-boolean" | "nullable-string-array") => read_nullable(group, place),
            _ => Ok(None),
        },
    }
}

/// The labels of a categorical column of anndata 0.7: an object reference, or a dataset of the same name.
pub(super) fn legacy_categories(frame: &Group, name: &str, column: &Dataset) -> Option<Dataset> {
    if h5::kind(column) != Kind::Int {
        return None;
    }
    let attribute = column.attr("categories").ok()?;
    let by_reference = || {
        let reference = attribute.read_raw::<ObjectReference1>().ok()?.first().copied()?;
        match column.dereference(&reference).ok()? {
            ReferencedObject::Dataset(dataset) => Some(dataset),
            _ => None,
        }
    };
    let by_name = || frame.group(LEGACY_CATEGORIES).ok()?.dataset(name).ok();
    by_reference().or_else(by_name)
}

fn is_ordered(at: &Location) -> bool {
    h5::attr_ints(at, "ordered").is_some_and(|flags| flags.first() == Some(&1))
}

/// A column that is one dataset.
fn plain(dataset: &Dataset, place: &Place) -> Result<Option<Column>> {
    let column = match h5::kind(dataset) {
        Kind::Float => Column::Float(h5::values(dataset).at(place)?),
        Kind::Int => Column::Int(h5::values(dataset).at(place)?),
        Kind::Bool => Column::Bool(truths(dataset, place)?),
        Kind::Text => Column::Text(h5::texts(dataset).at(place)?),
        Kind::Record | Kind::Other => return Ok(None),
    };
    Ok(Some(column))
}

fn truths(dataset: &Dataset, place: &Place) -> Result<Vec<bool>> {
    let numbers = h5::numbers::<u8>(dataset, place)?;
    Ok(numbers.iter().map(|&value| value != 0).collect())
}

fn part(group: &Group, name: &str, place: &Place) -> Result<Dataset> {
    match Node::open(group, name) {
        Some(Node::Dataset(dataset)) => Ok(dataset),
        _ => Err(place.damaged(format!("the array `{name}` is missing"))),
    }
}

fn read_categorical(group: &Group, place: &Place) -> Result<Column> {
    let codes = h5::numbers::<i64>(&part(group, "codes", place)?, place)?;
    let labels = match Node::open(group, "categories") {
        Some(Node::Dataset(dataset)) => labels(&dataset, place)?,
        // Words of which some could be missing; labels that are labelled themselves would have no end.
        Some(Node::Group(words)) => read_nullable(&words, &place.child("categories"))?
            .map(|column| column.to_labels())
            .ok_or_else(|| place.damaged("the categories cannot be read"))?,
        None => return Err(place.damaged("the array `categories` is missing")),
    };
    categorical(&codes, labels, is_ordered(group), place)
}

/// A categorical column from codes, of which a negative one is a missing value.
pub(super) fn categorical(codes: &[i64], categories: Vec<String>, ordered: bool, place: &Place) -> Result<Column> {
    let code = |&code: &i64| match u32::try_from(code) {
        Ok(at) if (at as usize) < categories.len() => Ok(Some(at)),
        Err(_) if code < 0 => Ok(None),
        _ => Err(place.damaged(format!("code {code} with {} categories", categories.len()))),
    };
    let codes = codes.iter().map(code).collect::<Result<_>>()?;
    Ok(Column::Categorical { codes, categories, ordered })
}

/// Labels of any type as words, numbers as Python prints them.
fn labels(dataset: &Dataset, place: &Place) -> Result<Vec<String>> {
    Ok(match plain(dataset, place)? {
        Some(Column::Text(words)) => words,
        Some(Column::Int(values)) => values.iter().map(ToString::to_string).collect(),
        Some(Column::Float(values)) => values.iter().map(|value| format!("{value:?}")).collect(),
        Some(Column::Bool(values)) => values.iter().map(|&value| python_bool(value).to_owned()).collect(),
        _ => return Err(place.damaged("the categories are neither words nor numbers")),
    })
}

fn python_bool(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// Columns with a mask of missing values.
fn read_nullable(group: &Group, place: &Place) -> Result<Option<Column>> {
    let mask = truths(&part(group, "mask", place)?, place)?;
    let Some(values) = plain(&part(group, "values", place)?, place)? else {
        return Ok(None);
    };
    if values.len() != mask.len() {
        return Err(place.damaged(format!("{} values but a mask of {}", values.len(), mask.len())));
    }
    if !mask.contains(&true) {
        return Ok(Some(values));
    }
    Ok(Some(match values {
        Column::Int(values) => Column::Float(
            values.iter().zip(&mask).map(|(&value, &missing)| if missing { f64::NAN } else { value as f64 }).collect(),
        ),
        Column::Float(values) => Column::Float(
            values.iter().zip(&mask).map(|(&value, &missing)| if missing { f64::NAN } else { value }).collect(),
        ),
        Column::Bool(values) => {
            let words: Vec<_> = values.iter().map(|&value| python_bool(value).to_owned()).collect();
            masked_words(&words, &mask)
        }
        Column::Text(words) => masked_words(&words, &mask),
        unmasked @ Column::Categorical { .. } => unmasked,
    }))
}

/// Words of which some are missing: the frame has labels with missing values, but no such words.
fn masked_words(words: &[String], mask: &[bool]) -> Column {
    let present = words.iter().zip(mask).filter(|&(_, &missing)| !missing);
    let mut categories: Vec<String> = present.map(|(word, _)| word.clone()).collect();
    categories.sort_unstable();
    categories.dedup();
    let position = |word: &String| {
        let at = categories.binary_search(word).ok()?;
        u32::try_from(at).ok()
    };
    let codes = words.iter().zip(mask);
    Column::Categorical {
        codes: codes.map(|(word, &missing)| if missing { None } else { position(word) }).collect(),
        categories: categories.clone(),
        ordered: false,
    }
}
