//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::commands::tool::ToolCommand;

const EXAMPLES: &str = "\
Examples:
  bellwether                                   the whole stack with its traffic
  bellwether up --no-load --listen 0.0.0.0     the same without traffic, open to the network
  bellwether init demo && bellwether up --stack demo/bellwether.yml
                                               write the stack file and edit it first
  bellwether load -t http://localhost:8081 -e prod -r 50 -d 300
                                               50 requests a second for five minutes
  bellwether server --config.file=prometheus.yml --storage.tsdb.path=data
                                               the metrics server alone, with Prometheus' own flags
  bellwether tool tsdb dump data --match=up    samples of a data directory, also of a running server
  bellwether completions bash > /etc/bash_completion.d/bellwether

Exit codes: 0 success, 1 bad configuration or failure, 2 wrong usage, 130 ended by a second Ctrl-C.";

const UP_EXAMPLES: &str = "\
Examples:
  bellwether up                                the built-in stack; the dashboard is on port 3000
  bellwether up --data-dir /tmp/demo           with its data elsewhere
  bellwether up --no-load --listen 0.0.0.0     without traffic, open to the network
  bellwether up --stack demo/bellwether.yml    a stack of your own, see `bellwether init`";

const API_EXAMPLES: &str = "\
Examples:
  bellwether api                               on port 8080
  ENV=qa DATA_PLANE_ID=dp-qa-01 PORT=8083 OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 bellwether api
                                               a plane's API that pushes to a collector";

const ORDERS_EXAMPLES: &str = "\
Examples:
  bellwether orders
  curl -X POST 'http://localhost:8000/simulate?count=20&error_rate=0.1'
  curl http://localhost:8000/metrics";

const COLLECTOR_EXAMPLES: &str = "\
Examples:
  bellwether collector --config collector.yml
  bellwether collector --config collector.yml --validate
  bellwether collector -c base.yml -c site.yml";

const SERVER_EXAMPLES: &str = "\
Examples:
  bellwether server --config.file=prometheus.yml --storage.tsdb.path=data
  bellwether server --web.listen-address=127.0.0.1:9091 --storage.tsdb.retention.time=30d
  bellwether server --web.enable-lifecycle     then: curl -X POST http://localhost:9090/-/reload";

const DASHBOARD_EXAMPLES: &str = "\
Examples:
  bellwether dashboard
  bellwether dashboard --listen 0.0.0.0:3000 --prometheus-url http://prometheus.example:9090
  bellwether dashboard --prometheus-url https://prometheus.example --http.config.file client.yml";

const LOAD_EXAMPLES: &str = "\
Examples:
  bellwether load -t http://localhost:8081 -e prod -r 50 -d 300
  bellwether load -t http://localhost:8083 -m health=90,orders=10 -d 5m
  bellwether load -t http://localhost:8000 -m orders --json --quiet > report.json";

const INIT_EXAMPLES: &str = "\
Examples:
  bellwether init demo
  bellwether up --stack demo/bellwether.yml";

