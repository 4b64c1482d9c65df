//! Tests of front matter.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

/// Key, line and value of every setting.
fn settings(source: &str) -> Vec<(String, usize, Value)> {
    let file = parse(source).expect(source);
    let each = file.values.into_iter();
    each.map(|entry| (entry.key, entry.line, entry.value))
        .collect()
}

#[test]
fn the_same_settings_are_read_from_all_three_formats() {
    let expected = [
        ("title", json!("A \"b\" 😀")),
        ("draft", json!(true)),
        ("weight", json!(-3)),
        ("tags", json!(["a", "b"])),
        ("extra", json!({"rating": 4.5, "deep": {"er": "x"}})),
    ];
    let toml = "+++\ntitle = \"A \\\"b\\\" 😀\"\ndraft = true\nweight = -3\ntags = [\"a\", \"b\"]\n[extra]\nrating = 4.5\ndeep.er = \"x\"\n+++\nBody\n";
    let yaml = "---\ntitle: A \"b\" 😀\ndraft: true\nweight: -3\ntags: [a, b]\nextra:\n  rating: 4.5\n  deep: {er: x}\n---\nBody\n";
    let json = "{\n\"title\": \"A \\\"b\\\" 😀\",\n\"draft\": true,\n\"weight\": -3,\n\"tags\": [\"a\", \"b\"],\n\"extra\": {\"rating\": 4.5,\n\"deep\": {\"er\": \"x\"}}\n}\nBody\n";
    for (source, format, body_line) in [
        (toml, Format::Toml, 10),
        (yaml, Format::Yaml, 10),
        (json, Format::Json, 9),
    ] {
        for newline in ["\n", "\r\n"] {
            for mark in ["", "\u{feff}"] {
                let source = format!("{mark}{}", source.replace('\n', newline));
                let file = parse(&source).expect(&source);
                assert_eq!(file.format, format);
                assert_eq!(file.body, format!("Body{newline}"), "{format:?}");
                assert_eq!(file.body_line, body_line, "{format:?}");
                for ((at, entry), (key, value)) in file.values.iter().enumerate().zip(&expected) {
                    assert_eq!((entry.key.as_str(), &entry.value), (*key, value));
                    assert_eq!(entry.line, at + 2, "{key} in {format:?}");
                }
                assert_eq!(file.values.len(), expected.len());
            }
        }
    }
}

#[test]
fn a_file_without_front_matter_is_all_body() {
    for source in [
        "",
        "# Title\n",
        "{{ shortcode }}\n",
        "{% include a %}",
        "{a}",
        " ---\na: 1\n---\n",
        "----\n",
        "text\n---\na: 1\n---\n",
    ] {
        let file = parse(source).expect(source);
        assert_eq!((file.body.as_str(), file.body_line), (source, 1));
        assert_eq!((file.values, file.format), (Vec::new(), Format::None));
    }
}

#[test]
fn empty_front_matter_has_no_settings() {
    for source in ["+++\n+++\nx", "---\n---\nx", "---\n# note\n---\nx", "{}\nx"] {
        let file = parse(source).expect(source);
        assert_eq!(
            (file.body.as_str(), file.values.len()),
            ("x", 0),
            "{source}"
        );
    }
}

#[test]
fn dates_become_strings() {
    assert_eq!(
        settings("+++\na = 2014-12-12\nb = 2014-12-12T09:30:00+01:00\n+++\n"),
        [
            ("a".to_owned(), 2, json!("2014-12-12")),
            ("b".to_owned(), 3, json!("2014-12-12T09:30:00+01:00")),
        ]
    );
    assert_eq!(
        settings("---\na: 2014-12-12\nb: 2014-12-12 09:30:00 +0100\n---\n"),
        [
            ("a".to_owned(), 2, json!("2014-12-12")),
            ("b".to_owned(), 3, json!("2014-12-12 09:30:00 +0100")),
        ]
    );
}

