//! The checked stack: every default filled in, every clash found.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bellwether_model::duration;
use bellwether_yaml::YamlError;

use super::DEFAULT_STACK;
use super::file::{PlaneSection, StackFile, TrafficSection};

/// A stack that can be started.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    /// Interface of every listener.
    pub(crate) listen: IpAddr,
    /// Root of all stored data.
    pub(crate) data_dir: PathBuf,
    /// Interval of the generated scrape configuration.
    pub(crate) scrape_interval: Duration,
    /// Interval of the applications' OTLP exports.
    pub(crate) export_interval: Duration,
    /// Metrics server.
    pub(crate) server_port: u16,
    /// Retention time in Prometheus' duration grammar.
    pub(crate) retention: String,
    /// A prometheus.yml of the user's own.
    pub(crate) server_config: Option<PathBuf>,
    /// The server's TLS, users and headers: a web configuration file.
    pub(crate) server_web_config: Option<PathBuf>,
    /// How the stack's own parts ask the server: the keys of an HTTP client.
    pub(crate) server_client_config: Option<PathBuf>,
    /// Dashboard.
    pub(crate) dashboard_port: u16,
    /// Order service.
    pub(crate) orders_port: u16,
    /// Requests per second to the order service.
    pub(crate) orders_rate: f64,
    /// Data planes in the file's order.
    pub(crate) planes: Vec<Plane>,
}

/// One data plane.
#[derive(Clone, Debug)]
pub(crate) struct Plane {
    pub(crate) name: String,
    pub(crate) environment: String,
    pub(crate) data_plane_id: String,
    pub(crate) api_port: u16,
    pub(crate) payments_port: u16,
    pub(crate) otlp_grpc_port: u16,
    pub(crate) otlp_http_port: u16,
    pub(crate) exporter_port: u16,
    pub(crate) telemetry_port: u16,
    pub(crate) health_port: u16,
    /// A collector configuration of the user's own.
    pub(crate) collector: Option<PathBuf>,
    /// Share of requests that fail on purpose, 0 to 1.
    pub(crate) error_rate: f64,
    /// Latency added to every request.
    pub(crate) latency: Duration,
    /// Requests per second; 0 for none.
    pub(crate) rate: f64,
    /// Name of the load generator's mix.
    pub(crate) mix: String,
}

/// Why a stack cannot be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StackError {
    #[error("cannot read the stack file {path}: {source}{hint}", path = .path.display(), hint = missing_hint(source))]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Yaml(#[from] YamlError),
    #[error("{file}{line}: {key}: {message}", line = line_text(*.line))]
    Invalid {
        file: String,
        line: Option<usize>,
        key: String,
        message: String,
    },
}

fn missing_hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => "; `bellwether init` writes one",
        _ => "",
    }
}

fn line_text(line: Option<usize>) -> String {
    line.map_or_else(String::new, |l| format!(":{l}"))
}

/// What the command line overrides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) listen: Option<IpAddr>,
    pub(crate) data_dir: Option<PathBuf>,
}