const TOOL_EXAMPLES: &str = "\
Examples:
  bellwether tool tsdb list -r data
  bellwether tool tsdb analyze data --limit=5
  bellwether tool tsdb dump data --match='{job=\"api\"}' --min-time=1700000000000 --format=full
  bellwether tool tsdb create-blocks-from openmetrics history.txt data
  bellwether tool tsdb verify data             exit code 1 when anything is wrong
  bellwether tool query range http://localhost:9090 'rate(up[5m])' -o sparkline
  bellwether tool promql explain 'sum(rate(up[5m]))' --data data
                                               what each part of a query costs
  bellwether tool promql-test tests/*.test     scripts in Prometheus' PromQL test language
  bellwether tool check rules rules.yml        all mistakes of a rule file, with their places
  bellwether tool test rules rules_test.yml    unit tests in promtool's format";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  bellwether completions bash > /etc/bash_completion.d/bellwether
  bellwether completions zsh > ~/.zfunc/_bellwether
  bellwether completions fish > ~/.config/fish/completions/bellwether.fish";

/// One binary that runs a whole OpenTelemetry and Prometheus stack.
#[derive(Debug, Parser)]
#[command(name = "bellwether", version, about, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) up: UpArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the whole stack (the default without a command).
    #[command(after_help = UP_EXAMPLES)]
    Up(UpArgs),
    /// Start one shop API, configured by ENV, DATA_PLANE_ID and OTEL_* variables.
    #[command(after_help = API_EXAMPLES)]
    Api(ApiArgs),
    /// Start the order service, which is scraped directly.
    #[command(after_help = ORDERS_EXAMPLES)]
    Orders(OrdersArgs),
    /// Start one OpenTelemetry Collector.
    #[command(after_help = COLLECTOR_EXAMPLES)]
    Collector(CollectorArgs),
    /// Start the metrics server, with Prometheus' own flags.
    #[command(after_help = SERVER_EXAMPLES)]
    Server(Box<bellwether_server::ServerFlags>),
    /// Start the dashboard in front of any Prometheus-compatible server.
    #[command(after_help = DASHBOARD_EXAMPLES)]
    Dashboard(DashboardArgs),
    /// Send load to an API and report latencies.
    #[command(after_help = LOAD_EXAMPLES)]
    Load(LoadArgs),
    /// Write the stack file and the configurations for editing.
    #[command(after_help = INIT_EXAMPLES)]
    Init(InitArgs),
    /// Look into data directories, import, check and measure; check and test rules.
    #[command(after_help = TOOL_EXAMPLES)]
    Tool {
        #[command(subcommand)]
        command: ToolCommand,
    },
    /// Print a completion script for a shell.
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct LogArgs {
    /// Least severe level that is logged: debug, info, warn or error.
    #[arg(long = "log.level", value_name = "LEVEL", value_parser = ["debug", "info", "warn", "error"])]
    pub(crate) log_level: Option<String>,
    /// Form of the log lines [default: logfmt].
    #[arg(long = "log.format", value_name = "FORMAT", value_parser = ["logfmt", "json"])]
    pub(crate) log_format: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct UpArgs {
    /// The stack file; without one the built-in stack runs (see `bellwether init`).
    #[arg(long, short = 's', value_name = "FILE", env = "BELLWETHER_STACK")]
    pub(crate) stack: Option<PathBuf>,
    /// Interface that every component listens on [default: 127.0.0.1].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<IpAddr>,
    /// Where everything is stored [default: ./bellwether-data].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Start without traffic.
    #[arg(long)]
    pub(crate) no_load: bool,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ApiArgs {
    /// Address to listen on; PORT sets the port alone [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Address of the payment provider that this API calls.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8180")]
    pub(crate) payments_listen: SocketAddr,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct OrdersArgs {
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CollectorArgs {
    /// Configuration in the official Collector's YAML; several are merged in order.
    #[arg(long = "config", short = 'c', value_name = "FILE", required = true)]
    pub(crate) config: Vec<String>,
    /// Set one key after all files: --set=processors.batch.timeout=2s.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Check the configuration and exit.
    #[arg(long)]
    pub(crate) validate: bool,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DashboardArgs {
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    pub(crate) listen: SocketAddr,
    /// The Prometheus-compatible server behind it.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:9090",
        env = "PROMETHEUS_URL"
    )]
    pub(crate) prometheus_url: String,
    /// File with the keys of the HTTP client that asks that server, as in a scrape job: tls_config, basic_auth, ...
    #[arg(long = "http.config.file", value_name = "FILE")]
    pub(crate) http_config_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct LoadArgs {
    /// Base URL of the API.
    #[arg(
        long,
        short = 't',
        value_name = "URL",
        env = "API_URL",
        default_value = "http://localhost:8081"
    )]
    pub(crate) target: String,
    /// Name of the environment, for the report.
    #[arg(long, short = 'e', value_name = "NAME", default_value = "prod")]
    pub(crate) environment: String,
    /// Requests per second.
    #[arg(long, short = 'r', value_name = "RPS", default_value_t = 10.0)]
    pub(crate) rate: f64,
    /// Seconds (300) or a duration (5m).
    #[arg(
        long,
        short = 'd',
        value_name = "DURATION",
        env = "DURATION",
        default_value = "60"
    )]
    pub(crate) duration: String,
    /// Mix of requests: shop, demo, orders, or weights such as health=40,products=30.
    #[arg(long, short = 'm', value_name = "MIX", default_value = "shop")]
    pub(crate) mix: String,
    /// How the rate changes over time: steady; ramp (rises to the peak), spike (the peak in the middle
    /// fifth), burst (10 s of the peak in every 30), wave (to the peak and back every minute).
    #[arg(long, value_name = "PATTERN", default_value = "steady")]
    pub(crate) pattern: String,
    /// Requests per second at the pattern's peak [default: four times the rate].
    #[arg(long, value_name = "RPS")]
    pub(crate) peak: Option<f64>,
    /// Seed of everything random: the same seed sends the same requests.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Time after which a request counts as failed.
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(crate) timeout: String,
    /// Print the report as JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the JSON report to a file as well.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// No progress line.
    #[arg(long, short = 'q')]
    pub(crate) quiet: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct InitArgs {
    /// Directory to write to.
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Overwrite files that exist.
    #[arg(long)]
    pub(crate) force: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
