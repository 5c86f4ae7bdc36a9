//! The layout of graph files: what it looks like, and that it changes nothing but the look.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use lumina_engine::{Code, Document, Expression, Source, format, parse};
use proptest::collection::vec;
use proptest::prelude::*;

fn formatted(text: &str) -> String {
    format(&Source::new("a.ron", text)).unwrap()
}

#[test]
fn a_graph_gets_one_field_parameter_and_node_a_line() {
    let text = r#"
// What it is.

Graph(format:1,about:"x", params:{"n":Int(default:3,min:0),
   // two blank lines above count as one


   "long": Text(default: "a text that is rather long", about: "what it is for, at some length", choices: ["one", "two"]) }
, nodes : {"model":  Node(kind: "model.open",    with: { "path": Param ( "n", ), }),


"a":Node(kind:"k"),"b": Node(kind: "guidance.cfg", with: { "backbone": Link("model.backbone"),
    "positive": Link("text"), "scale": 4.0, "list": [1,2 , 3,], "map": /* kept */ 1 }), // at the end
    "noted": Node(kind: "k", with: {
        // above
        "x": 1 // beside
        , "y" : r#_"raw, {text"_# /* before the comma */, /* of z */ "z": [] }) },
)
// the end"#
        .replace("#_", "#")
        .replace("_#", "#");
    insta::assert_snapshot!(formatted(&format!("{text}\n")));
}

#[test]
fn comments_at_odd_places_stay_with_what_they_are_about() {
    let text = "/* a */ Graph /* b */ ( // c
      /* d */
      format: // e
        1 /* f */, /* g */ about // h
        : /* i */ \"\" // j
      // k
      , params: { /* l */ }, nodes: { // m
      \"n\": Node(kind: \"k\" /* n */, with: { \"x\": [ // o
        1, 2 /* p */ ] }) /* q */ // r
      /* s
         t */ } // u
      /* v */ ) /* w */
      // x
    ";
    insta::assert_snapshot!(formatted(text));
}

#[test]
fn a_group_that_is_too_long_breaks_and_one_that_just_fits_does_not() {
    // `    ` + `"a": [` + items + `],`
    let list = |last: &str| formatted(&format!("{{\"a\": [{}\"{last}\"]}}\n", "\"0123456\", ".repeat(9)));
    let fits = list("0123456");
    assert_eq!(fits.lines().nth(1).unwrap().len(), 120);
    assert_eq!(fits.lines().count(), 3);
    assert_eq!(list("01234567").lines().count(), 14);
}

#[test]
fn line_ends_of_windows_are_kept_where_all_are() {
    assert_eq!(formatted("{\r\n\"a\": 1 // b\r\n}\r\n"), "{\r\n    \"a\": 1, // b\r\n}\r\n");
    assert_eq!(formatted("{\r\n\"a\": 1\n}\r\n"), "{\n    \"a\": 1,\n}\n");
}

#[test]
fn what_is_not_well_formed_is_reported_with_its_place() {
    for text in [
        "Graph(format: 1",
        "",
        "Graph(format: 1) x\n",
        "\"a\nb",
        "[1 2]\n",
        "#![enable(unwrap_newtypes)]\n(a: 1)\n",
    ] {
        let wrong = format(&Source::new("a.ron", text)).unwrap_err();
        assert!(wrong.iter().all(|diagnostic| diagnostic.span.is_some()), "{text}");
    }
    let wrong = format(&Source::new("a.ron", "Graph(format: 1,, nodes: {})\n")).unwrap_err();
    assert_eq!(wrong[0].code, Code::Syntax);
}

/// A document without places.
fn content(document: &Document) -> String {
    let mut text = format!("{:?}\n", document.about);
    for param in &document.params {
        let default = param.default.as_ref().map(|default| expression(&default.value));
        text += &format!(
            "{} {} {:?} {default:?} {:?} {:?} {:?}\n",
            param.name.value, param.ty, param.about, param.min, param.max, param.choices
        );
    }
    for node in &document.nodes {
        text += &format!("{} {}\n", node.name.value, node.kind.value);
        for (name, value) in &node.inputs {
            text += &format!("    {}: {}\n", name.value, expression(&value.value));
        }
    }
    text
}

fn expression(value: &Expression) -> String {
    match value {
        Expression::List(items) => {
            format!("{:?}", items.iter().map(|item| expression(&item.value)).collect::<Vec<_>>())
        }
        other => format!("{other:?}"),
    }
}