impl Stack {
    /// The built-in stack, or the one in a file.
    pub(crate) fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Self, StackError> {
        match path {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|source| StackError::Read {
                    path: path.to_owned(),
                    source,
                })?;
                let mut stack = Self::parse(&path.display().to_string(), &text, overrides)?;
                stack.resolve_paths(path.parent().unwrap_or(Path::new("")));
                Ok(stack)
            }
            None => Self::parse("built-in stack", DEFAULT_STACK, overrides),
        }
    }

    /// Reads and checks a stack file's text; `file` is the name used in errors.
    pub(crate) fn parse(file: &str, text: &str, overrides: &Overrides) -> Result<Self, StackError> {
        let written: StackFile = bellwether_yaml::from_str(file, text)?;
        let planes = match written.planes {
            Some(planes) => planes,
            None => bellwether_yaml::from_str::<StackFile>("built-in stack", DEFAULT_STACK)?
                .planes
                .unwrap_or_default(),
        };
        let check = Checker { file, text };
        let interval = |key: &str, value: Option<String>| -> Result<Duration, StackError> {
            let value = value.unwrap_or_else(|| "10s".to_owned());
            match duration::parse(&value) {
                Ok(d) if d >= Duration::from_millis(100) => Ok(d),
                Ok(_) => {
                    Err(check.invalid(key, format!("{value} is too short; 100ms is the least")))
                }
                Err(error) => {
                    Err(check.invalid(key, format!("{error}; a duration looks like 10s or 1m30s")))
                }
            }
        };
        let retention = written.server.retention.unwrap_or_else(|| "15d".to_owned());
        duration::parse(&retention).map_err(|error| {
            check.invalid(
                "server.retention",
                format!("{error}; a duration looks like 15d"),
            )
        })?;
        let stack = Self {
            listen: overrides
                .listen
                .or(written.listen)
                .unwrap_or(IpAddr::from([127, 0, 0, 1])),
            data_dir: overrides
                .data_dir
                .clone()
                .or(written.data_dir)
                .unwrap_or_else(|| PathBuf::from("./bellwether-data")),
            scrape_interval: interval("scrape_interval", written.scrape_interval)?,
            export_interval: interval("export_interval", written.export_interval)?,
            server_port: written.server.port.unwrap_or(9090),
            retention,
            server_config: written.server.config,
            server_web_config: written.server.web_config,
            server_client_config: written.server.client_config,
            dashboard_port: written.dashboard.port.unwrap_or(3000),
            orders_port: written.orders.port.unwrap_or(8000),
            orders_rate: check.rate("orders.traffic.rate", &written.orders.traffic, 1.0)?,
            planes: planes
                .into_iter()
                .enumerate()
                .map(|(i, p)| check.plane(i, p))
                .collect::<Result<_, _>>()?,
        };
        check.unique_planes(&stack.planes)?;
        check.ports(&stack)?;
        Ok(stack)
    }

    /// The files that a stack file names are meant from where it lies, not from where the program was started.
    fn resolve_paths(&mut self, folder: &Path) {
        let planes = self.planes.iter_mut().filter_map(|p| p.collector.as_mut());
        let server = [
            &mut self.server_config,
            &mut self.server_web_config,
            &mut self.server_client_config,
        ];
        for path in planes.chain(server.into_iter().flatten()) {
            *path = folder.join(&path);
        }
    }

    /// An address on the stack's interface.
    pub(crate) fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.listen, port)
    }

    /// The host that the stack's own parts and people use to reach a listener.
    pub(crate) fn reachable_host(&self) -> String {
        match self.listen {
            ip if ip.is_unspecified() && ip.is_ipv6() => "[::1]".to_owned(),
            ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
            IpAddr::V6(ip) => format!("[{ip}]"),
            IpAddr::V4(ip) => ip.to_string(),
        }
    }

    /// `http://host:port` of a component.
    pub(crate) fn url(&self, port: u16) -> String {
        format!("http://{}:{port}", self.reachable_host())
    }
}

struct Checker<'a> {
    file: &'a str,
    text: &'a str,
}

