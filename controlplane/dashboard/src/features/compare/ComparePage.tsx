/** Environments side by side, over each other, or against a baseline. */

import { useCallback, useMemo } from "react";
import type { SeriesStyle } from "../../charts/options";
import { TimeSeries } from "../../charts/TimeSeries";
import { Environment } from "../../components/Environment";
import { FailureNotice } from "../../components/FailureNotice";
import { Segments } from "../../components/Segments";
import { StatusChip } from "../../components/StatusChip";
import { BigNumber } from "../../components/Values";
import { activeRequests, errorRate, latency, requestRate, type Scope } from "../../lib/promql/queries";
import { environmentColour } from "../../lib/series/colour";
import { current, statsOf, type Table } from "../../lib/series/table";
import type { Unit } from "../../lib/units/units";
import { usePlaneViews } from "../../state/health";
import { useRangePanel } from "../../state/queries";
import { useScope } from "../../state/scope";
import { useQueryParams, useSetGlobal, useSetParams } from "../../state/url";
import { type ComparedSignal, Differences, Overlay } from "./Panels";
import { RouteDifference } from "./RouteDifference";
import "./compare.css";

interface Signal extends ComparedSignal {
	readonly note: string;
	readonly shared: boolean;
}

const VIEWS = [
	{ value: "side", label: "Side by side" },
	{ value: "overlay", label: "Overlay" },
	{ value: "difference", label: "Difference" },
] as const;

const NOTES = {
	side: "Latency and error rate share one scale per row",
	overlay: "One line per environment",
	difference: "What equals the baseline is 1× or 0",
};

export function ComparePage() {
	const { names, environmentSelector, window, selected, environments, planes } = useScope();
	const { base, view: asked } = useQueryParams();
	const set = useSetParams();
	const { views } = usePlaneViews();
	const scope: Scope = useMemo(
		() => ({ names, selector: environmentSelector, by: [names.environment], window }),
		[names, environmentSelector, window],
	);
	const ask = (id: string, expr: string) => [{ id, expr }];
	const rate = useRangePanel(ask("rate", requestRate(scope)));
	const p95 = useRangePanel(ask("p95", latency(scope, 0.95)));
	const errors = useRangePanel(ask("errors", errorRate(scope)));
	const active = useRangePanel(ask("active", activeRequests(scope)));
	const baseline = base && selected.includes(base) ? base : selected[0];
	if (!baseline || selected.length < 2) {
		return (
			<div className="card empty">
				<h2>Two environments are needed</h2>
				<p>Choose All, or add a second environment with Ctrl or Cmd and a click.</p>
			</div>
		);
	}
	const view = VIEWS.find((v) => v.value === asked)?.value ?? "side";
	const limit = planes.find((p) => p.environment === baseline)?.thresholds.errorPercent.warning ?? 5;
	const columns = [baseline, ...selected.filter((e) => e !== baseline)];
	const signals: Signal[] = [
		{
			title: "Request rate",
			note: "own scale, req/s",
			unit: "rate",
			shared: false,
			panel: rate,
			against: "ratio",
		},
		{
			title: "Latency p95",
			note: "shared scale",
			unit: "seconds",
			shared: true,
			panel: p95,
			against: "percent",
		},
		{
			title: "Error rate",
			note: "shared scale",
			unit: "percent",
			shared: true,
			panel: errors,
			against: "points",
		},
		{
			title: "Active requests",
			note: "own scale, in flight",
			unit: "count",
			shared: false,
			panel: active,
			against: "points",
		},
	];
	const failure = signals.find((s) => s.panel.failure)?.panel.failure;
	return (
		<>
			<div className="row">
				<span className="muted">Baseline</span>
				<Segments
					label="Baseline"
					value={baseline}
					onChange={(e) => set({ base: e })}
					options={selected.map((e) => ({ value: e, label: <Environment name={e} order={environments} /> }))}
				/>
				<Segments
					label="View"
					value={view}
					onChange={(v) => set({ view: v === "side" ? undefined : v })}
					options={VIEWS}
				/>
				<span className="spread muted">{NOTES[view]}</span>
			</div>
			{view === "side" && failure && (
				<FailureNotice
					failure={failure}
					onRetry={() =>
						signals.forEach((s) => {
							s.panel.retry();
						})
					}
				/>
			)}
			{view === "overlay" && <Overlay signals={signals} limit={limit} />}
			{view === "difference" && <Differences signals={signals} baseline={baseline} />}
			{view === "side" && (
				<section
					className="card scroll-x"
					// biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls sideways must be reachable by keyboard
					tabIndex={0}
					aria-label="Environments side by side"
					data-panel="Compare"
				>
					<div
						className="compare"
						style={{ gridTemplateColumns: `150px repeat(${columns.length}, minmax(240px, 1fr))` }}
					>
						<div className="compare-head muted">Signal</div>
						{columns.map((environment) => {
							const plane = views.find((v) => v.plane.environment === environment);
							return (
								<div key={environment} className="compare-head">
									<strong>
										<Environment name={environment} order={environments} large />
									</strong>
									<span className="mono muted">{plane?.plane.id}</span>
									{environment === baseline && <span className="dim">baseline</span>}
									<span className="spread">{plane && <StatusChip state={plane.health.state} />}</span>
								</div>
							);
						})}
						{signals.map((signal) => (
							<Row key={signal.title} signal={signal} columns={columns} limit={limit} />
						))}
					</div>
				</section>
			)}
			<RouteDifference baseline={baseline} others={columns.slice(1)} />
		</>
	);
}

