//! `lumina-graph cache ls`, `gc` and `clear`; `explain` has its own file.

use lumina_engine::DiskCache;
use serde_json::json;

use super::{Context, cache_explain, count, disk_cache};
use crate::arguments::CacheCommand;
use crate::exit::Exit;
use crate::messages::{answer, bytes, error, say};

pub(super) fn cache(context: &Context, command: &CacheCommand) -> Exit {
    let cache = match command {
        CacheCommand::Ls { cache, .. } | CacheCommand::Gc { cache } | CacheCommand::Clear { cache } => cache,
        CacheCommand::Explain(arguments) => return cache_explain::explain(context, arguments),
    };
    let Some(disk) = disk_cache(cache) else {
        error("no cache folder is given", ["use `--cache-dir DIR`, or set `LUMINA_GRAPH_CACHE`"]);
        return Exit::Usage;
    };
    let result = match command {
        CacheCommand::Ls { json, .. } => list(&disk, *json),
        CacheCommand::Gc { .. } => disk.collect().map(|freed| say(&format!("freed {}", bytes(freed)))),
        _ => disk.clear().map(|freed| say(&format!("freed {}", bytes(freed)))),
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
    let table = |name: &str| stored.iter().filter(|stored| stored.name.starts_with(name)).count();
    let (results, values, recipes) = (table("action/"), table("blob/"), table("recipe/"));
    if as_json {
        let answered = json!({"results": results, "values": values, "recipes": recipes, "bytes": total});
        answer(&answered.to_string());
    } else {
        let recipes = count(recipes, "graph");
        answer(&format!("{results} results, {values} values, recipes of {recipes}, {}", bytes(total)));
    }
    Ok(())
}
