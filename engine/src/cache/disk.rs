//! Outputs kept beyond the process.
//!
//! Two tables, as in a build system: `action/KEY` says which outputs a key has, `blob/DIGEST` has the bytes of a value.
//! Equal values are kept once. A reader takes nothing on trust: an action carries its own digest, a blob is compared
//! with its name. What does not fit is taken as absent and removed, so a damaged store costs time and nothing else.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Outputs;
use crate::key::{Digest, Key};
use crate::registry::Registry;
use crate::store::{Store, Stored};
use crate::value::Value;
use crate::world::World;

/// Outputs in a [`Store`], within a size limit.
pub struct DiskCache {
    pub(super) store: Box<dyn Store>,
    limit: u64,
}

/// The outputs of a key.
#[derive(Serialize, Deserialize)]
struct ActionEntry {
    outputs: Vec<Entry>,
    /// What each output is known by.
    identities: Vec<String>,
    seconds: f64,
    /// When they were made, in seconds since 1970.
    #[serde(default)]
    since: Option<u64>,
    /// Bytes of the blobs.
    #[serde(default)]
    bytes: u64,
}

/// What is known of kept outputs.
#[derive(Default)]
pub(crate) struct Facts {
    /// When they were made, in seconds since 1970.
    pub(crate) since: Option<u64>,
    /// Bytes in the store.
    pub(crate) bytes: u64,
    /// What they cost to make.
    pub(crate) cost: Duration,
}

/// An output: small values as they are, domain values as the digest of their bytes.
#[derive(Serialize, Deserialize)]
enum Entry {
    Bool(bool),
    Int(i64),
    /// As bits, so that every number comes back as it was.
    Float(u64),
    Text(String),
    Path(std::path::PathBuf),
    List(Vec<Entry>),
    Blob {
        domain: String,
        digest: String,
    },
}

impl DiskCache {
    /// A cache in a store that keeps at most `limit` bytes.
    pub fn new(store: impl Store + 'static, limit: u64) -> Self {
        Self { store: Box::new(store), limit }
    }

    /// The outputs of a key and what they cost to make.
    pub(super) fn get(
        &self,
        key: &Key,
        registry: &Registry,
        world: &dyn World,
    ) -> Option<(Outputs, Duration)> {
        let name = action_name(key);
        let text = self.store.read(&name).ok()??;
        let outputs = open(&text).and_then(|action| {
            let values: Option<Vec<Value>> =
                action.outputs.iter().map(|entry| self.value(entry, registry, world)).collect();
            let identities: Option<Vec<Digest>> =
                action.identities.iter().map(|identity| Digest::parse(identity)).collect();
            let (values, identities) = (values?, identities?);
            if values.len() != identities.len() {
                return None;
            }
            let outputs = Outputs { values: values.into(), identities: identities.into() };
            Some((outputs, Duration::try_from_secs_f64(action.seconds).ok()?))
        });
        match outputs {
            Some(outputs) => {
                self.store.touch(&name);
                Some(outputs)
            }
            None => {
                let _ = self.store.remove(&name);
                None
            }
        }
    }

    /// Keeps outputs under some keys. Those that cannot be kept, networks for example, are left out, and so is what
    /// fails: a full disk must not fail a run.
    pub(super) fn insert(&self, keys: &[Key; 2], outputs: &Outputs, cost: Duration, registry: &Registry) {
        let mut bytes = 0;
        let entries: Option<Vec<Entry>> =
            outputs.values.iter().map(|value| self.entry(value, registry, &mut bytes)).collect();
        let Some(entries) = entries else { return };
        let identities = outputs.identities.iter().map(Digest::to_string).collect();
        let since = self.store.now();
        let action = ActionEntry { outputs: entries, identities, seconds: cost.as_secs_f64(), since, bytes };
        let Some(text) = seal(&action) else { return };
        // The action comes last: a crash before it leaves blobs without an action, never the reverse.
        let _ = self.store.write(&action_name(&keys[0]), &text);
        if keys[1] != keys[0] {
            let _ = self.store.write(&action_name(&keys[1]), &text);
        }
    }

    /// What is known of the outputs of a key, without reading them.
    pub(crate) fn facts(&self, key: &Key) -> Option<Facts> {
        let text = self.store.read(&action_name(key)).ok()??;
        let ActionEntry { seconds, since, bytes, .. } = open(&text)?;
        let cost = Duration::try_from_secs_f64(seconds).ok()?;
        Some(Facts { since, bytes: bytes + text.len() as u64, cost })
    }

