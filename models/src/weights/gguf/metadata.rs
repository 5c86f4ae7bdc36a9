//! What a GGUF file says of the network in it.

use std::collections::BTreeMap;
use std::io::Read;

use super::source::{Fault, Source};

/// Far above any real file: the longest texts are chat templates.
const MAX_TEXT_BYTES: u64 = 1 << 20;
/// The bound of the format.
const MAX_KEY_BYTES: u64 = 65_535;
const MAX_ENTRIES: u64 = 1 << 16;
/// The format sets no bound; no known file has lists inside lists at all.
const MAX_DEPTH: usize = 8;

/// One value of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum GgufValue {
    /// A whole number without a sign, of any width.
    Unsigned(u64),
    /// A whole number with a sign, of any width.
    Signed(i64),
    /// A number with a fraction, of either width.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A text.
    Text(String),
    /// A list. Its entries are not kept: nothing needs them, and most are vocabularies of a tokenizer.
    List {
        /// The number of entries.
        length: u64,
    },
}

/// The metadata of a GGUF file by key, such as `general.architecture`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GgufMetadata(BTreeMap<String, GgufValue>);

/// The type of a value, as the files number them.
#[derive(Clone, Copy)]
enum Kind {
    /// With its number of bytes.
    Unsigned(u64),
    /// With its number of bytes.
    Signed(u64),
    F32,
    F64,
    Bool,
    Text,
    List,
}

impl GgufMetadata {
    /// One value.
    pub fn get(&self, key: &str) -> Option<&GgufValue> {
        self.0.get(key)
    }

    /// All values, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &GgufValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// A text, if there is one under `key`.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            GgufValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number that is not negative, if there is one under `key`.
    pub fn whole(&self, key: &str) -> Option<u64> {
        match self.get(key)? {
            GgufValue::Unsigned(number) => Some(*number),
            GgufValue::Signed(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// A number, if there is one under `key`.
    pub fn number(&self, key: &str) -> Option<f64> {
        match self.get(key)? {
            GgufValue::Float(number) => Some(*number),
            GgufValue::Unsigned(number) => Some(*number as f64),
            GgufValue::Signed(number) => Some(*number as f64),
            _ => None,
        }
    }

    /// What the file says that it holds. Only a hint: tools write the same name for different networks.
    pub fn architecture(&self) -> Option<&str> {
        self.text("general.architecture")
    }

    /// Reads `count` pairs of key and value.
    pub(super) fn read<R: Read>(source: &mut Source<R>, count: u64) -> Result<Self, Fault> {
        // A key of no bytes behind its length, the type, and a value of one byte.
        source.claim("the metadata", count, 8 + 4 + 1)?;
        if count > MAX_ENTRIES {
            return Err(Fault::Damaged(format!(
                "the metadata claims {count} entries, more than any file has"
            )));
        }
        let mut values = BTreeMap::new();
        for _ in 0..count {
            let key = source.text("a key of the metadata", MAX_KEY_BYTES)?;
            let kind = Kind::read(source, &key)?;
            let value = read_value(source, kind, &key)?;
            if values.contains_key(&key) {
                return Err(Fault::Damaged(format!("the metadata has `{key}` twice")));
            }
            values.insert(key, value);
        }
        Ok(Self(values))
    }
}

impl Kind {
    fn read<R: Read>(source: &mut Source<R>, key: &str) -> Result<Self, Fault> {
        Ok(match source.u32()? {
            0 => Self::Unsigned(1),
            1 => Self::Signed(1),
            2 => Self::Unsigned(2),
            3 => Self::Signed(2),
            4 => Self::Unsigned(4),
            5 => Self::Signed(4),
            6 => Self::F32,
            7 => Self::Bool,
            8 => Self::Text,
            9 => Self::List,
            10 => Self::Unsigned(8),
            11 => Self::Signed(8),
            12 => Self::F64,
            other => {
                return Err(Fault::Damaged(format!("`{key}` has the type number {other}, expected 0 to 12")));
            }
        })
    }

    /// The least number of bytes that one such value takes.
    fn least(self) -> u64 {
        match self {
            Self::Unsigned(bytes) | Self::Signed(bytes) => bytes,
            Self::F32 => 4,
            Self::F64 | Self::Text => 8,
            Self::Bool => 1,
            Self::List => 4 + 8,
        }
    }
}

fn read_value<R: Read>(source: &mut Source<R>, kind: Kind, key: &str) -> Result<GgufValue, Fault> {
    Ok(match kind {
        Kind::Unsigned(1) => GgufValue::Unsigned(u8::from_le_bytes(source.bytes()?).into()),
        Kind::Unsigned(2) => GgufValue::Unsigned(u16::from_le_bytes(source.bytes()?).into()),
        Kind::Unsigned(4) => GgufValue::Unsigned(source.u32()?.into()),
        Kind::Unsigned(_) => GgufValue::Unsigned(source.u64()?),
        Kind::Signed(1) => GgufValue::Signed(i8::from_le_bytes(source.bytes()?).into()),
        Kind::Signed(2) => GgufValue::Signed(i16::from_le_bytes(source.bytes()?).into()),
        Kind::Signed(4) => GgufValue::Signed(i32::from_le_bytes(source.bytes()?).into()),
        Kind::Signed(_) => GgufValue::Signed(i64::from_le_bytes(source.bytes()?)),
        Kind::F32 => GgufValue::Float(f32::from_le_bytes(source.bytes()?).into()),
        Kind::F64 => GgufValue::Float(f64::from_le_bytes(source.bytes()?)),
        Kind::Bool => match source.bytes()? {
            [0] => GgufValue::Bool(false),
            [1] => GgufValue::Bool(true),
            [other] => return Err(Fault::Damaged(format!("`{key}` is {other}, expected 0 or 1"))),
        },
        Kind::Text => GgufValue::Text(source.text(&format!("`{key}`"), MAX_TEXT_BYTES)?),
        Kind::List => skip_list(source, key)?,
    })
}

/// Reads past a list, whatever is in it; without recursion, so that no file can exhaust the stack.
fn skip_list<R: Read>(source: &mut Source<R>, key: &str) -> Result<GgufValue, Fault> {
    let what = format!("the list `{key}`");
    // For each list that is open: how many lists are left in it.
    let mut open: Vec<u64> = Vec::new();
    let mut outermost = None;
    loop {
        let kind = Kind::read(source, key)?;
        let length = source.u64()?;
        source.claim(&what, length, kind.least())?;
        outermost.get_or_insert(length);
        match kind {
            Kind::List => {
                if open.len() == MAX_DEPTH {
                    return Err(Fault::Damaged(format!("{what} has lists more than {MAX_DEPTH} deep")));
                }
                open.push(length);
            }
            Kind::Text => {
                for _ in 0..length {
                    let bytes = source.u64()?;
                    source.claim(&what, bytes, 1)?;
                    source.skip(bytes)?;
                }
            }
            plain => source.skip(length * plain.least())?,
        }
        while open.last() == Some(&0) {
            open.pop();
        }
        match open.last_mut() {
            Some(left) => *left -= 1,
            None => return Ok(GgufValue::List { length: outermost.unwrap_or_default() }),
        }
    }
}
