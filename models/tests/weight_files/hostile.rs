//! Files of torch that were damaged or made to do harm: each is refused in words, in memory that its own length bounds.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use lumina_models::weights::pth::{PthArchive, PthError, ZipDirectory, check_pickle};
use lumina_models::weights::{Checkpoint, KeyMap, Weights};
use lumina_models::{Interrupt, ModelError};
use proptest::prelude::*;

use crate::counting::peak;
use crate::zip_writer::{Item, Zip};

/// Bytes of memory that a file of so many bytes may take. A byte of pickle can make an object of 32 bytes with a value of
/// 16 in it, kept in vectors that double. Sizes that a file claims make no difference.
fn allowed(bytes: usize) -> usize {
    100 * bytes + (1 << 16)
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/pth").join(name)
}

/// Reads bytes as a file of torch, within the memory that they are allowed.
fn read(bytes: &[u8]) -> Result<PthArchive, PthError> {
    let (result, peak) = peak(|| PthArchive::read(&mut Cursor::new(bytes)));
    assert!(peak <= allowed(bytes.len()), "{} bytes took {peak}", bytes.len());
    result
}

#[track_caller]
fn refused(bytes: &[u8], part: &str) {
    match read(bytes) {
        Ok(archive) => panic!("{part}: {archive:?}"),
        Err(error) => assert!(error.to_string().contains(part), "{error}"),
    }
}

/// A file of torch with this pickle and one storage of 24 bytes.
fn file(pickle: &[u8]) -> Zip {
    Zip::new([
        Item::new("a/data.pkl", pickle),
        Item::new("a/byteorder", b"little"),
        Item::new("a/data/0", &[0; 24]),
    ])
}

/// A pickle of `{"w": tensor}` over a storage of six numbers, or of as many as `count` says.
fn tensor(count: u8, offset: u8, shape: &[u64], strides: &[u64]) -> Vec<u8> {
    let mut pickle =
        b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n\
                       X\x01\0\0\x000X\x03\0\0\0cpuK"
            .to_vec();
    pickle.extend([count, b't', b'Q', b'K', offset]);
    for numbers in [shape, strides] {
        pickle.push(b'(');
        for number in numbers {
            pickle.extend(b"\x8a\x08");
            pickle.extend(number.to_le_bytes());
        }
        pickle.push(b't');
    }
    pickle.extend(b"\x89NtRs.");
    pickle
}

#[test]
fn the_files_of_these_tests_are_read_when_nothing_is_wrong_with_them() {
    let archive = read(&file(&tensor(6, 0, &[2, 3], &[3, 1])).bytes()).unwrap();
    assert_eq!(archive.tensors()["w"].shape, [2, 3]);
    assert!(archive.tensors()["w"].view.is_none());
    let large = Zip { is_large: true, ..file(&tensor(6, 0, &[3, 2], &[1, 3])) };
    assert!(read(&large.bytes()).unwrap().tensors()["w"].view.is_some());
}

/// Python's own zip files do not begin an entry at a multiple of its numbers.
#[test]
fn numbers_are_read_from_any_place_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.pth");
    let numbers = [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0];
    for padding in 0..4 {
        let mut zip = file(&tensor(6, 0, &[6], &[1]));
        zip.items[2].data = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        zip.items[1].name.push_str(&"_".repeat(padding));
        std::fs::write(&path, zip.bytes()).unwrap();
        let checkpoint = Checkpoint::open_file(&path).unwrap();
        let never = Interrupt::never();
        let weights =
            Weights::open(&checkpoint, KeyMap::identity(), DType::F32, &Device::Cpu, &never).unwrap();
        assert_eq!(weights.tensor("w", &[6]).unwrap().to_vec1::<f32>().unwrap(), numbers);
    }
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused() {
    for name in ["tensors.pth", "split/model_args.pth"] {
        let bytes = std::fs::read(golden(name)).unwrap();
        assert!(read(&bytes).is_ok());
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "{name} {length}");
        }
    }
}

#[test]
fn a_pickle_that_is_cut_off_anywhere_is_refused() {
    let pickle = tensor(6, 0, &[2, 3], &[3, 1]);
    assert!(check_pickle(&pickle).is_ok());
    for length in 0..pickle.len() {
        assert!(check_pickle(&pickle[..length]).is_err(), "{length}");
    }
}

