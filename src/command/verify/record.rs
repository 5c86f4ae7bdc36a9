//! What a file says it was made from.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use lumina_engine::{Document, Graph, GraphNode, Input, Provenance, Source, Value};

use super::partners::partners;
use crate::command::{locked, read_graph};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::lock::{Asked, Difference, Lock, Place, SUFFIX, What, device_and_dtype, digests};
use crate::world::LocalWorld;

/// What a file says it was made from, with all that is needed to make it again.
pub(super) struct Record {
    /// The graph.
    pub(super) source: Source,
    /// Relative paths of the graph are searched beside this file too.
    pub(super) beside: PathBuf,
    /// Parameters and inputs, as `--set` takes them.
    pub(super) values: Vec<(String, String)>,
    /// Were graph and parameters embedded?
    pub(super) metadata: bool,
    /// Device and number format, as a run names them.
    pub(super) environment: String,
    /// The kind of file.
    pub(super) subject: Subject,
}

/// The kinds of files that can be verified.
pub(super) enum Subject {
    /// A picture with its provenance inside.
    Picture(PathBuf, Box<Provenance>),
    /// A lock file.
    Lock(Box<Lock>, Place),
}

impl Record {
    /// Reads what a file says.
    ///
    /// # Errors
    /// When there is no such file, it is damaged, or it does not say what it was made from.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        if path.to_string_lossy().ends_with(SUFFIX) { Self::lock(path) } else { Self::picture(path) }
    }

    fn picture(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let nothing =
            |reason: &str| Failure::new(Exit::InvalidGraph, format!("`{shown}` carries no graph: {reason}"));
        let unreadable = |cause: io::Error| match cause.kind() {
            io::ErrorKind::NotFound => Failure::new(Exit::File, format!("there is no file `{shown}`")),
            _ => Failure::new(Exit::File, format!("cannot read `{shown}`: {cause}")),
        };
        if !path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")) {
            std::fs::metadata(path).map_err(unreadable)?;
            return Err(nothing("only pictures in `.png` files do, and `.lock.ron` files name one"));
        }
        let provenance = lumina_modalities::image::read_png(path).map_err(unreadable)?;
        let provenance =
            provenance.ok_or_else(|| nothing("it was not made by lumina-graph, or with `--no-metadata`"))?;
        // The name is printed; in paths such characters are replaced alike.
        let name = provenance.graph_name.replace(char::is_control, "_");
        Ok(Self {
            source: Source::new(format!("{name}.ron"), provenance.graph.clone()),
            beside: path.to_owned(),
            values: provenance.params.iter().chain(&provenance.overrides).map(owned).collect(),
            metadata: true,
            environment: provenance.environment.clone(),
            subject: Subject::Picture(path.to_owned(), Box::new(provenance)),
        })
    }

    fn lock(path: &Path) -> Result<Self, Failure> {
        let lock = locked::read(path)?;
        let place = Place::of(path, &lock.graph);
        Ok(Self {
            source: Source::new(place.graph(), read_graph(place.graph())?),
            beside: place.graph().to_owned(),
            values: lock.values(),
            metadata: lock.metadata,
            environment: lock.environment(),
            subject: Subject::Lock(Box::new(lock), place),
        })
    }

    /// The graphs that the recorded one includes, by path; those of a lock file lie beside its graph.
    pub(super) fn graphs(&self) -> BTreeMap<PathBuf, String> {
        match &self.subject {
            Subject::Lock(..) => BTreeMap::new(),
            Subject::Picture(_, provenance) => {
                provenance.includes.iter().map(|(path, text)| (path.into(), text.clone())).collect()
            }
        }
    }

    /// The nodes to run for; an empty list stands for the whole graph.
    pub(super) fn targets(&self, graph: &Graph) -> Vec<String> {
        match &self.subject {
            Subject::Lock(lock, _) => lock.only.clone(),
            Subject::Picture(path, _) => {
                let is_maker = |node: &&GraphNode| written_paths(node).any(|to| may_be(path, to));
                let makers = graph.nodes.iter().filter(|node| node.kind.spec.effect).filter(is_maker);
                makers.map(|node| node.name.clone()).collect()
            }
        }
    }

    /// What is not as it was recorded: files, versions, device. `graph` is what is checked now.
    ///
    /// # Errors
    /// When a file that the graph rests on cannot be read.
    pub(super) fn differences(
        &self,
        document: &Document,
        graph: &Graph,
        targets: &[String],
        world: &LocalWorld,
    ) -> io::Result<Vec<Difference>> {
        match &self.subject {
            Subject::Lock(lock, place) => {
                let asked = Asked { targets, only: &lock.only, metadata: lock.metadata };
                Ok(lock.differences(&Lock::new(place, document, graph, world, asked)?, place, world))
            }
            Subject::Picture(_, before) => {
                let now = &graph.provenance;
                let mut found = Vec::new();
                found.extend(Difference::find(What::Engine, "", Some(&before.engine), Some(&now.engine)));
                let (device, dtype) = device_and_dtype(&before.environment);
                let (device_now, dtype_now) = device_and_dtype(&now.environment);
                found.extend(Difference::find(What::Device, "", Some(&device), Some(&device_now)));
                found.extend(Difference::find(What::DType, "", Some(&dtype), Some(&dtype_now)));
                let paths = graph.behind(targets).into_iter().flat_map(|node| &node.files);
                let files = digests(paths, world, |path| path.display().to_string())?;
                found.extend(other_files(&before.digests, &files));
                Ok(found)
            }
        }
    }
}

