//! `lumina-graph graph fmt`: which files it touches, what it prints, how it ends.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use support::{files, program, root, run, stderr, stdout};

const LAID_OUT: &str = "// a\nGraph(\n    format: 1,\n    nodes: {},\n)\n";
const OTHERWISE: &str = "// a\nGraph(format:1,nodes:{})";

fn piped(folder: &Path, arguments: &[&str], text: &str) -> Output {
    let mut child = program(folder, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn the_graphs_that_ship_are_laid_out() {
    let graphs = files(&root().join("graphs"));
    // Configs of networks lie beside the graphs that name them.
    let graphs = graphs.iter().filter(|path| path.extension().is_some_and(|extension| extension == "ron"));
    let graphs: Vec<String> = graphs.map(|path| path.display().to_string()).collect();
    let arguments: Vec<&str> =
        ["graph", "fmt", "--check"].into_iter().chain(graphs.iter().map(|path| &**path)).collect();
    let output = run(root(), &arguments);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), ""), "{}", stderr(&output));
}

#[test]
fn outputs_links_to_parts_and_ways_to_keep_values_are_laid_out_like_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let text = "Graph(format:1,params:{\"x\":Input(type:\"Latent\")},nodes:{
\"a\":Node(kind:\"graph\",cache:off,with:{\"path\":\"b.ron\",\"x\":Param(\"x\")}),},
outputs:{\"y\":Link(\"a.y\"), // c
\"z\":[Link(\"a\"),1]})";
    let output = piped(folder.path(), &["graph", "fmt", "-"], text);
    let expected = r#"Graph(
    format: 1,
    params: {
        "x": Input(type: "Latent"),
    },
    nodes: {
        "a": Node(kind: "graph", cache: off, with: { "path": "b.ron", "x": Param("x") }),
    },
    outputs: {
        "y": Link("a.y"), // c
        "z": [Link("a"), 1],
    },
)
"#;
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), expected), "{}", stderr(&output));
}

#[test]
fn only_files_that_change_are_written_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("good.ron"), LAID_OUT).unwrap();
    fs::write(path("other.ron"), OTHERWISE).unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    for name in ["good.ron", "other.ron"] {
        fs::File::options().append(true).open(path(name)).unwrap().set_modified(long_ago).unwrap();
    }

    let check = run(folder.path(), &["graph", "fmt", "good.ron", "other.ron", "--check"]);
    assert_eq!((check.status.code(), stdout(&check).as_str()), (Some(1), "other.ron\n"));
    assert_eq!(fs::read_to_string(path("other.ron")).unwrap(), OTHERWISE);

    let output = run(folder.path(), &["graph", "fmt", "good.ron", "other.ron"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "other.ron\n"));
    assert_eq!(fs::read_to_string(path("other.ron")).unwrap(), LAID_OUT);
    assert_eq!(fs::metadata(path("good.ron")).unwrap().modified().unwrap(), long_ago);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);

    let again = run(folder.path(), &["graph", "fmt", "good.ron", "other.ron", "--check"]);
    assert_eq!((again.status.code(), stdout(&again).as_str()), (Some(0), ""));
}

#[cfg(unix)]
#[test]
fn a_link_and_the_permissions_of_a_file_stay() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("file.ron"), OTHERWISE).unwrap();
    fs::set_permissions(path("file.ron"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("file.ron", path("link.ron")).unwrap();
    assert!(run(folder.path(), &["graph", "fmt", "link.ron"]).status.success());
    assert!(path("link.ron").is_symlink());
    assert_eq!(fs::read_to_string(path("file.ron")).unwrap(), LAID_OUT);
    assert_eq!(fs::metadata(path("file.ron")).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_file_that_cannot_be_read_is_left_and_the_others_are_laid_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("broken.ron"), "Graph(format: 1,").unwrap();
    fs::write(path("other.ron"), OTHERWISE).unwrap();
    let output = run(folder.path(), &["graph", "fmt", "nothing.ron", "broken.ron", "other.ron"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(3), "other.ron\n"));
    let said = stderr(&output);
    assert!(said.contains("error: cannot read the graph `nothing.ron`: "), "{said}");
    assert!(said.contains("error[LG0101]") && said.contains("broken.ron:1:16"), "{said}");
    assert_eq!(fs::read_to_string(path("broken.ron")).unwrap(), "Graph(format: 1,");
    assert_eq!(fs::read_to_string(path("other.ron")).unwrap(), LAID_OUT);
    assert_eq!(run(folder.path(), &["graph", "fmt", "nothing.ron"]).status.code(), Some(4));
}

#[test]
fn a_dash_stands_for_the_standard_input_and_output() {
    let folder = tempfile::tempdir().unwrap();
    let output = piped(folder.path(), &["graph", "fmt", "-"], OTHERWISE);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), LAID_OUT));
    let check = piped(folder.path(), &["graph", "fmt", "-", "--check"], OTHERWISE);
    assert_eq!((check.status.code(), stdout(&check).as_str()), (Some(1), "<stdin>\n"));
    let broken = piped(folder.path(), &["graph", "fmt", "-"], "Graph(");
    assert_eq!((broken.status.code(), stdout(&broken).as_str()), (Some(3), ""));
    assert!(stderr(&broken).contains("<stdin>:1:"), "{}", stderr(&broken));
    let both = piped(folder.path(), &["graph", "fmt", "-", "a.ron"], "");
    assert_eq!(both.status.code(), Some(2));
}
