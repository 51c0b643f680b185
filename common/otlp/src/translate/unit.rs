//! UCUM units as words of Prometheus names.

const UNITS: &[(&str, &str)] = &[
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    // The spelling of Prometheus' own library; names must agree with it.
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];

const PER_UNITS: &[(&str, &str)] = &[
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

/// The main word and the `per_…` word of a unit; either may be empty. Not cleaned of odd characters.
pub fn unit_words(unit: &str) -> (String, String) {
    let (main, per) = match unit.split_once('/') {
        Some((main, per)) => (main.trim(), per.trim()),
        None => (unit.trim(), ""),
    };
    let main = if has_annotation(main) {
        String::new()
    } else {
        lookup(UNITS, main)
    };
    let per = if per.is_empty() || has_annotation(per) {
        String::new()
    } else {
        match lookup(PER_UNITS, per) {
            word if word.is_empty() => word,
            word => format!("per_{word}"),
        }
    };
    (main, per)
}

fn has_annotation(part: &str) -> bool {
    part.contains(['{', '}'])
}

fn lookup(table: &[(&str, &str)], unit: &str) -> String {
    table
        .iter()
        .find(|(code, _)| *code == unit)
        .map_or(unit, |(_, word)| *word)
        .to_owned()
}

/// Keeps `[A-Za-z0-9:]`, everything else becomes `_`, runs collapse, edges are trimmed.
pub(super) fn clean(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for part in word
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == ':'))
        .filter(|part| !part.is_empty())
    {
        if !out.is_empty() {
            out.push('_');
        }
        out.push_str(part);
    }
    out
}
