//! `bellwether tool tsdb verify`.

use std::process::ExitCode;

use bellwether_tsdb::VerifyReport;

use super::DirArgs;
use crate::commands::print;

pub(super) fn run(args: &DirArgs) -> anyhow::Result<ExitCode> {
    let report = bellwether_tsdb::verify(&args.dir)?;
    let mut out = String::new();
    for problem in &report.problems {
        out.push_str(&format!("{problem}\n"));
    }
    out.push_str(&summary(&report));
    print(&out);
    Ok(match report.problems.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn summary(r: &VerifyReport) -> String {
    let mut text = format!(
        "checked {} blocks ({} series, {} chunks, {} samples), {} log segments ({} records), {} head chunks in files",
        r.blocks, r.series, r.chunks, r.samples, r.segments, r.records, r.head_chunks
    );
    if r.unknown_records > 0 {
        text.push_str(&format!(
            "; {} log records are of types that are not known here",
            r.unknown_records
        ));
    }
    match r.problems.len() {
        0 => text.push_str("\nno problems\n"),
        1 => text.push_str("\n1 problem\n"),
        n => text.push_str(&format!("\n{n} problems\n")),
    }
    text
}