/// Files of now whose content is not the recorded one. A recorded file that is not read now belongs to another node.
fn other_files(recorded: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<Difference> {
    let pairs = partners(recorded.keys(), now.keys());
    let before: BTreeMap<&str, &String> =
        pairs.iter().filter_map(|(before, after)| Some((*after, recorded.get(*before)?))).collect();
    now.iter()
        .filter_map(|(name, digest)| {
            Difference::find(What::File, name, before.get(name.as_str()).copied(), Some(digest))
        })
        .collect()
}

/// The paths that a node is told to write to.
fn written_paths(node: &GraphNode) -> impl Iterator<Item = &Path> {
    node.inputs.iter().zip(&node.kind.spec.inputs).filter_map(|(input, spec)| match input {
        Input::Value(Value::Path(path)) if spec.template => Some(&**path),
        _ => None,
    })
}

/// May a file have been written to a path, to judge by the name? Of several pictures each has a number behind it, and so
/// has each turn of a sweep.
fn may_be(file: &Path, path: &Path) -> bool {
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let (file, path) = (stem(file), stem(path));
    let number = file.strip_prefix(&path).map(|rest| rest.strip_prefix('_').unwrap_or(rest));
    let is_number = |character: char| character.is_ascii_digit() || character == '_';
    number.is_some_and(|number| number.chars().all(is_number))
}

fn owned((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_recognised_by_its_name_with_or_without_a_number() {
        let to = Path::new("out/t2i_7.png");
        assert!(may_be(Path::new("x/t2i_7.png"), to) && may_be(Path::new("t2i_7_12.png"), to));
        assert!(may_be(Path::new("t2i_7_1_0.png"), to));
        assert!(!may_be(Path::new("t2i_8.png"), to) && !may_be(Path::new("t2i_7_b.png"), to));
    }

    #[test]
    fn only_files_that_are_read_now_are_compared() {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let recorded = map(&[("m/vae/w", "1"), ("m/text/w", "2"), ("other", "3")]);
        let now = map(&[("/x/m/vae/w", "1"), ("/x/m/text/w", "9"), ("/x/m/new", "4")]);
        let found = other_files(&recorded, &now);
        let names: Vec<_> = found
            .iter()
            .map(|difference| (difference.name.as_str(), difference.expected.as_deref()))
            .collect();
        assert_eq!(names, [("/x/m/new", None), ("/x/m/text/w", Some("2"))]);
    }
}
