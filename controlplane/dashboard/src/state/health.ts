/** The facts of every plane, gathered from the queries of section "plane" and judged by the pure function. */

import { useMemo } from "react";
import { type Health, healthOf, SEVERITY } from "../lib/health/health";
import {
	activeRequests,
	errorRate,
	latency,
	requestRate,
	type Scope,
	targetsAll,
	targetsUp,
} from "../lib/promql/queries";
import { aboveFor, current, type Table } from "../lib/series/table";
import { rateWindow, stepFor } from "../lib/step/step";
import { type Panel, type Sample, useAlerts, useInstant, useRangePanel } from "./queries";
import { type Plane, planeKey, useSampleAges, useScope, useTargets } from "./scope";

export interface PlaneSignal {
	readonly values: readonly (number | null)[];
	readonly value: number | null;
}

export interface PlaneView {
	readonly plane: Plane;
	readonly health: Health;
	readonly age: number | null;
	readonly up: number | null;
	readonly all: number | null;
	readonly rate: PlaneSignal;
	readonly p95: PlaneSignal;
	readonly errors: PlaneSignal;
	readonly active: PlaneSignal;
}

export interface Planes {
	readonly views: readonly PlaneView[];
	/** The chosen planes only. */
	readonly shown: readonly PlaneView[];
	readonly panels: {
		readonly rate: Panel;
		readonly p95: Panel;
		readonly errors: Panel;
		readonly active: Panel;
	};
	readonly loading: boolean;
	/** Step and window of the small lines. */
	readonly step: number;
	readonly window: number;
}

const EMPTY: PlaneSignal = { values: [], value: null };

export function usePlaneViews(): Planes {
	const { names, planes, selected, environmentSelector, length, scrape, range } = useScope();
	// Small lines need few points.
	const step = stepFor(length, 300, scrape);
	const window = rateWindow(step, scrape);
	const scope: Scope = { names, selector: environmentSelector, by: [names.environment, names.plane], window };
	const rate = useRangePanel([{ id: "rate", expr: requestRate(scope) }], { step });
	const p95 = useRangePanel([{ id: "p95", expr: latency(scope, 0.95) }], { step });
	const errors = useRangePanel([{ id: "errors", expr: errorRate(scope) }], { step });
	const active = useRangePanel([{ id: "active", expr: activeRequests(scope) }], { step });
	const moment = range.to === "now" ? "server" : "end";
	const up = useInstant(targetsUp(names, ""), moment);
	const all = useInstant(targetsAll(names, ""), moment);
	const ages = useSampleAges(names);
	const targets = useTargets();
	const { alerts } = useAlerts();

	const views = useMemo(() => {
		const key = (labels: Readonly<Record<string, string>>) =>
			planeKey(labels[names.environment] ?? "", labels[names.plane] ?? "");
		const counts = (samples: readonly Sample[] | undefined) =>
			new Map(samples?.map((s) => [key(s.labels), s.value]));
		const ups = counts(up.data);
		const alls = counts(all.data);
		const signalsOf = (table: Table | undefined) =>
			new Map(table?.columns.map((c) => [key(c.labels), c.values]));
		const [rates, p95s, errorRates, actives] = [rate, p95, errors, active].map((p) => signalsOf(p.table));
		return planes
			.map((plane): PlaneView => {
				const signal = (of: Map<string, readonly (number | null)[]> | undefined): PlaneSignal => {
					const values = of?.get(plane.key);
					return values ? { values, value: current(values) } : EMPTY;
				};
				const s = {
					rate: signal(rates),
					p95: signal(p95s),
					errors: signal(errorRates),
					active: signal(actives),
				};
				const judged = (
					of: PlaneSignal,
					table: Table | undefined,
					limits: { warning: number; critical: number },
				) => ({
					value: of.value,
					aboveWarningFor: aboveFor(table?.time ?? [], of.values, limits.warning),
					aboveCriticalFor: aboveFor(table?.time ?? [], of.values, limits.critical),
				});
				const age = ages.data?.get(plane.key)?.age ?? null;
				const [upNow, allNow] = [ups.get(plane.key) ?? null, alls.get(plane.key) ?? null];
				const broken = targets.data?.activeTargets.find(
					(t) => t.health === "down" && t.lastError !== "" && key(t.labels) === plane.key,
				);
				const own = alerts.filter(
					(a) => a.state === "firing" && a.labels[names.environment] === plane.environment,
				);
				const health = healthOf(
					{
						age,
						scrapeInterval: scrape,
						targetsUp: upNow,
						targetsAll: allNow,
						rate: s.rate.value,
						errors: judged(s.errors, errors.table, plane.thresholds.errorPercent),
						p95: judged(s.p95, p95.table, plane.thresholds.p95Seconds),
						window,
						alerts: own.map((a) => ({
							name: a.labels.alertname ?? "",
							severity: a.labels.severity === "critical" ? "critical" : "warning",
						})),
						scrapeError: broken?.lastError,
					},
					plane.thresholds,
				);
				return { plane, health, age, up: upNow, all: allNow, ...s };
			})
			.sort(
				(a, b) =>
					SEVERITY.indexOf(a.health.state) - SEVERITY.indexOf(b.health.state) ||
					planes.indexOf(a.plane) - planes.indexOf(b.plane),
			);
	}, [
		planes,
		rate,
		p95,
		errors,
		active,
		up.data,
		all.data,
		ages.data,
		targets.data,
		alerts,
		names,
		scrape,
		window,
	]);

	return {
		views,
		shown: views.filter((v) => selected.includes(v.plane.environment)),
		panels: { rate, p95, errors, active },
		loading: rate.loading || up.isPending,
		step,
		window,
	};
}
