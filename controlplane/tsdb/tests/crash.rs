//! A process that appends is killed with SIGKILL again and again; everything it acknowledged must be there.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bellwether_model::Labels;
use bellwether_model::storage::Appendable as _;
use bellwether_tsdb::{Db, DbOptions};

const T0: i64 = 1_700_000_000_000;
const SERIES: i64 = 50;
const DIR: &str = "BELLWETHER_TSDB_CRASH_DIR";
const FROM: &str = "BELLWETHER_TSDB_CRASH_FROM";

fn options() -> DbOptions {
    DbOptions {
        // Small segments, so that kills hit segment changes too.
        wal_segment_size: 2 * 32 * 1024,
        ..common::options()
    }
}

fn labels(k: i64, i: i64) -> Labels {
    // Every tenth transaction brings new series.
    Labels::from_pairs([
        ("__name__", "m"),
        ("era", &(k / 10).to_string()),
        ("i", &i.to_string()),
    ])
}

/// The child's part; does nothing in an ordinary run.
#[test]
fn child_appends_until_killed() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let from: i64 = std::env::var(FROM).unwrap().parse().unwrap();
    let db = Db::open(Path::new(&dir), options()).unwrap();
    for k in from.. {
        let mut app = db.appender();
        for i in 0..SERIES {
            let s = app.series(&labels(k, i)).unwrap();
            app.append(s, T0 + k, (k * SERIES + i) as f64).unwrap();
        }
        app.commit().unwrap();
        println!("\nack {k}");
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn nothing_acknowledged_is_missing_after_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut next = 0i64;
    for round in 0..12u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_appends_until_killed", "--nocapture"])
            .env(DIR, dir.path())
            .env(FROM, next.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acked = None;
        // Let it get going, then kill it at an arbitrary moment.
        let wanted = next + 1 + (round * 7919) as i64 % 23;
        for line in lines.by_ref() {
            if let Some(k) = line.unwrap().strip_prefix("ack ") {
                acked = Some(k.parse::<i64>().unwrap());
                if acked >= Some(wanted) {
                    break;
                }
            }
        }
        std::thread::sleep(Duration::from_micros(round * 331 % 1700));
        child.kill().unwrap();
        child.wait().unwrap();
        // What was written to the pipe before the kill was acknowledged too.
        for line in lines {
            if let Some(k) = line
                .unwrap()
                .strip_prefix("ack ")
                .and_then(|k| k.parse().ok())
            {
                acked = Some(k);
            }
        }
        let acked = acked.expect("the child acknowledged something");
        let db = Db::open(dir.path(), options()).unwrap();
        let all = common::dump(&*db, i64::MIN, i64::MAX);
        for k in 0..=acked {
            for i in 0..SERIES {
                assert_eq!(
                    all[&labels(k, i).to_string()].get(&(T0 + k)),
                    Some(&common::Value::Float((k * SERIES + i) as f64)),
                    "round {round}, transaction {k}, series {i}"
                );
            }
        }
        next = db.stats().head_max_time - T0 + 1;
        drop(db);
    }
    if let Some(promtool) = common::reference("promtool") {
        let ours = common::dump(
            &*Db::open(dir.path(), options()).unwrap(),
            i64::MIN,
            i64::MAX,
        );
        common::assert_same_as_promtool(&ours, &common::promtool_dump(&promtool, dir.path()));
    }
}
