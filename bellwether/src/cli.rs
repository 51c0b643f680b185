//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::commands::tool::ToolCommand;

const EXAMPLES: &str = "\
Examples:
  bellwether                                   the whole stack: three planes, server, dashboard, traffic
  bellwether up --no-load --listen 0.0.0.0     the same without traffic, open to the network
  bellwether init demo && bellwether up --stack demo/bellwether.yml
                                               write the stack file and edit it first
  bellwether load -t http://localhost:8081 -e prod -r 50 -d 300
                                               50 requests a second for five minutes
  bellwether server --config.file=prometheus.yml --storage.tsdb.path=data
                                               the metrics server alone, with Prometheus' own flags
  bellwether tool tsdb dump data --match='up'   the samples of a data directory, also of a running server
  bellwether completions bash > /etc/bash_completion.d/bellwether

Exit codes: 0 success, 1 bad configuration or failure, 2 wrong usage, 130 ended by a second Ctrl-C.";

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
    Up(UpArgs),
    /// Start one shop API, configured by ENV, DATA_PLANE_ID and OTEL_* variables.
    Api(ApiArgs),
    /// Start the order service, which is scraped directly.
    Orders(OrdersArgs),
    /// Start one OpenTelemetry Collector.
    Collector(CollectorArgs),
    /// Start the metrics server, with Prometheus' own flags.
    Server(Box<bellwether_server::ServerFlags>),
    /// Start the dashboard in front of any Prometheus-compatible server.
    Dashboard(DashboardArgs),
    /// Send load to an API and report latencies.
    Load(LoadArgs),
    /// Write the stack file and the configurations for editing.
    Init(InitArgs),
    /// Look into data directories, import, check and measure.
    Tool {
        #[command(subcommand)]
        command: ToolCommand,
    },
    /// Print a completion script for a shell.
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
    /// Form of the log lines.
    #[arg(long = "log.format", value_name = "FORMAT", default_value = "logfmt", value_parser = ["logfmt", "json"])]
    pub(crate) log_format: String,
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
    /// How the rate changes over time.
    #[arg(long, value_name = "PATTERN", default_value = "steady")]
    pub(crate) pattern: String,
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
