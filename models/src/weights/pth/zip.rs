//! The directory of a zip file, as far as torch uses zip files.
//!
//! Torch stores every entry as it is, so that its bytes can be mapped; nothing is ever unpacked here. The reader is
//! strict where others are lenient: no byte belongs to two entries, no name is there twice, the header in front of an
//! entry agrees with the directory, and there is one way only to find the directory. Format: PKWARE's APPNOTE 6.3.10.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use super::PthError;
use super::cursor::Cursor;

/// The same bound as that on the header of a safetensors file.
const MAX_DIRECTORY_BYTES: u64 = 100_000_000;
const END_BYTES: usize = 22;
const LOCATOR_BYTES: u64 = 20;
const END64_BYTES: u64 = 56;
const LOCAL_BYTES: u64 = 30;
/// Sizes that a header leaves to the bytes behind the entry.
const FLAG_SIZES_FOLLOW: u16 = 1 << 3;
const FLAG_ENCRYPTED: u16 = 1;

/// Where the entries of a zip file lie.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ZipDirectory {
    entries: BTreeMap<String, ZipEntry>,
}

/// One entry of a zip file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZipEntry {
    /// First byte, counted from the start of the file.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    method: u16,
}

impl ZipDirectory {
    /// Reads and checks the directory of `file`; no entry is read.
    ///
    /// # Errors
    /// [`PthError::Read`], or [`PthError::Zip`] for a file that is cut off, is no zip file, or contradicts itself.
    pub fn read(file: &mut (impl Read + Seek)) -> Result<Self, PthError> {
        let length = file.seek(SeekFrom::End(0))?;
        let place = DirectoryPlace::find(file, length)?;
        let bytes = read_range(file, place.start, place.size)?;
        let mut cursor = Cursor::new(&bytes);
        let mut entries = BTreeMap::new();
        let mut ranges = Vec::new();
        while !cursor.is_at_end() {
            let listed = Listed::parse(&mut cursor).ok_or_else(|| {
                PthError::Zip(format!("entry {} of its directory is damaged", entries.len()))
            })?;
            let entry = listed.locate(file, place.start)?;
            ranges.push((listed.header, entry.end));
            let name = listed.name.to_owned();
            if entries.insert(name, entry).is_some() {
                return Err(PthError::Zip(format!("`{}` is in its directory twice", listed.name)));
            }
        }
        if entries.len() as u64 != place.count {
            return Err(PthError::Zip(format!(
                "its directory has {} entries and claims {}",
                entries.len(),
                place.count
            )));
        }
        ranges.sort_unstable();
        if ranges.windows(2).any(|pair| pair[1].0 < pair[0].1) {
            return Err(PthError::Zip("two of its entries overlap".to_owned()));
        }
        Ok(Self { entries })
    }

    /// Every entry by its name.
    pub fn entries(&self) -> &BTreeMap<String, ZipEntry> {
        &self.entries
    }

    /// The entry `name` that is stored as it is.
    ///
    /// # Errors
    /// [`PthError::Zip`] when there is none, or when it is compressed.
    pub fn stored(&self, name: &str) -> Result<ZipEntry, PthError> {
        let entry = self.entries.get(name);
        let entry = entry.ok_or_else(|| PthError::Zip(format!("it has no entry `{name}`")))?;
        if entry.method != 0 {
            return Err(PthError::Zip(format!(
                "its entry `{name}` is compressed, and torch stores entries as they are"
            )));
        }
        Ok(*entry)
    }
}

/// Where the directory lies, and how many entries it should have.
struct DirectoryPlace {
    start: u64,
    size: u64,
    count: u64,
}

impl DirectoryPlace {
    /// The record of the end is the last that reaches to the end of the file with its comment.
    fn find(file: &mut (impl Read + Seek), length: u64) -> Result<Self, PthError> {
        let tail_length = length.min((END_BYTES + usize::from(u16::MAX)) as u64);
        let tail = read_range(file, length - tail_length, tail_length)?;
        let at = (0..(tail.len() + 1).saturating_sub(END_BYTES)).rev().find(|&at| {
            let rest = tail.get(at..).unwrap_or_default();
            rest.starts_with(b"PK\x05\x06")
                && rest.get(20..END_BYTES).is_some_and(|comment| {
                    END_BYTES + usize::from(comment[0]) + 256 * usize::from(comment[1]) == rest.len()
                })
        });
        let at = at.ok_or_else(|| PthError::Zip("it is no zip file, or it is cut off".to_owned()))?;
        let end_start = length - tail_length + at as u64;
        let damaged = || PthError::Zip("the end of its directory is damaged".to_owned());
        let mut record = Cursor::new(tail.get(at + 4..).unwrap_or_default());
        let fields = (|| {
            let (disks, counts) = (record.u32()?, [record.u16()?, record.u16()?]);
            Some((disks, counts, record.u32()?, record.u32()?))
        })();
        let (disks, [here, count], size, start) = fields.ok_or_else(damaged)?;
        let small = Self { start: start.into(), size: size.into(), count: count.into() };
        let (place, end) = match Self::find_large(file, end_start)? {
            None => (small, end_start),
            Some((large, end)) => {
                let agrees = (small.count == large.count || count == u16::MAX)
                    && (small.size == large.size || size == u32::MAX)
                    && (small.start == large.start || start == u32::MAX);
                (if agrees { large } else { return Err(damaged()) }, end)
            }
        };
        if (disks != 0 && disks != u32::MAX)
            || here != count
            || place.start.checked_add(place.size) != Some(end)
        {
            return Err(damaged());
        }
        if place.size > MAX_DIRECTORY_BYTES {
            return Err(PthError::Zip(format!("its directory has {} bytes, more than any has", place.size)));
        }
        Ok(place)
    }

