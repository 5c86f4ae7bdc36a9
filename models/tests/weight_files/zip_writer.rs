//! Writes zip files as torch does, and others that contradict themselves.

/// A zip file; what is set beyond its entries replaces what would be true.
#[derive(Default)]
pub(crate) struct Zip {
    pub(crate) items: Vec<Item>,
    /// Whether sizes are written with 64 bits, as in files beyond 4 GiB.
    pub(crate) is_large: bool,
    /// Number of entries.
    pub(crate) count: Option<u64>,
    /// Start of the directory.
    pub(crate) directory: Option<u64>,
    /// Bytes behind the end.
    pub(crate) tail: Vec<u8>,
}

/// An entry.
#[derive(Default)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) data: Vec<u8>,
    pub(crate) method: u16,
    pub(crate) flags: u16,
    /// As the directory has it.
    pub(crate) listed_method: Option<u16>,
    pub(crate) local_name: Option<String>,
    pub(crate) packed: Option<u64>,
    pub(crate) size: Option<u64>,
    pub(crate) header: Option<u64>,
}

impl Item {
    pub(crate) fn new(name: &str, data: &[u8]) -> Self {
        Self { name: name.to_owned(), data: data.to_vec(), ..Self::default() }
    }

    pub(crate) fn set_sizes(&mut self, size: u64) {
        (self.packed, self.size) = (Some(size), Some(size));
    }
}

impl Zip {
    pub(crate) fn new(items: impl IntoIterator<Item = Item>) -> Self {
        Self { items: items.into_iter().collect(), ..Self::default() }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (mut file, mut directory) = (Vec::new(), Vec::new());
        for item in &self.items {
            let start = file.len() as u64;
            let name = item.local_name.as_ref().unwrap_or(&item.name);
            // Sizes follow the entry, and it is padded, as torch does it.
            file.extend(b"PK\x03\x04\0\0");
            file.extend([item.flags | 8, item.method].iter().flat_map(|field| field.to_le_bytes()));
            file.extend([0; 16]);
            file.extend([name.len() as u16, 5].iter().flat_map(|field| field.to_le_bytes()));
            file.extend(name.bytes());
            file.extend(b"FB\x01\0Z");
            file.extend(&item.data);

            let length = item.data.len() as u64;
            let fields =
                [item.size.unwrap_or(length), item.packed.unwrap_or(length), item.header.unwrap_or(start)];
            let small = |field: u64| if self.is_large { u32::MAX } else { field as u32 };
            directory.extend(b"PK\x01\x02\0\0\0\0");
            let method = item.listed_method.unwrap_or(item.method);
            directory.extend([item.flags | 8, method].iter().flat_map(|field| field.to_le_bytes()));
            directory.extend([0; 8]);
            directory.extend([fields[1], fields[0]].iter().flat_map(|field| small(*field).to_le_bytes()));
            let extra = if self.is_large { 28_u16 } else { 0 };
            directory.extend([item.name.len() as u16, extra, 0].iter().flat_map(|field| field.to_le_bytes()));
            directory.extend([0; 8]);
            directory.extend(small(fields[2]).to_le_bytes());
            directory.extend(item.name.bytes());
            if self.is_large {
                directory.extend(b"\x01\0\x18\0");
                directory.extend(fields.iter().flat_map(|field| field.to_le_bytes()));
            }
        }
        let start = self.directory.unwrap_or(file.len() as u64);
        let (size, count) = (directory.len() as u64, self.count.unwrap_or(self.items.len() as u64));
        file.extend(directory);
        let end = file.len() as u64;
        if self.is_large {
            file.extend(b"PK\x06\x06");
            file.extend([44_u64].iter().flat_map(|field| field.to_le_bytes()));
            file.extend([0; 12]);
            file.extend([count, count, size, start].iter().flat_map(|field| field.to_le_bytes()));
            file.extend(b"PK\x06\x07\0\0\0\0");
            file.extend(end.to_le_bytes());
            file.extend([1, 0, 0, 0]);
        }
        let is_large = self.is_large;
        file.extend(b"PK\x05\x06\0\0\0\0");
        let count = if is_large { u16::MAX } else { count as u16 };
        file.extend([count, count].iter().flat_map(|field| field.to_le_bytes()));
        let [size, start] = [size, start].map(|field| if is_large { u32::MAX } else { field as u32 });
        file.extend([size, start].iter().flat_map(|field| field.to_le_bytes()));
        file.extend([0, 0]);
        file.extend(&self.tail);
        file
    }
}
