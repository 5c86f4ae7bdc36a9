//! The disk cache under kills and under many processes: no entry that can be read is ever wrong.
//!
//! `LUMINA_GRAPH_ENDURANCE=1` takes the long way. The numbers that decide what is killed when are printed at the
//! beginning; `LUMINA_GRAPH_ENDURANCE_SEED=N` takes them again.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "says how long it was tried, and with which numbers")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use support::{files, program, run, stderr, workplace};

/// Small nodes beside the picture: each leaves an action and a blob.
const SMALL: usize = 150;

/// Numbers that look random (SplitMix64).
struct Random(u64);

impl Random {
    fn from_environment() -> Self {
        let clock = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let seed = std::env::var("LUMINA_GRAPH_ENDURANCE_SEED")
            .map_or_else(|_| clock(), |seed| seed.parse().unwrap());
        println!("LUMINA_GRAPH_ENDURANCE_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn long() -> bool {
    std::env::var("LUMINA_GRAPH_ENDURANCE").is_ok_and(|value| value == "1")
}

/// The names of all entries that a reader would look at, each held against its digest.
fn verified(cache: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in if cache.exists() { files(cache) } else { Vec::new() } {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with('.') {
            // A temporary file: nobody reads it.
            continue;
        }
        let content = fs::read(&path).unwrap();
        let table = path.strip_prefix(cache).unwrap().iter().next().unwrap().to_str().unwrap();
        let digest = |bytes: &[u8]| blake3::hash(bytes).to_hex().to_string();
        match table {
            "blob" => assert_eq!(digest(&content), name, "a blob is not what its name says"),
            "action" | "recipe" => {
                let text = String::from_utf8(content).unwrap();
                let (first, rest) = text.split_once('\n').unwrap();
                assert_eq!(first, digest(rest.as_bytes()), "the {table} {name} is damaged: {text}");
            }
            other => panic!("the cache has a table {other}"),
        }
        names.insert(format!("{table}/{name}"));
    }
    names
}

/// Adds small nodes to the graph of a folder; gives the arguments that run all of it.
fn add_small_nodes(folder: &Path) -> Vec<String> {
    let names: Vec<String> = (0..SMALL).map(|index| format!("grid{index}")).collect();
    let nodes: String = names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let steps = 100 + 10 * index;
            format!("    \"{name}\": Node(kind: \"schedule.flow\", with: {{ \"steps\": {steps}, \"shift\": 3 }}),\n")
        })
        .collect();
    let graph = folder.join("t2i.ron");
    let text = fs::read_to_string(&graph).unwrap().replace("nodes: {\n", &format!("nodes: {{\n{nodes}"));
    fs::write(graph, text).unwrap();
    let targets = names.into_iter().chain(["saved".to_owned()]);
    let arguments = ["run", "t2i.ron", "--json", "--cache-dir", "cache"].map(str::to_owned);
    arguments.into_iter().chain(targets.flat_map(|name| ["--only".to_owned(), name])).collect()
}