    /// The record for files beyond 4 GiB, which lies in front of the usual one, and where it starts.
    fn find_large(file: &mut (impl Read + Seek), end_start: u64) -> Result<Option<(Self, u64)>, PthError> {
        let Some(locator_start) = end_start.checked_sub(LOCATOR_BYTES) else { return Ok(None) };
        let locator = read_range(file, locator_start, LOCATOR_BYTES)?;
        if !locator.starts_with(b"PK\x06\x07") {
            return Ok(None);
        }
        let damaged = || PthError::Zip("the end of its large directory is damaged".to_owned());
        let mut locator = Cursor::new(locator.get(8..).unwrap_or_default());
        let start = locator.u64().ok_or_else(damaged)?;
        if start.checked_add(END64_BYTES) != Some(locator_start) {
            return Err(damaged());
        }
        let record = read_range(file, start, END64_BYTES)?;
        let mut fields = Cursor::new(record.get(16..).unwrap_or_default());
        let numbers =
            (|| Some((fields.u64()?, [fields.u64()?, fields.u64()?], fields.u64()?, fields.u64()?)))();
        let (disks, [here, count], size, directory) = numbers.ok_or_else(damaged)?;
        if !record.starts_with(b"PK\x06\x06") || disks != 0 || here != count {
            return Err(damaged());
        }
        Ok(Some((Self { start: directory, size, count }, start)))
    }
}

/// An entry as the directory lists it.
struct Listed<'a> {
    name: &'a str,
    flags: u16,
    method: u16,
    packed: u64,
    size: u64,
    header: u64,
}

impl<'a> Listed<'a> {
    fn parse(cursor: &mut Cursor<'a>) -> Option<Self> {
        if cursor.run(4)? != b"PK\x01\x02" {
            return None;
        }
        cursor.run(4)?;
        let (flags, method) = (cursor.u16()?, cursor.u16()?);
        cursor.run(8)?;
        let (packed, size) = (cursor.u32()?, cursor.u32()?);
        let [name, extra, comment] = [cursor.u16()?, cursor.u16()?, cursor.u16()?].map(usize::from);
        cursor.run(8)?;
        let header = cursor.u32()?;
        let name = std::str::from_utf8(cursor.run(name)?).ok()?;
        let mut large = large_fields(cursor.run(extra)?);
        cursor.run(comment)?;
        let mut widen = |field: u32| match field {
            u32::MAX => large.as_mut()?.u64(),
            field => Some(u64::from(field)),
        };
        // The order in which the large fields lie.
        let (size, packed, header) = (widen(size)?, widen(packed)?, widen(header)?);
        Some(Self { name, flags, method, packed, size, header })
    }

    /// Reads the header in front of the entry, which says where its bytes start.
    fn locate(&self, file: &mut (impl Read + Seek), directory_start: u64) -> Result<ZipEntry, PthError> {
        let fail = |reason: &str| PthError::Zip(format!("its entry `{}` {reason}", self.name));
        if self.flags & FLAG_ENCRYPTED != 0 {
            return Err(fail("is encrypted"));
        }
        if self.method == 0 && self.packed != self.size {
            return Err(fail("has two sizes"));
        }
        let name_length = self.name.len() as u64;
        let outside = || fail("lies outside the file");
        let front = self.header.checked_add(LOCAL_BYTES + name_length).ok_or_else(outside)?;
        if front > directory_start {
            return Err(outside());
        }
        let bytes = read_range(file, self.header, LOCAL_BYTES + name_length)?;
        let mut cursor = Cursor::new(&bytes);
        let fields = (|| {
            let signature = cursor.run(4)? == b"PK\x03\x04";
            cursor.run(2)?;
            let (flags, method) = (cursor.u16()?, cursor.u16()?);
            cursor.run(8)?;
            let (packed, size) = (cursor.u32()?, cursor.u32()?);
            let [name, extra] = [cursor.u16()?, cursor.u16()?].map(u64::from);
            let same_name = name == name_length && cursor.run(self.name.len())? == self.name.as_bytes();
            let same_size = |local: u32, listed| local == u32::MAX || u64::from(local) == listed;
            let sizes = flags & FLAG_SIZES_FOLLOW != 0
                || (same_size(packed, self.packed) && same_size(size, self.size));
            (signature && same_name && method == self.method && sizes).then_some(extra)
        })();
        let extra = fields.ok_or_else(|| fail("differs from the header in front of it"))?;
        let start = front + extra;
        let end = start.checked_add(self.packed).filter(|&end| end <= directory_start).ok_or_else(outside)?;
        Ok(ZipEntry { start, end, method: self.method })
    }
}

/// The numbers that did not fit into 32 bits.
fn large_fields(extra: &[u8]) -> Option<Cursor<'_>> {
    let mut cursor = Cursor::new(extra);
    loop {
        let (kind, length) = (cursor.u16()?, cursor.u16()?);
        let field = cursor.run(length.into())?;
        if kind == 1 {
            return Some(Cursor::new(field));
        }
    }
}

/// Allocates no more than the file has: a range beyond its end is refused first.
pub(super) fn read_range(
    file: &mut (impl Read + Seek),
    start: u64,
    length: u64,
) -> Result<Vec<u8>, PthError> {
    let file_length = file.seek(SeekFrom::End(0))?;
    if start.checked_add(length).is_none_or(|end| end > file_length) {
        return Err(PthError::Zip("it is cut off".to_owned()));
    }
    file.seek(SeekFrom::Start(start))?;
    let length = usize::try_from(length).map_err(|error| PthError::Zip(error.to_string()))?;
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
