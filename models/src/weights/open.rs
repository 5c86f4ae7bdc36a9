//! Opening weights in whatever form they come.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::pth::{ModelArguments, PthArchive, PthTensor};
use super::shards::{self, RankName};
use super::stored::{Span, Storage, StoredFormat, StoredTensor};
use super::{Checkpoint, Header, gguf};
use crate::{ModelError, Result};

/// How the names of weight files end, the best first.
const EXTENSIONS: [&str; 6] = ["safetensors", "gguf", "pth", "pt", "ckpt", "bin"];
/// What comes first in a folder. After the names of Lumina-T2X, those of diffusers and of transformers.
const STEMS: [&str; 5] =
    ["consolidated_ema", "consolidated", "diffusion_pytorch_model", "model", "pytorch_model"];
/// How the names of files begin that lie beside weights and look like them.
const BESIDE: [&str; 3] = ["model_args", "optimizer", "training_args"];
/// Files that a message lists.
const SHOWN: usize = 5;

impl Checkpoint {
    /// Opens a weight file of any kind, or the weights in a folder.
    ///
    /// What a file is follows from its content: safetensors, GGUF, or a file of torch. Of a folder, it is the first of
    /// `consolidated_ema.*`, `consolidated.*` (joined when they are split among ranks), `diffusion_pytorch_model.*`,
    /// `model.*` and `pytorch_model.*` (also in parts with an index), or else the only weight file in it; safetensors
    /// before other kinds. Name a file to choose another. A `model_args.pth` in the folder is compared with the weights.
    /// What is to be said about all this is in [`Checkpoint::notes`].
    ///
    /// # Errors
    /// [`ModelError::FileNotFound`] when there are no weights, [`ModelError::Config`] when there are several to choose
    /// from, and those of the file that is opened.
    pub fn open_any(path: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(path).map_err(|source| ModelError::read(path, source))?;
        if !metadata.is_dir() {
            return Self::open_named(path);
        }
        let (chosen, note) = choose(path)?;
        let mut checkpoint = Self::open_named(&chosen)?;
        checkpoint.add_notes(note);
        if let Some(arguments) = ModelArguments::in_folder(path)? {
            let differences = arguments.differences(&checkpoint);
            checkpoint.add_notes(differences);
        }
        Ok(checkpoint)
    }

    /// A file, and all that belongs to it.
    fn open_named(path: &Path) -> Result<Self> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some(name) = RankName::parse(&name).filter(|name| name.world > 1) {
            return shards::open(path.parent().unwrap_or(Path::new(".")), &name);
        }
        if name.ends_with(".index.json") { Self::open_index(path) } else { Self::open_file(path) }
    }
}

/// The tensors of one file, which is the `file`-th of its checkpoint, and what is to be said about them.
pub(super) fn tensors(path: &Path, file: usize) -> Result<(BTreeMap<String, StoredTensor>, Vec<String>)> {
    match Kind::of(path)? {
        Kind::Gguf => Err(ModelError::config(path, "it is a GGUF file, which is never one of several")),
        Kind::Safetensors => {
            let header = Header::read(path)?;
            let tensors = header.tensors().iter().map(|tensor| {
                let storage = Storage::Span(Span { file, start: tensor.start, end: tensor.end });
                let format = StoredFormat::Plain(tensor.dtype);
                (tensor.name.clone(), StoredTensor { format, shape: tensor.shape.clone(), storage })
            });
            Ok((tensors.collect(), Vec::new()))
        }
        Kind::Torch => {
            let archive = PthArchive::open(path)?;
            let tensors = archive.tensors().iter().map(|(name, tensor)| (name.clone(), tensor.stored(file)));
            let tensors: BTreeMap<_, _> = tensors.collect();
            if tensors.is_empty() {
                return Err(ModelError::config(path, "it holds no tensors"));
            }
            Ok((tensors, archive.notes().to_vec()))
        }
    }
}