/// Starts the program and kills it a little after it has finished some nodes.
fn kill_after(mut command: Command, nodes: u64, delay: Duration) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut finished = lines.filter(|line| line.contains("\"node_finished\""));
    // The pipe stays open until the kill: a program that cannot say anything any more might end by itself.
    finished.by_ref().take(usize::try_from(nodes).unwrap()).for_each(drop);
    thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn i10_a_kill_in_the_middle_of_cache_writes_leaves_no_readable_bad_entry() {
    let rounds = if long() { 100 } else { 10 };
    println!("{} kills", 2 * rounds);
    let mut random = Random::from_environment();
    let folder = workplace();
    let folder = folder.path();
    let arguments = add_small_nodes(folder);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let whole = || {
        let output = run(folder, &arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        fs::read(folder.join("out/t2i_0.png")).unwrap()
    };
    let cache = folder.join("cache");
    let picture = whole();
    let all = verified(&cache);
    assert!(all.len() >= 2 * SMALL, "{} entries", all.len());

    let (mut partial, mut left_behind) = (0, 0);
    for round in 0..rounds {
        fs::remove_dir_all(&cache).unwrap();
        fs::remove_dir_all(folder.join("out")).unwrap();
        // The second process goes on from what the first has left.
        for _ in 0..2 {
            let nodes = random.below(SMALL as u64 / 2);
            let delay = Duration::from_micros(random.below(2000));
            kill_after(program(folder, &arguments), nodes, delay);
            let left = verified(&cache);
            assert!(left.is_subset(&all), "round {round}: an entry that no whole run makes");
            partial += usize::from(!left.is_empty() && left.len() < all.len());
            left_behind += usize::from(cache.exists() && files(&cache).len() > left.len());
        }
        assert_eq!(whole(), picture, "round {round}: another picture");
        assert_eq!(verified(&cache), all, "round {round}: other entries");
    }
    assert!(partial > 0, "no kill came in the middle");
    println!("{partial} kills left a part of the {} entries, {left_behind} a temporary file", all.len());
}

#[test]
fn i11_processes_that_share_a_small_cache_collect_it_without_harm() {
    const SEEDS: u64 = 8;
    let seconds = if long() { 60 } else { 5 };
    println!("{seconds} seconds");
    let mut random = Random::from_environment();
    let place = workplace();
    let place = place.path();
    // Eight pictures of this size are more than the limit, so every process throws away what others may be reading.
    let arguments = ["run", "t2i.ron", "--json", "--set", "width=128", "--set", "height=128", "--seed"];
    let drawn = |folder: &Path, seed: u64, more: &[&str]| {
        let seed = seed.to_string();
        let output = run(folder, &[&arguments[..], &[&seed], more].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        // The folder that cannot be kept within its limit would be a warning.
        assert_eq!(stderr(&output), "");
        let lines = String::from_utf8(output.stdout).unwrap();
        let done: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        let picture = fs::read(folder.join(format!("out/t2i_{seed}.png"))).unwrap();
        (picture, done["ran"].as_array().unwrap().len())
    };
    // Every process works in a folder of its own and finds the model in the folder above.
    let desk = |name: &str| {
        let folder = place.join(name);
        fs::create_dir(&folder).unwrap();
        fs::copy(place.join("t2i.ron"), folder.join("t2i.ron")).unwrap();
        folder
    };
    let reference = desk("reference");
    let pictures: Vec<Vec<u8>> = (0..SEEDS).map(|seed| drawn(&reference, seed, &[]).0).collect();

    let cache = place.join("cache");
    let shared = ["--cache-limit", "1", "--cache-dir", cache.to_str().unwrap()];
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut runs, mut executed) = (0, [0; 9]);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..4u64)
            .map(|worker| {
                let mut random = Random(random.below(u64::MAX));
                let (pictures, shared, drawn, desk) = (&pictures, &shared, &drawn, &desk);
                scope.spawn(move || {
                    let folder = desk(&format!("worker{worker}"));
                    let mut counts = Vec::new();
                    // A slow machine has to try something too.
                    while Instant::now() < end || counts.len() < 10 {
                        let seed = random.below(SEEDS);
                        // A picture that is there already would hide what the cache gives.
                        let _ = fs::remove_dir_all(folder.join("out"));
                        let (picture, ran) = drawn(&folder, seed, shared);
                        assert!(
                            picture == pictures[usize::try_from(seed).unwrap()],
                            "seed {seed}: another picture"
                        );
                        counts.push(ran);
                    }
                    counts
                })
            })
            .collect();
        for worker in workers {
            for ran in worker.join().unwrap() {
                runs += 1;
                executed[ran] += 1;
            }
        }
    });
    let left = verified(&cache);
    println!(
        "{runs} runs; runs by the number of nodes that ran, from 0 to 8: {executed:?}; {} entries",
        left.len()
    );
    // Results were found, and results were thrown away: without both, nothing was tried.
    assert!(executed[..4].iter().any(|runs| *runs > 0));
    let bytes: u64 = files(&cache).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(bytes < SEEDS * 3 * 128 * 128 * 4, "{bytes} bytes");
}
