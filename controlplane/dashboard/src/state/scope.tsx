/** What every page needs to know before it can ask: names, planes, environments, step and window. */

import { useQuery } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import { unwrap } from "../api/client";
import * as prometheus from "../api/prometheus";
import { DEFAULT_CONFIG, fetchConfig, type UiConfig } from "../api/ui";
import type { Thresholds } from "../lib/health/health";
import type { Names } from "../lib/promql/names";
import { sampleAge } from "../lib/promql/queries";
import { type Matcher, selector } from "../lib/promql/selector";
import { rateWindow, stepFor } from "../lib/step/step";
import { parseDuration, type RangeSpec, rangeOrDefault } from "../lib/time/range";
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
	});
}

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
	const ages = useSampleAges(config.names, !configQuery.isPending);

	const planes = useMemo(
		() => planesOf(config, targetsQuery.data, ages.data),
		[config, targetsQuery.data, ages.data],
	);
	const planesKey = JSON.stringify(planes);
	const scrape = scrapeIntervalOf(config, targetsQuery.data);
	const ready = !configQuery.isPending && !targetsQuery.isPending && !ages.isPending;

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