impl PthTensor {
    fn stored(&self, file: usize) -> StoredTensor {
        let span = Span { file, start: self.start, end: self.end };
        let storage = match &self.view {
            None => Storage::Span(span),
            Some(view) => Storage::Strided { span, offset: view.offset, strides: view.strides.clone() },
        };
        StoredTensor { format: StoredFormat::Plain(self.dtype), shape: self.shape.clone(), storage }
    }
}

/// What a weight file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Safetensors,
    Torch,
    Gguf,
}

impl Kind {
    /// By the first bytes; by the name only for a file that is neither, so that the message suits it.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let read = |source| ModelError::read(path, source);
        // Opening a pipe would wait for somebody to write to it.
        if !std::fs::metadata(path).map_err(read)?.is_file() {
            return Err(ModelError::config(path, "it is no file"));
        }
        let mut start = Vec::new();
        File::open(path).and_then(|file| file.take(8).read_to_end(&mut start)).map_err(read)?;
        // The length of a header of safetensors, which has no more than 32 bits.
        let is_length = start.get(4..8) == Some(&[0; 4]);
        let extension = path.extension().and_then(|extension| extension.to_str());
        let is_named_torch = matches!(extension, Some("pth" | "pt" | "ckpt" | "bin"));
        Ok(if start.starts_with(&gguf::header::MAGIC) {
            Self::Gguf
        } else if start.starts_with(b"PK") || (is_named_torch && !is_length) {
            Self::Torch
        } else {
            Self::Safetensors
        })
    }
}

/// A file that may hold the weights of a folder.
struct Candidate {
    /// Index into [`STEMS`], or one past the last.
    place: usize,
    /// Index into [`EXTENSIONS`].
    extension: usize,
    name: String,
}

impl Candidate {
    fn of(name: String) -> Option<Self> {
        let whole = name.strip_suffix(".index.json").unwrap_or(&name);
        let (stem, extension) = whole.rsplit_once('.')?;
        let extension = EXTENSIONS.iter().position(|known| *known == extension)?;
        let stem = RankName::parse(&name).map_or_else(|| stem.to_owned(), |rank| rank.stem);
        let place = STEMS.iter().position(|known| *known == stem).unwrap_or(STEMS.len());
        let is_beside = BESIDE.iter().any(|beside| name.starts_with(beside));
        (!is_beside).then_some(Self { place, extension, name })
    }
}

/// The file in `dir` that holds the weights, and what is to be said about the choice.
fn choose(dir: &Path) -> Result<(PathBuf, Vec<String>)> {
    let read = |source| ModelError::read(dir, source);
    let mut candidates = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(read)? {
        let entry = entry.map_err(read)?;
        candidates.extend(Candidate::of(entry.file_name().to_string_lossy().into_owned()));
    }
    candidates.sort_by(|a, b| (a.place, a.extension, &a.name).cmp(&(b.place, b.extension, &b.name)));
    let Some(chosen) = candidates.first() else {
        let reason =
            "the folder has no weights: no file whose name ends in `.safetensors`, `.pth` or the like";
        return Err(ModelError::config(dir, reason));
    };
    let alike =
        candidates.iter().filter(|other| (other.place, other.extension) == (chosen.place, chosen.extension));
    let alike: Vec<&Candidate> = alike.collect();
    let is_free = chosen.place == STEMS.len();
    let worlds: BTreeSet<_> =
        alike.iter().map(|other| RankName::parse(&other.name).map(|name| name.world)).collect();
    if (is_free && candidates.len() > 1) || worlds.len() > 1 {
        let names: Vec<_> = candidates.iter().take(SHOWN).map(|other| format!("`{}`", other.name)).collect();
        let more = if candidates.len() > SHOWN { " and more" } else { "" };
        let reason =
            format!("the folder has several weight files, {}{more}: name one of them", names.join(", "));
        return Err(ModelError::config(dir, reason));
    }
    let is_plain = |other: &&Candidate| chosen.place == 0 && other.place == 1;
    let plain = candidates.iter().find(is_plain);
    let note = plain.map(|plain| format!("`{}` is read, not `{}`", chosen.name, plain.name));
    Ok((dir.join(&chosen.name), note.into_iter().collect()))
}
