/** Request rate, latency, error rate, active requests. */

import { useCallback, useMemo } from "react";
import { ChartPanel } from "../../charts/ChartPanel";
import type { SeriesStyle } from "../../charts/options";
import { Segments } from "../../components/Segments";
import { Chip } from "../../components/StatusChip";
import { activeRequests, errorRate, latency, requestRate } from "../../lib/promql/queries";
import { environmentColour } from "../../lib/series/colour";
import { aboveFor, spansAbove, type Table } from "../../lib/series/table";
import { formatSpan } from "../../lib/time/range";
import type { Quantile } from "../../lib/url/search";
import { usePrefs } from "../../state/prefs";
import { useRangePanel } from "../../state/queries";
import { useScope } from "../../state/scope";
import { type MetricsScope, withoutStatus } from "./scope";

const QUANTILES: readonly { q: Quantile; value: number; strength: number }[] = [
	{ q: "p50", value: 0.5, strength: 0.45 },
	{ q: "p95", value: 0.95, strength: 1 },
	{ q: "p99", value: 0.99, strength: 0.7 },
];

/** One line per environment, in its colour. */
function useEnvironmentStyles(): (table: Table) => SeriesStyle[] {
	const { names, environments } = useScope();
	const dashes = usePrefs((p) => p.dashes);
	return useCallback(
		(table) =>
			table.columns
				.map((c): SeriesStyle => {
					const environment = c.labels[names.environment] ?? "";
					const colour = environmentColour(environments, environment);
					const dashed = colour.dashed || (dashes && environments.indexOf(environment) % 2 === 1);
					return { id: c.id, label: environment || "(no environment)", colour: colour.index, dashed };
				})
				.sort((a, b) => environments.indexOf(a.label) - environments.indexOf(b.label)),
		[names, environments, dashes],
	);
}

export function Charts({
	metrics,
	onQuantile,
}: {
	metrics: MetricsScope;
	onQuantile: (q: Quantile) => void;
}) {
	return (
		<div className="charts">
			<Rate metrics={metrics} />
			<Latency metrics={metrics} onQuantile={onQuantile} />
			<Errors metrics={metrics} />
			<Active metrics={metrics} />
		</div>
	);
}

function Rate({ metrics }: { metrics: MetricsScope }) {
	const styles = useEnvironmentStyles();
	const asks = useMemo(() => [{ id: "rate", expr: requestRate(metrics.byEnvironment) }], [metrics]);
	const panel = useRangePanel(asks);
	return (
		<ChartPanel
			id="chart-rate"
			title="Request rate"
			subtitle="req/s by environment"
			panel={panel}
			styles={styles}
			unit="rate"
			heading="Environment"
		/>
	);
}

function Latency({ metrics, onQuantile }: { metrics: MetricsScope; onQuantile: (q: Quantile) => void }) {
	const { selected, environments, planes } = useScope();
	const byEnvironment = useEnvironmentStyles();
	const only = selected.length === 1 ? (selected[0] as string) : undefined;
	const { q } = metrics.search;
	const asks = useMemo(
		() =>
			QUANTILES.filter((x) => only !== undefined || x.q === q).map((x) => ({
				id: x.q,
				expr: latency(metrics.byEnvironment, x.value),
			})),
		[metrics, only, q],
	);
	const panel = useRangePanel(asks);
	// Exactly one environment: all three quantiles together, in three strengths of its colour.
	const three = useCallback(
		(table: Table): SeriesStyle[] => {
			const colour = environmentColour(environments, only ?? "").index;
			return table.columns.map((c) => {
				const quantile = QUANTILES.find((x) => c.id.startsWith(`${x.q}:`));
				return {
					id: c.id,
					label: quantile?.q ?? c.id,
					colour,
					strength: quantile?.strength ?? 1,
					dashed: quantile?.q === "p99",
				};
			});
		},
		[environments, only],
	);
	const limit = planes.find((p) => p.environment === (only ?? environments[0]))?.thresholds.p95Seconds
		.warning;
	return (
		<ChartPanel
			id="chart-latency"
			title="Latency"
			subtitle={only ? `p50, p95, p99 of ${only}` : `${q} by environment`}
			panel={panel}
			styles={only ? three : byEnvironment}
			unit="seconds"
			threshold={q === "p95" || only ? limit : undefined}
			heading={only ? "Quantile" : "Environment"}
			extra={
				only ? null : (
					<Segments
						label="Quantile"
						small
						value={q}
						onChange={onQuantile}
						options={QUANTILES.map((x) => ({ value: x.q, label: x.q }))}
					/>
				)
			}
		/>
	);
}

function Errors({ metrics }: { metrics: MetricsScope }) {
	const { names, planes, environments, selected } = useScope();
	const styles = useEnvironmentStyles();
	const asks = useMemo(() => [{ id: "errors", expr: errorRate(metrics.byEnvironment) }], [metrics]);
	const panel = useRangePanel(asks);
	const only = selected.length === 1 ? selected[0] : environments[0];
	const limit = planes.find((p) => p.environment === only)?.thresholds.errorPercent.warning ?? 5;
	const { table } = panel;
	const breached = useMemo(() => (table ? spansAbove(table, limit) : []), [table, limit]);
	const worst = useMemo(() => {
		let best = { seconds: 0, environment: "" };
		for (const c of table?.columns ?? []) {
			const seconds = aboveFor(table?.time ?? [], c.values, limit);
			if (seconds > best.seconds) best = { seconds, environment: c.labels[names.environment] ?? "" };
		}
		return best;
	}, [table, limit, names]);
	return (
		<ChartPanel
			id="chart-errors"
			title="Error rate"
			subtitle="5xx share of requests"
			panel={panel}
			styles={styles}
			unit="percent"
			threshold={limit}
			breached={breached}
			heading="Environment"
			extra={
				worst.seconds > 0 ? (
					<Chip tone="warn">
						{selected.length > 1 ? `${worst.environment} ` : ""}breached {formatSpan(worst.seconds)}
					</Chip>
				) : null
			}
		/>
	);
}

function Active({ metrics }: { metrics: MetricsScope }) {
	const { environmentSelector } = useScope();
	const styles = useEnvironmentStyles();
	const asks = useMemo(
		() => [
			{
				id: "active",
				expr: activeRequests(withoutStatus(metrics.byEnvironment, environmentSelector, metrics.search)),
			},
		],
		[metrics, environmentSelector],
	);
	const panel = useRangePanel(asks);
	return (
		<ChartPanel
			id="chart-active"
			title="Active requests"
			subtitle="in flight"
			panel={panel}
			styles={styles}
			unit="count"
			integers
			heading="Environment"
		/>
	);
}
