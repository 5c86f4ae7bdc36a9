//! `image.load`: a picture from a file.

use std::path::Path;

use image::error::{LimitError, LimitErrorKind};
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader};
use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
};
use lumina_nodes::Compute;
use lumina_nodes::value::type_of;

use crate::image::{Image, from_rgb};

pub(crate) struct ImageLoad;

pub(crate) fn spec() -> NodeSpec {
    let side = |name, doc| InputSpec::optional(name, Type::Int, doc).min(1.0).max(16384.0);
    NodeSpec::new(
        "image.load",
        1,
        "Reads a picture from a PNG, JPEG or WebP file\n\n\
         With `width` and `height` the picture is scaled to cover that size and cut around its centre. Transparency\n\
         becomes white.",
    )
    .input(InputSpec::required("path", Type::Path, "the file"))
    .input(side("width", "pixels; with `height`"))
    .input(side("height", "pixels; with `width`"))
    .output("image", type_of::<Image>(), "the picture")
    .example(r#""photo": Node(kind: "image.load", with: { "path": "photo.jpg", "width": 1024, "height": 1024 })"#)
}

impl Node for ImageLoad {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let fact = Fact::of(type_of::<Image>());
        let has = |name| inquiry.fact(name).is_some();
        if has("width") != has("height") {
            let (one, other) = if has("width") { ("width", "height") } else { ("height", "width") };
            return Err(vec![Mistake::at(one, format!("`{one}` needs `{other}` beside it"))]);
        }
        let Some(found) = inquiry.find("path", "file")? else {
            return Ok(Inference::new([fact], Memory::UNKNOWN));
        };
        let size = size_of(&found).map_err(|cause| {
            let message = format!("cannot read the picture `{}`: {}", found.display(), reason(&cause));
            vec![Mistake::at("path", message).code(Code::BadFile)]
        })?;
        let (width, height) = inquiry.size("width").zip(inquiry.size("height")).unwrap_or(size);
        let fact = fact.shape([1, 3, height, width]);
        let bytes = fact.elements().unwrap_or(0) * 4;
        // The file as it is, and once more without transparency, beside the tensor.
        let source = (size.0 * size.1) as u64 * 8;
        Ok(Inference::new([fact], Memory::new(bytes * 2 + source, bytes)).files([found]))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let found = call.find("path")?;
        let shown = found.display();
        let mut picture = read(&found).map_err(|cause| {
            NodeError::file(format!("cannot read the picture `{shown}`: {}", reason(&cause)))
        })?;
        if call.value("width").is_some() {
            let side = |name| call.size(name).map(|side| u32::try_from(side).unwrap_or(u32::MAX));
            picture = cover(&picture, side("width")?, side("height")?);
        }
        let rgb = on_white(&picture);
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let tensor = from_rgb(width, height, &rgb, &Compute::of(call.world).device)
            .map_err(|error| NodeError::failed(error.to_string()))?;
        Ok(vec![Value::domain(Image { tensor })])
    }
}

/// The most pixels a picture may have: a small file can claim to be a huge picture.
const MOST_PIXELS: u64 = 1 << 28;

fn size_of(path: &Path) -> image::ImageResult<(usize, usize)> {
    let mut decoder = ImageReader::open(path)?.with_guessed_format()?.into_decoder()?;
    let (mut width, mut height) = decoder.dimensions();
    if turns(decoder.orientation()?) {
        (width, height) = (height, width);
    }
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        let kind = LimitErrorKind::DimensionError;
        return Err(image::ImageError::Limits(LimitError::from_kind(kind)));
    }
    Ok((width as usize, height as usize))
}

/// The picture scaled to cover a size and cut around its centre. It is cut first: scaled as a whole, a long thin picture
/// would be enormous.
fn cover(picture: &DynamicImage, width: u32, height: u32) -> DynamicImage {
    let (from_width, from_height) = (f64::from(picture.width()), f64::from(picture.height()));
    let scale = (f64::from(width) / from_width).max(f64::from(height) / from_height);
    let side = |target: u32, from: u32| ((f64::from(target) / scale).round() as u32).clamp(1, from);
    let (cut_width, cut_height) = (side(width, picture.width()), side(height, picture.height()));
    let (left, top) = ((picture.width() - cut_width) / 2, (picture.height() - cut_height) / 2);
    picture.crop_imm(left, top, cut_width, cut_height).resize_exact(width, height, FilterType::Lanczos3)
}

/// What is wrong with a picture, in a few words of our own.
fn reason(error: &image::ImageError) -> String {
    match error {
        image::ImageError::IoError(cause) if cause.kind() != std::io::ErrorKind::UnexpectedEof => {
            cause.to_string()
        }
        image::ImageError::Unsupported(_) => "it is neither PNG nor JPEG nor WebP".to_owned(),
        image::ImageError::Limits(_) => "it is too large".to_owned(),
        _ => "it is damaged".to_owned(),
    }
}

/// Does this orientation lay a picture on its side?
fn turns(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

fn read(path: &Path) -> image::ImageResult<DynamicImage> {
    let mut decoder = ImageReader::open(path)?.with_guessed_format()?.into_decoder()?;
    // Cameras write pictures lying on their side and a note beside it.
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

fn on_white(picture: &DynamicImage) -> Vec<u8> {
    let blend = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    picture
        .to_rgba8()
        .pixels()
        .flat_map(|pixel| [0, 1, 2].map(|channel| blend(pixel[channel], pixel[3])))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_thin_picture_is_cut_before_it_is_scaled() {
        let thin = DynamicImage::new_rgb8(20_000, 1);
        let covered = cover(&thin, 16, 512);
        assert_eq!((covered.width(), covered.height()), (16, 512));
    }
}