impl Checker<'_> {
    /// An error at the line of the key, or without a line where a default holds.
    fn invalid(&self, key: &str, message: String) -> StackError {
        StackError::Invalid {
            file: self.file.to_owned(),
            line: bellwether_yaml::line_of(self.text, key),
            key: key.to_owned(),
            message,
        }
    }

    /// An error in a plane: at the line of the key, else of the plane's name.
    fn plane_error(&self, index: usize, key: &str, message: String) -> StackError {
        let name = format!("planes[{index}].name");
        let key = format!("planes[{index}].{key}");
        StackError::Invalid {
            file: self.file.to_owned(),
            line: bellwether_yaml::line_of(self.text, &key)
                .or_else(|| bellwether_yaml::line_of(self.text, &name)),
            key,
            message,
        }
    }

    fn rate(&self, key: &str, traffic: &TrafficSection, default: f64) -> Result<f64, StackError> {
        let rate = traffic.rate.unwrap_or(default);
        if rate.is_finite() && (0.0..=100_000.0).contains(&rate) {
            Ok(rate)
        } else {
            Err(self.invalid(
                key,
                format!("{rate} is not a rate; use requests per second from 0 to 100000"),
            ))
        }
    }

    fn plane(&self, index: usize, plane: PlaneSection) -> Result<Plane, StackError> {
        let error = |key: &str, message: String| self.plane_error(index, key, message);
        let is_word = |s: &str| {
            !s.is_empty()
                && s.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        if !is_word(&plane.name) {
            return Err(error(
                "name",
                format!("{:?} is not a name; use letters, digits, - _ .", plane.name),
            ));
        }
        if plane.environment.is_empty() {
            return Err(error(
                "environment",
                "must not be empty; say for example prod".to_owned(),
            ));
        }
        let error_rate = plane.faults.error_rate.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&error_rate) {
            return Err(error(
                "faults.error_rate",
                format!("{error_rate} is not a share; use a number from 0 to 1"),
            ));
        }
        let mix = plane
            .traffic
            .mix
            .clone()
            .unwrap_or_else(|| "shop".to_owned());
        if let Err(reason) = mix.parse::<bellwether_loadgen::Mix>() {
            return Err(error("traffic.mix", reason.to_string()));
        }
        let rate = self.rate(
            &format!("planes[{index}].traffic.rate"),
            &plane.traffic,
            3.0,
        )?;
        Ok(Plane {
            data_plane_id: plane
                .data_plane_id
                .unwrap_or_else(|| format!("dp-{}-01", plane.name)),
            api_port: plane.ports.api,
            payments_port: plane.ports.payments,
            otlp_grpc_port: plane.ports.otlp_grpc,
            otlp_http_port: plane.ports.otlp_http,
            exporter_port: plane.ports.exporter,
            telemetry_port: plane.ports.telemetry,
            health_port: plane.ports.health,
            collector: plane.collector,
            error_rate,
            latency: Duration::from_millis(plane.faults.latency_ms.unwrap_or(0)),
            rate,
            mix,
            name: plane.name,
            environment: plane.environment,
        })
    }

    fn unique_planes(&self, planes: &[Plane]) -> Result<(), StackError> {
        let duplicate = |i: usize, key: &str, value: &str, other: usize| {
            let said = format!(
                "{value:?} is already used by planes[{other}]; every plane needs a {key} of its own"
            );
            self.plane_error(i, key, said)
        };
        for (i, plane) in planes.iter().enumerate() {
            for (j, earlier) in planes[..i].iter().enumerate() {
                if earlier.name == plane.name {
                    return Err(duplicate(i, "name", &plane.name, j));
                }
                if earlier.data_plane_id == plane.data_plane_id {
                    return Err(duplicate(i, "data_plane_id", &plane.data_plane_id, j));
                }
            }
        }
        Ok(())
    }

    fn ports(&self, stack: &Stack) -> Result<(), StackError> {
        let mut owners: HashMap<u16, String> = HashMap::new();
        for (key, port) in ports_of(stack) {
            if port == 0 {
                return Err(self.invalid(
                    &key,
                    "port 0 is not a port; choose one from 1 to 65535".to_owned(),
                ));
            }
            if let Some(other) = owners.insert(port, key.clone()) {
                return Err(self.invalid(
                    &key,
                    format!("port {port} is already taken by {other}; choose a free one"),
                ));
            }
        }
        Ok(())
    }
}

/// Every port of the stack with the key that sets it.
pub(crate) fn ports_of(stack: &Stack) -> Vec<(String, u16)> {
    let mut all = vec![
        ("server.port".to_owned(), stack.server_port),
        ("dashboard.port".to_owned(), stack.dashboard_port),
        ("orders.port".to_owned(), stack.orders_port),
    ];
    for (i, plane) in stack.planes.iter().enumerate() {
        for (name, port) in [
            ("api", plane.api_port),
            ("payments", plane.payments_port),
            ("otlp_grpc", plane.otlp_grpc_port),
            ("otlp_http", plane.otlp_http_port),
            ("exporter", plane.exporter_port),
            ("telemetry", plane.telemetry_port),
            ("health", plane.health_port),
        ] {
            all.push((format!("planes[{i}].ports.{name}"), port));
        }
    }
    all
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
