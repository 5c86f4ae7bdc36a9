//! The parts of a value as `ron` itself finds them. Slow: every part is validated again. It says what is wrong with a
//! text that the [`scanner`](super::scanner) declines, and the tests hold the scanner against it.

use std::fmt;
use std::ops::Range;

use ron::value::RawValue;
use serde::Deserialize;
use serde::de::{self, Deserializer as _, MapAccess, Visitor};

type Result<T> = std::result::Result<T, ron::error::SpannedError>;

/// The value that a whole text holds. The only place where syntax errors appear.
pub(super) fn value(text: &str) -> Result<Range<usize>> {
    Ok(place(text, ron::from_str(text)?))
}

/// The items of `[ ... ]`.
pub(super) fn items(text: &str) -> Result<Vec<Range<usize>>> {
    let items: Vec<&RawValue> = read(text, |deserializer| Vec::deserialize(deserializer))?;
    Ok(items.into_iter().map(|item| place(text, item)).collect())
}

/// The keys and values of `{ key: value, ... }`.
pub(super) fn entries(text: &str) -> Result<Vec<(Range<usize>, Range<usize>)>> {
    let entries = read(text, |deserializer| deserializer.deserialize_map(EntryVisitor))?;
    Ok(entries.into_iter().map(|(key, value)| (place(text, key), place(text, value))).collect())
}

/// The names and values of `Name(field: value, ...)`, where `Name` may be left out.
pub(super) fn fields(text: &str, name: &'static str) -> Result<Vec<(Range<usize>, Range<usize>)>> {
    let fields = read(text, |deserializer| deserializer.deserialize_struct(name, &[], FieldVisitor))?;
    Ok(fields.into_iter().map(|(name, value)| (range(text, name), place(text, value))).collect())
}

/// The one value in `Name(value)`.
pub(super) fn argument(text: &str, name: &'static str) -> Result<Range<usize>> {
    let argument = read(text, |deserializer| deserializer.deserialize_newtype_struct(name, ArgumentVisitor))?;
    Ok(place(text, argument))
}

/// Where a value stands, without the space around it.
fn place(text: &str, value: &RawValue) -> Range<usize> {
    range(text, value.trim().get_ron())
}

/// Where a slice of a text stands in it.
fn range(text: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
    debug_assert!(start <= text.len(), "`ron` copied a value that it should borrow");
    let start = start.min(text.len());
    start..(start + part.len()).min(text.len())
}

/// Reads a whole text with a deserializer.
pub(super) fn read<'s, T>(
    text: &'s str,
    read: impl FnOnce(&mut ron::Deserializer<'s>) -> std::result::Result<T, ron::Error>,
) -> Result<T> {
    let mut deserializer = ron::Deserializer::from_str(text)?;
    let value = read(&mut deserializer).map_err(|error| deserializer.span_error(error))?;
    deserializer.end().map_err(|error| deserializer.span_error(error))?;
    Ok(value)
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Vec<(&'de str, &'de RawValue)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(Identifier(key)) = map.next_key()? {
            pairs.push((key, map.next_value()?));
        }
        Ok(pairs)
    }
}

struct Identifier<'de>(&'de str);

impl<'de> Deserialize<'de> for Identifier<'de> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct IdentifierVisitor;
        impl<'de> Visitor<'de> for IdentifierVisitor {
            type Value = Identifier<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a field name")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> std::result::Result<Self::Value, E> {
                Ok(Identifier(text))
            }
        }
        deserializer.deserialize_identifier(IdentifierVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Vec<(&'de RawValue, &'de RawValue)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

struct ArgumentVisitor;

impl<'de> Visitor<'de> for ArgumentVisitor {
    type Value = &'de RawValue;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("one text in brackets")
    }

    fn visit_newtype_struct<D: de::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        <&RawValue>::deserialize(deserializer)
    }
}
