#![allow(clippy::unwrap_used)]

use bellwether_model::Labels;

use super::*;

fn sample(labels: &[(&str, &str)], v: f64) -> VectorSample {
    VectorSample {
        labels: Labels::from_pairs(labels.iter().copied()),
        t: 0,
        point: Point::Float(v),
    }
}

fn expand(text: &str) -> String {
    let query = |text: &str, t: i64| -> Result<Vec<VectorSample>, String> {
        assert_eq!(t, 1_500);
        match text {
            "up" => Ok(vec![
                sample(&[("__name__", "up"), ("job", "b")], 1.0),
                sample(&[("__name__", "up"), ("job", "a"), ("__value__", "v")], 2.5),
            ]),
            "none" => Ok(Vec::new()),
            _ => Err("1:1: parse error: no".to_owned()),
        }
    };
    let url = ExternalUrl::new("http://host:9090/prom");
    let external = BTreeMap::from([("cluster".to_owned(), "c1".to_owned())]);
    let data = alert_data(
        &sample(&[("__name__", "m"), ("job", "api")], 1234.5),
        &external,
        &url.text,
    );
    let around = Surroundings {
        now_ms: 1_500,
        query: &query,
        external_url: &url,
    };
    match AlertTemplate::parse("A", text) {
        Ok(template) => template
            .expand(&data, around)
            .unwrap_or_else(|e| e.to_string()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn functions_give_what_prometheus_gives() {
    for (text, expected) in [
        ("plain", "plain"),
        (
            "{{ $labels.job }} {{ $value }} {{ $externalLabels.cluster }} {{ $externalURL }}",
            "api 1234.5 c1 http://host:9090/prom",
        ),
        ("{{ .Labels.none }}{{ $labels.__name__ }}", "m"),
        (
            "{{ range query \"up\" }}{{ .Labels.job }}={{ .Value }} {{ end }}",
            "b=1 a=2.5 ",
        ),
        (
            "{{ range query \"up\" | sortByLabel \"job\" }}{{ .Labels.job }}{{ end }}",
            "ab",
        ),
        (
            "{{ query \"up\" | first | value }} {{ query \"up\" | first | label \"job\" }}",
            "1 b",
        ),
        (
            "{{ with query \"none\" }}some{{ else }}none{{ end }}",
            "none",
        ),
        ("{{ index (query \"up\") 1 | strvalue }}", "v"),
        (
            "{{ humanize 1234567.0 }} {{ humanize 0.00015 }} {{ humanize 0.0 }} {{ humanize -12.0 }}",
            "1.235M 150u 0 -12",
        ),
        ("{{ humanize \"1e3\" }} {{ humanize 1048576 }}", "1k 1.049M"),
        (
            "{{ humanize1024 1048576.0 }} {{ humanize1024 0.5 }}",
            "1Mi 0.5",
        ),
        (
            "{{ humanizeDuration 0.0 }} {{ humanizeDuration 90061.0 }} {{ humanizeDuration 61 }} {{ humanizeDuration 0.0015 }}",
            "0s 1d 1h 1m 1s 1m 1s 1.5ms",
        ),
        (
            "{{ humanizeDuration 3601.5 }} {{ humanizeDuration -1.25 }}",
            "1h 0m 1s -1.25s",
        ),
        ("{{ humanizePercentage 0.1234567 }}", "12.35%"),
        (
            "{{ humanizeTimestamp 1435065584.128 }}",
            "2015-06-23 13:19:44.128 +0000 UTC",
        ),
        (
            "{{ (1435065584.128 | toTime).Year }} {{ (toTime 0).Format \"2006-01-02 15:04:05 Mon Jan 2\" }}",
            "2015 1970-01-01 00:00:00 Thu Jan 1",
        ),
        (
            "{{ toDuration 90.5 }} {{ (toDuration 60).Minutes }}",
            "1m30.5s 1",
        ),
        (
            "{{ title \"aa bb CC don't\" }} {{ toUpper \"aa\" }} {{ toLower \"BB\" }}",
            "Aa Bb CC Don't AA bb",
        ),
        (
            "{{ match \"a+\" \"caab\" }} {{ reReplaceAll \"(a)b\" \"${1}x\" \"abab\" }}",
            "true axax",
        ),
        (
            "{{ stripPort \"h:1\" }} {{ stripPort \"h\" }} {{ stripPort \"[::1]:9\" }} {{ stripPort \"::1\" }}",
            "h h ::1 ::1",
        ),
        (
            "{{ stripDomain \"a.b.c:8\" }} {{ stripDomain \"a.b\" }} {{ stripDomain \"1.2.3.4:5\" }}",
            "a:8 a 1.2.3.4:5",
        ),
        (
            "{{ graphLink \"up == 0\" }} {{ tableLink \"a b\" }}",
            "/graph?g0.expr=up+%3D%3D+0&g0.tab=0 /graph?g0.expr=a+b&g0.tab=1",
        ),
        (
            "{{ (args 1 \"x\").arg1 }} {{ safeHtml \"<b>\" }} {{ parseDuration \"-1h\" }} {{ now }}",
            "x <b> -3600 1.5",
        ),
        (
            "{{ pathPrefix }} {{ externalURL }} {{ urlQueryEscape \"a b\" }}",
            "/prom http://host:9090/prom a+b",
        ),
        (
            "{{ printf \"%.2f\" $value }} {{ printf \"%s is %v\" $labels.job .Value }}",
            "1234.50 api is 1234.5",
        ),
        (
            "{{ define \"x\" }}<{{ .arg0 }}>{{ end }}{{ template \"x\" (args 5) }}",
            "<5>",
        ),
        (
            "{{ humanize \"one\" }}",
            "error executing template __alert_A: template: __alert_A:1:115: executing \"__alert_A\" at <humanize \"one\">: error calling humanize: strconv.ParseFloat: parsing \"one\": invalid syntax",
        ),
        (
            "{{ query \"bad(\" }}",
            "error executing template __alert_A: template: __alert_A:1:115: executing \"__alert_A\" at <query \"bad(\">: error calling query: 1:1: parse error: no",
        ),
        (
            "{{ query \"none\" | first }}",
            "error executing template __alert_A: template: __alert_A:1:130: executing \"__alert_A\" at <first>: error calling first: first() called on vector with no elements",
        ),
        (
            "{{ nope }}",
            "template: __alert_A:1: function \"nope\" not defined",
        ),
    ] {
        assert_eq!(expand(text), expected, "{text}");
    }
}

#[test]
fn every_listed_function_exists() {
    for name in TEMPLATE_FUNCTIONS {
        let text = format!("{{{{ {name} }}}}");
        assert!(AlertTemplate::parse("A", &text).is_ok(), "{name}");
    }
    assert!(TEMPLATE_FUNCTIONS.is_sorted());
}
