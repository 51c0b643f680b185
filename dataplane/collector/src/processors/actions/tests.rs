#![allow(clippy::unwrap_used)]

use opentelemetry_proto::tonic::common::v1::any_value::Value;

use super::*;

fn run(actions: &str, attributes: &[(&str, Value)]) -> Vec<(String, String)> {
    let configs: Vec<ActionConfig> = bellwether_yaml::from_str("t", actions).unwrap();
    let actions = Action::all(&configs).unwrap();
    let mut attributes: Vec<KeyValue> = attributes
        .iter()
        .map(|(key, value)| key_value(key, value.clone()))
        .collect();
    for action in &actions {
        action.apply(&mut attributes);
    }
    attributes
        .iter()
        .map(|kv| {
            (
                kv.key.clone(),
                format!("{:?}", get(&attributes, &kv.key).unwrap()),
            )
        })
        .collect()
}

fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

fn shown(pairs: &[(&str, Value)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), format!("{value:?}")))
        .collect()
}

#[test]
fn insert_update_upsert() {
    let before = [("a", text("1"))];
    for (actions, after) in [
        (
            "[{key: a, value: 2, action: insert}]",
            vec![("a", text("1"))],
        ),
        (
            "[{key: b, value: 2, action: insert}]",
            vec![("a", text("1")), ("b", Value::IntValue(2))],
        ),
        (
            "[{key: a, value: 2.5, action: update}]",
            vec![("a", Value::DoubleValue(2.5))],
        ),
        (
            "[{key: b, value: x, action: update}]",
            vec![("a", text("1"))],
        ),
        (
            "[{key: b, value: true, action: upsert}]",
            vec![("a", text("1")), ("b", Value::BoolValue(true))],
        ),
        (
            "[{key: b, from_attribute: a, action: upsert}]",
            vec![("a", text("1")), ("b", text("1"))],
        ),
        (
            "[{key: b, from_attribute: nope, action: upsert}]",
            vec![("a", text("1"))],
        ),
        (
            "[{key: b, from_attribute: nope, default_value: d, action: upsert}]",
            vec![("a", text("1")), ("b", text("d"))],
        ),
    ] {
        assert_eq!(run(actions, &before), shown(&after), "{actions}");
    }
}

#[test]
fn delete_hash_extract_convert() {
    let before = [
        ("http.url", text("http://h/p?q=1")),
        ("n", text("42")),
        ("x.y", text("z")),
    ];
    let run = |actions: &str| run(actions, &before);
    assert_eq!(
        run("[{key: n, pattern: '^x\\.', action: delete}]"),
        shown(&[before[0].clone()])
    );
    let hashed = run("[{key: n, action: hash}]");
    assert_eq!(
        hashed[1].1,
        format!(
            "{:?}",
            text("73475cb40a568e8da8a045ced110137e159f890ac4da883b6b17dc651b3a8049")
        )
    );
    let extracted =
        run("[{key: http.url, pattern: '^(?P<scheme>[a-z]+)://(?P<host>[^/]+)', action: extract}]");
    assert_eq!(
        extracted[3..],
        shown(&[("scheme", text("http")), ("host", text("h"))])
    );
    assert_eq!(
        run("[{key: n, pattern: '^(?P<a>[a-z]+)$', action: extract}]"),
        shown(&before),
        "no match"
    );
    let converted = run(
        "[{key: n, converted_type: int, action: convert}, {key: x.y, converted_type: double, action: convert}]",
    );
    assert_eq!(converted[1].1, format!("{:?}", Value::IntValue(42)));
    assert_eq!(
        converted[2].1,
        format!("{:?}", text("z")),
        "a failed conversion leaves the value"
    );
}

#[test]
fn bad_actions_say_what_they_need() {
    for (action, expected) in [
        ("{action: insert, value: 1}", "`key`"),
        (
            "{action: insert, key: a}",
            "one of `value` and `from_attribute`",
        ),
        (
            "{action: insert, key: a, value: 1, from_attribute: b}",
            "exclude each other",
        ),
        ("{action: delete}", "`key` or `pattern`"),
        ("{action: extract, key: a}", "`pattern`"),
        ("{action: extract, key: a, pattern: '(x)'}", "named groups"),
        (
            "{action: extract, key: a, pattern: '('}",
            "error parsing regexp",
        ),
        ("{action: convert, key: a}", "`converted_type`"),
    ] {
        let config: ActionConfig = bellwether_yaml::from_str("t", action).unwrap();
        let (index, message) = Action::all(&[config]).unwrap_err();
        assert_eq!(index, 0);
        assert!(message.contains(expected), "{action}: {message}");
    }
}