#[test]
fn the_first_closing_line_closes_and_later_ones_are_body() {
    let file = parse("---\na: |\n  x\n  ---\n---\nb\n---\n").expect("valid");
    assert_eq!(file.values[0].value, json!("x\n---\n"));
    assert_eq!(file.body, "b\n---\n");
    assert_eq!(parse("---\na: 1\n...\nb").expect("valid").body, "b");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (source, line, word) in [
        ("+++\ntitle = \"a\"\n", 1, "never closed"),
        ("---\ntitle: a\n", 1, "never closed"),
        ("{\n\"a\": 1\n", 1, "never closed"),
        ("+++\na = 1\nb = \n+++\n", 3, "TOML"),
        ("+++\na = 1\n\na = 2\n+++\n", 4, "TOML"),
        ("+++\na = nan\n+++\n", 2, "a"),
        ("---\na: 1\nb: [1\n---\n", 3, "YAML"),
        ("---\na: 1\na: 2\n---\n", 3, "a"),
        ("---\njust text\n---\n", 2, "name: value"),
        ("---\n- a\n- b\n---\n", 2, "name: value"),
        ("{\n\"a\": 1,\n\"b\": x}\n", 3, "JSON"),
        ("{\n\"a\": 1,\n\"a\": 2\n}\n", 3, "twice"),
        ("{\"a\": 1} text\n", 1, "after the }"),
    ] {
        let problem = parse(source).expect_err(source);
        assert!(problem.message.contains(word), "{source:?}: {problem}");
        assert!(
            problem.line.abs_diff(line) <= usize::from(source.contains("[1")),
            "{source:?}: {problem}"
        );
        assert!(!problem.message.contains('\n'), "{problem}");
    }
}

#[test]
fn settings_that_multiply_or_nest_without_end_are_refused_quickly() {
    let mut laughs = "---\na0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..20 {
        let last = format!("*a{}", i - 1);
        let line = format!("a{i}: &a{i} [{}]\n", vec![last; 9].join(", "));
        laughs.push_str(&line);
    }
    laughs += "---\n";
    let deep = |open: &str, n: usize| open.repeat(n);
    let started = std::time::Instant::now();
    for source in [
        laughs,
        format!("---\na: {}\n---\n", deep("[", 100_000)),
        format!("---\na: {}\n---\n", deep("{a: ", 50_000)),
        format!("+++\na = {}\n+++\n", deep("[", 100_000)),
        format!("+++\n{}\n+++\n", deep("a.", 100_000)),
        format!("{{\"a\": {}\n", deep("[", 100_000)),
        format!("---\na: {}\n---\n", deep("x", 300_000)),
        format!("{{\"a\": \"{}\"}}\n", deep("x", 300_000)),
    ] {
        assert!(parse(&source).is_err(), "{}", &source[..40]);
    }
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

/// Any text, with what hurts in it more often than chance would have it.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[\"\\\\\n\r\t+\\-{}#=:\u{0}\u{7f}\u{85}\u{202e}\u{5d0}😀 ]{0,20}",
        Just("a\n+++\nb".to_owned()),
    ]
}

