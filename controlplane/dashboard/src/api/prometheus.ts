/** The parts of the Prometheus HTTP API that the pages use. Times are epoch seconds. */

import type { Labels, MatrixSeries } from "../lib/series/table";
import { call, type Result } from "./client";

export interface VectorSample {
	readonly metric: Labels;
	readonly value?: readonly [number, string];
}

export type QueryData =
	| { readonly resultType: "vector"; readonly result: readonly VectorSample[] }
	| { readonly resultType: "matrix"; readonly result: readonly MatrixSeries[] }
	| { readonly resultType: "scalar" | "string"; readonly result: readonly [number, string] };

/** Statistics that `stats=all` adds. */
export interface QueryStats {
	readonly samples?: { readonly totalQueryableSamples?: number; readonly peakSamples?: number };
	readonly timings?: { readonly evalTotalTime?: number };
}

export interface Target {
	readonly labels: Labels;
	readonly discoveredLabels?: Labels;
	readonly scrapePool: string;
	readonly scrapeUrl: string;
	readonly globalUrl?: string;
	readonly lastError: string;
	readonly lastScrape: string;
	readonly lastScrapeDuration: number;
	readonly health: "up" | "down" | "unknown";
	readonly scrapeInterval?: string;
	readonly scrapeTimeout?: string;
}

export interface Targets {
	readonly activeTargets: readonly Target[];
	readonly droppedTargets?: readonly { readonly discoveredLabels: Labels; readonly scrapePool?: string }[];
	readonly droppedTargetCounts?: Readonly<Record<string, number>>;
}

export interface Alert {
	readonly labels: Labels;
	readonly annotations: Labels;
	readonly state: "firing" | "pending" | "inactive";
	readonly activeAt?: string;
	readonly value: string;
}

export interface Rule {
	readonly name: string;
	readonly query: string;
	readonly type: "alerting" | "recording";
	readonly health: string;
	readonly lastError?: string;
	readonly lastEvaluation?: string;
	readonly evaluationTime?: number;
	readonly state?: "firing" | "pending" | "inactive";
	readonly duration?: number;
	readonly labels?: Labels;
	readonly annotations?: Labels;
	readonly alerts?: readonly Alert[];
}

export interface RuleGroup {
	readonly name: string;
	readonly file: string;
	readonly interval: number;
	readonly rules: readonly Rule[];
	readonly evaluationTime?: number;
	readonly lastEvaluation?: string;
}

const stamp = (t: number): string => (Number.isInteger(t) ? String(t) : t.toFixed(3));

export function queryRange(expr: string, start: number, end: number, step: number, signal?: AbortSignal) {
	const params = { query: expr, start: stamp(start), end: stamp(end), step: String(step) };
	return call<QueryData>("api/v1/query_range", params, signal);
}

/** Without a time the server takes its own clock. */
export function query(expr: string, time: number | undefined, signal?: AbortSignal) {
	return call<QueryData>(
		"api/v1/query",
		{ query: expr, time: time === undefined ? undefined : stamp(time) },
		signal,
	);
}

/** As the two above, with the server's statistics. */
export function queryWithStats(
	expr: string,
	range: { start: number; end: number; step: number } | { time: number },
	signal?: AbortSignal,
): Promise<Result<QueryData & { stats?: QueryStats }>> {
	if ("time" in range)
		return call("api/v1/query", { query: expr, time: stamp(range.time), stats: "all" }, signal);
	const params = {
		query: expr,
		start: stamp(range.start),
		end: stamp(range.end),
		step: String(range.step),
		stats: "all",
	};
	return call("api/v1/query_range", params, signal);
}

/** A relabelling rule as the server runs it. */
export type RelabelRule = Readonly<Record<string, string | number | readonly string[]>>;

/** What one rule of a pool makes of labels. */
export interface RelabelStep {
	readonly rule: RelabelRule;
	readonly output: Labels;
	/** False where the rule drops the target. */
	readonly keep: boolean;
}

/** Takes the discovered labels of a target through the rules of its pool. Prometheus has it since 3.8. */
export const relabelSteps = (pool: string, labels: Labels, signal?: AbortSignal) =>
	call<{ readonly steps: readonly RelabelStep[] }>(
		"api/v1/targets/relabel_steps",
		{ scrapePool: pool, labels: JSON.stringify(labels) },
		signal,
	);

export interface Alertmanagers {
	readonly activeAlertmanagers: readonly { readonly url: string }[];
	readonly droppedAlertmanagers: readonly { readonly url: string }[];
}

export const alertmanagers = (signal?: AbortSignal) =>
	call<Alertmanagers>("api/v1/alertmanagers", {}, signal);

export const targets = (signal?: AbortSignal) => call<Targets>("api/v1/targets", {}, signal);
export const alerts = (signal?: AbortSignal) =>
	call<{ alerts: readonly Alert[] }>("api/v1/alerts", {}, signal);
export const rules = (signal?: AbortSignal) =>
	call<{ groups: readonly RuleGroup[] }>("api/v1/rules", {}, signal);

/** A name with a number, as the statistics of the database list them. */
export interface Counted {
	readonly name: string;
	readonly value: number;
}

/** Statistics of the head block. Compatible servers leave some of the lists out. */
export interface TsdbStatus {
	readonly headStats?: {
		readonly numSeries?: number;
		readonly numLabelPairs?: number;
		readonly chunkCount?: number;
		/** Epoch milliseconds; far out of range while the head is empty. */
		readonly minTime?: number;
		readonly maxTime?: number;
	};
	readonly seriesCountByMetricName?: readonly Counted[];
	readonly labelValueCountByLabelName?: readonly Counted[];
	readonly memoryInBytesByLabelName?: readonly Counted[];
	readonly seriesCountByLabelValuePair?: readonly Counted[];
}

/** A block of the database, times in epoch milliseconds. */
export interface Block {
	readonly ulid: string;
	readonly minTime: number;
	readonly maxTime: number;
	readonly stats?: { readonly numSamples?: number; readonly numSeries?: number; readonly numChunks?: number };
	readonly compaction?: { readonly level?: number };
}

export const tsdbBlocks = (signal?: AbortSignal) =>
	call<{ readonly blocks: readonly Block[] | null }>("api/v1/status/tsdb/blocks", {}, signal);

export type Facts = Readonly<Record<string, string | number | boolean | null>>;

export const tsdbStatus = (limit: number, signal?: AbortSignal) =>
	call<TsdbStatus>("api/v1/status/tsdb", { limit: String(limit) }, signal);
export const runtimeInfo = (signal?: AbortSignal) => call<Facts>("api/v1/status/runtimeinfo", {}, signal);
export const buildInfo = (signal?: AbortSignal) => call<Facts>("api/v1/status/buildinfo", {}, signal);
export const flags = (signal?: AbortSignal) => call<Facts>("api/v1/status/flags", {}, signal);
export const configuration = (signal?: AbortSignal) =>
	call<{ readonly yaml?: string }>("api/v1/status/config", {}, signal);

export function labelValues(
	label: string,
	match: string | undefined,
	start: number,
	end: number,
	signal?: AbortSignal,
) {
	const params = { "match[]": match, start: stamp(start), end: stamp(end), limit: "1000" };
	return call<readonly string[]>(`api/v1/label/${encodeURIComponent(label)}/values`, params, signal);
}
