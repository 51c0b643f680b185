/** What every page needs to know before it can ask: names, planes, environments, step and window. */

import { useQuery } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useRef, useState } from "react";
import { type Failure, failureFrom, unwrap } from "../api/client";
import * as prometheus from "../api/prometheus";
import { DEFAULT_CONFIG, fetchConfig, type UiConfig } from "../api/ui";
import type { Thresholds } from "../lib/health/health";
import type { Names } from "../lib/promql/names";
import { dataAge, sampleAge } from "../lib/promql/queries";
import { type Matcher, selector } from "../lib/promql/selector";
import { rateWindow, stepFor } from "../lib/step/step";
import { parseDuration, type RangeSpec, rangeOrDefault } from "../lib/time/range";
import { settleOpening } from "./opening";
import { useGlobal } from "./url";

export interface Plane {
	/** Environment and id, unique. */
	readonly key: string;
	readonly id: string;
	readonly name: string;
	readonly environment: string;
	readonly apiUrl?: string;
	readonly collectorUrl?: string;
	readonly thresholds: Thresholds;
}

export interface PageScope {
	readonly config: UiConfig;
	readonly names: Names;
	readonly planes: readonly Plane[];
	/** All environments, in the order that gives them their colours. */
	readonly environments: readonly string[];
	/** The chosen ones; all of them when none is chosen. */
	readonly selected: readonly string[];
	readonly all: boolean;
	readonly range: RangeSpec;
	/** Length of the range in seconds. */
	readonly length: number;
	readonly scrape: number;
	readonly step: number;
	readonly window: number;
	/** The environment part of the selector; empty for all. */
	readonly environmentSelector: string;
}

const Context = createContext<PageScope | null>(null);

export function useScope(): PageScope {
	const scope = useContext(Context);
	if (!scope) throw new Error("useScope outside of ScopeProvider");
	return scope;
}

/** The usual size of a chart; bucketed, so that dragging the window's edge does not ask again. */
function useChartWidth(): number {
	const measure = () => Math.max(600, Math.round(window.innerWidth / 200) * 100);
	const [width, setWidth] = useState(measure);
	useEffect(() => {
		const resized = () => setWidth(measure());
		window.addEventListener("resize", resized);
		return () => window.removeEventListener("resize", resized);
	});
	return width;
}

export const planeKey = (environment: string, id: string): string => `${environment}/${id}`;

export function useTargets() {
	return useQuery({
		queryKey: ["targets"],
		queryFn: async ({ signal }) => unwrap(await prometheus.targets(signal)).value,
		staleTime: Number.POSITIVE_INFINITY,
		// The clock and the banner repeat it, not every panel that appears.
		retryOnMount: false,
	});
}

/** Why the whole server cannot be asked, if so: the banner of the page says it, once. */
export function useAway(): Failure | undefined {
	const { error, isFetching } = useTargets();
	// While a query without any data is repeated it has no error: what was said last holds until it is answered.
	const said = useRef<Failure | undefined>(undefined);
	if (error) said.current = failureFrom(error);
	else if (!isFetching) said.current = undefined;
	return said.current && isAway(said.current) ? said.current : undefined;
}

export const isAway = (failure: Failure): boolean =>
	failure.kind === "unreachable" || failure.kind === "starting";

/** Newest sample age per plane, in seconds, by the server's own clock. */
export function useSampleAges(names: Names, enabled = true) {
	return useQuery({
		queryKey: ["ages", names.environment, names.plane],
		enabled,
		queryFn: async ({ signal }) => {
			const { value } = unwrap(await prometheus.query(sampleAge(names, ""), undefined, signal));
			const ages = new Map<string, { environment: string; id: string; age: number }>();
			if (value.resultType !== "vector") return ages;
			for (const { metric, value: sample } of value.result) {
				const environment = metric[names.environment] ?? "";
				if (environment === "" || !sample) continue;
				const id = metric[names.plane] ?? "";
				ages.set(planeKey(environment, id), { environment, id, age: Number(sample[1]) });
			}
			return ages;
		},
		staleTime: Number.POSITIVE_INFINITY,
	});
}

