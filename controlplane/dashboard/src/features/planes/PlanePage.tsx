/** One data plane in detail: targets, whether they were up, how long scrapes took. */

import { useParams } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";
import { ChartPanel } from "../../charts/ChartPanel";
import type { SeriesStyle } from "../../charts/options";
import { DataTable } from "../../components/DataTable";
import { Environment } from "../../components/Environment";
import { PageLink } from "../../components/PageLink";
import { Chip, StatusChip } from "../../components/StatusChip";
import { selector } from "../../lib/promql/selector";
import { assignColours, environmentColour } from "../../lib/series/colour";
import type { Column, Table } from "../../lib/series/table";
import { formatAgo } from "../../lib/time/range";
import { format } from "../../lib/units/units";
import { type PlaneView, usePlaneViews } from "../../state/health";
import { useRangePanel } from "../../state/queries";
import { planeKey, useScope, useTargets } from "../../state/scope";
import { metricsPath } from "../../state/url";
import "./planes.css";

export function PlanePage() {
	const { id } = useParams({ strict: false }) as { id: string };
	const { views } = usePlaneViews();
	const view = views.find((v) => v.plane.id === id) ?? views.find((v) => v.plane.environment === id);
	if (!view) {
		return (
			<div className="card empty">
				<h2>No data plane {id}</h2>
				<PageLink to="/planes" className="button">
					All data planes
				</PageLink>
			</div>
		);
	}
	return <Detail view={view} />;
}

function Detail({ view }: { view: PlaneView }) {
	const { names, environments } = useScope();
	const { plane, health } = view;
	const targets = useTargets();
	const inside = selector([
		{ label: names.environment, values: [plane.environment] },
		{ label: names.plane, values: plane.id ? [plane.id] : [] },
	]);
	const up = useRangePanel(useMemo(() => [{ id: "up", expr: `up{${inside}}` }], [inside]));
	const duration = useRangePanel(
		useMemo(() => [{ id: "duration", expr: `scrape_duration_seconds{${inside}}` }], [inside]),
	);
	const samples = useRangePanel(
		useMemo(() => [{ id: "samples", expr: `scrape_samples_scraped{${inside}}` }], [inside]),
	);
	const styles = useCallback(
		(table: Table): SeriesStyle[] => {
			const own = environmentColour(environments, plane.environment).index;
			const name = (c: Column) => `${c.labels.job ?? ""} ${c.labels.instance ?? ""}`.trim() || c.id;
			// By target, so that it has one colour in all three charts.
			const colours = assignColours(table.columns.map(name));
			return table.columns.map((c) => ({
				id: c.id,
				label: name(c),
				colour: table.columns.length === 1 ? own : (colours.get(name(c))?.index ?? 0),
			}));
		},
		[environments, plane.environment],
	);
	const own = (targets.data?.activeTargets ?? []).filter(
		(t) => planeKey(t.labels[names.environment] ?? "", t.labels[names.plane] ?? "") === plane.key,
	);
	return (
		<>
			<section className="card" data-panel="Plane">
				<header className="card-head">
					<h2 className="mono">{plane.id || plane.name}</h2>
					<Environment name={plane.environment} order={environments} />
					<span className="spread">
						<StatusChip state={health.state} />
					</span>
				</header>
				<dl className="facts">
					<div>
						<dt>Why</dt>
						<dd>{health.reason}</dd>
					</div>
					<div>
						<dt>Targets up</dt>
						<dd className="num">
							{view.up ?? "–"} / {view.all ?? "–"}
						</dd>
					</div>
					<div>
						<dt>Last scrape</dt>
						<dd className="num">{view.age === null ? "never" : formatAgo(view.age)}</dd>
					</div>
					<div>
						<dt>Request rate</dt>
						<dd className="num">{format(view.rate.value, "rate")}</dd>
					</div>
					{plane.apiUrl && (
						<div>
							<dt>API</dt>
							<dd className="mono">{plane.apiUrl}</dd>
						</div>
					)}
					{plane.collectorUrl && (
						<div>
							<dt>Collector</dt>
							<dd className="mono">{plane.collectorUrl}</dd>
						</div>
					)}
					<div>
						<dt>Pages</dt>
						<dd className="row">
							<PageLink to={metricsPath()} params={{ env: plane.environment, plane: plane.id }}>
								Metrics
							</PageLink>
							<PageLink to="/targets" params={{ env: plane.environment }}>
								Targets
							</PageLink>
						</dd>
					</div>
				</dl>
			</section>
			<section className="card" data-panel="Targets of the plane">
				<header className="card-head">
					<h2>Targets</h2>
				</header>
				<DataTable
					caption="Targets of the plane"
					rows={own}
					rowKey={(t) => `${t.scrapePool} ${t.scrapeUrl}`}
					columns={[
						{
							id: "state",
							title: "State",
							cell: (t) => (
								<Chip tone={t.health === "up" ? "ok" : t.health === "down" ? "crit" : "idle"}>
									{t.health}
								</Chip>
							),
						},
						{ id: "url", title: "Endpoint", cell: (t) => <span className="mono">{t.scrapeUrl}</span> },
						{ id: "pool", title: "Pool", cell: (t) => t.scrapePool },
						{
							id: "age",
							title: "Last scrape",
							right: true,
							cell: (t) => formatAgo(Date.now() / 1000 - Date.parse(t.lastScrape) / 1000),
						},
						{
							id: "took",
							title: "Duration",
							right: true,
							cell: (t) => format(t.lastScrapeDuration, "seconds"),
						},
						{ id: "error", title: "Error", cell: (t) => <span className="mono">{t.lastError}</span> },
					]}
				/>
			</section>
			<ChartPanel
				title="Up"
				subtitle="1 is up, 0 is down"
				panel={up}
				styles={styles}
				unit="none"
				integers
				height={110}
				heading="Target"
			/>
			<div className="plane-pair">
				<ChartPanel
					title="Scrape duration"
					subtitle="per target"
					panel={duration}
					styles={styles}
					unit="seconds"
					heading="Target"
				/>
				<ChartPanel
					title="Samples per scrape"
					subtitle="per target"
					panel={samples}
					styles={styles}
					unit="count"
					integers
					heading="Target"
				/>
			</div>
		</>
	);
}
