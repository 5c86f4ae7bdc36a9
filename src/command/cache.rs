//! `lumina-graph cache ls`, `gc` and `clear`.

use lumina_engine::DiskCache;
use serde_json::json;

use super::disk_cache;
use crate::arguments::CacheCommand;
use crate::exit::Exit;
use crate::messages::{answer, bytes, error, say};

pub(super) fn cache(command: &CacheCommand) -> Exit {
    let (CacheCommand::Ls { cache, .. } | CacheCommand::Gc { cache } | CacheCommand::Clear { cache }) =
        command;
    let Some(disk) = disk_cache(cache) else {
        error("no cache folder is given", ["use `--cache-dir DIR`, or set `LUMINA_GRAPH_CACHE`"]);
        return Exit::Usage;
    };
    let result = match command {
        CacheCommand::Ls { json, .. } => list(&disk, *json),
        CacheCommand::Gc { .. } => disk.collect().map(|freed| say(&format!("freed {}", bytes(freed)))),
        CacheCommand::Clear { .. } => disk.clear().map(|freed| say(&format!("freed {}", bytes(freed)))),
    };
    match result {
        Ok(()) => Exit::Ok,
        Err(cause) => {
            error(&format!("cannot use the cache: {cause}"), None);
            Exit::File
        }
    }
}

fn list(disk: &DiskCache, as_json: bool) -> std::io::Result<()> {
    let stored = disk.list()?;
    let total: u64 = stored.iter().map(|stored| stored.bytes).sum();
    let (actions, blobs): (Vec<_>, Vec<_>) =
        stored.iter().partition(|stored| stored.name.starts_with("action"));
    if as_json {
        answer(&json!({"results": actions.len(), "values": blobs.len(), "bytes": total}).to_string());
    } else {
        answer(&format!("{} results, {} values, {}", actions.len(), blobs.len(), bytes(total)));
    }
    Ok(())
}
