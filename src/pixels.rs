//! The pixels of a picture file, without anything else that is in it.

use std::io;
use std::path::Path;

use image::ImageReader;
use lumina_engine::Digest;

/// Pixels in bytes: red, green, blue, row by row; and transparency where the file has any.
#[derive(Debug, PartialEq)]
pub(crate) struct Pixels {
    width: u32,
    height: u32,
    channels: u8,
    bytes: Vec<u8>,
}

/// How two files stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// Every byte of the files is the same.
    SameBytes,
    /// The pixels are the same; what is written beside them is not.
    SamePixels,
    /// Some bytes of the content differ.
    Differs {
        /// The largest difference of a byte.
        largest: u8,
        /// How many bytes differ.
        count: usize,
        /// How many there are.
        of: usize,
    },
    /// They are of different sizes: what was recorded, what is made now.
    OtherSize((u32, u32), (u32, u32)),
    /// Other bytes; how many cannot be said, because only the digest of one is known.
    Unknown,
}

impl Pixels {
    /// The pixels of a picture file; `None` when the name is not that of one.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub(crate) fn read(path: &Path) -> io::Result<Option<Self>> {
        let is_picture = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
        if !is_picture {
            return Ok(None);
        }
        let damaged = |cause| match cause {
            image::ImageError::IoError(cause) => cause,
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        };
        let picture = ImageReader::open(path)?.with_guessed_format()?.decode().map_err(damaged)?;
        let (width, height) = (picture.width(), picture.height());
        let has_alpha = picture.color().has_alpha();
        let (channels, bytes) = match has_alpha {
            true => (4, picture.into_rgba8().into_raw()),
            false => (3, picture.into_rgb8().into_raw()),
        };
        Ok(Some(Self { width, height, channels, bytes }))
    }

    /// A digest of size and content.
    pub(crate) fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.width.to_le_bytes()).update(&self.height.to_le_bytes());
        hasher.update(&[self.channels]).update(&self.bytes);
        Digest::from_bytes(hasher.finalize().into())
    }

    /// Compares with the pixels that are made now.
    pub(crate) fn compare(&self, now: &Self) -> Comparison {
        let size = |pixels: &Self| (pixels.width, pixels.height);
        if size(self) != size(now) {
            return Comparison::OtherSize(size(self), size(now));
        }
        if self.channels != now.channels {
            return Comparison::Unknown;
        }
        match differing(&self.bytes, &now.bytes) {
            (_, 0) => Comparison::SamePixels,
            (largest, count) => Comparison::Differs { largest, count, of: self.bytes.len() },
        }
    }
}

impl Comparison {
    /// The one of two comparisons that shows more likeness.
    pub(crate) fn closer(self, other: Self) -> Self {
        let rank = |comparison: &Self| match comparison {
            Comparison::SameBytes => (0, 0),
            Comparison::SamePixels => (1, 0),
            Comparison::Differs { count, .. } => (2, *count),
            Comparison::OtherSize(..) => (3, 0),
            Comparison::Unknown => (4, 0),
        };
        if rank(&other) < rank(&self) { other } else { self }
    }
}

/// Compares two files: first all bytes, then the pixels of pictures, else the bytes one by one.
///
/// # Errors
/// When one cannot be read.
pub(crate) fn compare(recorded: &Path, now: &Path) -> io::Result<Comparison> {
    let (before, after) = (std::fs::read(recorded)?, std::fs::read(now)?);
    if before == after {
        return Ok(Comparison::SameBytes);
    }
    Ok(match (Pixels::read(recorded)?, Pixels::read(now)?) {
        (Some(recorded), Some(now)) => recorded.compare(&now),
        _ if before.len() == after.len() => {
            let (largest, count) = differing(&before, &after);
            Comparison::Differs { largest, count, of: before.len() }
        }
        _ => Comparison::Unknown,
    })
}

/// The largest difference of a byte, and how many differ.
fn differing(before: &[u8], after: &[u8]) -> (u8, usize) {
    let differences =
        before.iter().zip(after).map(|(a, b)| a.abs_diff(*b)).filter(|difference| *difference > 0);
    differences.fold((0, 0), |(largest, count), difference| (largest.max(difference), count + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(width: u32, bytes: &[u8]) -> Pixels {
        Pixels { width, height: 1, channels: 3, bytes: bytes.to_vec() }
    }

    #[test]
    fn the_largest_difference_and_the_number_of_differing_bytes_are_told() {
        let compare = |other: &[u8]| pixels(1, &[9, 9, 9]).compare(&pixels(1, other));
        assert_eq!(compare(&[9, 9, 9]), Comparison::SamePixels);
        assert_eq!(compare(&[9, 0, 10]), Comparison::Differs { largest: 9, count: 2, of: 3 });
        let wider = pixels(2, &[9, 9, 9, 9, 9, 9]);
        assert_eq!(pixels(1, &[9, 9, 9]).compare(&wider), Comparison::OtherSize((1, 1), (2, 1)));
    }

    #[test]
    fn a_digest_of_pixels_is_of_their_size_too() {
        let wide = Pixels { width: 2, height: 1, channels: 3, bytes: vec![0; 6] };
        let high = Pixels { width: 1, height: 2, channels: 3, bytes: vec![0; 6] };
        assert_ne!(wide.digest(), high.digest());
    }
}
