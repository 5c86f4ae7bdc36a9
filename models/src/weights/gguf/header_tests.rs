//! What is accepted and what is refused, from headers written byte by byte.

use super::*;

/// Writes a file as the format describes it.
#[derive(Clone)]
struct Writer {
    head: Vec<u8>,
    values: (u64, Vec<u8>),
    tensors: (u64, Vec<u8>),
    data: usize,
}

impl Writer {
    fn new() -> Self {
        let head = [b"GGUF".as_slice(), &3_u32.to_le_bytes()].concat();
        Self { head, values: (0, Vec::new()), tensors: (0, Vec::new()), data: 64 }
    }

    fn value(mut self, key: &str, kind: u32, bytes: &[u8]) -> Self {
        self.values.0 += 1;
        self.values.1.extend([text(key), kind.to_le_bytes().to_vec(), bytes.to_vec()].concat());
        self
    }

    fn tensor(mut self, name: &str, lengths: &[u64], kind: u32, offset: u64) -> Self {
        self.tensors.0 += 1;
        self.tensors.1.extend(text(name));
        self.tensors.1.extend((lengths.len() as u32).to_le_bytes());
        self.tensors.1.extend(lengths.iter().flat_map(|length| length.to_le_bytes()));
        self.tensors.1.extend(kind.to_le_bytes());
        self.tensors.1.extend(offset.to_le_bytes());
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.clone();
        bytes.extend(self.tensors.0.to_le_bytes());
        bytes.extend(self.values.0.to_le_bytes());
        bytes.extend(&self.values.1);
        bytes.extend(&self.tensors.1);
        bytes.resize(bytes.len().next_multiple_of(32) + self.data, 7);
        bytes
    }

    fn parse(&self) -> std::result::Result<GgufHeader, String> {
        let bytes = self.bytes();
        GgufHeader::parse(&bytes, bytes.len() as u64)
    }

