/** State of the pages in the address. Defaults are left out, unknown keys ignored, old links keep working. */

import { DEFAULT_RANGE, type RangeSpec } from "../time/range";

/** What every page shares and keeps on navigation. */
export interface GlobalSearch {
	/** Chosen environments; empty means all. */
	readonly env: readonly string[];
	readonly from: string;
	readonly to: string;
	/** Seconds between refreshes; 0 is off. */
	readonly refresh: number;
}

export const REFRESHES: readonly number[] = [0, 10, 30, 60];
export const DEFAULT_REFRESH = 30;

export const GLOBAL_DEFAULTS: GlobalSearch = { env: [], ...DEFAULT_RANGE, refresh: DEFAULT_REFRESH };

export type Params = Readonly<Record<string, string>>;

/** The query part of an address as a flat record; the last of a repeated key wins. */
export function parseQuery(query: string): Record<string, string> {
	const out: Record<string, string> = {};
	for (const [key, value] of new URLSearchParams(query)) out[key] = value;
	return out;
}

/** `?a=b&c=d`, or nothing. Commas, slashes and colons stay readable. */
export function formatQuery(params: Readonly<Record<string, string | undefined>>): string {
	const parts: string[] = [];
	for (const [key, value] of Object.entries(params)) {
		if (value === undefined || value === "") continue;
		const readable = encodeURIComponent(value)
			.replaceAll("%2C", ",")
			.replaceAll("%2F", "/")
			.replaceAll("%3A", ":");
		parts.push(`${encodeURIComponent(key)}=${readable}`);
	}
	return parts.length === 0 ? "" : `?${parts.join("&")}`;
}

/** Several values in one parameter; a comma inside a value is doubled by a backslash. */
export function splitList(text: string | undefined): string[] {
	if (!text) return [];
	const out: string[] = [];
	let current = "";
	for (let i = 0; i < text.length; i++) {
		const c = text[i] as string;
		if (c === "\\" && i + 1 < text.length) {
			current += text[++i];
		} else if (c === ",") {
			out.push(current);
			current = "";
		} else current += c;
	}
	out.push(current);
	return [...new Set(out.filter((v) => v !== ""))];
}

export function joinList(values: readonly string[]): string {
	return values.map((v) => v.replaceAll("\\", "\\\\").replaceAll(",", "\\,")).join(",");
}

function refreshOf(text: string | undefined): number {
	if (text === undefined) return DEFAULT_REFRESH;
	if (text === "off" || text === "0") return 0;
	const seconds = text === "1m" ? 60 : Number(/^(\d+)s?$/.exec(text)?.[1] ?? Number.NaN);
	return REFRESHES.includes(seconds) ? seconds : DEFAULT_REFRESH;
}

export function formatRefresh(seconds: number): string {
	return seconds === 0 ? "off" : seconds === 60 ? "1m" : `${seconds}s`;
}

export function readGlobal(params: Params, opening: RangeSpec = DEFAULT_RANGE): GlobalSearch {
	return {
		env: splitList(params.env),
		from: params.from ?? opening.from,
		to: params.to ?? opening.to,
		refresh: refreshOf(params.refresh),
	};
}

export function writeGlobal(
	search: GlobalSearch,
	opening: RangeSpec = DEFAULT_RANGE,
): Record<string, string | undefined> {
	const isDefault = search.from === opening.from && search.to === opening.to;
	return {
		env: search.env.length ? joinList(search.env) : undefined,
		from: isDefault ? undefined : search.from,
		to: isDefault ? undefined : search.to,
		refresh: search.refresh === DEFAULT_REFRESH ? undefined : formatRefresh(search.refresh),
	};
}

export type Quantile = "p50" | "p95" | "p99";

/** Filters of the metrics page. */
export interface MetricsSearch {
	readonly plane: readonly string[];
	readonly route: readonly string[];
	readonly method: readonly string[];
	/** Status classes such as `5xx`. */
	readonly status: readonly string[];
	readonly q: Quantile;
}

export function readMetrics(params: Params): MetricsSearch {
	const q = params.q;
	return {
		plane: splitList(params.plane),
		route: splitList(params.route),
		method: splitList(params.method),
		status: splitList(params.status).filter((s) => /^[1-5]xx$/.test(s)),
		q: q === "p50" || q === "p99" ? q : "p95",
	};
}

export function writeMetrics(search: MetricsSearch): Record<string, string | undefined> {
	return {
		plane: joinList(search.plane) || undefined,
		route: joinList(search.route) || undefined,
		method: joinList(search.method) || undefined,
		status: joinList(search.status) || undefined,
		q: search.q === "p95" ? undefined : search.q,
	};
}

/** One row of Explore. */
export interface ExploreRow {
	readonly expr: string;
	/** 0 graph, 1 table, as in Prometheus' own links. */
	readonly tab: 0 | 1;
}

/** Reads `g0.expr=up&g0.tab=0`, Prometheus' form of the address, both of version 2 and 3. */
export function readExplore(params: Params): ExploreRow[] {
	const rows: ExploreRow[] = [];
	for (let i = 0; i < 20; i++) {
		const expr = params[`g${i}.expr`];
		if (expr === undefined) break;
		const tab = params[`g${i}.tab`];
		rows.push({ expr, tab: tab === "1" || tab === "table" ? 1 : 0 });
	}
	return rows.length ? rows : [{ expr: "", tab: 0 }];
}

export function writeExplore(rows: readonly ExploreRow[]): Record<string, string | undefined> {
	const out: Record<string, string | undefined> = {};
	rows.forEach((row, i) => {
		if (rows.length === 1 && row.expr === "") return;
		out[`g${i}.expr`] = row.expr;
		if (row.tab === 1) out[`g${i}.tab`] = "1";
	});
	return out;
}
/** Range that Prometheus' own links carry: `g0.range_input=1h` and `g0.end_input=...`. */
export function readExploreRange(params: Params): { from: string; to: string } | null {
	const length = params["g0.range_input"];
	if (!length || !/^(\d+(ms|[smhdwy]))+$/.test(length)) return null;
	return { from: `now-${length}`, to: "now" };
}
