/** Rate, latency and errors per route over the whole range; a click filters the page. */

import { useMemo, useRef } from "react";
import { failureFrom } from "../../api/client";
import { Sparkline } from "../../charts/Sparkline";
import { DataTable, type TableColumn } from "../../components/DataTable";
import { Environment, seriesVariable } from "../../components/Environment";
import { FailureNotice } from "../../components/FailureNotice";
import { requestRate, routeTable } from "../../lib/promql/queries";
import { environmentColour } from "../../lib/series/colour";
import { rateWindow, stepFor } from "../../lib/step/step";
import { format } from "../../lib/units/units";
import { filledWords, type Sample, useFilledLength, useInstant, useRangePanel } from "../../state/queries";
import { useScope } from "../../state/scope";
import type { MetricsScope } from "./scope";
import { useInView } from "./useInView";

interface Row {
	readonly key: string;
	readonly environment: string;
	readonly route: string;
	readonly method: string;
	readonly rate: number;
	readonly latency: number | null;
	readonly errors: number | null;
	readonly line: readonly (number | null)[];
}

const QUANTILES = { p50: 0.5, p95: 0.95, p99: 0.99 } as const;

export function RoutesTable({
	metrics,
	onRoute,
}: {
	metrics: MetricsScope;
	onRoute: (route: string) => void;
}) {
	const { names, environments, length, scrape, planes } = useScope();
	const box = useRef<HTMLElement>(null);
	const near = useInView(box);
	const { q } = metrics.search;
	const by = useMemo(() => [names.environment, names.route, names.method], [names]);
	const filled = useFilledLength();
	const queries = routeTable({ ...metrics.total, window: filled ?? length }, QUANTILES[q]);
	const wanted = near && filled !== undefined;
	const rate = useInstant(queries.rate, "end", wanted);
	const quantile = useInstant(queries.quantile, "end", wanted);
	const errors = useInstant(queries.errors, "end", wanted);
	const step = stepFor(length * 3, 300, scrape);
	const lines = useRangePanel(
		[{ id: "lines", expr: requestRate({ ...metrics.total, by, window: rateWindow(step, scrape) }) }],
		{ step, enabled: near },
	);
	const rows = useMemo((): Row[] => {
		const keyOf = (labels: Sample["labels"]) => by.map((l) => labels[l] ?? "").join(" ");
		const value = (samples: readonly Sample[] | undefined) =>
			new Map(samples?.map((s) => [keyOf(s.labels), s.value]));
		const [latencies, failures] = [value(quantile.data), value(errors.data)];
		const line = new Map(lines.table?.columns.map((c) => [keyOf(c.labels), c.values]));
		return (rate.data ?? []).map((s) => {
			const key = keyOf(s.labels);
			return {
				key,
				environment: s.labels[names.environment] ?? "",
				route: s.labels[names.route] ?? "",
				method: s.labels[names.method] ?? "",
				rate: s.value,
				latency: latencies.get(key) ?? null,
				errors: failures.get(key) ?? null,
				line: line.get(key) ?? [],
			};
		});
	}, [by, names, rate.data, quantile.data, errors.data, lines.table]);
	const limitsOf = (environment: string) => planes.find((p) => p.environment === environment)?.thresholds;
	const columns: TableColumn<Row>[] = [
		{
			id: "route",
			title: "Route",
			sort: (r) => `${r.route} ${r.method}`,
			cell: (r) => (
				<button
					type="button"
					className="link-button mono"
					title="Show only this route"
					onClick={() => onRoute(r.route)}
				>
					{r.method} {r.route || "(no route)"}
				</button>
			),
		},
		{
			id: "env",
			title: "Environment",
			sort: (r) => r.environment,
			cell: (r) => <Environment name={r.environment} order={environments} />,
		},
		{ id: "rate", title: "Rate", right: true, sort: (r) => r.rate, cell: (r) => format(r.rate, "rate") },
		{
			id: "line",
			title: "Trend",
			cell: (r) => (
				<span className="spark-cell">
					<Sparkline
						values={r.line}
						colour={seriesVariable(environmentColour(environments, r.environment).index)}
						width={96}
						height={22}
						floor={0}
						label={`Request rate of ${r.method} ${r.route} in ${r.environment}`}
					/>
				</span>
			),
		},
		{
			id: "latency",
			title: q,
			right: true,
			sort: (r) => r.latency,
			cell: (r) => (
				<Toned over={(r.latency ?? 0) > (limitsOf(r.environment)?.p95Seconds.warning ?? 1)}>
					{format(r.latency, "seconds")}
				</Toned>
			),
		},
		{
			id: "errors",
			title: "Errors",
			right: true,
			sort: (r) => r.errors,
			cell: (r) => (
				<Toned over={(r.errors ?? 0) > (limitsOf(r.environment)?.errorPercent.warning ?? 5)}>
					{format(r.errors, "percent")}
				</Toned>
			),
		},
	];
	const failure = rate.error ?? quantile.error ?? errors.error;
	return (
		<section className="card" ref={box} aria-label="Routes" data-panel="Routes">
			{rate.isFetching && !rate.isPending && <div className="progress" aria-hidden />}
			<header className="card-head">
				<h2>Routes</h2>
				<span className="sub">over the {filledWords(length, filled)}, with at least 0.1 req/s</span>
			</header>
			{failure && (
				<FailureNotice
					failure={failureFrom(failure)}
					onRetry={() => void rate.refetch()}
					query={queries.rate}
				/>
			)}
			{rate.isPending ? (
				<div className="panel-placeholder" style={{ height: 200 }}>
					<div className="skeleton" />
				</div>
			) : rows.length === 0 ? (
				<div className="empty">
					<p>No route had 0.1 requests per second in this range.</p>
				</div>
			) : (
				<DataTable
					caption="Routes"
					rows={rows}
					columns={columns}
					rowKey={(r) => r.key}
					initial={{ id: "rate", down: true }}
				/>
			)}
		</section>
	);
}

function Toned({ over, children }: { over: boolean; children: string }) {
	if (!over) return children;
	return (
		<strong data-tone="warn" style={{ color: "var(--warn)" }} title="above the threshold">
			{children}
		</strong>
	);
}
