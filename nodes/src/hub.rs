//! Model folders by name: beside the graph, in the cache of Hugging Face, or on its hub.

use std::path::{Path, PathBuf};

use lumina_engine::{Code, Mistake, World};

use crate::Network;

/// Where a model is.
pub(crate) enum Place {
    /// In this folder.
    Here(PathBuf),
    /// On the hub; a run will download it.
    Remote,
}

/// Finds the folder that a path or a repository name means.
///
/// A repository is downloaded when the world's [`Network`] lets it be; without that, or without the feature `hub`,
/// the mistake says what to download and where to put it.
pub(crate) fn find(path: &Path, world: &dyn World) -> Result<Place, Box<Mistake>> {
    let missing = match world.find(path) {
        Ok(found) => return Ok(Place::Here(found)),
        Err(missing) => missing,
    };
    let network = world.resources().get::<Network>().map_or_else(Network::default, |network| *network);
    let not_found = Mistake::not_found("path", "model folder", &missing);
    let Some(name) = repository(path) else { return Err(Box::new(not_found)) };
    if let Some(snapshot) = cache_root().and_then(|root| cached(&root, &name)) {
        return Ok(Place::Here(snapshot));
    }
    if cfg!(feature = "hub") && !network.offline {
        return if network.download { download(&name).map(Place::Here) } else { Ok(Place::Remote) };
    }
    let way_out = if network.offline {
        "run without `--offline`"
    } else {
        "use a program built with the feature `hub`"
    };
    let mut mistake = not_found;
    if let Some(root) = cache_root() {
        mistake = mistake.help(format!("and in the cache: `{}`", root.join(folder_name(&name)).display()));
    }
    let mistake = mistake.help(format!(
        "if this is a repository of Hugging Face: `hf download {name} --local-dir models/{name}`, \
         then set the path to `models/{name}`; or {way_out}"
    ));
    Err(Box::new(mistake))
}

/// `owner/name`, if the path reads like that.
fn repository(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    let (owner, name) = text.split_once('/')?;
    let fits = |part: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_letter)
    };
    // Folders of this project look like repositories, but nobody keeps models under these names.
    let is_local = matches!(owner, "weights" | "models" | "graphs" | "out");
    (fits(owner) && fits(name) && !is_local).then(|| text.to_owned())
}

/// The folder in which Hugging Face's libraries keep what they download: that of `HF_HUB_CACHE`, `HF_HOME` or `HOME`.
/// It need not exist.
pub fn cache_root() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("HF_HUB_CACHE")
        .or_else(|| variable("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/huggingface/hub")))
}

fn folder_name(name: &str) -> String {
    format!("models--{}", name.replace('/', "--"))
}

/// The downloaded state of a repository's main branch.
fn cached(root: &Path, name: &str) -> Option<PathBuf> {
    let folder = root.join(folder_name(name));
    let revision = std::fs::read_to_string(folder.join("refs/main")).ok()?;
    let snapshot = folder.join("snapshots").join(revision.trim());
    snapshot.join("model_index.json").exists().then_some(snapshot)
}

#[cfg(feature = "hub")]
fn download(name: &str) -> Result<PathBuf, Box<Mistake>> {
    let failed = |cause: hf_hub::api::sync::ApiError| {
        let mistake = Mistake::at("path", format!("cannot download the model `{name}`: {cause}"));
        let help = format!("put the folder at `models/{name}` and set the path to it");
        Box::new(mistake.code(Code::FileNotFound).help(help))
    };
    let api = hf_hub::api::sync::ApiBuilder::from_env().with_progress(true).build().map_err(failed)?;
    let repository = api.model(name.to_owned());
    let files: Vec<String> =
        repository.info().map_err(failed)?.siblings.into_iter().map(|file| file.rfilename).collect();
    // The index comes last: a folder that has it is complete.
    let (index, parts): (Vec<_>, Vec<_>) =
        files.into_iter().filter(|file| is_needed(file)).partition(|file| file == "model_index.json");
    for file in &parts {
        repository.get(file).map_err(failed)?;
    }
    if index.is_empty() {
        let message =
            format!("the repository `{name}` has no `model_index.json`: it is not in the diffusers layout");
        return Err(Box::new(Mistake::at("path", message).code(Code::BadFile)));
    }
    let index = repository.get("model_index.json").map_err(failed)?;
    Ok(index.parent().map(Path::to_owned).unwrap_or_default())
}

#[cfg(not(feature = "hub"))]
fn download(name: &str) -> Result<PathBuf, Box<Mistake>> {
    let message = format!("the model `{name}` cannot be downloaded by this program");
    Err(Box::new(Mistake::at("path", message).code(Code::FileNotFound)))
}

/// Configurations, tokenizers and safetensors; not pictures, documents or other weight formats.
#[cfg_attr(not(feature = "hub"), expect(dead_code, reason = "only downloads ask"))]
fn is_needed(file: &str) -> bool {
    file.ends_with(".json") || file.ends_with(".safetensors")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names_are_told_from_paths() {
        assert!(repository(Path::new("Alpha-VLLM/Lumina-Next-SFT-diffusers")).is_some());
        for path in ["weights/lumina-next-tiny", "../model", "/a/b", "model", "a/b/c", "a/.b", "~/x"] {
            assert!(repository(Path::new(path)).is_none(), "{path}");
        }
    }

    #[test]
    fn a_snapshot_counts_once_its_index_is_there() {
        let root = std::env::temp_dir().join(format!("lumina-hub-{}", std::process::id()));
        let folder = root.join("models--a--b");
        std::fs::create_dir_all(folder.join("refs")).unwrap();
        std::fs::create_dir_all(folder.join("snapshots/123")).unwrap();
        std::fs::write(folder.join("refs/main"), "123\n").unwrap();
        let before = cached(&root, "a/b");
        std::fs::write(folder.join("snapshots/123/model_index.json"), "{}").unwrap();
        let after = cached(&root, "a/b");
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!((before, after), (None, Some(folder.join("snapshots/123"))));
    }
}