    #[track_caller]
    fn refused(&self, expected: &str) {
        assert_eq!(self.parse().unwrap_err(), expected);
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// A list: the type of its entries, their number, their bytes.
fn list(kind: u32, length: u64, entries: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes(), &length.to_le_bytes()[..], entries].concat()
}

#[test]
fn shapes_are_turned_round_and_places_counted_from_the_start_of_the_file() {
    let writer = Writer::new().tensor("b", &[32, 1], 8, 0).tensor("a", &[3, 1], 0, 36 + 28);
    let writer = Writer { data: 64 + 12, ..writer };
    let header = writer.parse().unwrap();
    let start = (writer.bytes().len() - writer.data) as u64;
    let [first, second] = header.tensors() else { panic!("{header:?}") };
    assert_eq!((first.name.as_str(), first.shape.as_slice()), ("b", &[1, 32][..]));
    assert_eq!((first.start, first.end), (start, start + 34));
    assert_eq!((second.start, second.end), (start + 64, start + 64 + 12));
    assert_eq!(first.format.to_string(), "Q8_0");
    assert_eq!(second.format.to_string(), "F32");
}

#[test]
fn values_of_every_type_are_read() {
    let nested = list(9, 2, &[list(8, 2, &[text("x"), text("")].concat()), list(4, 0, &[])].concat());
    let header = Writer::new()
        .value("u8", 0, &[200])
        .value("i8", 1, &[0xff])
        .value("u16", 2, &[1, 2])
        .value("i16", 3, &(-2_i16).to_le_bytes())
        .value("u32", 4, &7_u32.to_le_bytes())
        .value("i32", 5, &(-7_i32).to_le_bytes())
        .value("f32", 6, &1.5_f32.to_le_bytes())
        .value("bool", 7, &[1])
        .value("text", 8, &text("gemma"))
        .value("list", 9, &nested)
        .value("u64", 10, &u64::MAX.to_le_bytes())
        .value("i64", 11, &i64::MIN.to_le_bytes())
        .value("f64", 12, &0.1_f64.to_le_bytes())
        .parse()
        .unwrap();
    let metadata = header.metadata();
    assert_eq!(metadata.whole("u8"), Some(200));
    assert_eq!(metadata.get("i8"), Some(&GgufValue::Signed(-1)));
    assert_eq!(metadata.whole("u16"), Some(513));
    assert_eq!((metadata.whole("i16"), metadata.number("i16")), (None, Some(-2.0)));
    assert_eq!((metadata.whole("u32"), metadata.number("i32")), (Some(7), Some(-7.0)));
    assert_eq!((metadata.number("f32"), metadata.number("f64")), (Some(1.5), Some(0.1)));
    assert_eq!(metadata.get("bool"), Some(&GgufValue::Bool(true)));
    assert_eq!((metadata.text("text"), metadata.text("list")), (Some("gemma"), None));
    assert_eq!(metadata.get("list"), Some(&GgufValue::List { length: 2 }));
    assert_eq!(metadata.whole("u64"), Some(u64::MAX));
    assert_eq!(metadata.get("i64"), Some(&GgufValue::Signed(i64::MIN)));
    assert_eq!(metadata.iter().count(), 13);
}

#[test]
fn other_files_and_versions_are_refused() {
    assert_eq!(GgufHeader::parse(b"GGML....", 8).unwrap_err(), "it does not begin with `GGUF`");
    for (version, expected) in [
        ([1, 0, 0, 0], "version 1 of the format is not supported, convert the model again"),
        ([4, 0, 0, 0], "version 4 of the format is not supported, expected 2 or 3"),
        ([0, 0, 0, 3], "the file is big-endian, expected little-endian"),
    ] {
        Writer { head: [b"GGUF".as_slice(), &version].concat(), ..Writer::new() }.refused(expected);
    }
    assert!(Writer { head: [b"GGUF".as_slice(), &[2, 0, 0, 0]].concat(), ..Writer::new() }.parse().is_ok());
}

#[test]
fn counts_beyond_the_file_are_refused_before_anything_is_allocated() {
    let most = 1 << 60;
    let tensors = Writer { tensors: (most, Vec::new()), ..Writer::new() };
    tensors.refused(
        "the list of tensors claims 1152921504606846976 entries of at least 24 bytes, \
         72 bytes of the file are left",
    );
    let values = Writer { values: (most, Vec::new()), ..Writer::new() };
    values.refused(
        "the metadata claims 1152921504606846976 entries of at least 13 bytes, 72 bytes of the file are left",
    );
    Writer::new()
        .value("long", 8, &most.to_le_bytes())
        .refused("`long` claims 1152921504606846976 bytes, expected at most 1048576");
    Writer { data: 0, ..Writer::new() }
        .value("long", 8, &1000_u64.to_le_bytes())
        .refused("`long` claims 1000 bytes, 16 bytes of the file are left");
    Writer::new().value("list", 9, &list(8, most, &[])).refused(
        "the list `list` claims 1152921504606846976 entries of at least 8 bytes, 76 bytes of the file are left",
    );
    let lists = Writer::new().value("list", 9, &list(8, 1, &most.to_le_bytes()));
    assert!(lists.parse().unwrap_err().starts_with("the list `list` claims 1152921504606846976 bytes"));
    // The file could be that long; no known one is.
    let many = Writer { tensors: ((1 << 20) + 1, Vec::new()), ..Writer::new() };
    let refused = GgufHeader::parse(&many.bytes(), u64::MAX).unwrap_err();
    assert_eq!(refused, "the header claims 1048577 tensors, more than any file has");
}

#[test]
fn lists_inside_lists_have_a_limit() {
    let nested = |depth: usize| {
        let inner = (0..depth).flat_map(|_| list(9, 1, &[])).collect::<Vec<_>>();
        Writer::new().value("deep", 9, &[inner, list(0, 1, &[0])].concat())
    };
    assert!(nested(8).parse().is_ok());
    nested(9).refused("the list `deep` has lists more than 8 deep");
    nested(10_000).refused("the list `deep` has lists more than 8 deep");
}

#[test]
fn tensors_that_cannot_be_are_refused_by_name() {
    let refused = |lengths: &[u64], kind: u32, offset: u64, expected: &str| {
        Writer::new().tensor("w", lengths, kind, offset).refused(expected);
    };
    refused(&[1, 1, 1, 1, 1], 0, 0, "`w` has 5 dimensions, expected at most 4");
    refused(&[4, 0], 0, 0, "`w` has a dimension of length 0");
    refused(&[4], 99, 0, "`w` has the type number 99, which no known format has");
    refused(&[33, 32], 8, 0, "`w` has rows of 33 numbers, Q8_0 takes multiples of 32");
    refused(&[], 8, 0, "`w` has rows of 1 numbers, Q8_0 takes multiples of 32");
    refused(&[1 << 32, 1 << 32], 0, 0, "the size of `w` is too large");
    refused(&[1 << 63], 0, 0, "the size of `w` is too large");
    refused(&[4], 0, 8, "`w` begins at offset 8, which is no multiple of 32");
    refused(&[4], 0, u64::MAX - 31, "the offset of `w` is too large");
    refused(&[17], 0, 0, "the file is cut off: `w` ends at byte 132, the file has 128 bytes");
    let twice = Writer::new().tensor("w", &[4], 0, 0).tensor("w", &[4], 0, 32);
    twice.refused("`w` is in the header twice");
    let overlapping = Writer::new().tensor("v", &[9], 0, 0).tensor("w", &[4], 0, 32);
    overlapping.refused("`w` overlaps `v`");
    let long = "n".repeat(1025);
    Writer::new()
        .tensor(&long, &[4], 0, 0)
        .refused("the name of a tensor claims 1025 bytes, expected at most 1024");
}

#[test]
fn metadata_that_cannot_be_is_refused_by_key() {
    let alignment = |bytes: u32| Writer::new().value("general.alignment", 4, &bytes.to_le_bytes());
    for bytes in [0, 4, 24, 1 << 21] {
        let expected = format!("`general.alignment` is {bytes}, expected a power of two of at least 8");
        alignment(bytes).refused(&expected);
    }
    assert!(alignment(64).parse().is_ok());
    Writer::new()
        .value("general.alignment", 8, &text("32"))
        .refused("`general.alignment` is a text, expected a whole number");
    Writer::new().value("flag", 7, &[2]).refused("`flag` is 2, expected 0 or 1");
    Writer::new().value("what", 13, &[0]).refused("`what` has the type number 13, expected 0 to 12");
    Writer::new().value("k", 0, &[0]).value("k", 0, &[1]).refused("the metadata has `k` twice");
    let broken = [&2_u64.to_le_bytes()[..], &[0xff, 0xfe]].concat();
    Writer::new().value("text", 8, &broken).refused("`text` is not UTF-8");
}

#[test]
fn a_header_cut_anywhere_is_refused() {
    let whole = Writer::new()
        .value("general.architecture", 8, &text("gemma"))
        .value("list", 9, &list(8, 2, &[text("a"), text("b")].concat()))
        .tensor("v", &[16], 0, 0)
        .bytes();
    assert!(GgufHeader::parse(&whole, whole.len() as u64).is_ok());
    for length in 0..whole.len() {
        let refused = GgufHeader::parse(&whole[..length], length as u64);
        assert!(refused.is_err(), "{length} bytes");
    }
}

#[test]
fn a_format_that_cannot_be_read_is_still_described() {
    let header = Writer::new().tensor("w", &[32], 20, 0).tensor("v", &[4], 26, 32).parse().unwrap();
    let formats: Vec<_> = header.tensors().iter().map(|tensor| tensor.format.to_string()).collect();
    assert_eq!(formats, ["IQ4_NL", "I32"]);
}
