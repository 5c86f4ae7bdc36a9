//! Folders that are written to, and folders in which models are searched.

use std::path::{Path, PathBuf};

use lumina_engine::{DiskCache, Resources, World};
use lumina_models::PipelineFolder;
use lumina_nodes::hub_cache;

use super::{Finding, Status};
use crate::arguments::CacheArguments;
use crate::command::{CACHE_VARIABLE, cache_folder, disk_cache};
use crate::messages::bytes;
use crate::world::{LocalWorld, MODELS_VARIABLE, temporary};

/// The model that comes with the repository.
const SMALL_MODEL: &str = "weights/lumina-next-tiny";

/// The state of all places.
pub(super) fn findings(cache_arguments: &CacheArguments) -> Vec<Finding> {
    let world = LocalWorld::new(Path::new("graphs/t2i.ron"), String::new(), Resources::default());
    vec![
        folder("current folder", std::env::current_dir()),
        folder("temporary folder", Ok(std::env::temp_dir())),
        cache(&world, cache_arguments),
        models(),
        hugging_face(),
        small_model(&world),
    ]
}

/// A folder that has to be writable.
fn folder(what: &str, place: std::io::Result<PathBuf>) -> Finding {
    let result = match place {
        Ok(path) => match temporary(&path) {
            Ok(_) => Ok(format!("`{}` is writable", path.display())),
            Err(cause) => Err(format!("cannot write into `{}`: {cause}", path.display())),
        },
        Err(cause) => Err(format!("it is unknown: {cause}")),
    };
    Finding::of(what, result, Status::Error)
}

fn cache(world: &LocalWorld, arguments: &CacheArguments) -> Finding {
    let (Some(path), Some(disk)) = (cache_folder(arguments), disk_cache(arguments)) else {
        let detail = format!("none: results are not kept (`--cache-dir`, `{CACHE_VARIABLE}`)");
        return Finding::new("cache", Status::Ok, detail);
    };
    let shown = path.display();
    // A name that no entry has: the folder is there and writable, or it can be made.
    if let Err(cause) = world.can_write(&path.join("entry")) {
        return Finding::new("cache", Status::Error, format!("cannot write into `{shown}`: {cause}"));
    }
    if !path.exists() {
        return Finding::new("cache", Status::Ok, format!("`{shown}` will be made"));
    }
    match contents(&disk) {
        Ok((total, 0)) => Finding::new("cache", Status::Ok, format!("`{shown}` has {}", bytes(total))),
        Ok((total, damaged)) => {
            let detail = format!(
                "`{shown}` has {}; damaged entries: {damaged}, which will be computed again",
                bytes(total)
            );
            Finding::new("cache", Status::Warning, detail)
        }
        Err(cause) => Finding::new("cache", Status::Error, format!("cannot read `{shown}`: {cause}")),
    }
}

/// Bytes, and how many entries are damaged.
fn contents(disk: &DiskCache) -> std::io::Result<(u64, usize)> {
    let total = disk.list()?.iter().map(|stored| stored.bytes).sum();
    Ok((total, disk.damaged()?))
}

fn models() -> Finding {
    let what = "models folder";
    let Some(path) = std::env::var_os(MODELS_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from)
    else {
        return Finding::new(what, Status::Ok, format!("none (`{MODELS_VARIABLE}` is not set)"));
    };
    let detail = format!("`{}` of `{MODELS_VARIABLE}`", path.display());
    match path.is_dir() {
        true => Finding::new(what, Status::Ok, detail),
        false => Finding::new(what, Status::Warning, format!("{detail} is no folder")),
    }
}

fn hugging_face() -> Finding {
    let what = "Hugging Face";
    let Some(path) = hub_cache() else {
        return Finding::new(what, Status::Ok, "no cache: neither `HF_HOME` nor `HOME` is set");
    };
    let shown = path.display();
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match path.is_dir() {
        true => Finding::new(what, Status::Ok, format!("cache in `{shown}`")),
        false if is_set("HF_HUB_CACHE") || is_set("HF_HOME") => {
            Finding::new(what, Status::Warning, format!("cache `{shown}` is set, but is no folder"))
        }
        false => Finding::new(what, Status::Ok, format!("no cache in `{shown}`")),
    }
}

fn small_model(world: &LocalWorld) -> Finding {
    let what = "small model";
    let Ok(path) = world.find(Path::new(SMALL_MODEL)) else {
        let detail = format!(
            "`{SMALL_MODEL}` is not found from here: go to the folder of the repository, or name it in \
             `{MODELS_VARIABLE}`"
        );
        return Finding::new(what, Status::Warning, detail);
    };
    let errors = PipelineFolder::verify(&path).errors;
    match errors.first() {
        None => Finding::new(what, Status::Ok, format!("`{}` is complete", path.display())),
        Some(first) => Finding::new(what, Status::Error, first.to_string()),
    }
}