#[test]
fn names_that_are_no_part_of_a_tensor_are_refused_by_name() {
    for (name, pickle) in [
        ("os.system", &b"cos\nsystem\n(X\x04\0\0\0truetR."[..]),
        ("posix.system", b"\x80\x02cposix\nsystem\nX\x04\0\0\0true\x85R."),
        ("posix.system", b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."),
        ("os.system", b"(S'true'\nI1\nL2L\nF0.5\nVa\np0\nios\nsystem\n."),
        ("os.system", b"(X\x04\0\0\0trueios\nsystem\n."),
        ("builtins.eval", b"\x80\x02cbuiltins\neval\nX\x01\0\0\x001\x85R."),
        ("builtins.getattr", b"\x80\x02cbuiltins\ngetattr\n."),
        ("torch.hub.load", b"\x80\x02ctorch.hub\nload\n."),
        ("__torch__.Network", b"\x80\x02c__torch__\nNetwork\n)\x81."),
        ("my_models.Network", b"\x80\x02}X\x01\0\0\0acmy_models\nNetwork\n)\x81s."),
        ("numpy.core.multiarray.scalar", b"\x80\x02cnumpy.core.multiarray\nscalar\n."),
    ] {
        match check_pickle(pickle) {
            Err(PthError::Global { name: found, .. }) => assert_eq!(found, name),
            other => panic!("{name}: {other:?}"),
        }
        assert!(read(&file(pickle).bytes()).is_err());
    }
    let long = [&b"\x80\x02c"[..], &b"\x1b[31m".repeat(10_000), b"\nsystem\n."].concat();
    let message = check_pickle(&long).unwrap_err().to_string();
    assert!(message.len() < 1000 && !message.contains('\x1b'), "{message}");
}

#[test]
fn functions_that_tensors_need_take_no_other_arguments() {
    for pickle in [
        &b"\x80\x02ccollections\nOrderedDict\n(X\x01\0\0\0atR."[..],
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
        b"\x80\x02ctorch._utils\n_rebuild_parameter\n(N\x89NtR.",
        b"\x80\x02ctorch._utils\n_rebuild_parameter\nNR.",
        b"\x80\x02ctypes\nSimpleNamespace\n)RNb.",
        b"\x80\x02NNR.",
        b"\x80\x02NQ.",
        b"\x80\x02(X\x06\0\0\0moduleNNNK\x01tQ.",
    ] {
        assert!(matches!(check_pickle(pickle), Err(PthError::Pickle { .. })), "{}", pickle.escape_ascii());
    }
}

#[test]
fn values_that_hold_each_other_cost_what_they_are_long() {
    // Each list holds the one before it ten times: 10^500 values when they are walked through.
    let mut laughs = b"\x80\x02]q\x000".to_vec();
    for _ in 0..500 {
        laughs.extend(b"](");
        laughs.extend(b"h\x00".repeat(10));
        laughs.extend(b"eq\x000");
    }
    laughs.extend(b"h\x00.");
    let deep = [&b"\x80\x02"[..], &b")"[..], &b"\x85".repeat(500_000), b"."].concat();
    let tuples = [&b"\x80\x02("[..], &b")".repeat(500_000), b"t."].concat();
    let marks = [&b"\x80\x02"[..], &b"(".repeat(500_000), b"."].concat();
    let own = b"\x80\x02}q\x00X\x01\0\0\0ah\x00s.".to_vec();
    let namespace = b"\x80\x02cargparse\nNamespace\n)\x81}q\x00X\x01\0\0\0ah\x00sb.".to_vec();
    for pickle in [&laughs, &deep, &tuples, &marks, &own, &namespace] {
        let archive = read(&file(pickle).bytes());
        assert!(archive.is_err() || archive.unwrap().tensors().is_empty());
    }
    assert!(check_pickle(&deep).is_ok() && check_pickle(&laughs).is_ok());
    for opcode in [b")", b"N", b"]", b"("] {
        let many = [&b"\x80\x02("[..], &opcode.repeat(5_000_000), b"t."].concat();
        refused(&file(&many).bytes(), "values");
    }
    let lists =
        [&b"\x80\x02]"[..], &[&b"("[..], &b"N".repeat(1000), b"e"].concat().repeat(5000), b"."].concat();
    refused(&file(&lists).bytes(), "builds more than 4194304 values");
}

#[test]
fn lengths_that_no_file_has_allocate_nothing() {
    for opcode in [&b"X\xff\xff\xff\xff"[..], b"\x8b\xff\xff\xff\xff", b"B\xff\xff\xff\xff"] {
        refused(&file(&[b"\x80\x02", opcode].concat()).bytes(), "reaches past its end");
    }
    for opcode in [b'\x8d', b'\x8e', b'\x96', b'\x95'] {
        let pickle = [&b"\x80\x04"[..], &[opcode], &u64::MAX.to_le_bytes()].concat();
        assert!(check_pickle(&pickle).is_err(), "{opcode}");
    }
    let far = b"\x80\x02Nr\xff\xff\xff\xffj\xff\xff\xff\xff\x86.";
    assert!(check_pickle(far).is_ok(), "a far place of the memo is not a size");
}

#[test]
fn tensors_that_leave_their_storage_are_refused() {
    let huge = i64::MAX as u64;
    for (pickle, part) in [
        (tensor(6, 1, &[2, 3], &[3, 1]), "leaves its storage"),
        (tensor(6, 0, &[2, 4], &[3, 1]), "leaves its storage"),
        (tensor(6, 0, &[2, 3], &[4, 1]), "leaves its storage"),
        (tensor(6, 0, &[2, 3], &[huge, 1]), "leaves its storage"),
        (tensor(6, 0, &[huge, huge], &[0, 0]), "leaves its storage"),
        (tensor(6, 0, &[huge, huge, 0], &[0, 0, 0]), "leaves its storage"),
        // A view that repeats its storage.
        (tensor(6, 0, &[7], &[0]), "leaves its storage"),
        (tensor(6, 0, &[u64::MAX], &[1]), "the size -1"),
        (tensor(6, 0, &[2, 3], &[1]), "2 dimensions with 1 strides"),
        (tensor(6, 0, &[1; 17], &[1; 17]), "17 dimensions"),
        (tensor(5, 0, &[5], &[1]), "has 24 bytes, its pickle says 5 numbers of 4 bytes"),
        (tensor(7, 0, &[7], &[1]), "has 24 bytes, its pickle says 7 numbers of 4 bytes"),
    ] {
        refused(&file(&pickle).bytes(), part);
    }
    assert!(read(&file(&tensor(6, 0, &[huge, 0], &[1, 1])).bytes()).is_ok());
}

#[test]
fn files_without_what_torch_writes_are_refused() {
    let good = tensor(6, 0, &[6], &[1]);
    let zip =
        |items: &[(&str, &[u8])]| Zip::new(items.iter().map(|(name, data)| Item::new(name, data))).bytes();
    for (bytes, part) in [
        (zip(&[]), "not one that `torch.save` wrote"),
        (zip(&[("a/data/0", &[0; 24])]), "not one that `torch.save` wrote"),
        (zip(&[("a/data.pkl", &good), ("b/data.pkl", &good)]), "not one that `torch.save` wrote"),
        (zip(&[("a/data.pkl", &good)]), "it has no entry `a/data/0`"),
        (zip(&[("a/data.pkl", &good), ("a/byteorder", b"big")]), "not little-endian"),
        (zip(&[("a/data.pkl", b"\x80\x02N.")]), "it holds no dictionary"),
        (b"PK".to_vec(), "it is no zip file, or it is cut off"),
        (Vec::new(), "it is no zip file, or it is cut off"),
    ] {
        refused(&bytes, part);
    }
}

#[test]
fn zip_files_that_lie_are_refused() {
    let good = || file(&tensor(6, 0, &[6], &[1]));
    let good_length = good().items[0].data.len() as u64;
    let with = |change: &dyn Fn(&mut Zip)| {
        let mut zip = good();
        change(&mut zip);
        zip.bytes()
    };
    for is_large in [false, true] {
        let with = |change: &dyn Fn(&mut Zip)| {
            with(&|zip| {
                zip.is_large = is_large;
                change(zip);
            })
        };
        for (bytes, part) in [
            (with(&|zip| zip.items[2].method = 8), "compressed"),
            (with(&|zip| zip.items[0].method = 8), "compressed"),
            (with(&|zip| zip.items[2].listed_method = Some(8)), "differs from the header"),
            (with(&|zip| zip.items[2].flags = 1), "is encrypted"),
            (with(&|zip| zip.items[2].size = Some(25)), "has two sizes"),
            (with(&|zip| zip.items[2].header = Some(0)), "differs from the header"),
            (with(&|zip| zip.items[2].header = Some(3)), "differs from the header"),
            (with(&|zip| zip.items[2].header = Some(0xffff_fff0)), "lies outside the file"),
            (with(&|zip| zip.items[2].local_name = Some("a/data/1".to_owned())), "differs from the header"),
            (with(&|zip| zip.items[2].name = "a/data.pkl".to_owned()), "in its directory twice"),
            (with(&|zip| zip.items[0].set_sizes(good_length + 10)), "overlap"),
            (with(&|zip| zip.items[2].set_sizes(1000)), "lies outside the file"),
            (with(&|zip| zip.count = Some(2)), "its directory has 3 entries and claims 2"),
            (with(&|zip| zip.count = Some(4)), "its directory has 3 entries and claims 4"),
            (with(&|zip| zip.directory = Some(0)), "end of its directory is damaged"),
            (with(&|zip| zip.tail = b"more".to_vec()), "it is no zip file, or it is cut off"),
        ] {
            refused(&bytes, part);
        }
    }
    for size in [1 << 60, u64::MAX] {
        let large = |change: &dyn Fn(&mut Zip)| {
            with(&|zip| {
                zip.is_large = true;
                change(zip);
            })
        };
        refused(&large(&|zip| zip.items[2].set_sizes(size)), "lies outside the file");
        refused(&large(&|zip| zip.items[2].header = Some(size)), "lies outside the file");
        refused(&large(&|zip| zip.count = Some(size)), "claims");
        refused(&large(&|zip| zip.directory = Some(size)), "damaged");
    }
}

#[test]
fn paths_that_are_no_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("weights.pth");
    std::fs::create_dir(&folder).unwrap();
    let error = Checkpoint::open_any(&folder).unwrap_err();
    assert!(matches!(error, ModelError::Config { .. }), "{error:?}");
    assert!(Checkpoint::open_file(&folder).is_err());
    assert!(PthArchive::open(&folder).is_err());
    assert!(matches!(
        Checkpoint::open_any(&dir.path().join("none.pth")),
        Err(ModelError::FileNotFound { .. })
    ));
    #[cfg(unix)]
    {
        let link = dir.path().join("loop.pth");
        std::os::unix::fs::symlink(&link, &link).unwrap();
        for error in [Checkpoint::open_any(&link).unwrap_err(), Checkpoint::open_file(&link).unwrap_err()] {
            assert!(matches!(error, ModelError::Read { .. }), "{error:?}");
        }
        assert!(Checkpoint::open_any(Path::new("/dev/zero")).is_err());
        std::fs::write(folder.join("a.pth"), file(&tensor(6, 0, &[6], &[1])).bytes()).unwrap();
        std::os::unix::fs::symlink("model_args.pth", folder.join("model_args.pth")).unwrap();
        assert!(Checkpoint::open_any(&folder).is_ok(), "arguments that cannot be found are not needed");
    }
}

