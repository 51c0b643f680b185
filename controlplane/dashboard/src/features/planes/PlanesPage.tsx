/** Status of every data plane. */

import { Sparkline } from "../../charts/Sparkline";
import { CELLS, cellState, useAvailability } from "../../components/availability";
import { DataTable } from "../../components/DataTable";
import { Environment, seriesVariable } from "../../components/Environment";
import { PageLink } from "../../components/PageLink";
import { StatusChip } from "../../components/StatusChip";
import { SEVERITY } from "../../lib/health/health";
import { scrapeDuration, scrapeSamples } from "../../lib/promql/queries";
import { environmentColour } from "../../lib/series/colour";
import { statsOf, type Table } from "../../lib/series/table";
import { stepFor } from "../../lib/step/step";
import { formatAgo } from "../../lib/time/range";
import { format } from "../../lib/units/units";
import { type PlaneView, usePlaneViews } from "../../state/health";
import { useRangePanel } from "../../state/queries";
import { planeKey, useScope } from "../../state/scope";
import "./planes.css";

interface Row extends PlaneView {
	readonly duration: readonly (number | null)[];
	readonly samples: number | null;
	readonly availability: readonly (number | null)[];
}

export function PlanesPage() {
	const { names, environments, environmentSelector, length, scrape } = useScope();
	const { shown } = usePlaneViews();
	const step = stepFor(length, 300, scrape);
	const durations = useRangePanel([{ id: "duration", expr: scrapeDuration(names, environmentSelector) }], {
		step,
	});
	const samples = useRangePanel([{ id: "samples", expr: scrapeSamples(names, environmentSelector) }], {
		step,
	});
	const availability = useAvailability([names.environment, names.plane]);
	const byPlane = (table: Table | undefined) =>
		new Map(
			table?.columns.map((c) => [
				planeKey(c.labels[names.environment] ?? "", c.labels[names.plane] ?? ""),
				c.values,
			]),
		);
	const [duration, sample, cells] = [
		byPlane(durations.table),
		byPlane(samples.table),
		byPlane(availability.table),
	];
	const rows = shown.map(
		(v): Row => ({
			...v,
			duration: duration.get(v.plane.key) ?? [],
			samples: statsOf(sample.get(v.plane.key) ?? []).last,
			availability: (cells.get(v.plane.key) ?? []).slice(-CELLS),
		}),
	);
	const mean = (values: readonly (number | null)[]) => statsOf(values).mean;
	return (
		<section className="card" data-panel="Data planes">
			<header className="card-head">
				<h2>Data planes</h2>
				<span className="sub">
					{rows.length} {rows.length === 1 ? "plane" : "planes"}, scraped every {scrape} s
				</span>
			</header>
			{rows.length === 0 ? (
				<div className="empty">
					<p>No data plane is known yet.</p>
				</div>
			) : (
				<DataTable
					caption="Data planes"
					rows={rows}
					rowKey={(r) => r.plane.key}
					columns={[
						{
							id: "state",
							title: "Status",
							sort: (r) => SEVERITY.indexOf(r.health.state),
							cell: (r) => <StatusChip state={r.health.state} />,
						},
						{
							id: "plane",
							title: "Data plane",
							sort: (r) => r.plane.id,
							cell: (r) => (
								<PageLink
									to={`/planes/${encodeURIComponent(r.plane.id || r.plane.environment)}`}
									className="mono nowrap"
								>
									{r.plane.id || r.plane.name}
								</PageLink>
							),
						},
						{
							id: "env",
							title: "Environment",
							sort: (r) => r.plane.environment,
							cell: (r) => <Environment name={r.plane.environment} order={environments} />,
						},
						{ id: "why", title: "Reason", cell: (r) => <span className="muted why">{r.health.reason}</span> },
						{
							id: "up",
							title: "Targets up",
							right: true,
							sort: (r) => r.up,
							cell: (r) => `${r.up ?? "–"} / ${r.all ?? "–"}`,
						},
						{
							id: "age",
							title: "Last scrape",
							right: true,
							sort: (r) => r.age,
							cell: (r) => (r.age === null ? "never" : formatAgo(r.age)),
						},
						{
							id: "duration",
							title: "Scrape duration",
							right: true,
							sort: (r) => statsOf(r.duration).last,
							cell: (r) => (
								<span className="spark-number">
									<Sparkline
										values={r.duration}
										colour={seriesVariable(environmentColour(environments, r.plane.environment).index)}
										width={72}
										height={20}
										floor={0}
										label={`Scrape duration of ${r.plane.id}`}
									/>
									<span className="num">{format(statsOf(r.duration).last, "seconds")}</span>
								</span>
							),
						},
						{
							id: "samples",
							title: "Samples",
							right: true,
							sort: (r) => r.samples,
							cell: (r) => format(r.samples, "count"),
						},
						{
							id: "availability",
							title: "Availability 24 h",
							right: true,
							sort: (r) => mean(r.availability),
							cell: (r) => (
								<span className="spark-number">
									<Cells values={r.availability} limits={r.plane.thresholds.errorPercent} />
									<span className="num">{format(mean(r.availability), "percent")}</span>
								</span>
							),
						},
					]}
				/>
			)}
		</section>
	);
}

/** The same 48 half hours as on the overview, small. */
function Cells({
	values,
	limits,
}: {
	values: readonly (number | null)[];
	limits: { warning: number; critical: number };
}) {
	return (
		<span className="mini-cells" aria-hidden>
			{Array.from({ length: 24 }, (_, i) => {
				const pair = [values[2 * i], values[2 * i + 1]].filter(
					(v): v is number => v !== null && v !== undefined,
				);
				return (
					<i
						// biome-ignore lint/suspicious/noArrayIndexKey: the place is the identity of a cell
						key={i}
						data-cell={cellState(pair.length ? Math.min(...pair) : null, limits)}
					/>
				);
			})}
		</span>
	);
}