/** Asks once how much of the last hour the server knows; without targets or an answer the usual range stays. */
function useOpeningRange(names: Names, enabled: boolean, targets: prometheus.Targets | undefined): boolean {
	const query = useQuery({
		queryKey: ["data-age", names.environment],
		enabled,
		// Null, not NaN, where there is none: a NaN never equals the one before and would render without end.
		queryFn: async ({ signal }): Promise<number | null> => {
			const { value } = unwrap(await prometheus.query(dataAge(names, 3600, 30), undefined, signal));
			const sample = value.resultType === "vector" ? value.result[0]?.value : undefined;
			const age = sample ? Number(sample[1]) : Number.NaN;
			return Number.isFinite(age) ? age : null;
		},
		staleTime: Number.POSITIVE_INFINITY,
	});
	const age = query.data;
	const scraped = (targets?.activeTargets ?? []).some((t) => t.labels[names.environment]);
	useEffect(() => {
		if (age === undefined) return;
		if (age !== null) settleOpening(age);
		else if (scraped) settleOpening(0);
	}, [age, scraped]);
	return query.isFetched;
}

export function useUiConfig() {
	return useQuery({
		queryKey: ["config"],
		queryFn: ({ signal }) => fetchConfig(signal),
		staleTime: Number.POSITIVE_INFINITY,
		retry: 1,
	});
}

export function ScopeProvider({ children, waiting }: { children: ReactNode; waiting: ReactNode }) {
	const global = useGlobal();
	const width = useChartWidth();
	const configQuery = useUiConfig();
	const targetsQuery = useTargets();
	const config = configQuery.data ?? DEFAULT_CONFIG;
	const ages = useSampleAges(config.names, configQuery.isFetched);

	const opened = useOpeningRange(config.names, configQuery.isFetched, targetsQuery.data);

	const planes = useMemo(
		() => planesOf(config, targetsQuery.data, ages.data),
		[config, targetsQuery.data, ages.data],
	);
	const planesKey = JSON.stringify(planes);
	const scrape = scrapeIntervalOf(config, targetsQuery.data);
	// Asked and answered, be it with an error. A query that failed is pending again while it is repeated; the page
	// must not vanish then, or its own panels would repeat the query when they come back, without end.
	const ready = configQuery.isFetched && targetsQuery.isFetched && ages.isFetched && opened;

	// biome-ignore lint/correctness/useExhaustiveDependencies: planesKey stands for planes, which is a new array on every refresh
	const scope = useMemo((): PageScope => {
		const environments = [...new Set(planes.map((p) => p.environment))];
		const chosen = environments.filter((e) => global.env.includes(e));
		const all = chosen.length === 0 || chosen.length === environments.length;
		const { start, end } = rangeOrDefault(global, Date.now() / 1000);
		const step = stepFor(end - start, width, scrape);
		const matchers: Matcher[] = all ? [] : [{ label: config.names.environment, values: chosen }];
		return {
			config,
			names: config.names,
			planes,
			environments,
			selected: all ? environments : chosen,
			all,
			range: { from: global.from, to: global.to },
			length: Math.round(end - start),
			scrape,
			step,
			window: rateWindow(step, scrape),
			environmentSelector: selector(matchers),
		};
	}, [config, planesKey, global, scrape, width]);

	return <Context.Provider value={scope}>{ready ? children : waiting}</Context.Provider>;
}

/** Configured planes first, then those that the server knows, by name. */
function planesOf(
	config: UiConfig,
	targets: prometheus.Targets | undefined,
	ages: ReadonlyMap<string, { environment: string; id: string }> | undefined,
): Plane[] {
	const { environment: envLabel, plane: planeLabel } = config.names;
	const out = new Map<string, Plane>();
	for (const p of config.planes) {
		const thresholds = p.thresholds ?? config.thresholds;
		out.set(planeKey(p.environment, p.id), { ...p, key: planeKey(p.environment, p.id), thresholds });
	}
	const seen = [...(ages?.values() ?? [])].map(({ environment, id }) => ({ environment, id }));
	for (const target of targets?.activeTargets ?? []) {
		const environment = target.labels[envLabel];
		if (environment) seen.push({ environment, id: target.labels[planeLabel] ?? "" });
	}
	seen.sort((a, b) => a.environment.localeCompare(b.environment) || a.id.localeCompare(b.id));
	for (const { environment, id } of seen) {
		const key = planeKey(environment, id);
		if (out.has(key)) continue;
		out.set(key, { key, id, name: environment, environment, thresholds: config.thresholds });
	}
	return [...out.values()];
}

/** Read from the targets, else from the configuration; a wrong guess is the classic cause of empty rate graphs. */
function scrapeIntervalOf(config: UiConfig, targets: prometheus.Targets | undefined): number {
	const intervals = (targets?.activeTargets ?? [])
		.filter((t) => t.labels[config.names.environment])
		.map((t) => (t.scrapeInterval ? parseDuration(t.scrapeInterval) : null))
		.filter((s): s is number => s !== null && s > 0);
	return intervals.length ? Math.max(...intervals) : (config.scrapeInterval ?? 15);
}
