//! The language: outputs and error texts as Go gives them.

use std::sync::Arc;

use bellwether_template::{Host, List, NoFunctions, Signature, Struct, Template, Type, Value};

/// A host with one typed function.
struct Upper;

impl Host for Upper {
    fn signature(&self, name: &str) -> Option<Signature> {
        let params = match name {
            "upper" => &[Type::String][..],
            "half" => &[Type::Float][..],
            "fail" => &[][..],
            _ => return None,
        };
        Some(Signature {
            params,
            variadic: false,
        })
    }

    fn call(&self, name: &str, args: &[Value]) -> Result<Value, String> {
        match (name, args) {
            ("upper", [Value::String(text)]) => Ok(text.to_uppercase().into()),
            ("half", [Value::Float(v)]) => Ok(Value::Float(v / 2.0)),
            _ => Err("no way".to_owned()),
        }
    }
}

fn data() -> Value {
    Value::Struct(Arc::new(Struct {
        type_name: "struct",
        fields: vec![
            ("Labels", Value::texts([("job", "api"), ("zone", "a")])),
            ("Value", Value::Float(1.5)),
            (
                "List",
                Value::List(Arc::new(List {
                    type_name: "[]int",
                    items: vec![Value::Int(3), Value::Int(4), Value::Int(5)],
                })),
            ),
        ],
    }))
}

fn run(text: &str) -> Result<String, String> {
    let template = Template::parse("t", text, &Upper).map_err(|e| e.to_string())?;
    template.execute(&data(), &Upper).map_err(|e| e.to_string())
}

#[test]
fn templates_expand_as_in_go() {
    for (text, expected) in [
        ("plain", "plain"),
        ("", ""),
        ("{{ .Labels.job }}/{{ .Value }}", "api/1.5"),
        ("{{ .Labels.none }}|", "|"),
        ("{{ .Labels }}", "map[job:api zone:a]"),
        ("{{ .List }}", "[3 4 5]"),
        (
            "{{ $x := .Labels.job }}{{ $x }}{{ $x = \"b\" }}{{ $x }}",
            "apib",
        ),
        ("{{ if .Labels.job }}y{{ else }}n{{ end }}", "y"),
        (
            "{{ if false }}a{{ else if eq .Labels.zone \"a\" }}b{{ else }}c{{ end }}",
            "b",
        ),
        (
            "{{ with .Labels.none }}a{{ else with .Labels.zone }}{{ . }}!{{ end }}",
            "a!",
        ),
        (
            "{{ with .Labels }}{{ .job }}{{ $.Value }}{{ end }}",
            "api1.5",
        ),
        ("{{ range .List }}<{{ . }}>{{ end }}", "<3><4><5>"),
        (
            "{{ range $i, $v := .List }}{{ $i }}={{ $v }},{{ end }}",
            "0=3,1=4,2=5,",
        ),
        (
            "{{ range $k, $v := .Labels }}{{ $k }}={{ $v }},{{ end }}",
            "job=api,zone=a,",
        ),
        (
            "{{ range .List }}{{ if eq . 4 }}{{ break }}{{ end }}{{ . }}{{ end }}",
            "3",
        ),
        (
            "{{ range .List }}{{ if eq . 4 }}{{ continue }}{{ end }}{{ . }}{{ end }}",
            "35",
        ),
        (
            "{{ range slice .List 0 0 }}x{{ else }}none{{ end }}",
            "none",
        ),
        ("{{ range 3 }}{{ . }}{{ end }}", "012"),
        ("a \n {{- 1 -}} \n b", "a1b"),
        ("a {{- /* c */ -}} b{{/* d */}}", "ab"),
        ("{{ 1 | printf \"%d-%s\" | upper }}", "1-%!S(MISSING)"),
        ("{{ .Labels.job | upper | printf \"%s!\" }}", "API!"),
        ("{{ upper \"x\" }}{{ (upper \"y\") }}", "XY"),
        ("{{ half 3 }} {{ half .Value }}", "1.5 0.75"),
        (
            "{{ and 1 0 (fail) }}{{ or 0 \"a\" (fail) }}{{ not 1 }}",
            "0afalse",
        ),
        ("{{ index .Labels \"zone\" }}{{ index .List 1 }}", "a4"),
        ("{{ slice \"abcdef\" 1 3 }}{{ slice .List 1 }}", "bc[4 5]"),
        ("{{ len .List }}{{ len \"ab\" }}", "32"),
        (
            "{{ eq 1 2 3 1 }}{{ ne 1 2 }}{{ lt 1 2 }}{{ le 2.0 2.0 }}{{ gt \"b\" \"a\" }}{{ ge 1 2 }}",
            "truetruetruetruetruefalse",
        ),
        (
            "{{ html \"<a&'>\" }} {{ urlquery \"a b/c\" }} {{ js \"'\" }}",
            "&lt;a&amp;&#39;&gt; a+b%2Fc \\'",
        ),
        ("{{ print 1 2 \"a\" }}{{ println \"b\" }}", "1 2ab\n"),
        (
            "{{ define \"x\" }}[{{ . }}]{{ end }}{{ template \"x\" .Value }}{{ template \"x\" }}",
            "[1.5][<no value>]",
        ),
        ("{{ block \"y\" .Value }}({{ . }}){{ end }}", "(1.5)"),
        (
            "{{ 0x10 }} {{ 1e3 }} {{ 'a' }} {{ -1 }} {{ 1_000 }} {{ 0b11 }} {{ 0x1p4 }}",
            "16 1000 97 -1 1000 3 16",
        ),
        ("{{ `raw\\n` }}{{ \"q\\t\\u00e9\" }}", "raw\\nq\té"),
        ("{{ if\n.Value\n}}multi-line{{ end }}", "multi-line"),
        ("{{ true }}{{ $ | len | printf \"%v\" | len }}", "ERR"),
    ] {
        if expected == "ERR" {
            assert!(run(text).is_err(), "{text}");
        } else {
            assert_eq!(run(text).as_deref(), Ok(expected), "{text}");
        }
    }
}

