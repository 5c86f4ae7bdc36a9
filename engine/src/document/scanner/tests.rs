//! The scanner against `ron`.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::reference;
use super::*;

/// White space and comments.
fn space() -> impl Strategy<Value = String> {
    let one = prop_oneof![
        4 => Just(String::new()),
        4 => "[ \t\n\r\u{85}\u{200e}\u{2028}]{1,3}",
        1 => "//[^\n]{0,9}\n",
        1 => r#"/\*[^/*]{0,5}(/\*[\\"',:)é]{0,4}\*+/)?[^/*]{0,5}\*+/"#,
    ];
    vec(one, 0..3).prop_map(|parts| parts.concat())
}

const SCALARS: &[&str] = &[
    "true",
    "()",
    "Name",
    "_r",
    "bar",
    "é",
    "r#a.b-c",
    "r#r",
    "inf",
    "-NaN",
    "None",
    "0x1_f",
    "-1_0",
    "1.5e-3",
    ".5",
    "2f32",
    "1..2",
    "..",
    "..=3",
    "1..",
    "','",
    "'é'",
    "'''",
    r"'\''",
    "'\"'",
    r"'\\'",
    r"'\u{41}'",
    r"'\x41'",
    r"b'\''",
    "b'\"'",
    "b'''",
    "\"\\\n \"",
    "r\"\"",
    "r###\"\"##\"###",
];

/// Values without parts.
fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        select(SCALARS).prop_map(str::to_owned),
        r#"b?"([ !#-\[\]-~]|\\["'nrt0\\]|\\x4[0-9a-fA-F]){0,8}""#,
        r#""([^"\\]|\\u\{e9\}|\\"|\\xc3\\xa9){0,8}""#,
        r#"b?r"[ !#-~]{0,6}""#,
        r##"r#"([^"#]|"[^"#]){0,6}"#"##,
        r###"b?r##"[ !$-~]{0,4}("#?[ !$-~]){0,2}"##"###,
    ]
}

/// Parts with commas between them.
fn joined(parts: &[String], comma_at_the_end: bool) -> String {
    let comma = if comma_at_the_end && !parts.is_empty() { "," } else { "" };
    parts.join(",") + comma
}

/// Well-formed values of all forms, with space wherever it may be.
fn document() -> impl Strategy<Value = String> {
    scalar().prop_recursive(4, 24, 4, |inner| {
        let spaced =
            (space(), inner, space()).prop_map(|(before, text, after)| before + &text + &after).boxed();
        let entry = (spaced.clone(), spaced.clone()).prop_map(|(key, value)| format!("{key}:{value}"));
        let key = "[a-qs-z_][a-z0-9_]{0,3}|r[a-z0-9_]{0,3}|r#[a-z.+-]{1,4}|é";
        let field = (space(), key, space(), spaced.clone())
            .prop_map(|(before, key, after, value)| format!("{before}{key}{after}:{value}"));
        let name = (select(&["Name", "Link", "r#a-b", "bar", "é"][..]), space());
        let name = prop_oneof![name.prop_map(|(name, space)| name.to_owned() + &space), Just(String::new())];
        let several = |part: BoxedStrategy<String>| {
            let parts = (vec(part, 0..4), any::<bool>(), space());
            parts.prop_map(|(parts, comma, space)| joined(&parts, comma) + &space)
        };
        prop_oneof![
            several(spaced.clone()).prop_map(|items| format!("[{items}]")),
            several(entry.boxed()).prop_map(|entries| format!("{{{entries}}}")),
            (name.clone(), several(field.boxed())).prop_map(|(name, fields)| format!("{name}({fields})")),
            (name, several(spaced.clone())).prop_map(|(name, items)| format!("{name}({items})")),
            (select(&["Link", "Some"][..]), space(), spaced)
                .prop_map(|(name, space, argument)| format!("{name}{space}({argument})")),
        ]
    })
}

/// Compares all parts of a well-formed text, and the parts of those; says how many there were.
fn compare(text: &str) -> usize {
    let whole = reference::value(text).unwrap();
    assert_eq!(value(text), Some(whole.clone()), "value of {text}");
    let mut parts = vec![&text[whole]];
    let mut count = 0;
    while let Some(text) = parts.pop() {
        count += 1;
        assert_eq!(items(text), reference::items(text).ok(), "items of {text}");
        assert_eq!(entries(text), reference::entries(text).ok(), "entries of {text}");
        assert_eq!(fields(text, "Name"), reference::fields(text, "Name").ok(), "fields of {text}");
        assert_eq!(argument(text, "Link"), argument_by_reference(text), "argument of {text}");
        parts.extend(items(text).into_iter().flatten().map(|place| &text[place]));
        parts.extend(entries(text).into_iter().flatten().flat_map(|(key, value)| [&text[key], &text[value]]));
        parts.extend(fields(text, "Name").into_iter().flatten().map(|(_, value)| &text[value]));
        parts.extend(argument(text, "Link").map(|place| &text[place]));
    }
    count
}

/// `ron` lets the name be left out, which the caller never asks for.
fn argument_by_reference(text: &str) -> Option<Range<usize>> {
    text.starts_with("Link").then(|| reference::argument(text, "Link").ok()).flatten()
}

#[test]
fn the_parts_of_hard_texts_are_those_of_ron() {
    let text = "// ](\n Name ( r#\"](\"# /* /* ) */ , */, b'\\'', br#\"\"]\"#, bar, '\"', \"\\\"]\", r#in.side, ) \u{200e}\n";
    assert_eq!(compare(text), 1);
    let text = r#"Name(r#a.b: {'}': [1, (2)], "k": Link /**/ (r"x\" ,)}, c /* : */ : Name())"#;
    assert_eq!(compare(text), 10);
}

#[test]
fn what_is_not_asked_for_is_declined() {
    for text in ["Name", "Name(1)", "Names(a: 1)", "(1, 2)"] {
        assert_eq!(fields(text, "Name"), None, "{text}");
    }
    for text in ["Link", "Link()", "Link(\"a\", \"b\")", "Link(a: 1)", "Links(1)"] {
        assert_eq!(argument(text, "Link"), None, "{text}");
    }
    assert_eq!(value("#![enable(implicit_some)] 1"), None);
    assert_eq!(value("1 // no end of line"), None);
}

proptest! {
    #[test]
    fn the_parts_of_any_well_formed_text_are_those_of_ron(
        before in space(),
        text in document(),
        after in space(),
    ) {
        compare(&format!("{before}{text}{after}"));
    }

    #[test]
    fn no_text_makes_the_scanner_panic(text in r#"[\[\](){}:,"'r#bé\\/* \n1]{0,30}"#) {
        let _ = (value(&text), items(&text), entries(&text), fields(&text, "r"), argument(&text, "b"));
        if reference::value(&text).is_ok() && value(&text).is_some() {
            compare(&text);
        }
    }
}
