//! A fitted file as what comes after a fit sees it: opened once, of which only what belongs to its fit is seen, and each layer
//! read at most once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hdf5::File;
use ndarray::ArcArray2;

use super::h5::{self, Node};
use super::matrix::Matrix as Stored;
use super::place::Place;
use super::read::{annotation, embeddings, layer, uns};
use super::records::{self, Owner, Records};
use super::store::{PARAMS, USE_REP};
use super::{InputConfig, describe, neighbors};
use crate::data::quantities::{Matrix, NEIGHBORS, Numbers, Quantity, Record, SPLICED, Slot, UNSPLICED, about};
use crate::data::{Column, FitRecord, Frame, GraphRecord, Neighbors};
use crate::error::{Error, Result};
use crate::models::ModelConfig;

/// A fitted `.h5ad` file, of this program or another. What an earlier fit may have left in it is not seen.
pub struct FittedFile {
    path: PathBuf,
    file: File,
    records: Records,
    obs: Frame,
    var: Frame,
    layers: RefCell<BTreeMap<&'static str, ArcArray2<f32>>>,
}

impl FittedFile {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`Error::Input`] if it is no AnnData file or is damaged, [`Error::File`] if the system refuses to read.
    pub fn open(path: &Path) -> Result<Self> {
        let file = h5::open(path)?;
        let place = Place::root(path);
        let records = Records::read(&file, &place)?;
        let (mut obs, mut var) = annotation(&file, &place)?;
        for (slot, frame) in [(Slot::Obs, &mut obs), (Slot::Var, &mut var)] {
            frame.columns.retain(|(name, _)| about(slot, name).is_none_or(|about| records.owns(about, name)));
        }
        Ok(Self { path: path.to_path_buf(), file, records, obs, var, layers: RefCell::default() })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who made its velocities.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.records.owner
    }

    /// What made its velocities: scVelo's word where it has one, else the model's name; empty if the file does not say.
    #[must_use]
    pub fn mode(&self) -> &str {
        &self.records.mode
    }

    /// Our record of the fit, if it is ours.
    #[must_use]
    pub fn fit(&self) -> Option<&FitRecord> {
        self.records.fit.as_ref()
    }

    /// Our record of the velocity graph, if the file has one that was made from this fit.
    #[must_use]
    pub fn graph(&self) -> Option<&GraphRecord> {
        self.records.graph.as_ref()
    }

    /// What marks this fit in the records of what is computed from it.
    #[must_use]
    pub fn stamp(&self) -> String {
        self.records.stamp()
    }

    /// Whether a gene's `fit_t` are times along its own curve, rather than means over kinetic states.
    #[must_use]
    pub fn times_on_curve(&self) -> bool {
        match &self.records.fit {
            Some(fit) => ModelConfig::entry_of(&fit.model).is_none_or(|entry| entry.times_on_curve),
            None => self.records.owner != Owner::Velovi,
        }
    }

    /// Annotation of cells; of results, those of this fit.
    #[must_use]
    pub fn obs(&self) -> &Frame {
        &self.obs
    }

    /// Annotation of all genes of the file; of results, those of this fit.
    #[must_use]
    pub fn var(&self) -> &Frame {
        &self.var
    }

    /// A column of cells, `[n_obs]`, or of genes, `[n_vars]`, if this fit has it.
    #[must_use]
    pub fn numbers(&self, quantity: Quantity<Numbers>) -> Option<Vec<f64>> {
        self.column(quantity).and_then(Column::to_numbers)
    }

    /// A column of cells or of genes, if this fit has it.
    #[must_use]
    pub fn column<T>(&self, quantity: Quantity<T>) -> Option<&Column> {
        let frame = if quantity.about().slot == Slot::Obs { &self.obs } else { &self.var };
        frame.get(&self.records.stored_key(quantity.about()))
    }

    /// Whether this fit has a layer.
    #[must_use]
    pub fn has_layer(&self, quantity: Quantity<Matrix>) -> bool {
        let key = self.records.stored_key(quantity.about());
        let there = || match Node::open(&self.file, "layers") {
            Some(Node::Group(layers)) => layers.link_exists(&key),
            _ => false,
        };
        self.records.owns(quantity.about(), &key) && there()
    }

    /// A layer, `[n_obs, n_vars]`, if this fit has it. It is read once, and kept until [`release`](Self::release).
    ///
    /// # Errors
    /// [`Error::Input`] if it is damaged or has another shape.
    pub fn layer(&self, quantity: Quantity<Matrix>) -> Result<Option<ArcArray2<f32>>> {
        if let Some(known) = self.layers.borrow().get(quantity.key()) {
            return Ok(Some(known.clone()));
        }
        if !self.has_layer(quantity) {
            return Ok(None);
        }
        let read = self.stored(quantity)?.to_dense()?.into_shared();
        self.layers.borrow_mut().insert(quantity.key(), read.clone());
        Ok(Some(read))
    }

    /// The layer of this name, `[n_obs, n_vars]`, whoever put it there: a truth.
    ///
    /// # Errors
    /// [`Error::Input`] with what layers there are if it is not among them, or if it is damaged.
    pub fn layer_named(&self, name: &str) -> Result<ArcArray2<f32>> {
        let stored = layer(&self.file, name, None, &Place::root(&self.path))?;
        stored.require_shape(self.obs.index.len(), self.var.index.len())?;
        Ok(stored.to_dense()?.into_shared())
    }

    /// A layer that the file must have; `hint` says how it is made.
    ///
    /// # Errors
    /// [`Error::Input`] with the hint if it is not there.
    pub fn needed_layer(&self, quantity: Quantity<Matrix>, hint: &str) -> Result<ArcArray2<f32>> {
        if let Some(found) = self.layer(quantity)? {
            return Ok(found);
        }
        let key = self.records.stored_key(quantity.about());
        Err(match layer(&self.file, &key, None, &Place::root(&self.path)) {
            Err(Error::Input { path, place, problem, .. }) => {
                Error::Input { path, place, problem, hint: hint.to_owned() }
            }
            Err(other) => other,
            Ok(_) => {
                Error::input(&self.path, format!("layers[{key:?}]"), "is not of the fit that the file holds", hint)
            }
        })
    }

    fn stored(&self, quantity: Quantity<Matrix>) -> Result<Stored<'_>> {
        let place = Place::root(&self.path);
        let stored = layer(&self.file, &self.records.stored_key(quantity.about()), None, &place)?;
        stored.require_shape(self.obs.index.len(), self.var.index.len())?;
        Ok(stored)
    }

    /// Forgets a layer that nobody asks for any more.
    pub fn release(&self, quantity: Quantity<Matrix>) {
        self.layers.borrow_mut().remove(quantity.key());
    }

    /// A dictionary of `uns`, if this fit has it.
    ///
    /// # Errors
    /// [`Error::Input`] if it is damaged.
    pub fn record(&self, quantity: Quantity<Record>) -> Result<Option<Record>> {
        if !self.records.owns(quantity.about(), quantity.key()) {
            return Ok(None);
        }
        uns(&self.file, quantity.key(), &Place::root(&self.path))
    }

    /// What stands at `uns[name]`, whoever put it there: colours of groups.
    ///
    /// # Errors
    /// [`Error::Input`] if it is damaged.
    pub fn uns(&self, name: &str) -> Result<Option<Record>> {
        uns(&self.file, name, &Place::root(&self.path))
    }

    /// The neighbour graph that the fit used, else scanpy's, if the file has one; and its key in `uns`.
    ///
    /// # Errors
    /// [`Error::Input`] if it is damaged.
    pub fn neighbors(&self) -> Result<Option<(String, Neighbors)>> {
        let key = self.records.fit.as_ref().map_or(NEIGHBORS.key(), |fit| fit.neighbors.key.as_str());
        let found = neighbors::read(&self.file, key, self.obs.index.len(), &Place::root(&self.path))?;
        Ok(found.map(|found| (key.to_owned(), found)))
    }

    /// Key in obsm of the coordinates in which the neighbours that the fit used were sought, if the file says.
    ///
    /// # Errors
    /// [`Error::Input`] if the description of the neighbours is damaged.
    pub fn neighbors_space(&self) -> Result<Option<String>> {
        let key = self.records.fit.as_ref().map_or(NEIGHBORS.key(), |fit| fit.neighbors.key.as_str());
        let described = uns(&self.file, key, &Place::root(&self.path))?;
        let space = described.as_ref().and_then(|neighbors| neighbors.get(PARAMS)?.get(USE_REP)?.as_str());
        Ok(space.map(str::to_owned))
    }

    /// Coordinates of cells: name as in the file (`X_umap`), `[n_obs, n_dims]`; of results, those of this fit.
    ///
    /// # Errors
    /// [`Error::Input`] if they are damaged.
    pub fn embeddings(&self) -> Result<Vec<(String, ndarray::Array2<f32>)>> {
        let place = Place::root(&self.path).child("obsm");
        let mut found = embeddings(&self.file, self.obs.index.len(), &place)?;
        let names: Vec<String> = found.iter().map(|(name, _)| name.clone()).collect();
        let shown = |name: &str| match about(Slot::Obsm, name) {
            Some(about) => self.records.owns(about, name) || !records::is_result(about, name, &names),
            None => true,
        };
        found.retain(|(name, _)| shown(name));
        Ok(found)
    }

    /// Names of all elements of `obsm`, also of those that are no coordinates to us.
    #[must_use]
    pub fn obsm_keys(&self) -> Vec<String> {
        match Node::open(&self.file, "obsm") {
            Some(Node::Group(group)) => h5::members(&group),
            _ => Vec::new(),
        }
    }

    /// Share of unspliced molecules in the layers that `asked` names or, where it names the usual ones, those that the fit was made from;
    /// `None` if these are not there.
    ///
    /// # Errors
    /// [`Error::Input`] if a layer is damaged, or one is asked for that is not there.
    pub fn unspliced_share(&self, asked: &InputConfig) -> Result<Option<f64>> {
        let place = Place::root(&self.path);
        if *asked != InputConfig::default() {
            for name in [&asked.spliced, &asked.unspliced] {
                layer(&self.file, name, None, &place)?;
            }
            return describe::unspliced_share_of(&self.file, asked, &place);
        }
        let named = |setting: &str, usual: &'static str| {
            let fit = self.records.fit.as_ref();
            let input = fit.and_then(|fit| fit.settings.get("input")?.get(setting)?.as_str().map(str::to_owned));
            input.unwrap_or_else(|| usual.to_owned())
        };
        let input =
            InputConfig { spliced: named("spliced", SPLICED.key()), unspliced: named("unspliced", UNSPLICED.key()) };
        describe::unspliced_share_of(&self.file, &input, &place)
    }
}

/// The values of a quantity in a file, whoever wrote it; for tests and tools that look at one element.
///
/// # Errors
/// [`Error::Input`] if the file is no AnnData file or has no such layer.
pub fn read_layer(path: &Path, name: &str) -> Result<ndarray::Array2<f32>> {
    let file = h5::open(path)?;
    let place = Place::root(path);
    match Node::open(&file, "X") {
        Some(node) if name == "X" => Stored::open(&node, place.child("X"))?.to_dense(),
        _ => layer(&file, name, None, &place)?.to_dense(),
    }
}