    /// Keeps under one key what another one has.
    pub(super) fn alias(&self, other: &Key, key: &Key) {
        if other != key
            && let Ok(Some(text)) = self.store.read(&action_name(key))
            && open(&text).is_some()
        {
            let _ = self.store.write(&action_name(other), &text);
        }
    }

    /// Everything kept.
    pub fn list(&self) -> std::io::Result<Vec<Stored>> {
        self.store.list()
    }

    /// How many actions are damaged. Reads all of them, which are small, but no values: those are compared when they
    /// are used.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn damaged(&self) -> std::io::Result<usize> {
        let mut damaged = 0;
        for stored in self.store.list()?.iter().filter(|stored| is_action(&stored.name)) {
            let action = self.store.read(&stored.name)?;
            damaged += usize::from(action.is_some_and(|bytes| open(&bytes).is_none()));
        }
        Ok(damaged)
    }

    /// Removes what was unused for longest until the limit is kept; gives the bytes that were freed.
    pub fn collect(&self) -> std::io::Result<u64> {
        self.shrink(self.limit)
    }

    /// Removes everything; gives the bytes that were freed.
    pub fn clear(&self) -> std::io::Result<u64> {
        self.shrink(0)
    }

    fn shrink(&self, limit: u64) -> std::io::Result<u64> {
        let mut stored = self.store.list()?;
        let mut total: u64 = stored.iter().map(|stored| stored.bytes).sum();
        let before = total;
        stored.sort_by_key(|stored| stored.last_used);
        for stored in stored {
            if total <= limit {
                break;
            }
            self.store.remove(&stored.name)?;
            total -= stored.bytes;
        }
        Ok(before - total)
    }

    fn entry(&self, value: &Value, registry: &Registry, kept: &mut u64) -> Option<Entry> {
        Some(match value {
            Value::Bool(value) => Entry::Bool(*value),
            Value::Int(value) => Entry::Int(*value),
            Value::Float(value) => Entry::Float(value.to_bits()),
            Value::Text(value) => Entry::Text(value.to_string()),
            Value::Path(value) => Entry::Path(value.to_path_buf()),
            Value::List(items) => {
                Entry::List(items.iter().map(|item| self.entry(item, registry, kept)).collect::<Option<_>>()?)
            }
            Value::Domain(_) => {
                let domain = value.domain_name()?;
                let bytes = (registry.codec(domain)?.store)(value).ok()?;
                *kept += bytes.len() as u64;
                let digest = Digest::of(&bytes).to_string();
                let name = blob_name(&digest);
                match self.store.contains(&name) {
                    true => self.store.touch(&name),
                    false => self.store.write(&name, &bytes).ok()?,
                }
                Entry::Blob { domain: domain.to_owned(), digest }
            }
        })
    }

    fn value(&self, entry: &Entry, registry: &Registry, world: &dyn World) -> Option<Value> {
        Some(match entry {
            Entry::Bool(value) => Value::Bool(*value),
            Entry::Int(value) => Value::Int(*value),
            Entry::Float(bits) => Value::Float(f64::from_bits(*bits)),
            Entry::Text(value) => Value::text(value.as_str()),
            Entry::Path(value) => Value::path(value.clone()),
            Entry::List(items) => {
                let items =
                    items.iter().map(|item| self.value(item, registry, world)).collect::<Option<Vec<_>>>();
                Value::List(items?.into())
            }
            Entry::Blob { domain, digest } => {
                let name = blob_name(digest);
                let bytes = self.store.read(&name).ok()??;
                if Digest::of(&bytes).to_string() != *digest {
                    let _ = self.store.remove(&name);
                    return None;
                }
                self.store.touch(&name);
                (registry.codec(domain)?.restore)(&bytes, world).ok()?
            }
        })
    }
}

fn action_name(key: &Key) -> String {
    let key = key.to_string();
    format!("action/{}/{key}", &key[..2])
}

/// Temporary files of a process that was killed may lie among the actions.
fn is_action(name: &str) -> bool {
    name.strip_prefix("action/")
        .and_then(|rest| rest.rsplit('/').next())
        .is_some_and(|name| !name.starts_with('.'))
}

fn blob_name(digest: &str) -> String {
    format!("blob/{}/{digest}", digest.get(..2).unwrap_or("xx"))
}

/// An action as text behind its own digest.
fn seal(action: &ActionEntry) -> Option<Vec<u8>> {
    let text = ron::to_string(action).ok()?;
    Some(format!("{}\n{text}", Digest::of(text.as_bytes())).into_bytes())
}

fn open(bytes: &[u8]) -> Option<ActionEntry> {
    let (digest, text) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
    if Digest::of(text.as_bytes()).to_string() != digest {
        return None;
    }
    ron::from_str(text).ok()
}