/// Any value that TOML has.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        text().prop_map(Value::String),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>()
            .prop_filter("JSON has no NaN", |n| n.is_finite())
            .prop_map(|n| json!(n)),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((text(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(pairs in prop::collection::vec((text(), value()), 0..6)) {
        let values: Map<String, Value> = pairs.into_iter().collect();
        let written = write_toml(&values) + "Body";
        let file = parse(&written).map_err(|e| TestCaseError::fail(format!("{e}\n{written}")))?;
        let read: Map<String, Value> = file.values.into_iter().map(|e| (e.key, e.value)).collect();
        prop_assert_eq!(read, values, "{}", written);
        prop_assert_eq!(file.body, "Body");
    }

    #[test]
    fn no_input_panics_and_no_body_is_lost(
        open in prop_oneof![Just(""), Just("+++\n"), Just("---\n"), Just("{"), Just("---\r\n")],
        inside in prop_oneof![text(), "[a-c]{1,2}[:=] [\\[{&*!|>\"'a-c0-9\n ,:-]{0,20}"],
        close in prop_oneof![Just(""), Just("\n+++\n"), Just("\n---\n"), Just("}\n")],
        body in any::<String>(),
    ) {
        let source = format!("{open}{inside}{close}{body}");
        match parse(&source) {
            Ok(file) => {
                prop_assert!(source.ends_with(&file.body));
                prop_assert_eq!(file.body_line, line_at(&source, source.len() - file.body.len()));
            }
            Err(problem) => {
                prop_assert!(problem.line >= 1 && problem.line <= source.split('\n').count(), "{}", problem);
            }
        }
    }
}

#[test]
fn yaml_scalars_mean_what_generators_take_them_for() {
    // YAML 1.2.2 section 10.3, and the yes, no and numbers of YAML 1.1 that Jekyll knows.
    let table = [
        ("yes", "true"),
        ("No", "false"),
        ("on", "true"),
        ("TRUE", "true"),
        ("~", "null"),
        ("Null", "null"),
        ("", "null"),
        ("0o17", "15"),
        ("0x1F", "31"),
        ("-0x1F", "-31"),
        ("0b11", "3"),
        ("1_000", "1000"),
        ("1e3", "1000.0"),
        (".5", "0.5"),
        ("5.", "5.0"),
        ("+12", "12"),
        ("-3", "-3"),
        ("12345678901234567890", "12345678901234567890"),
        ("2020-01-02", "\"2020-01-02\""),
        ("12:30:45", "\"12:30:45\""),
        ("0x", "\"0x\""),
        ("infinity", "\"infinity\""),
        ("NaN", "\"NaN\""),
        ("!!str 12", "\"12\""),
        ("!!int \"12\"", "12"),
        ("!!float 3", "3.0"),
        ("!!bool yes", "true"),
        ("!!null ''", "null"),
        ("!own bar", "\"bar\""),
        ("&a x", "\"x\""),
        ("\"true\"", "\"true\""),
        ("'1'", "\"1\""),
        ("{? x}", "{\"x\":null}"),
        ("[1, {b: c}, ]", "[1,{\"b\":\"c\"}]"),
    ];
    for (written, expected) in table {
        let file = format!("---\nkey: {written}\n---\n");
        let read = parse(&file).unwrap_or_else(|e| panic!("{written:?}: {e}"));
        assert_eq!(read.values[0].value.to_string(), expected, "{written:?}");
    }
    for (written, word) in [
        (".inf", "no number"),
        ("1e400", "no number"),
        ("!!int x", "not what its tag"),
        ("*b", "anchor"),
        ("&a [*a]", "alias"),
        ("{b: 1, b: 2}", "twice"),
        ("{[x]: 1}", "name"),
        ("b: c", "not valid YAML"),
    ] {
        let file = format!("---\ntitle: x\nkey: {written}\n---\n");
        let problem = parse(&file).unwrap_err();
        assert_eq!(problem.line, 3, "{written:?}: {problem}");
        assert!(problem.message.contains(word), "{written:?}: {problem}");
    }
}

#[test]
fn yaml_aliases_and_merges_are_followed_within_limits() {
    let file = "---\nbase: &x {b: 1, d: 0}\nc: {<<: *x, d: 2}\n---\n";
    let read = parse(file).unwrap();
    assert_eq!(read.values[1].value.to_string(), "{\"d\":2,\"b\":1}");
    let mut laughs = String::from("---\na: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (next, before) in ["b", "c", "d", "e", "f", "g"]
        .iter()
        .zip(["a", "b", "c", "d", "e", "f"])
    {
        let list = vec![format!("*{before}"); 10].join(", ");
        laughs.extend([next, ": &", next, " [", &list, "]\n"]);
    }
    let problem = parse(&(laughs + "---\n")).unwrap_err();
    assert!(problem.message.contains("too much"), "{problem}");
    let deep = format!("---\na: {}1{}\n---\n", "[".repeat(60), "]".repeat(60));
    assert!(parse(&deep).is_err());
}