/// What must be true of every text; whether it could be read.
fn holds(text: &str, comments: &[String]) -> Result<bool, TestCaseError> {
    let Ok(once) = format(&Source::new("a.ron", text)) else { return Ok(false) };
    let twice = format(&Source::new("a.ron", once.clone()));
    prop_assert_eq!(twice.as_ref(), Ok(&once), "from {}", text);
    let (before, wrong_before) = parse(Source::new("a.ron", text));
    let (after, wrong_after) = parse(Source::new("a.ron", once.clone()));
    prop_assert_eq!(content(&before), content(&after));
    let codes = |wrong: &[lumina_engine::Diagnostic]| wrong.iter().map(|one| one.code).collect::<Vec<_>>();
    prop_assert_eq!(codes(&wrong_before), codes(&wrong_after));
    for comment in comments {
        let found = once.matches(comment.as_str()).count();
        prop_assert!(found >= text.matches(comment.as_str()).count(), "{} is lost: {}", comment, once);
    }
    prop_assert!(once.ends_with('\n') && !once.contains("\n\n\n"));
    Ok(true)
}

/// What may stand between two tokens: white space and comments, each comment with a number of its own.
fn gaps() -> impl Strategy<Value = Vec<&'static str>> {
    let gap = prop_oneof![
        6 => Just(""),
        3 => Just(" "),
        3 => Just("\n"),
        1 => Just("\n \n\n"),
        1 => Just(" // # line\n"),
        1 => Just("\n// # own {line\n"),
        1 => Just("/* # */"),
        1 => Just(" /* # /* } */ */ "),
        1 => Just("\n/* # two\n  lines */\n"),
        1 => Just("\n\n/* # */ /* # */ // #\n\n"),
    ];
    vec(gap, 160)
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("1".to_owned()),
        Just("-2.5e3".to_owned()),
        Just("true".to_owned()),
        Just(r#""a \"(text""#.to_owned()),
        Just("\"two\\n\nlines\"".to_owned()),
        Just(r###"r#"raw "{ text"#"###.to_owned()),
        Just("Param ¦( ¦\"p\"¦ )".to_owned()),
        Just("Link¦(¦\"n0.out\"¦,¦)".to_owned()),
        "[a-z é]{0,60}".prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        (vec(inner, 0..5), any::<bool>()).prop_map(|(items, comma)| group("[", items, "]", comma))
    })
}

/// Entries in brackets; `¦` marks places where anything may stand that says nothing.
fn group(open: &str, entries: Vec<String>, close: &str, comma: bool) -> String {
    let comma = if comma && !entries.is_empty() { "¦,¦" } else { "¦" };
    format!("{open}¦{}{comma}{close}", entries.join("¦,¦"))
}

fn graph() -> impl Strategy<Value = String> {
    let inputs = (vec(value(), 0..5), any::<bool>()).prop_map(|(values, comma)| {
        let entries = values.iter().enumerate().map(|(index, value)| format!("\"i{index}\"¦:¦{value}"));
        group("{", entries.collect(), "}", comma)
    });
    let node = (inputs, 0..3, any::<bool>()).prop_map(|(inputs, form, comma)| {
        let fields = match form {
            0 => vec!["kind¦:¦\"some.kind\"".to_owned()],
            1 => vec!["kind¦:¦\"k\"".to_owned(), format!("with¦:¦{inputs}")],
            _ => vec![format!("with¦:¦{inputs}"), "kind¦:¦\"k\"".to_owned()],
        };
        group("Node¦(", fields, ")", comma)
    });
    let param = (value(), any::<bool>()).prop_map(|(default, comma)| {
        group("Text(", vec![format!("default:¦{default}"), "min: 1".into()], ")", comma)
    });
    (vec(param, 0..3), vec(node, 0..4), any::<bool>()).prop_map(|(params, nodes, comma)| {
        let named = |prefix: &str, all: Vec<String>| -> Vec<String> {
            all.iter().enumerate().map(|(index, one)| format!("\"{prefix}{index}\"¦:¦{one}")).collect()
        };
        let fields = vec![
            "format¦:¦1".to_owned(),
            format!("params:¦{}", group("{", named("p", params), "}", comma)),
            format!("nodes:¦{}", group("{", named("n", nodes), "}", comma)),
        ];
        format!("¦{}¦\n", group("Graph¦(", fields, ")", comma))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn a_layout_is_final_and_changes_neither_content_nor_comments(graph in graph(), gaps in gaps()) {
        let mut text = String::new();
        let mut comments = Vec::new();
        for (index, part) in graph.split('¦').enumerate() {
            text += part;
            // Numbers tell the comments apart; after the end of the list there are no more.
            let gap = gaps.get(index).copied().unwrap_or("");
            for piece in gap.split_inclusive('#') {
                match piece.strip_suffix('#') {
                    Some(before) => {
                        comments.push(format!("#{}.", comments.len()));
                        text += before;
                        text += &comments[comments.len() - 1];
                    }
                    None => text += piece,
                }
            }
        }
        prop_assert!(holds(&text, &comments)?, "not read: {}", text);
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        holds(&text, &[])?;
    }

    #[test]
    fn no_mixture_of_signs_makes_it_panic(text in r#"([()\[\]{},:"'#/*r \n1-]|//|/\*|\*/|a: |"b": ){0,40}"#) {
        holds(&format!("[{text}]"), &[])?;
        holds(&text, &[])?;
    }
}
