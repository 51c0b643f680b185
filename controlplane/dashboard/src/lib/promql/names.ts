/** Every metric and label name that the pages know. `/ui/v1/config` may replace any of them by its key here. */
export interface Names {
	/** Histogram of request durations in seconds, without `_bucket`. */
	readonly duration: string;
	/** Gauge of requests in flight. */
	readonly active: string;
	readonly environment: string;
	readonly plane: string;
	readonly route: string;
	readonly method: string;
	readonly status: string;
}

export const DEFAULT_NAMES: Names = {
	duration: "http_server_request_duration_seconds",
	active: "http_server_active_requests",
	environment: "environment",
	plane: "data_plane_id",
	route: "http_route",
	method: "http_request_method",
	status: "http_response_status_code",
};

/** The defaults with the known keys of `over` put in place; anything that is not a name is left out. */
export function namesWith(over: Readonly<Record<string, unknown>> | undefined): Names {
	const names: Record<string, string> = { ...DEFAULT_NAMES };
	for (const [key, value] of Object.entries(over ?? {})) {
		if (key in names && typeof value === "string" && /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(value))
			names[key] = value;
	}
	return names as unknown as Names;
}