#[test]
fn mistakes_are_reported_in_gos_words() {
    for (text, expected) in [
        ("{{ $x }}", "template: t:1: undefined variable \"$x\""),
        (
            "a\n{{ nofunc 1 }}",
            "template: t:2: function \"nofunc\" not defined",
        ),
        ("{{ if }}", "template: t:1: missing value for if"),
        ("{{ if 1 }}", "template: t:1: unexpected EOF"),
        ("{{ end }}", "template: t:1: unexpected {{end}}"),
        ("{{ else }}", "template: t:1: unexpected {{else}}"),
        ("{{ .Value ", "template: t:1: unclosed action"),
        ("{{ \"abc }}", "template: t:1: unterminated quoted string"),
        ("{{ (1 }}", "template: t:1: unclosed left paren"),
        (
            "{{ 1 | 2 }}",
            "template: t:1: non executable command in pipeline stage 2",
        ),
        ("{{ break }}", "template: t:1: {{break}} outside {{range}}"),
        ("{{ 1a }}", "template: t:1: bad number syntax: \"1a\""),
        (
            "{{ template \"no\" }}",
            "template: t:1:12: executing \"t\" at <{{template \"no\"}}>: template \"no\" not defined",
        ),
        (
            "{{ .Foo }}",
            "template: t:1:3: executing \"t\" at <.Foo>: can't evaluate field Foo in type struct",
        ),
        (
            "x\n  {{ .Value.Foo }}",
            "template: t:2:11: executing \"t\" at <.Value.Foo>: can't evaluate field Foo in type float64",
        ),
        (
            "{{ upper 1 }}",
            "template: t:1:9: executing \"t\" at <1>: expected string; found 1",
        ),
        (
            "{{ upper .Value }}",
            "template: t:1:9: executing \"t\" at <.Value>: wrong type for value; expected string; got float64",
        ),
        (
            "{{ upper }}",
            "template: t:1:3: executing \"t\" at <upper>: wrong number of args for upper: want 1 got 0",
        ),
        (
            "{{ fail }}",
            "template: t:1:3: executing \"t\" at <fail>: error calling fail: no way",
        ),
        (
            "{{ eq 1 1.0 }}",
            "template: t:1:3: executing \"t\" at <eq 1 1.0>: error calling eq: incompatible types for comparison: int and float64",
        ),
        (
            "{{ index .List 7 }}",
            "template: t:1:3: executing \"t\" at <index .List 7>: error calling index: index out of range: 7",
        ),
        (
            "{{ range 1.5 }}{{ end }}",
            "template: t:1:9: executing \"t\" at <1.5>: range can't iterate over 1.5",
        ),
        (
            "{{ nil }}",
            "template: t:1:3: executing \"t\" at <nil>: nil is not a command",
        ),
    ] {
        assert_eq!(run(text), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn what_never_ends_is_ended() {
    for text in [
        "{{ define \"x\" }}{{ template \"x\" }}{{ end }}{{ template \"x\" }}",
        "{{ range 1000000000000 }}{{ end }}",
        "{{ $x := \"aaaaaaaaaaaaaaaa\" }}{{ range 100 }}{{ $x = print $x $x }}{{ end }}",
        "{{ range 100000 }}{{ printf \"%10000d\" 1 }}{{ end }}",
    ] {
        let error = run(text).unwrap_err();
        assert!(error.contains("exceed"), "{text}: {error}");
    }
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(500), ")".repeat(500));
    assert!(run(&deep).unwrap_err().contains("nested more than"));
}

/// The deepest recursion that is allowed fits a thread of 2 MiB, also without optimisation.
#[test]
fn the_deepest_run_fits_a_small_stack() {
    let nest = 50;
    let text = format!(
        "{{{{ define \"x\" }}}}{}{{{{ template \"x\" {} . {} }}}}{}{{{{ end }}}}{{{{ template \"x\" 1 }}}}",
        "{{ with 1 }}".repeat(nest),
        "(print ".repeat(nest / 10),
        ")".repeat(nest / 10),
        "{{ end }}".repeat(nest),
    );
    let work = move || run(&text);
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(work);
    let result = thread.expect("a thread").join().expect("no overflow");
    assert!(
        result
            .unwrap_err()
            .contains("exceeded maximum template depth")
    );
}

#[test]
fn a_template_without_functions() {
    let template = Template::parse("t", "{{ len \"abc\" }}", &NoFunctions).expect("valid");
    assert_eq!(
        template.execute(&Value::Nil, &NoFunctions).as_deref(),
        Ok("3")
    );
}
