//! `bellwether load`: load on one API, progress while it runs, a report at the end.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bellwether_loadgen::{LoadConfig, Progress};
use bellwether_model::duration;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::LoadArgs;
use crate::signals;

pub(super) async fn run(args: LoadArgs) -> anyhow::Result<ExitCode> {
    let config = config(&args)?;
    config.validate()?;
    let bar = (!args.quiet && std::io::stderr().is_terminal()).then(ProgressBar::new_spinner);
    if let (Some(bar), Ok(style)) = (&bar, ProgressStyle::with_template("{spinner} {wide_msg}")) {
        bar.set_style(style);
    }
    let plain = !args.quiet && bar.is_none();
    let screen = bar.clone();
    let progress = move |progress: &Progress| match &screen {
        Some(bar) => {
            bar.set_message(line(progress));
            bar.tick();
        }
        None if plain => print_progress(&line(progress)),
        None => {}
    };
    let report = bellwether_loadgen::run(config, progress, signals::shutdown_token()).await?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let json = serde_json::to_string_pretty(&report).context("cannot write the report as JSON")?;
    if let Some(path) = &args.output {
        tokio::fs::write(path, format!("{json}\n"))
            .await
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    super::print(&if args.json {
        format!("{json}\n")
    } else {
        format!("{report}\n")
    });
    Ok(if report.is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn config(args: &LoadArgs) -> anyhow::Result<LoadConfig> {
    let mut config = LoadConfig::new(args.target.as_str());
    config.environment.clone_from(&args.environment);
    config.rate = args.rate;
    config.duration = Some(seconds("--duration", &args.duration)?);
    config.timeout = seconds("--timeout", &args.timeout)?;
    config.mix = args
        .mix
        .parse()
        .with_context(|| format!("--mix {}", args.mix))?;
    config.pattern = args
        .pattern
        .parse()
        .with_context(|| format!("--pattern {}", args.pattern))?;
    config.seed = args.seed;
    Ok(config)
}

/// Plain seconds (`300`, `0.5`) or a duration (`5m`).
fn seconds(option: &str, text: &str) -> anyhow::Result<Duration> {
    if let Ok(number) = text.parse::<f64>() {
        return match Duration::try_from_secs_f64(number) {
            Ok(duration) if !duration.is_zero() => Ok(duration),
            _ => bail!("{option} {text}: use more than 0 seconds"),
        };
    }
    duration::parse(text)
        .with_context(|| format!("{option} {text}: use seconds (300) or a duration (5m)"))
}

fn line(p: &Progress) -> String {
    format!(
        "{:.0} s · {:.1} req/s · {} sent · {} ok · {} HTTP errors · {} transport errors · {} dropped · p50 {:.1} ms · p95 {:.1} ms",
        p.elapsed_s,
        p.rate,
        p.sent,
        p.ok,
        p.http_errors,
        p.transport_errors,
        p.dropped_saturated,
        p.p50_ms,
        p.p95_ms
    )
}

/// Progress goes to standard error, so that standard output holds the report alone.
#[allow(clippy::print_stderr)]
fn print_progress(line: &str) {
    eprintln!("{line}");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_or_prometheus_durations() {
        assert_eq!(seconds("-d", "300").unwrap(), Duration::from_secs(300));
        assert_eq!(seconds("-d", "1m30s").unwrap(), Duration::from_secs(90));
        for bad in ["0", "-1", "soon", "NaN", ""] {
            assert!(seconds("-d", bad).is_err(), "{bad}");
        }
    }
}
