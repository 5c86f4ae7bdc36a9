//! `NAME.lock.ron` beside a graph: what a run was made from and what it gave.

mod differences;
mod place;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use lumina_engine::{Document, Graph, Report, Value, World};
use ron::ser::PrettyConfig;
use serde::{Deserialize, Serialize};

pub(crate) use differences::{Difference, What};
pub(crate) use place::Place;

use crate::pixels::Pixels;
use crate::scalar::Scalar;

/// The version of the format that is written and read.
const FORMAT: u32 = 1;

const HEAD: &str = "\
// What a run was made from and what it gave; written by `lumina-graph run --lock`.
// Paths are relative to the folder of this file. Digests are BLAKE3.
";

/// What a run was made from and what it gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lock {
    format: u32,
    /// The engine's version.
    pub(crate) engine: String,
    /// The graph's file, relative to the lock file.
    pub(crate) graph: String,
    /// Where it was computed.
    pub(crate) device: String,
    /// In which number format.
    pub(crate) dtype: String,
    /// Were graph and parameters embedded into the outputs?
    pub(crate) metadata: bool,
    /// Every parameter with its value.
    pub(crate) params: BTreeMap<String, Scalar>,
    /// Inputs that were set from outside, `node.input` to value.
    pub(crate) overrides: BTreeMap<String, String>,
    /// The nodes the run was for; empty when it was for the whole graph.
    pub(crate) only: Vec<String>,
    /// The version of every node kind used.
    pub(crate) kinds: BTreeMap<String, u32>,
    /// Digests of all files behind the run, the graph among them.
    pub(crate) files: BTreeMap<String, String>,
    /// The files that were written.
    pub(crate) outputs: BTreeMap<String, Output>,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Output {
    /// The digest of the file.
    pub(crate) bytes: String,
    /// The digest of the pixels alone, of a picture. Its metadata names files as they were found from another folder.
    /// Empty for other files.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) pixels: String,
}

/// What a run is asked for, beside the graph.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// What to run for.
    pub(crate) targets: &'a [String],
    /// What `--only` names.
    pub(crate) only: &'a [String],
    /// Is metadata embedded?
    pub(crate) metadata: bool,
}

impl Lock {
    /// What a run is going to be made from; nothing is written yet.
    ///
    /// # Errors
    /// When a file behind the run cannot be read.
    pub(crate) fn new(
        place: &Place,
        document: &Document,
        graph: &Graph,
        world: &dyn World,
        asked: Asked<'_>,
    ) -> io::Result<Self> {
        let nodes = graph.behind(asked.targets);
        let graph_file = place.graph().to_owned();
        let paths = nodes.iter().flat_map(|node| &node.files).chain(&graph.included).chain([&graph_file]);
        let files = digests(paths, world, |path| place.name(path))?;
        let provenance = &graph.provenance;
        let params = provenance.params.iter();
        let (device, dtype) = device_and_dtype(&provenance.environment);
        Ok(Self {
            format: FORMAT,
            engine: provenance.engine.clone(),
            graph: place.name(place.graph()),
            device: device.to_owned(),
            dtype: dtype.to_owned(),
            metadata: asked.metadata,
            params: params
                .map(|(name, text)| (name.clone(), Scalar::of_param(document, name, text)))
                .collect(),
            overrides: provenance.overrides.clone(),
            only: asked.only.to_vec(),
            kinds: nodes
                .iter()
                .map(|node| (node.kind.spec.kind.to_owned(), node.kind.spec.version))
                .collect(),
            files,
            outputs: BTreeMap::new(),
        })
    }

    /// Adds what a run has written.
    ///
    /// # Errors
    /// When a file that was written cannot be read back.
    pub(crate) fn with_outputs(
        mut self,
        place: &Place,
        graph: &Graph,
        report: &Report,
        world: &dyn World,
    ) -> io::Result<Self> {
        for path in written(graph, report) {
            let failed = |cause| unreadable(&path, &cause);
            let bytes = world.digest(&path).map_err(failed)?.to_string();
            let pixels = Pixels::read(&path)
                .map_err(failed)?
                .map(|pixels| pixels.digest().to_string())
                .unwrap_or_default();
            self.outputs.insert(place.name(&path), Output { bytes, pixels });
        }
        Ok(self)
    }

    /// The lock as a file's text.
    ///
    /// # Errors
    /// Never, as far as is known: all of it can be written as RON.
    pub(crate) fn text(&self) -> Result<String, ron::Error> {
        let pretty = PrettyConfig::new().struct_names(true).new_line("\n");
        Ok(format!("{HEAD}{}\n", ron::ser::to_string_pretty(self, pretty)?))
    }

    /// A lock from a file's text.
    ///
    /// # Errors
    /// When it is not one, or one of another format.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        /// Only the version: another format may have other fields.
        #[derive(Deserialize)]
        #[serde(rename = "Lock")]
        struct Version {
            format: u32,
        }
        let version: Version = ron::from_str(text).map_err(|cause| cause.to_string())?;
        if version.format != FORMAT {
            return Err(format!("it has format {}, this program reads format {FORMAT}", version.format));
        }
        ron::from_str(text).map_err(|cause| cause.to_string())
    }

    /// Device and number format as one text, as a run names them.
    pub(crate) fn environment(&self) -> String {
        format!("{} {}", self.device, self.dtype)
    }

    /// The values of the run, as `--set` takes them.
    pub(crate) fn values(&self) -> Vec<(String, String)> {
        let params = self.params.iter().map(|(name, value)| (name.clone(), value.to_string()));
        params.chain(self.overrides.clone()).collect()
    }
}

/// `cpu f32` as device and number format.
pub(crate) fn device_and_dtype(environment: &str) -> (&str, &str) {
    environment.rsplit_once(' ').unwrap_or((environment, ""))
}

/// Digests of files, under names that are made from their paths.
///
/// # Errors
/// When one cannot be read; the error says which.
pub(crate) fn digests<'a>(
    paths: impl Iterator<Item = &'a PathBuf>,
    world: &dyn World,
    name: impl Fn(&Path) -> String,
) -> io::Result<BTreeMap<String, String>> {
    let digest = |path: &'a PathBuf| match world.digest(path) {
        Ok(digest) => Ok((name(path), digest.to_string())),
        Err(cause) => Err(unreadable(path, &cause)),
    };
    paths.map(digest).collect()
}

/// The error with the file it is about.
fn unreadable(path: &Path, cause: &io::Error) -> io::Error {
    io::Error::new(cause.kind(), format!("cannot read `{}`: {cause}", path.display()))
}

/// The files that the nodes a run was for have written.
pub(crate) fn written(graph: &Graph, report: &Report) -> Vec<PathBuf> {
    let outputs = report.outputs.iter().filter(|(name, _)| graph.acts(name));
    outputs.flat_map(|(_, values)| values.iter()).flat_map(paths).collect()
}

fn paths(value: &Value) -> Vec<PathBuf> {
    match value {
        Value::Path(path) => vec![path.to_path_buf()],
        // The output of a node is a path or a list of paths, nothing deeper.
        Value::List(items) => items
            .iter()
            .filter_map(|item| match item {
                Value::Path(path) => Some(path.to_path_buf()),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Where the lock file of a graph is: `t2i.lock.ron` beside `t2i.ron`.
pub(crate) fn path_of(graph: &Path) -> PathBuf {
    let stem = graph.file_stem().unwrap_or(graph.as_os_str());
    let mut name = stem.to_owned();
    name.push(SUFFIX);
    graph.with_file_name(name)
}

/// How the names of lock files end.
pub(crate) const SUFFIX: &str = ".lock.ron";
