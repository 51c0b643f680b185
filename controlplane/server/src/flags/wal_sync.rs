//! The value of `--storage.tsdb.wal-sync`.

use bellwether_model::duration;
use bellwether_tsdb::WalSync;

pub(super) fn parse(text: &str) -> Result<WalSync, String> {
    match text {
        "segment" => Ok(WalSync::Segment),
        "commit" => Ok(WalSync::Commit),
        _ => match duration::parse(text) {
            Ok(every) if !every.is_zero() => Ok(WalSync::Interval(every)),
            _ => Err("use segment, commit or a duration such as 1s".to_owned()),
        },
    }
}

pub(super) fn format(sync: WalSync) -> String {
    match sync {
        WalSync::Segment => "segment".to_owned(),
        WalSync::Commit => "commit".to_owned(),
        WalSync::Interval(every) => duration::format(every),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_as_the_same() {
        for text in ["segment", "commit", "1s", "1m30s", "250ms"] {
            assert_eq!(parse(text).map(format).as_deref(), Ok(text));
        }
        for text in ["", "0s", "never", "-1s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
