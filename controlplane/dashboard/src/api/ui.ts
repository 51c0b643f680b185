/** `/ui/v1/config`: what the Prometheus API cannot say. Every field may be missing. */

import { DEFAULT_THRESHOLDS, type Limits, type Thresholds } from "../lib/health/health";
import { DEFAULT_NAMES, type Names, namesWith } from "../lib/promql/names";
import { urlOf } from "./client";

export interface UiPlane {
	readonly id: string;
	readonly name: string;
	readonly environment: string;
	readonly apiUrl?: string;
	readonly collectorUrl?: string;
	readonly thresholds?: Thresholds;
}

export interface UiConfig {
	/** False when the endpoint is missing and the pages run on defaults. */
	readonly present: boolean;
	readonly version: string;
	readonly names: Names;
	readonly planes: readonly UiPlane[];
	readonly scrapeInterval: number | undefined;
	readonly thresholds: Thresholds;
	readonly features: Readonly<Record<string, boolean>>;
}

export const DEFAULT_CONFIG: UiConfig = {
	present: false,
	version: "",
	names: DEFAULT_NAMES,
	planes: [],
	scrapeInterval: undefined,
	thresholds: DEFAULT_THRESHOLDS,
	features: {},
};

type Json = Record<string, unknown>;
const asRecord = (v: unknown): Json => (v && typeof v === "object" && !Array.isArray(v) ? (v as Json) : {});
const asText = (v: unknown): string => (typeof v === "string" ? v : "");

function limits(v: unknown, base: Limits): Limits {
	const { warning, critical } = asRecord(v);
	return {
		warning: typeof warning === "number" ? warning : base.warning,
		critical: typeof critical === "number" ? critical : base.critical,
	};
}

function thresholds(v: unknown, base: Thresholds): Thresholds {
	const { error_percent, p95_seconds } = asRecord(v);
	return {
		errorPercent: limits(error_percent, base.errorPercent),
		p95Seconds: limits(p95_seconds, base.p95Seconds),
	};
}

/** Reads what the server sent; anything unexpected falls back to the default instead of breaking the page. */
export function readConfig(json: unknown): UiConfig {
	const raw = asRecord(json);
	const general = thresholds(raw.thresholds, DEFAULT_THRESHOLDS);
	const planes = Array.isArray(raw.planes) ? raw.planes : [];
	const interval = raw.scrape_interval_seconds;
	return {
		present: true,
		version: asText(raw.version),
		names: namesWith(asRecord(raw.names)),
		planes: planes
			.map(asRecord)
			.filter((p) => asText(p.environment) !== "")
			.map((p) => ({
				id: asText(p.id),
				name: asText(p.name) || asText(p.environment),
				environment: asText(p.environment),
				apiUrl: asText(p.api_url) || undefined,
				collectorUrl: asText(p.collector_url) || undefined,
				thresholds: p.thresholds ? thresholds(p.thresholds, general) : undefined,
			})),
		scrapeInterval: typeof interval === "number" && interval > 0 ? interval : undefined,
		thresholds: general,
		features: asRecord(raw.features) as Record<string, boolean>,
	};
}

export async function fetchConfig(signal?: AbortSignal): Promise<UiConfig> {
	const response = await fetch(urlOf("ui/v1/config"), { signal: signal ?? null, credentials: "same-origin" });
	if (!response.ok || !(response.headers.get("content-type") ?? "").includes("json")) return DEFAULT_CONFIG;
	return readConfig(await response.json());
}
