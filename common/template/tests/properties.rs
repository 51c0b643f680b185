//! Nothing panics, whatever the text; what is written out is bounded.

use bellwether_template::{MAX_OUTPUT_BYTES, NoFunctions, Template, Value};
use proptest::prelude::*;

/// Pieces that make templates, good and bad ones.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "{{",
        "}}",
        "{{- ",
        " -}}",
        "if ",
        "else ",
        "end",
        "range ",
        "with ",
        "define ",
        "template ",
        "block ",
        "break",
        "continue",
        "nil",
        "true",
        "$",
        "$x",
        ":=",
        "=",
        ",",
        "|",
        "(",
        ")",
        ".",
        ".A",
        ".A.B",
        "\"a\"",
        "`b`",
        "'c'",
        "1",
        "-2.5",
        "0x1F",
        "1e400",
        "printf ",
        "\"%*[2]d %v\"",
        "index ",
        "slice ",
        "len ",
        "eq ",
        "lt ",
        "and ",
        "or ",
        "not ",
        "html ",
        "print ",
        " ",
        "\n",
        "/*",
        "*/",
        "ü",
    ];
    prop_oneof![
        8 => prop::sample::select(words.map(str::to_owned).to_vec()),
        1 => any::<String>(),
    ]
}

fn data() -> Value {
    Value::texts([("A", "x"), ("B", "ü")])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_parsed_and_run_or_refused(pieces in prop::collection::vec(piece(), 0..25)) {
        let text = pieces.concat();
        if let Ok(template) = Template::parse("t", &text, &NoFunctions)
            && let Ok(out) = template.execute(&data(), &NoFunctions)
        {
            prop_assert!(out.len() <= 2 * MAX_OUTPUT_BYTES + text.len());
        }
    }

    #[test]
    fn a_single_action_never_panics(pieces in prop::collection::vec(piece(), 0..8)) {
        let text = format!("{{{{ range $k, $x := . }}}}{{{{ {} }}}}{{{{ end }}}}", pieces.join(" "));
        if let Ok(template) = Template::parse("t", &text, &NoFunctions) {
            let _ = template.execute(&data(), &NoFunctions);
        }
    }

    #[test]
    fn any_format_prints(format in "[%a-zA-Z0-9+# .*\\[\\]-]{0,12}", n in any::<i64>(), v in any::<f64>(), s in any::<String>()) {
        let args = [Value::Int(n), Value::Float(v), Value::from(s), Value::Nil];
        let out = bellwether_template::sprintf(&format, &args);
        prop_assert!(out.len() < 16 << 20);
    }

    /// Text without actions comes out as it went in.
    #[test]
    fn plain_text_stays(text in "[^{]*") {
        let template = Template::parse("t", &text, &NoFunctions).expect("plain text");
        prop_assert_eq!(template.execute(&Value::Nil, &NoFunctions), Ok(text));
    }
}
