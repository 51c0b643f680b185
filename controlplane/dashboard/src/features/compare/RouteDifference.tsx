/** Routes against the baseline, the worst first. */

import { useMemo } from "react";
import { DataTable, type TableColumn } from "../../components/DataTable";
import { Environment } from "../../components/Environment";
import { Segments } from "../../components/Segments";
import { routeTable } from "../../lib/promql/queries";
import { format, type Unit } from "../../lib/units/units";
import { filledWords, type Sample, useFilledLength, useInstant } from "../../state/queries";
import { useScope } from "../../state/scope";
import { useQueryParams, useSetParams } from "../../state/url";

type By = "rate" | "p95" | "errors";
const UNITS: Record<By, Unit> = { rate: "rate", p95: "seconds", errors: "percent" };

interface Row {
	readonly route: string;
	readonly values: ReadonlyMap<string, number>;
	readonly worst: number;
}

/** Per cent for rate and latency, points for errors. */
function difference(by: By, value: number | undefined, base: number | undefined): number | null {
	if (value === undefined || base === undefined) return null;
	if (by === "errors") return value - base;
	return base === 0 ? null : (100 * (value - base)) / base;
}

export function RouteDifference({ baseline, others }: { baseline: string; others: readonly string[] }) {
	const { names, environmentSelector, environments, length } = useScope();
	const { diff } = useQueryParams();
	const set = useSetParams();
	const by: By = diff === "rate" || diff === "errors" ? diff : "p95";
	const filled = useFilledLength();
	const scope = { names, selector: environmentSelector, by: [], window: filled ?? length };
	const queries = routeTable(scope, 0.95);
	const expr = by === "rate" ? queries.rate : by === "p95" ? queries.quantile : queries.errors;
	const answer = useInstant(expr, "end", filled !== undefined);
	const rows = useMemo((): Row[] => {
		const routes = new Map<string, Map<string, number>>();
		for (const s of answer.data ?? ([] as Sample[])) {
			if (!Number.isFinite(s.value)) continue;
			const route = `${s.labels[names.method] ?? ""} ${s.labels[names.route] ?? ""}`.trim();
			if (!routes.has(route)) routes.set(route, new Map());
			routes.get(route)?.set(s.labels[names.environment] ?? "", s.value);
		}
		return [...routes]
			.filter(([, values]) => values.has(baseline) && others.some((o) => values.has(o)))
			.map(([route, values]) => {
				const all = others.map(
					(o) => difference(by, values.get(o), values.get(baseline)) ?? Number.NEGATIVE_INFINITY,
				);
				return { route, values, worst: Math.max(...all) };
			})
			.sort((a, b) => b.worst - a.worst);
	}, [answer.data, names, baseline, others, by]);
	// Small differences stay small bars, even where there are no large ones.
	const widest = Math.max(
		by === "errors" ? 2 : 20,
		...rows.flatMap((r) =>
			others.map((o) => Math.abs(difference(by, r.values.get(o), r.values.get(baseline)) ?? 0)),
		),
	);
	const columns: TableColumn<Row>[] = [
		{
			id: "route",
			title: "Route",
			sort: (r) => r.route,
			cell: (r) => <span className="mono">{r.route}</span>,
		},
		{
			id: "base",
			title: baseline,
			right: true,
			sort: (r) => r.values.get(baseline) ?? null,
			cell: (r) => format(r.values.get(baseline), UNITS[by]),
		},
		...others.flatMap((o): TableColumn<Row>[] => [
			{
				id: o,
				title: o,
				right: true,
				sort: (r) => r.values.get(o) ?? null,
				cell: (r) => format(r.values.get(o), UNITS[by]),
			},
			{
				id: `${o} difference`,
				title: "difference",
				sort: (r) => difference(by, r.values.get(o), r.values.get(baseline)),
				cell: (r) => (
					<Difference
						by={by}
						delta={difference(by, r.values.get(o), r.values.get(baseline))}
						widest={widest}
					/>
				),
			},
		]),
	];
	return (
		<section className="card" aria-label="Per-route difference" data-panel="Per-route difference">
			<header className="card-head">
				<h2>Per-route difference</h2>
				<span className="sub">
					against <Environment name={baseline} order={environments} />, {filledWords(length, filled)}, routes
					with at least 0.1 req/s in both
				</span>
				<span className="spread">
					<Segments
						label="Signal"
						small
						value={by}
						onChange={(v) => set({ diff: v === "p95" ? undefined : v })}
						options={[
							{ value: "rate", label: "Rate" },
							{ value: "p95", label: "p95" },
							{ value: "errors", label: "Errors" },
						]}
					/>
				</span>
			</header>
			{rows.length === 0 && !answer.isPending ? (
				<div className="empty">
					<p>No route has 0.1 requests per second in both environments.</p>
				</div>
			) : (
				<DataTable caption="Per-route difference" rows={rows} columns={columns} rowKey={(r) => r.route} />
			)}
		</section>
	);
}

function Difference({ by, delta, widest }: { by: By; delta: number | null; widest: number }) {
	if (delta === null) return <span className="dim">–</span>;
	const notable = by !== "rate" && Math.abs(delta) >= (by === "errors" ? 0.5 : 10);
	const tone = notable ? (delta > 0 ? "crit" : "ok") : "idle";
	const width = (50 * Math.abs(delta)) / widest;
	const size = Math.abs(delta).toFixed(by === "errors" ? 1 : 0);
	const sign = Number(size) === 0 ? "" : delta > 0 ? "+" : "−";
	return (
		<span data-tone={tone}>
			<span
				className="num"
				style={{
					display: "inline-block",
					width: 72,
					textAlign: "right",
					marginRight: 12,
					color: notable ? "var(--chip)" : undefined,
				}}
			>
				{sign}
				{size} {by === "errors" ? "pp" : "%"}
			</span>
			<span className="diff-bar" aria-hidden>
				<i style={{ width: `${width}%`, left: delta >= 0 ? "50%" : `${50 - width}%` }} />
			</span>
		</span>
	);
}
