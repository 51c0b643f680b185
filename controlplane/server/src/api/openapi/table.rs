//! The endpoints of the API.

/// An endpoint.
pub(super) struct Endpoint {
    pub(super) path: &'static str,
    pub(super) methods: &'static [&'static str],
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) parameters: &'static [Parameter],
    /// Media type of a body that is no form.
    pub(super) body: Option<&'static str>,
    pub(super) answer: Answer,
}

/// A parameter of the URL or of a form.
#[derive(Clone, Copy)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
    pub(super) description: &'static str,
}

/// What a parameter holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Texts,
    Integer,
    Boolean,
    Time,
    Duration,
    OneOf(&'static [&'static str]),
}

/// What comes back.
pub(super) enum Answer {
    /// JSON with data of a schema.
    Data(&'static str),
    /// 204.
    Nothing,
    /// Anything else, by its media type.
    Media(&'static str),
}

const GET: &[&str] = &["get"];
const POST: &[&str] = &["post"];
const GET_POST: &[&str] = &["get", "post"];
const POST_PUT: &[&str] = &["post", "put"];

const fn optional(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter {
        name,
        kind,
        required: false,
        description,
    }
}

const fn required(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter {
        name,
        kind,
        required: true,
        description,
    }
}

const fn endpoint(
    path: &'static str,
    methods: &'static [&'static str],
    tag: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    answer: Answer,
) -> Endpoint {
    Endpoint {
        path,
        methods,
        tag,
        summary,
        parameters,
        body: None,
        answer,
    }
}

const fn sent(
    path: &'static str,
    summary: &'static str,
    body: &'static str,
    answer: Answer,
) -> Endpoint {
    Endpoint {
        path,
        methods: POST,
        tag: "remote",
        summary,
        parameters: &[],
        body: Some(body),
        answer,
    }
}

const QUERY: Parameter = required("query", Kind::Text, "PromQL expression.");
const LIMIT: Parameter = optional(
    "limit",
    Kind::Integer,
    "Most entries of the answer; 0 is no limit.",
);
const TIMEOUT: Parameter = optional(
    "timeout",
    Kind::Duration,
    "Time limit, at most the server's own.",
);
const LOOKBACK: Parameter = optional("lookback_delta", Kind::Duration, "Lookback of this query.");
const STATS: Parameter = optional(
    "stats",
    Kind::OneOf(&["true", "all"]),
    "Whether to give statistics.",
);
const START: Parameter = optional("start", Kind::Time, "First time.");
const END: Parameter = optional("end", Kind::Time, "Last time.");
const MATCH: Parameter = optional(
    "match[]",
    Kind::Texts,
    "Selectors; any of them has to match.",
);
const MATCH_REQUIRED: Parameter = required(
    "match[]",
    Kind::Texts,
    "Selectors; any of them has to match.",
);
const SEARCH: Parameter = optional(
    "search[]",
    Kind::Texts,
    "Search terms; any of them has to fit.",
);
const POOL: Parameter = required("scrapePool", Kind::Text, "Name of a scrape pool.");

pub(super) const ENDPOINTS: &[Endpoint] = &[
    endpoint(
        "/query",
        GET_POST,
        "query",
        "Evaluate an expression at one time",
        &[
            QUERY,
            optional("time", Kind::Time, "Time of evaluation; now by default."),
            TIMEOUT,
            LIMIT,
            LOOKBACK,
            STATS,
        ],
        Answer::Data("QueryData"),
    ),
    endpoint(
        "/query_range",
        GET_POST,
        "query",
        "Evaluate an expression over a range of time",
        &[
            QUERY,
            required("start", Kind::Time, "First time."),
            required("end", Kind::Time, "Last time."),
            required("step", Kind::Duration, "Distance of evaluations."),
            TIMEOUT,
            LIMIT,
            LOOKBACK,
            STATS,
        ],
        Answer::Data("QueryData"),
    ),
    endpoint(
        "/query_exemplars",
        GET_POST,
        "query",
        "Exemplars of the series that an expression selects",
        &[QUERY, START, END],
        Answer::Data("Exemplars"),
    ),
    endpoint(
        "/format_query",
        GET_POST,
        "query",
        "An expression in its canonical form",
        &[QUERY],
        Answer::Data("Text"),
    ),
    endpoint(
        "/parse_query",
        GET_POST,
        "query",
        "The syntax tree of an expression",
        &[QUERY],
        Answer::Data("Object"),
    ),
    endpoint(
        "/labels",
        GET_POST,
        "labels",
        "Names of labels",
        &[START, END, MATCH, LIMIT],
        Answer::Data("Texts"),
    ),
    endpoint(
        "/label/{name}/values",
        GET,
        "labels",
        "Values of a label",
        &[
            required(
                "name",
                Kind::Text,
                "Name of the label, UTF-8 names escaped with U__.",
            ),
            START,
            END,
            MATCH,
            LIMIT,
        ],
        Answer::Data("Texts"),
    ),
    endpoint(
        "/series",
        GET_POST,
        "series",
        "Series by selectors",
        &[MATCH_REQUIRED, START, END, LIMIT],
        Answer::Data("LabelSets"),
    ),
    endpoint(
        "/search/metric_names",
        GET_POST,
        "search",
        "Metric names by search terms",
        &[
            optional(
                "include_metadata",
                Kind::Boolean,
                "Give type, help and unit.",
            ),
            SEARCH,
            optional("fuzz_threshold", Kind::Integer, "Least score, 0 to 100."),
            optional(
                "fuzz_alg",
                Kind::OneOf(&["subsequence", "jarowinkler"]),
                "How terms are compared.",
            ),
            optional(
                "case_sensitive",
                Kind::Boolean,
                "Whether case counts; it does by default.",
            ),
            optional(
                "sort_by",
                Kind::OneOf(&["alpha", "score"]),
                "Order of results.",
            ),
            optional(
                "sort_dir",
                Kind::OneOf(&["asc", "dsc"]),
                "Direction of the order by name.",
            ),
            optional(
                "include_score",
                Kind::Boolean,
                "Give the score of each result.",
            ),
            optional("batch_size", Kind::Integer, "Results of a line."),
            START,
            END,
            MATCH,
            LIMIT,
        ],
        Answer::Media("application/x-ndjson"),
    ),
    endpoint(
        "/search/label_names",
        GET_POST,
        "search",
        "Label names by search terms",
        &[
            SEARCH,
            optional("fuzz_threshold", Kind::Integer, "Least score, 0 to 100."),
            optional(
                "fuzz_alg",
                Kind::OneOf(&["subsequence", "jarowinkler"]),
                "How terms are compared.",
            ),
            optional(
                "case_sensitive",
                Kind::Boolean,
                "Whether case counts; it does by default.",
            ),
            optional(
                "sort_by",
                Kind::OneOf(&["alpha", "score"]),
                "Order of results.",
            ),
            optional(
                "sort_dir",
                Kind::OneOf(&["asc", "dsc"]),
                "Direction of the order by name.",
            ),
            optional(
                "include_score",
                Kind::Boolean,
                "Give the score of each result.",
            ),
            optional("batch_size", Kind::Integer, "Results of a line."),
            START,
            END,
            MATCH,
            LIMIT,
        ],
        Answer::Media("application/x-ndjson"),
    ),
    endpoint(
        "/search/label_values",
        GET_POST,
        "search",
        "Values of a label by search terms",
        &[
            required("label", Kind::Text, "Name of the label."),
            SEARCH,
            optional("fuzz_threshold", Kind::Integer, "Least score, 0 to 100."),
            optional(
                "fuzz_alg",
                Kind::OneOf(&["subsequence", "jarowinkler"]),
                "How terms are compared.",
            ),
            optional(
                "case_sensitive",
                Kind::Boolean,
                "Whether case counts; it does by default.",
            ),
            optional(
                "sort_by",
                Kind::OneOf(&["alpha", "score"]),
                "Order of results.",
            ),
            optional(
                "sort_dir",
                Kind::OneOf(&["asc", "dsc"]),
                "Direction of the order by name.",
            ),
            optional(
                "include_score",
                Kind::Boolean,
                "Give the score of each result.",
            ),
            optional("batch_size", Kind::Integer, "Results of a line."),
            START,
            END,
            MATCH,
            LIMIT,
        ],
        Answer::Media("application/x-ndjson"),
    ),
    endpoint(
        "/metadata",
        GET,
        "metadata",
        "Metadata of metrics, by name",
        &[
            optional("metric", Kind::Text, "Only this metric."),
            LIMIT,
            optional(
                "limit_per_metric",
                Kind::Integer,
                "Most entries of a metric.",
            ),
        ],
        Answer::Data("Metadata"),
    ),
    endpoint(
        "/targets",
        GET,
        "targets",
        "Targets and how they are",
        &[
            optional(
                "state",
                Kind::OneOf(&["active", "dropped", "any"]),
                "Which targets.",
            ),
            optional("scrapePool", Kind::Text, "Only those of this pool."),
        ],
        Answer::Data("Targets"),
    ),
    endpoint(
        "/targets/metadata",
        GET,
        "targets",
        "Metadata of metrics, by target",
        &[
            optional("match_target", Kind::Text, "Selector of targets."),
            optional("metric", Kind::Text, "Only this metric."),
            LIMIT,
        ],
        Answer::Data("TargetMetadata"),
    ),
    endpoint(
        "/targets/relabel_steps",
        GET,
        "targets",
        "What the relabelling rules of a pool make of a label set, step by step",
        &[
            POOL,
            required("labels", Kind::Text, "The label set as a JSON object."),
        ],
        Answer::Data("RelabelSteps"),
    ),
    endpoint(
        "/scrape_pools",
        GET,
        "targets",
        "Names of scrape pools",
        &[],
        Answer::Data("ScrapePools"),
    ),
    endpoint(
        "/scrape_pools/config",
        GET,
        "targets",
        "Configuration of a scrape pool",
        &[POOL],
        Answer::Data("Yaml"),
    ),
    endpoint(
        "/rules",
        GET,
        "rules",
        "Rule groups",
        &[
            optional(
                "type",
                Kind::OneOf(&["alert", "record"]),
                "Only these rules.",
            ),
            optional("rule_name[]", Kind::Texts, "Only rules of these names."),
            optional("rule_group[]", Kind::Texts, "Only groups of these names."),
            optional("file[]", Kind::Texts, "Only groups of these files."),
            MATCH,
            optional(
                "exclude_alerts",
                Kind::Boolean,
                "Leave out the active alerts.",
            ),
            optional("group_limit", Kind::Integer, "Most groups of a page."),
            optional("group_next_token", Kind::Text, "Where the page begins."),
        ],
        Answer::Data("Rules"),
    ),
    endpoint(
        "/alerts",
        GET,
        "rules",
        "Active alerts",
        &[],
        Answer::Data("Alerts"),
    ),
    endpoint(
        "/alertmanagers",
        GET,
        "rules",
        "Alertmanagers",
        &[],
        Answer::Data("Alertmanagers"),
    ),
    endpoint(
        "/status/config",
        GET,
        "status",
        "The configuration in force",
        &[],
        Answer::Data("Yaml"),
    ),
    endpoint(
        "/status/flags",
        GET,
        "status",
        "Flags and their values",
        &[],
        Answer::Data("TextMap"),
    ),
    endpoint(
        "/status/buildinfo",
        GET,
        "status",
        "Version",
        &[],
        Answer::Data("TextMap"),
    ),
    endpoint(
        "/status/runtimeinfo",
        GET,
        "status",
        "How the server runs",
        &[],
        Answer::Data("Object"),
    ),
    endpoint(
        "/status/tsdb",
        GET,
        "status",
        "Cardinality of the head",
        &[optional("limit", Kind::Integer, "Entries of each list.")],
        Answer::Data("TsdbStatus"),
    ),
    endpoint(
        "/status/tsdb/blocks",
        GET,
        "status",
        "Blocks of the database",
        &[],
        Answer::Data("Object"),
    ),
    endpoint(
        "/status/walreplay",
        GET,
        "status",
        "Progress of the log's replay",
        &[],
        Answer::Data("Object"),
    ),
    endpoint(
        "/status/self_metrics",
        GET,
        "status",
        "The server's own metrics",
        &[optional(
            "metric_name_pattern",
            Kind::Text,
            "Only names that match this pattern as a whole.",
        )],
        Answer::Data("Objects"),
    ),
    endpoint(
        "/features",
        GET,
        "status",
        "What the server can do",
        &[],
        Answer::Data("Object"),
    ),
    endpoint(
        "/notifications",
        GET,
        "status",
        "Notifications",
        &[],
        Answer::Data("Objects"),
    ),
    endpoint(
        "/notifications/live",
        GET,
        "status",
        "Notifications as server-sent events; 204 when there are too many followers",
        &[],
        Answer::Media("text/event-stream"),
    ),
    endpoint(
        "/admin/tsdb/delete_series",
        POST_PUT,
        "admin",
        "Delete samples of series",
        &[MATCH_REQUIRED, START, END],
        Answer::Nothing,
    ),
    endpoint(
        "/admin/tsdb/clean_tombstones",
        POST_PUT,
        "admin",
        "Remove deleted samples from the disk",
        &[],
        Answer::Nothing,
    ),
    endpoint(
        "/admin/tsdb/snapshot",
        POST_PUT,
        "admin",
        "Write a snapshot of the database",
        &[optional(
            "skip_head",
            Kind::Boolean,
            "Leave out what is not in blocks yet.",
        )],
        Answer::Data("Object"),
    ),
    sent(
        "/write",
        "Remote write, version 1 or 2",
        "application/x-protobuf",
        Answer::Nothing,
    ),
    sent(
        "/read",
        "Remote read",
        "application/x-protobuf",
        Answer::Media("application/x-protobuf"),
    ),
    sent(
        "/otlp/v1/metrics",
        "OTLP metrics",
        "application/x-protobuf",
        Answer::Media("text/plain"),
    ),
    endpoint(
        "/openapi.yaml",
        GET,
        "status",
        "This description",
        &[optional(
            "openapi_version",
            Kind::OneOf(&["3.1", "3.2"]),
            "Version of OpenAPI.",
        )],
        Answer::Media("application/yaml"),
    ),
];