#[test]
fn arguments_that_would_run_code_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.pth"), file(&tensor(6, 0, &[6], &[1])).bytes()).unwrap();
    std::fs::copy(golden("system.pth"), dir.path().join("model_args.pth")).unwrap();
    let error = Checkpoint::open_any(dir.path()).unwrap_err().to_string();
    assert!(error.contains("model_args.pth") && error.contains("`posix.system`"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_files_give_an_answer(
        name in 0_usize..4,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let name = ["tensors.pth", "tensors_protocol_4.pth", "lightning.ckpt", "split/model_args.pth"][name];
        let mut bytes = std::fs::read(golden(name)).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        drop(read(&bytes));
        drop(ZipDirectory::read(&mut Cursor::new(&bytes)));
    }

    #[test]
    fn damaged_pickles_give_an_answer(
        shape in proptest::collection::vec(any::<u64>(), 0..4),
        strides in proptest::collection::vec(any::<u64>(), 0..4),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut pickle = tensor(6, 0, &shape, &strides);
        for (at, byte) in changes {
            let at = at.index(pickle.len());
            pickle[at] = byte;
        }
        drop(read(&file(&pickle).bytes()));
    }

    #[test]
    fn any_opcodes_give_an_answer(pickle in proptest::collection::vec(
        proptest::sample::select(&b"\x80\x02(01 2NKMXGq\x00h\x01)\x85\x86\x87t]}aesuRbQ.\x81\x88\x8a\x94\x8c"[..]), 0..200,
    )) {
        drop(read(&file(&pickle).bytes()));
    }
}
