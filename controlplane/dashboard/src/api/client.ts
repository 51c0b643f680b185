/** Same-origin requests: a typed result for every outcome, at most six at a time, abortable. */

export type FailureKind =
	| "bad-query"
	| "timeout"
	| "too-large"
	| "not-found"
	| "signed-out"
	| "forbidden"
	| "starting"
	| "unreachable"
	| "server"
	| "cancelled";

export interface Failure {
	readonly kind: FailureKind;
	/** One plain sentence. */
	readonly summary: string;
	/** What the server said, if it said anything. */
	readonly detail: string;
	readonly status: number;
	/** Zero-based offset into the query, when the server's message has one. */
	readonly position?: { readonly line: number; readonly column: number };
}

export type Result<T> =
	| {
			readonly ok: true;
			readonly value: T;
			readonly warnings: readonly string[];
			readonly infos: readonly string[];
	  }
	| { readonly ok: false; readonly failure: Failure };

/** The failure as an exception, for the query cache. */
export class ApiError extends Error {
	readonly failure: Failure;
	constructor(failure: Failure) {
		super(failure.detail || failure.summary);
		this.name = "ApiError";
		this.failure = failure;
	}
}

const MAX_IN_FLIGHT = 6;
let running = 0;
const waiting: (() => void)[] = [];

/** Waits for one of the six places; an aborted request leaves the queue. */
function place(signal: AbortSignal | undefined): Promise<void> {
	if (running < MAX_IN_FLIGHT) {
		running++;
		return Promise.resolve();
	}
	return new Promise((resolve, reject) => {
		const go = () => {
			signal?.removeEventListener("abort", leave);
			running++;
			resolve();
		};
		const leave = () => {
			const at = waiting.indexOf(go);
			if (at >= 0) waiting.splice(at, 1);
			reject(new DOMException("aborted", "AbortError"));
		};
		waiting.push(go);
		signal?.addEventListener("abort", leave, { once: true });
	});
}

function free(): void {
	running--;
	waiting.shift()?.();
}

/** Absolute address of a path below the base of the page, so that a path prefix works. */
export function urlOf(path: string): URL {
	return new URL(path, document.baseURI);
}

/** Prometheus writes `1:5: parse error: ...` or `... at line 1, char 5`. */
export function positionIn(message: string): { line: number; column: number } | undefined {
	const match = /(?:^|\s|")(\d+):(\d+): /.exec(message) ?? /line (\d+), (?:char|column) (\d+)/.exec(message);
	if (!match) return undefined;
	return { line: Number(match[1]), column: Number(match[2]) };
}

/** What a status and an error body mean to the person in front of the page. */
export function failureOf(status: number, errorType: string, detail: string): Failure {
	const base = { detail, status };
	if (status === 400)
		return {
			...base,
			kind: "bad-query",
			summary: "The server does not accept this query.",
			position: positionIn(detail),
		};
	if (status === 401) return { ...base, kind: "signed-out", summary: "You are signed out." };
	if (status === 403) return { ...base, kind: "forbidden", summary: "You may not see this." };
	if (status === 404) return { ...base, kind: "not-found", summary: "The server has no such endpoint." };
	if (status === 422 && /samples|too many/i.test(detail))
		return {
			...base,
			kind: "too-large",
			summary: "The query touches too much data; a shorter range may work.",
		};
	if (status === 422)
		return {
			...base,
			kind: "bad-query",
			summary: "The query cannot be evaluated.",
			position: positionIn(detail),
		};
	if (errorType === "timeout" || status === 504 || (status === 503 && /timeout|timed out/i.test(detail)))
		return { ...base, kind: "timeout", summary: "The query took too long; a shorter range may work." };
	if (status === 503) return { ...base, kind: "starting", summary: "The metrics server is starting." };
	if (status === 502)
		return { ...base, kind: "unreachable", summary: "The metrics server cannot be reached." };
	return { ...base, kind: "server", summary: `The metrics server answered with status ${status}.` };
}

interface Envelope {
	status?: string;
	data?: unknown;
	error?: string;
	errorType?: string;
	warnings?: string[];
	infos?: string[];
}

async function send(path: string, params: URLSearchParams, signal?: AbortSignal): Promise<Response> {
	const url = urlOf(path);
	const query = params.toString();
	// Long queries would not fit into a request line; the API takes both forms.
	if (query.length > 4000) {
		const headers = { "content-type": "application/x-www-form-urlencoded" };
		return fetch(url, {
			method: "POST",
			body: query,
			headers,
			signal: signal ?? null,
			credentials: "same-origin",
		});
	}
	url.search = query;
	return fetch(url, { signal: signal ?? null, credentials: "same-origin" });
}

/** One call of the Prometheus API. */
export async function call<T>(
	path: string,
	params: Record<string, string | undefined>,
	signal?: AbortSignal,
): Promise<Result<T>> {
	const search = new URLSearchParams();
	for (const [key, value] of Object.entries(params)) if (value !== undefined) search.set(key, value);
	try {
		await place(signal);
	} catch {
		return { ok: false, failure: { kind: "cancelled", summary: "Cancelled.", detail: "", status: 0 } };
	}
	try {
		const response = await send(path, search, signal);
		const text = await response.text();
		let body: Envelope = {};
		try {
			body = JSON.parse(text) as Envelope;
		} catch {
			if (response.ok) {
				const detail = `expected JSON from ${path}, got ${response.headers.get("content-type") ?? "nothing"}`;
				return {
					ok: false,
					failure: {
						kind: "server",
						summary: "The server's answer cannot be read.",
						detail,
						status: response.status,
					},
				};
			}
		}
		if (!response.ok || body.status !== "success") {
			return {
				ok: false,
				failure: failureOf(response.status, body.errorType ?? "", body.error ?? text.slice(0, 300)),
			};
		}
		return { ok: true, value: body.data as T, warnings: body.warnings ?? [], infos: body.infos ?? [] };
	} catch (error) {
		if (error instanceof DOMException && error.name === "AbortError")
			return { ok: false, failure: { kind: "cancelled", summary: "Cancelled.", detail: "", status: 0 } };
		const detail = error instanceof Error ? error.message : String(error);
		return {
			ok: false,
			failure: { kind: "unreachable", summary: "The server cannot be reached.", detail, status: 0 },
		};
	} finally {
		free();
	}
}

/** The value of a result, or its failure thrown. */
export function unwrap<T>(result: Result<T>): {
	value: T;
	warnings: readonly string[];
	infos: readonly string[];
} {
	if (result.ok) return result;
	if (result.failure.kind === "cancelled") throw new DOMException("aborted", "AbortError");
	throw new ApiError(result.failure);
}

export function failureFrom(error: unknown): Failure {
	if (error instanceof ApiError) return error.failure;
	const detail = error instanceof Error ? error.message : String(error);
	return { kind: "server", summary: "Something went wrong in the page.", detail, status: 0 };
}
