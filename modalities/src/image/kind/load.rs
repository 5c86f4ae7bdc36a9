//! `image.load`: a picture from a file.

use std::path::Path;

use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageReader};
use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Mistake, Node, NodeError, NodeSpec, Type, Value,
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
            return Ok(Inference::outputs([fact]));
        };
        let size = size_of(&found).map_err(|cause| {
            let message = format!("`{}` is no picture that can be read: {cause}", found.display());
            vec![Mistake::at("path", message).code(Code::BadFile)]
        })?;
        let (width, height) = inquiry.size("width").zip(inquiry.size("height")).unwrap_or(size);
        let fact = fact.shape([1, 3, height, width]);
        let bytes = fact.elements().unwrap_or(0) * 4;
        Ok(Inference::outputs([fact]).working_bytes(bytes * 2).output_bytes(bytes).files([found]))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let found = call.find("path")?;
        let shown = found.display();
        let mut picture = read(&found)
            .map_err(|cause| NodeError::file(format!("cannot read the picture `{shown}`: {cause}")))?;
        if call.value("width").is_some() {
            let side = |name| call.size(name).map(|side| u32::try_from(side).unwrap_or(u32::MAX));
            picture = picture.resize_to_fill(side("width")?, side("height")?, FilterType::Lanczos3);
        }
        let rgb = on_white(&picture);
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let tensor = from_rgb(width, height, &rgb, &Compute::of(call.world).device)
            .map_err(|error| NodeError::failed(error.to_string()))?;
        Ok(vec![Value::domain(Image { tensor })])
    }
}

fn size_of(path: &Path) -> image::ImageResult<(usize, usize)> {
    let decoder = ImageReader::open(path)?.with_guessed_format()?.into_decoder()?;
    let (width, height) = decoder.dimensions();
    Ok((width as usize, height as usize))
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
