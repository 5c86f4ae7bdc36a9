//! Where a picture comes from, inside its file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Seek};
use std::path::Path;

use lumina_engine::Provenance;

/// The keyword of the iTXt chunk that holds the [`Provenance`] as JSON.
pub const KEYWORD: &str = "lumina-graph";

/// A PNG file in memory from red, green, blue, row by row. Without a graph in the provenance nothing is embedded.
///
/// # Errors
/// When the bytes do not fit the size, and when the size does not fit a PNG.
pub fn write_png(width: usize, height: usize, rgb: &[u8], provenance: &Provenance) -> io::Result<Vec<u8>> {
    let side =
        |side: usize| u32::try_from(side).map_err(|_| io::Error::other("the picture is too large for a PNG"));
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(Cursor::new(&mut bytes), side(width)?, side(height)?);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    if !provenance.graph.is_empty() {
        encoder.add_itxt_chunk(KEYWORD.to_owned(), serde_json::to_string(provenance)?)?;
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    writer.finish()?;
    Ok(bytes)
}

/// The provenance in a PNG file; `None` when it has none.
///
/// # Errors
/// When the file cannot be read, is no PNG, or the provenance in it is damaged.
pub fn read_png(path: &Path) -> io::Result<Option<Provenance>> {
    parse_png(BufReader::new(File::open(path)?))
}

/// As [`read_png`], from an open file or from bytes in a [`Cursor`].
///
/// # Errors
/// As [`read_png`].
pub fn parse_png(file: impl BufRead + Seek) -> io::Result<Option<Provenance>> {
    let reader = png::Decoder::new(file).read_info();
    let mut reader = reader.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    // The chunk may stand behind the pixels when another program has written the file again.
    let _ = reader.finish();
    let chunk = reader.info().utf8_text.iter().find(|chunk| chunk.keyword == KEYWORD);
    let Some(chunk) = chunk else { return Ok(None) };
    let text = chunk.get_text().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Some(serde_json::from_str(&text)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_embedded_comes_back() {
        let mut provenance = Provenance { graph: "Graph(é)".into(), ..Provenance::default() };
        provenance.params.insert("seed".into(), "1".into());
        let path = std::env::temp_dir().join(format!("lumina-metadata-{}.png", std::process::id()));
        std::fs::write(&path, write_png(1, 1, &[1, 2, 3], &provenance).unwrap()).unwrap();
        let found = read_png(&path).unwrap();
        std::fs::write(&path, write_png(1, 1, &[1, 2, 3], &Provenance::default()).unwrap()).unwrap();
        let nothing = read_png(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!((found, nothing), (Some(provenance), None));
    }
}
