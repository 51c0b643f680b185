/** Every query that the pages send. Pure text; a test parses each of them with the PromQL grammar. */

import { formatDuration } from "../time/range";
import type { Names } from "./names";
import { join } from "./selector";

export interface Scope {
	readonly names: Names;
	/** Inside of the braces: environment, plane, route and other filters. */
	readonly selector: string;
	/** Labels to keep; none means one total. */
	readonly by: readonly string[];
	/** Rate window in seconds. */
	readonly window: number;
}

const sumBy = (by: readonly string[]): string => (by.length ? `sum by (${by.join(", ")})` : "sum");
const braces = (inside: string): string => (inside === "" ? "" : `{${inside}}`);

function counted(scope: Scope, extra: string, fn: "rate" | "increase"): string {
	const { names, selector, window } = scope;
	return `${fn}(${names.duration}_count${braces(join(selector, extra))}[${formatDuration(window)}])`;
}

const failed = (names: Names): string => `${names.status}=~"5.."`;

export function requestRate(scope: Scope): string {
	return `${sumBy(scope.by)} (${counted(scope, "", "rate")})`;
}

export function latency(scope: Scope, quantile: number): string {
	const { names, selector, window, by } = scope;
	const series = `${names.duration}_bucket${braces(selector)}`;
	return `histogram_quantile(${quantile}, ${sumBy([...by, "le"])} (rate(${series}[${formatDuration(window)}])))`;
}

/** For histograms that are stored as native ones, without `_bucket`. */
export function latencyNative(scope: Scope, quantile: number): string {
	const { names, selector, window, by } = scope;
	return `histogram_quantile(${quantile}, ${sumBy(by)} (rate(${names.duration}${braces(selector)}[${formatDuration(window)}])))`;
}

/**
 * Share of 5xx answers in percent. `or 0 *` keeps a service without errors at zero instead of "no data";
 * `> 0` keeps a service without traffic from becoming NaN.
 */
export function errorRate(scope: Scope, fn: "rate" | "increase" = "rate"): string {
	const agg = sumBy(scope.by);
	const all = `${agg} (${counted(scope, "", fn)})`;
	const bad = `${agg} (${counted(scope, failed(scope.names), fn)})`;
	return `100 * (${bad} or 0 * ${all}) / (${all} > 0)`;
}

export function activeRequests(scope: Scope): string {
	return `${sumBy(scope.by)} (${scope.names.active}${braces(scope.selector)})`;
}

/** Share of good answers in percent. `increase` over cells of half an hour, `rate` over the window otherwise. */
export function availability(scope: Scope, fn: "rate" | "increase" = "increase"): string {
	return `100 - ${errorRate(scope, fn)}`;
}

export function statusCodes(scope: Scope): string {
	return `sum by (${scope.names.status}) (${counted(scope, "", "rate")})`;
}

/** Rate, quantile and error rate per route over the whole range, for routes with some traffic. */
export function routeTable(
	scope: Scope,
	quantile: number,
): { rate: string; quantile: string; errors: string } {
	const { names } = scope;
	const by = [names.environment, names.route, names.method];
	const per = { ...scope, by };
	const busy = ` and on (${by.join(", ")}) (${requestRate(per)} > 0.1)`;
	return {
		rate: requestRate(per) + busy,
		quantile: latency(per, quantile) + busy,
		errors: `(${errorRate(per)})${busy}`,
	};
}

export function mostErrors(scope: Scope, count: number): string {
	const { names } = scope;
	const agg = sumBy([names.environment, names.route, names.method]);
	const bad = `${agg} (${counted(scope, failed(names), "rate")})`;
	const all = `${agg} (${counted(scope, "", "rate")})`;
	return `topk(${count}, 100 * ${bad} / (${all} > 0.1))`;
}

const planeLabels = (names: Names): string => `${names.environment}, ${names.plane}`;

/** Queries on `up` take only the environment and plane part of the filter. */
export function targetsUp(names: Names, planeSelector: string): string {
	return `sum by (${planeLabels(names)}) (up${braces(planeSelector)})`;
}

export function targetsAll(names: Names, planeSelector: string): string {
	return `count by (${planeLabels(names)}) (up${braces(planeSelector)})`;
}

/**
 * Age of the newest sample. A plane that vanished is marked stale and drops out of `timestamp(up)` at once, just when
 * it should be shown; the subquery keeps it for an hour, alone it would be 30 s coarse.
 */
export function sampleAge(names: Names, planeSelector: string): string {
	const up = `timestamp(up${braces(planeSelector)})`;
	return `time() - max by (${planeLabels(names)}) (${up} or max_over_time(${up}[1h:30s]))`;
}

/** How long before the moment of the query the oldest sample within `length` seconds was taken. */
export function dataAge(names: Names, length: number, resolution: number): string {
	const up = `timestamp(up{${names.environment}!=""})[${formatDuration(length)}:${formatDuration(resolution)}]`;
	return `time() - min(min_over_time(${up}))`;
}

export function scrapeDuration(names: Names, planeSelector: string): string {
	return `max by (${planeLabels(names)}) (scrape_duration_seconds${braces(planeSelector)})`;
}

export function scrapeSamples(names: Names, planeSelector: string): string {
	return `sum by (${planeLabels(names)}) (scrape_samples_scraped${braces(planeSelector)})`;
}

/** Series in the head of every scraped Prometheus-compatible server. */
export function headSeries(): string {
	return "prometheus_tsdb_head_series";
}

export function samplesAppended(window: number): string {
	return `sum by (instance) (rate(prometheus_tsdb_head_samples_appended_total[${formatDuration(window)}]))`;
}

export function storedBytes(): { blocks: string; wal: string } {
	return {
		blocks: "prometheus_tsdb_storage_blocks_bytes",
		wal: "prometheus_tsdb_wal_storage_size_bytes",
	};
}
