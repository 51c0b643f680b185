use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Placed, from_str, from_str_with_nulls};

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Section {
    on: bool,
    count: u64,
    whole: i64,
    share: f64,
    name: String,
    list: Vec<String>,
    labels: BTreeMap<String, String>,
    inner: Option<Box<Section>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Root {
    section: Option<Placed<Section>>,
    items: Vec<Option<Placed<Section>>>,
}

fn section(yaml: &str) -> Result<Section, String> {
    from_str_with_nulls("f", yaml).map_err(|error| error.to_string())
}

#[test]
fn keys_without_a_value_are_zero() {
    let text = "section:\n  on:\n  count: ~\n  share: null\n  name:\n  list: [~, a]\n  labels: {a: }\n  inner:\nitems: [null, {on: yes, count: 3, inner: {name: }}]\n";
    assert!(from_str::<Section>("f", "on:\n").is_err());
    let root: Root = from_str_with_nulls("f", text).unwrap();
    let section = root.section.unwrap();
    assert_eq!((section.place.line, section.place.column), (2, 3));
    let expected = Section {
        labels: BTreeMap::from([("a".to_owned(), String::new())]),
        list: vec![String::new(), "a".to_owned()],
        ..Section::default()
    };
    assert_eq!(section.value, expected);
    assert!(root.items[0].is_none());
    let item = &root.items[1].as_ref().unwrap().value;
    assert!(item.on && item.count == 3);
    assert_eq!(item.inner.as_deref(), Some(&Section::default()));
}

#[test]
fn mistakes_have_place_and_path() {
    for (text, expected) in [
        (
            "section:\n  on: 5x\n",
            "f:2:7: section.on: expected true or false",
        ),
        (
            "section:\n  inner:\n    nmae: x\n",
            "f:3:5: section.inner.nmae: unknown field",
        ),
        ("section: [a]\n", "f:1:10: section: expected keys"),
        (
            "items:\n- count: -1\n",
            "f:2:10: items[0].count: expected a whole number, 0",
        ),
        (
            "items:\n- on: true\n  on: true\n",
            "f:3:3: items[0]: the key `on` stands here twice",
        ),
        (
            "section: {labels: {a: {}}}\n",
            "f:1:23: section.labels.a: expected a text",
        ),
        (
            "section: {list: a}\n",
            "f:1:17: section.list: expected a list",
        ),
        ("section: {", "f:1:10: "),
    ] {
        let error = from_str_with_nulls::<Root>("f", text)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn quotes_make_texts() {
    for text in [
        "on: 'true'",
        "count: '5'",
        "share: \"1\"",
        "on: tRUE",
        "count: ''",
    ] {
        assert!(section(text).is_err(), "{text}");
    }
    let read = section("count: 1e3\nwhole: -5.7\nshare: 0x10\nname: 1.50\non: Y\n").unwrap();
    assert_eq!((read.count, read.whole, read.share), (1000, -5, 16.0));
    assert_eq!((read.name.as_str(), read.on), ("1.50", true));
}

#[test]
fn only_the_first_document_counts() {
    for text in [
        "name: a\n---\nnmae: b\n",
        "name: a\n---\n{[ : }}\n",
        "name: a\n...\nb\n",
        "---\nname: a\n...\n",
    ] {
        assert_eq!(section(text).unwrap().name, "a", "{text}");
    }
    for text in ["", "# nothing\n", "---\n", "null\n", "---\n---\nnmae: b\n"] {
        assert_eq!(section(text).unwrap(), Section::default(), "{text:?}");
    }
}

#[test]
fn merged_keys_come_in_the_order_of_the_file() {
    let name = |text: &str| section(text).map(|s| s.name);
    assert_eq!(name("<<: {name: a}\nname: b\n"), Ok("b".to_owned()));
    assert_eq!(name("name: b\n<<: {name: a}\n"), Ok("a".to_owned()));
    assert_eq!(name("<<: [{name: a}, {name: b}]\n"), Ok("a".to_owned()));
    let labels = section("labels: {<<: {a: b}, c: d}\n").unwrap().labels;
    assert_eq!(labels.len(), 2);
    assert!(section("labels: {<<: {a: b}, a: c}\n").is_err());
    assert!(
        section("<<: a\n")
            .unwrap_err()
            .contains("map merge requires")
    );
    assert!(section("'<<': {}\n").is_err());
}

#[test]
fn bytes_that_are_no_text_are_no_labels() {
    let error = section("labels: {a: !!binary \"/w==\"}").unwrap_err();
    assert!(
        error.contains("\"\\xff\" is not a valid label value"),
        "{error}"
    );
    let error = section("labels: {!!binary \"/w==\": a}").unwrap_err();
    assert!(
        error.contains("\"\\xff\" is not a valid label name"),
        "{error}"
    );
    assert_eq!(section("name: !!binary aGk=").unwrap().name, "hi");
}

#[test]
fn tabs_stand_where_nothing_is_counted() {
    for text in [
        "name:\ta\t\n",
        "{\n\t\"name\": \"a\"\n}\n",
        "name: \"a\tb\"\n",
        "name: a\t# b\n",
        "labels:\n  a: |\n    x\n    \ty\n  b: c\n",
        "list:\n- \"a\n\tb\"\n",
    ] {
        assert!(section(text).is_ok(), "{text:?}: {:?}", section(text));
    }
    for text in [
        "name: a\n\t\n",
        "name: a\n\t# b\non: true\n",
        "list:\n-\ta\n",
        "labels:\n\ta: b\n",
        "labels:\n  \ta: b\n",
    ] {
        assert!(section(text).is_err(), "{text:?}");
    }
}

#[test]
fn later_versions_of_yaml_are_refused() {
    assert!(section("%YAML 1.1\n---\nname: a\n").is_ok());
    assert!(section("%YAML 1.2\n---\nname: a\n").is_err());
}
