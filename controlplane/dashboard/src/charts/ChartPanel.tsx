/** A card round a chart with every state that a panel can have. */

import { Menu } from "@mantine/core";
import { Ellipsis } from "lucide-react";
import { type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import { DataTable } from "../components/DataTable";
import { FailureNotice } from "../components/FailureNotice";
import { PageLink } from "../components/PageLink";
import { Chip } from "../components/StatusChip";
import { toCsv } from "../lib/series/csv";
import { largest, statsOf, type Table } from "../lib/series/table";
import { formatSpan, formatStamp, zoomOut } from "../lib/time/range";
import { format, type Unit } from "../lib/units/units";
import { usePrefs } from "../state/prefs";
import type { Panel } from "../state/queries";
import { useAway, useScope } from "../state/scope";
import { useGlobal, useGo, useSetGlobal } from "../state/url";
import { LegendTable } from "./LegendTable";
import type { SeriesStyle } from "./options";
import { TimeSeries } from "./TimeSeries";

export interface ChartPanelProps {
	title: string;
	subtitle: string;
	panel: Panel;
	/** How the series look; called with the columns that are drawn. */
	styles: (table: Table) => SeriesStyle[];
	unit: Unit;
	threshold?: number;
	breached?: readonly { from: number; to: number }[];
	stacked?: boolean;
	integers?: boolean;
	height?: number;
	extra?: ReactNode;
	heading?: string;
	id?: string;
	/** Whether the panel should warn about old data. */
	live?: boolean;
}

const LIMIT = 50;

export function ChartPanel(props: ChartPanelProps) {
	const { title, panel, unit, height = 190 } = props;
	const { scrape } = useScope();
	const global = useGlobal();
	const setGlobal = useSetGlobal();
	const go = useGo();
	const away = useAway() !== undefined;
	const utc = usePrefs((p) => p.utc);
	const card = useRef<HTMLElement>(null);
	const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
	const [focus, setFocus] = useState<string | null>(null);
	const [asTable, setAsTable] = useState(false);
	const [all, setAll] = useState(false);
	const full = panel.table;
	const table = useMemo(() => (full ? largest(full, all ? 500 : LIMIT) : undefined), [full, all]);
	const styles = useMemo(() => (table ? props.styles(table) : []), [table, props.styles]);
	const empty = table?.columns.every((c) => c.values.every((v) => v === null)) ?? false;

	// Newest sample of any line: what is older than three intervals (and a step) is said to be so.
	const newest = useMemo(() => {
		if (!table) return undefined;
		const index = Math.max(-1, ...table.columns.map((c) => statsOf(c.values).lastIndex));
		return index >= 0 ? table.time[index] : undefined;
	}, [table]);
	const age = newest === undefined ? 0 : panel.end - newest;
	const stale = global.to === "now" && newest !== undefined && age > 3 * scrape + panel.step;

	const zoom = (from: number, to: number) => setGlobal({ from: String(from), to: String(to) });
	const widen = () => setGlobal(zoomOut(global, Date.now() / 1000));
	const query = panel.asks.map((a) => a.expr).join("\n");
	const labels = new Map(styles.map((s) => [s.id, s.label]));
	const download = () => {
		if (!table) return;
		const link = document.createElement("a");
		link.href = URL.createObjectURL(new Blob([toCsv(table, labels)], { type: "text/csv" }));
		link.download = `${title.toLowerCase().replaceAll(" ", "-")}.csv`;
		link.click();
		URL.revokeObjectURL(link.href);
	};
	const explore = Object.fromEntries(panel.asks.map((a, i) => [`g${i}.expr`, a.expr]));

	return (
		<section className="card panel" ref={card} aria-label={title} id={props.id} data-panel={title}>
			{panel.refreshing && !panel.loading && <div className="progress" aria-hidden />}
			<header className="card-head">
				<h2>{title}</h2>
				<span className="sub">{props.subtitle}</span>
				<span className="spread row">
					{stale && <Chip tone="idle">no data for {formatSpan(age)}</Chip>}
					{props.extra}
					<Menu position="bottom-end" withinPortal>
						<Menu.Target>
							<button type="button" className="button quiet small icon" aria-label={`${title}: menu`}>
								<Ellipsis />
							</button>
						</Menu.Target>
						<Menu.Dropdown>
							<Menu.Item onClick={() => void card.current?.requestFullscreen?.()}>Full screen</Menu.Item>
							<Menu.Item onClick={() => go("/explore", explore)}>Open in Explore</Menu.Item>
							<Menu.Item onClick={() => setAsTable(!asTable)}>
								{asTable ? "Show as chart" : "Show as table"}
							</Menu.Item>
							<Menu.Item onClick={download} disabled={!table || empty}>
								Download CSV
							</Menu.Item>
							<Menu.Item onClick={() => void navigator.clipboard?.writeText(query)}>Copy query</Menu.Item>
						</Menu.Dropdown>
					</Menu>
				</span>
			</header>
			{panel.failure && <FailureNotice failure={panel.failure} onRetry={panel.retry} query={query} />}
			{!table && panel.failure && away && (
				<div className="panel-placeholder" style={{ height: height + 90 }}>
					<span>Waiting for the metrics server</span>
				</div>
			)}
			{!table && panel.loading && !panel.failure && <Loading height={height} panel={panel} />}
			{table && empty && (
				<div className="panel-placeholder" style={{ minHeight: height }}>
					<div>
						<p>No traffic or no such series in this range.</p>
						<p className="row" style={{ justifyContent: "center" }}>
							<button type="button" className="link-button" onClick={widen}>
								Widen the range
							</button>
							<PageLink to="/explore" params={explore}>
								Open in Explore
							</PageLink>
						</p>
					</div>
				</div>
			)}
			{table && !empty && (
				<div className="panel-body" data-dimmed={panel.failure !== undefined}>
					{asTable ? (
						<ValuesTable title={title} table={table} styles={styles} unit={unit} utc={utc} height={height} />
					) : (
						<TimeSeries
							title={title}
							table={table}
							styles={styles}
							unit={unit}
							start={panel.start}
							end={panel.end}
							step={panel.step}
							height={height}
							hidden={hidden}
							focus={focus}
							stacked={props.stacked ?? false}
							integers={props.integers ?? false}
							threshold={props.threshold}
							breached={props.breached}
							staleFrom={stale ? newest : undefined}
							onZoom={zoom}
							onZoomOut={widen}
						/>
					)}
				</div>
			)}
			{full && full.columns.length > LIMIT && (
				<p className="panel-note">
					{all
						? `${Math.min(500, full.columns.length)} of ${full.columns.length} series`
						: `${LIMIT} of ${full.columns.length} series, the largest by mean`}
					<button type="button" className="link-button" onClick={() => setAll(!all)}>
						{all ? "Show fewer" : "Show all"}
					</button>
				</p>
			)}
			{panel.notices.length > 0 && (
				<details className="panel-note">
					<summary>
						{panel.notices.length} {panel.notices.length === 1 ? "notice" : "notices"} from the server
					</summary>
					<ul>
						{panel.notices.slice(0, 10).map((n) => (
							<li key={n} className="mono">
								{n}
							</li>
						))}
					</ul>
				</details>
			)}
			{table && !empty && (
				<LegendTable
					title={title}
					table={table}
					styles={styles}
					unit={unit}
					hidden={hidden}
					onHidden={setHidden}
					onFocus={setFocus}
					heading={props.heading ?? "Series"}
				/>
			)}
		</section>
	);
}

/** A skeleton of the final size; after five seconds it says so, and the query can be cancelled. */
function Loading({ height, panel }: { height: number; panel: Panel }) {
	const [waited, setWaited] = useState(0);
	const [cancelled, setCancelled] = useState(false);
	const running = panel.refreshing;
	useEffect(() => {
		setWaited(0);
		if (!running) return;
		const timer = setInterval(() => setWaited((w) => w + 1), 1000);
		return () => clearInterval(timer);
	}, [running]);
	const act = (stop: boolean) => {
		setCancelled(stop);
		if (stop) panel.cancel();
		else panel.retry();
	};
	return (
		<div className="panel-placeholder" style={{ height: height + 90 }} aria-busy={running}>
			{running && waited >= 5 ? (
				<span>
					still running, {waited} s{" "}
					<button type="button" className="link-button" onClick={() => act(true)}>
						Cancel
					</button>
				</span>
			) : cancelled && !running ? (
				<span>
					Cancelled.{" "}
					<button type="button" className="link-button" onClick={() => act(false)}>
						Ask again
					</button>
				</span>
			) : (
				<div className="skeleton" />
			)}
		</div>
	);
}

interface ValuesTableProps {
	title: string;
	table: Table;
	styles: readonly SeriesStyle[];
	unit: Unit;
	utc: boolean;
	height: number;
}

function ValuesTable({ title, table, styles, unit, utc, height }: ValuesTableProps) {
	const rows = table.time.map((t, i) => ({ t, i })).reverse();
	const labels = new Map(styles.map((s) => [s.id, s.label]));
	return (
		<div style={{ maxHeight: height, overflow: "auto" }}>
			<DataTable
				caption={`${title} as a table`}
				rows={rows}
				rowKey={(r) => String(r.t)}
				dense
				columns={[
					{ id: "time", title: "Time", cell: (r) => <span className="num">{formatStamp(r.t, utc)}</span> },
					...table.columns.map((c) => ({
						id: c.id,
						title: labels.get(c.id) ?? c.id,
						right: true,
						cell: (r: { i: number }) => format(c.values[r.i], unit),
					})),
				]}
			/>
		</div>
	);
}
