//! `--preview every=N`: rough pictures of a run in progress, as files.

use std::path::{Path, PathBuf};

use lumina_engine::{Event, Events, Picture, Provenance, World};
use lumina_modalities::image::write_png;

use crate::json;
use crate::messages::say;

/// Writes the previews among the events into files and passes on the rest.
pub(crate) struct Previews<'a> {
    next: &'a dyn Events,
    world: &'a dyn World,
    folder: &'a Path,
    graph: String,
    told: Told,
}

/// Who hears of a written preview.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Nobody,
    /// A reader of the standard error.
    Reader,
    /// A reader of JSON lines.
    Json,
}

impl<'a> Previews<'a> {
    /// Previews of the graph in this file go into a folder.
    pub(crate) fn new(
        next: &'a dyn Events,
        world: &'a dyn World,
        folder: &'a Path,
        graph: &Path,
        told: Told,
    ) -> Self {
        let graph = graph.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self { next, world, folder, graph, told }
    }

    fn path(&self, node: &str, step: u64) -> PathBuf {
        self.folder.join(format!("{}_{node}_{step}.png", self.graph))
    }

    fn write(&self, path: &Path, picture: &Picture) -> std::io::Result<()> {
        let png = write_png(picture.width, picture.height, &picture.rgb, &Provenance::default())?;
        self.world.write(path, &png)
    }
}

impl Events for Previews<'_> {
    fn event(&self, event: &Event) {
        let Event::Preview { node, step, picture } = event else { return self.next.event(event) };
        let path = self.path(node, *step);
        match self.write(&path, picture) {
            Ok(()) => match self.told {
                Told::Nobody => {}
                Told::Reader => say(&format!("{node:>16}  preview {}", path.display())),
                Told::Json => json::preview(event, &path),
            },
            // Only the first look is lost, not the picture.
            Err(cause) => say(&format!("warning: cannot write the preview `{}`: {cause}", path.display())),
        }
    }
}
