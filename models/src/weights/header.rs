//! The header of a safetensors file, read without touching the weights behind it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use safetensors::Dtype;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::{ModelError, Result};

/// The same bound as the reference implementation of the format.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Where one tensor lies and what it is.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// Stored name.
    pub name: String,
    /// Number format.
    pub dtype: Dtype,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// First byte, counted from the start of the file.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

/// The checked header of a safetensors file.
///
/// The format: eight bytes little-endian header length, the header as JSON, then the tensors without gaps
/// (<https://github.com/huggingface/safetensors>).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Header {
    tensors: Vec<TensorInfo>,
}

impl Header {
    /// Reads and checks the header of `path`; no weight byte is read.
    ///
    /// # Errors
    /// [`ModelError::FileNotFound`] or [`ModelError::Read`] when the file cannot be read, [`ModelError::Header`] when
    /// the header is cut off, is not JSON, or describes other bytes than the file has.
    pub fn read(path: &Path) -> Result<Self> {
        let fail = |reason: String| ModelError::Header { path: path.to_owned(), reason };
        let mut file = File::open(path).map_err(|source| ModelError::read(path, source))?;
        let file_length = file.metadata().map_err(|source| ModelError::read(path, source))?.len();
        let mut prefix = [0_u8; 8];
        if file_length < 8 {
            return Err(fail(format!("the file has {file_length} bytes, too few for a header")));
        }
        file.read_exact(&mut prefix).map_err(|source| ModelError::read(path, source))?;
        let length = header_length(prefix, file_length).map_err(fail)?;
        let mut json = vec![0_u8; length];
        file.read_exact(&mut json).map_err(|source| ModelError::read(path, source))?;
        Self::parse_json(&json, file_length).map_err(fail)
    }

    /// Checks the header at the front of `bytes`, for a file of `file_length` bytes in all.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(bytes: &[u8], file_length: u64) -> std::result::Result<Self, String> {
        let (prefix, rest) =
            bytes.split_first_chunk::<8>().ok_or_else(|| "too few bytes for a header".to_owned())?;
        let length = header_length(*prefix, file_length)?;
        let json = rest.get(..length).ok_or_else(|| "the header is cut off".to_owned())?;
        Self::parse_json(json, file_length)
    }

    /// The tensors in the order of their bytes.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn parse_json(json: &[u8], file_length: u64) -> std::result::Result<Self, String> {
        let entries: Entries =
            serde_json::from_slice(json).map_err(|error| format!("the header does not parse: {error}"))?;
        let data_start = 8 + json.len() as u64;
        let mut tensors = Vec::with_capacity(entries.0.len());
        for (name, entry) in entries.0 {
            let [start, end] = entry.data_offsets;
            let (start, end) = start
                .checked_add(data_start)
                .zip(end.checked_add(data_start))
                .ok_or_else(|| format!("the offsets of `{name}` are too large"))?;
            if end < start {
                return Err(format!("the offsets of `{name}` run backwards"));
            }
            let bytes = byte_length(entry.dtype, &entry.shape)
                .ok_or_else(|| format!("the size of `{name}` is too large or not whole bytes"))?;
            if bytes != end - start {
                return Err(format!(
                    "`{name}` with shape {:?} as {:?} needs {bytes} bytes, the header gives it {}",
                    entry.shape,
                    entry.dtype,
                    end - start
                ));
            }
            tensors.push(TensorInfo { name, dtype: entry.dtype, shape: entry.shape, start, end });
        }
        tensors.sort_by_key(|tensor| (tensor.start, tensor.end));
        let mut expected_start = data_start;
        for tensor in &tensors {
            if tensor.start != expected_start {
                let what = if tensor.start < expected_start { "overlaps the tensor" } else { "leaves a gap" };
                return Err(format!("`{}` {what} before it", tensor.name));
            }
            expected_start = tensor.end;
        }
        if expected_start > file_length {
            return Err(format!(
                "the file is cut off: the header describes {expected_start} bytes, the file has {file_length}"
            ));
        }
        if expected_start < file_length {
            return Err(format!("{} bytes at the end belong to no tensor", file_length - expected_start));
        }
        let mut names: Vec<_> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("`{}` is in the header twice", pair[0]));
        }
        Ok(Self { tensors })
    }
}

fn header_length(prefix: [u8; 8], file_length: u64) -> std::result::Result<usize, String> {
    let length = u64::from_le_bytes(prefix);
    if length > MAX_HEADER_BYTES {
        return Err(format!("the header claims {length} bytes, more than any header has"));
    }
    if length > file_length.saturating_sub(8) {
        return Err(format!("the header claims {length} bytes, the file has {file_length}"));
    }
    usize::try_from(length).map_err(|error| error.to_string())
}

fn byte_length(dtype: Dtype, shape: &[usize]) -> Option<u64> {
    let elements = shape.iter().try_fold(1_u64, |all, &size| all.checked_mul(size as u64))?;
    let bits = elements.checked_mul(dtype.bitsize() as u64)?;
    (bits % 8 == 0).then_some(bits / 8)
}

#[derive(Deserialize)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// The entries as pairs: a JSON map type would silently keep the last of two equal names.
struct Entries(Vec<(String, Entry)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Entries;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Entries, A::Error> {
                let mut pairs = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        pairs.push((name, map.next_value()?));
                    }
                }
                Ok(Entries(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(json: &str, data: usize) -> (Vec<u8>, u64) {
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(json.as_bytes());
        let length = (bytes.len() + data) as u64;
        (bytes, length)
    }

    fn reason(json: &str, data: usize) -> String {
        let (bytes, length) = file(json, data);
        Header::parse(&bytes, length).unwrap_err()
    }

    #[test]
    fn a_good_header_gives_absolute_offsets() {
        let (bytes, length) =
            file(r#"{"__metadata__":{"a":"b"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 8);
        let header = Header::parse(&bytes, length).unwrap();
        assert_eq!(header.tensors()[0].end, length);
    }

    #[test]
    fn lying_headers_are_refused() {
        let cut = reason(r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 4);
        assert!(cut.contains("cut off"), "{cut}");
        let size = reason(r#"{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8);
        assert!(size.contains("needs 12 bytes"), "{size}");
        let overlap = reason(
            r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#,
            6,
        );
        assert!(overlap.contains("overlaps"), "{overlap}");
        let twice = reason(
            r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#,
            8,
        );
        assert!(twice.contains("twice"), "{twice}");
        let huge = Header::parse(&u64::MAX.to_le_bytes(), 8).unwrap_err();
        assert!(huge.contains("claims"), "{huge}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), length in any::<u64>()) {
            let _ = Header::parse(&bytes, length);
        }

        #[test]
        fn arbitrary_numbers_in_a_header_never_panic(
            shape in proptest::collection::vec(any::<u64>(), 0..4), start in any::<u64>(), end in any::<u64>(),
        ) {
            let json = format!(r#"{{"w":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}}}"#);
            let (bytes, length) = file(&json, 8);
            let _ = Header::parse(&bytes, length);
        }
    }
}
