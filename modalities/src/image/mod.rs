//! Pictures.

mod kind;
mod metadata;
mod pixels;
mod value;

pub use kind::plugin;
pub use metadata::{KEYWORD, parse_png, read_png, write_png};
pub use pixels::{from_rgb, to_rgb};
pub use value::Image;