function Row({ signal, columns, limit }: { signal: Signal; columns: readonly string[]; limit: number }) {
	const { names, environments } = useScope();
	const setGlobal = useSetGlobal();
	const { panel, unit } = signal;
	const of = useCallback(
		(environment: string) => panel.table?.columns.find((c) => c.labels[names.environment] === environment),
		[panel.table, names],
	);
	const top = signal.shared
		? Math.max(0, ...(panel.table?.columns ?? []).map((c) => statsOf(c.values).max ?? 0))
		: undefined;
	const baseValue = current(of(columns[0] ?? "")?.values ?? []);
	return (
		<>
			<div>
				<strong>{signal.title}</strong>
				<p className="label">{signal.note}</p>
			</div>
			{columns.map((environment, i) => {
				const column = of(environment);
				const value = current(column?.values ?? []);
				const table: Table = { time: panel.table?.time ?? [], columns: column ? [column] : [] };
				const styles: SeriesStyle[] = column
					? [
							{
								id: column.id,
								label: environment,
								colour: environmentColour(environments, environment).index,
							},
						]
					: [];
				return (
					<div key={environment} data-cell={`${signal.title} ${environment}`}>
						<span className="row">
							<BigNumber
								value={value}
								unit={unit}
								tone={unit === "percent" && value !== null && value > limit ? "crit" : undefined}
							/>
							{i > 0 && <Against value={value} base={baseValue} unit={unit} />}
						</span>
						{column ? (
							<TimeSeries
								title={`${signal.title} of ${environment}`}
								table={table}
								styles={styles}
								unit={unit}
								start={panel.start}
								end={panel.end}
								step={panel.step}
								height={112}
								top={top}
								integers={unit === "count"}
								threshold={unit === "percent" ? limit : undefined}
								onZoom={(from, to) => setGlobal({ from: String(from), to: String(to) })}
							/>
						) : (
							<div className="panel-placeholder" style={{ height: 112 }}>
								{panel.loading ? <div className="skeleton" /> : <span>No data in this range</span>}
							</div>
						)}
					</div>
				);
			})}
		</>
	);
}

/** A ratio for rate and active requests, per cent for latency, points for errors. Lower latency and errors are better. */
function Against({ value, base, unit }: { value: number | null; base: number | null; unit: Unit }) {
	if (value === null || base === null) return null;
	if (unit === "percent") {
		const delta = value - base;
		const tone = Math.abs(delta) < 0.5 ? "idle" : delta > 0 ? "crit" : "ok";
		return (
			<span className="chip plain num" data-tone={tone}>
				{delta > -0.05 ? "+" : "−"}
				{Math.abs(delta).toFixed(1)} pp
			</span>
		);
	}
	if (base === 0) return null;
	if (unit === "seconds") {
		const percent = (100 * (value - base)) / base;
		const tone = Math.abs(percent) < 10 ? "idle" : percent > 0 ? "crit" : "ok";
		return (
			<span className="chip plain num" data-tone={tone}>
				{percent >= 0 ? "+" : "−"}
				{Math.abs(percent).toFixed(0)} %
			</span>
		);
	}
	return (
		<span className="chip plain num" data-tone="idle">
			{(value / base).toFixed(2)}×
		</span>
	);
}
