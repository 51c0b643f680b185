/** One query with its result. */

import { useQuery } from "@tanstack/react-query";
import { Play, X } from "lucide-react";
import { lazy, Suspense, useCallback, useEffect, useMemo, useState } from "react";
import { type Failure, failureFrom, unwrap } from "../../api/client";
import * as prometheus from "../../api/prometheus";
import { LegendTable } from "../../charts/LegendTable";
import type { SeriesStyle } from "../../charts/options";
import { TimeSeries } from "../../charts/TimeSeries";
import { DataTable } from "../../components/DataTable";
import { FailureNotice } from "../../components/FailureNotice";
import { Segments } from "../../components/Segments";
import { seriesColours } from "../../lib/series/colour";
import { align, largest, parseValue, seriesName, type Table } from "../../lib/series/table";
import { alignRange } from "../../lib/step/step";
import { formatDuration, formatMoment, rangeOrDefault, zoomOut } from "../../lib/time/range";
import { format } from "../../lib/units/units";
import type { ExploreRow } from "../../lib/url/search";
import { clock } from "../../state/clock";
import { usePrefs } from "../../state/prefs";
import { useScope } from "../../state/scope";
import { useGlobal, useSetGlobal } from "../../state/url";
import { markPosition } from "./position";

const Editor = lazy(() => import("./Editor"));

interface Answer {
	readonly table: Table;
	readonly start: number;
	readonly end: number;
	readonly step: number;
	readonly rows: readonly { name: string; value: string; time: number }[];
	readonly kind: string;
	readonly notices: readonly string[];
	readonly stats: prometheus.QueryStats | undefined;
	readonly took: number;
}

const NOTHING: Table = { time: [], columns: [] };

function useAnswer(expr: string, tab: 0 | 1) {
	const { range, step } = useScope();
	return useQuery({
		queryKey: ["explore", expr, tab, range.from, range.to, step],
		enabled: expr.trim() !== "",
		staleTime: Number.POSITIVE_INFINITY,
		structuralSharing: false,
		queryFn: async ({ signal }): Promise<Answer> => {
			const exact = rangeOrDefault(range, clock.forFetch());
			const { start, end } = alignRange(exact.start, exact.end, step);
			const began = performance.now();
			const asked = tab === 0 ? { start, end, step } : { time: exact.end };
			const { value, warnings, infos } = unwrap(await prometheus.queryWithStats(expr, asked, signal));
			const took = (performance.now() - began) / 1000;
			const base = {
				start,
				end,
				step,
				kind: value.resultType,
				notices: [...warnings, ...infos],
				stats: value.stats,
				took,
			};
			if (value.resultType === "matrix") {
				const rows = value.result.flatMap((s) =>
					(s.values ?? []).slice(-100).map(([time, v]) => ({ name: seriesName(s.metric), value: v, time })),
				);
				return { ...base, table: tab === 0 ? align(value.result, start, end, step) : NOTHING, rows };
			}
			if (value.resultType === "vector") {
				const rows = value.result.flatMap((s) =>
					s.value ? [{ name: seriesName(s.metric), value: s.value[1], time: s.value[0] }] : [],
				);
				return { ...base, table: NOTHING, rows };
			}
			return {
				...base,
				table: NOTHING,
				rows: [{ name: value.resultType, value: value.result[1], time: value.result[0] }],
			};
		},
	});
}

export interface QueryRowProps {
	letter: string;
	row: ExploreRow;
	onChange: (row: ExploreRow) => void;
	onRemove?: () => void;
}

export function QueryRow({ letter, row, onChange, onRemove }: QueryRowProps) {
	const [text, setText] = useState(row.expr);
	useEffect(() => setText(row.expr), [row.expr]);
	const { names } = useScope();
	const answer = useAnswer(row.expr, row.tab);
	const failure = answer.error ? failureFrom(answer.error) : undefined;
	const run = useCallback(
		(expr: string) => {
			if (expr === row.expr) void answer.refetch();
			else onChange({ ...row, expr });
		},
		[row, onChange, answer.refetch],
	);
	const data = answer.data;
	const examples = ["up", `sum by (${names.environment}) (rate(${names.duration}_count[1m]))`, names.active];
	return (
		<section className="card explore-row" aria-label={`Query ${letter}`} data-query={letter}>
			{answer.isFetching && <div className="progress" aria-hidden />}
			<div className="explore-input">
				<span className="explore-letter" aria-hidden>
					{letter}
				</span>
				<div className="promql" data-filter data-invalid={failure?.kind === "bad-query"}>
					<Suspense fallback={<PlainInput letter={letter} value={text} onChange={setText} onRun={run} />}>
						<Editor label={`PromQL of query ${letter}`} value={text} onChange={setText} onRun={run} />
					</Suspense>
				</div>
				<button type="button" className="button primary" onClick={() => run(text)}>
					<Play /> Run
				</button>
				{onRemove && (
					<button
						type="button"
						className="button icon"
						aria-label={`Remove query ${letter}`}
						onClick={onRemove}
					>
						<X />
					</button>
				)}
			</div>
			{row.expr === "" && (
				<div className="explore-examples">
					<span className="muted">For example</span>
					{examples.map((e) => (
						<button key={e} type="button" className="button small mono" onClick={() => run(e)}>
							{e}
						</button>
					))}
				</div>
			)}
			{failure && <QueryFailure failure={failure} expr={row.expr} onRetry={() => void answer.refetch()} />}
			{row.expr !== "" && (
				<div className="explore-stats">
					<Segments
						label="Show as"
						small
						value={row.tab === 1 ? "table" : "graph"}
						onChange={(v) => onChange({ ...row, tab: v === "table" ? 1 : 0 })}
						options={[
							{ value: "graph", label: "Graph" },
							{ value: "table", label: "Table" },
						]}
					/>
					{data && !failure && <Statistics answer={data} tab={row.tab} />}
				</div>
			)}
			{data && data.notices.length > 0 && (
				<details className="muted">
					<summary>
						{data.notices.length} {data.notices.length === 1 ? "notice" : "notices"} from the server
					</summary>
					{data.notices.map((n) => (
						<p key={n} className="mono">
							{n}
						</p>
					))}
				</details>
			)}
			{row.expr !== "" && answer.isPending && <div className="skeleton" style={{ height: 260 }} />}
			{data && (
				<div className="explore-result" style={{ opacity: failure ? 0.45 : 1 }}>
					{row.tab === 0 && data.kind === "matrix" ? (
						<Graph answer={data} expr={row.expr} />
					) : (
						<Rows answer={data} />
					)}
				</div>
			)}
		</section>
	);
}

/** Stands in until the editor is loaded, so that typing can start at once. */
function PlainInput({
	letter,
	value,
	onChange,
	onRun,
}: {
	letter: string;
	value: string;
	onChange: (v: string) => void;
	onRun: (v: string) => void;
}) {
	return (
		<textarea
			aria-label={`PromQL of query ${letter}`}
			rows={1}
			spellCheck={false}
			value={value}
			onChange={(e) => onChange(e.currentTarget.value)}
			onKeyDown={(e) => {
				if (e.key === "Enter" && !e.shiftKey) {
					e.preventDefault();
					onRun(e.currentTarget.value);
				}
			}}
		/>
	);
}

function QueryFailure({ failure, expr, onRetry }: { failure: Failure; expr: string; onRetry: () => void }) {
	const marked = failure.position ? markPosition(expr, failure.position) : null;
	if (!marked) return <FailureNotice failure={failure} onRetry={onRetry} />;
	return (
		<div className="notice query-error" data-tone="crit" role="alert">
			<div>
				<strong>{failure.detail}</strong>
				<pre data-testid="error-position">
					{marked.before}
					<mark>{marked.at}</mark>
					{marked.after}
				</pre>
				<span className="muted">
					line {failure.position?.line}, column {failure.position?.column}
				</span>
			</div>
		</div>
	);
}

function Statistics({ answer, tab }: { answer: Answer; tab: 0 | 1 }) {
	const samples = answer.stats?.samples?.totalQueryableSamples;
	const evaluated = answer.stats?.timings?.evalTotalTime;
	const count = tab === 0 && answer.kind === "matrix" ? answer.table.columns.length : answer.rows.length;
	return (
		<>
			<span className="num" data-testid="series-count">
				{count} {tab === 0 ? "series" : count === 1 ? "row" : "rows"}
			</span>
			<span className="num">{format(answer.took, "seconds")} round trip</span>
			{evaluated !== undefined && <span className="num">{format(evaluated, "seconds")} evaluation</span>}
			{samples !== undefined && <span className="num">{format(samples, "count")} samples read</span>}
			{tab === 0 && <span className="num">step {formatDuration(answer.step)}</span>}
		</>
	);
}

function Graph({ answer, expr }: { answer: Answer; expr: string }) {
	const global = useGlobal();
	const setGlobal = useSetGlobal();
	const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
	const [focus, setFocus] = useState<string | null>(null);
	const [all, setAll] = useState(false);
	const table = useMemo(() => largest(answer.table, all ? 500 : 50), [answer.table, all]);
	const { names, environments } = useScope();
	const styles = useMemo((): SeriesStyle[] => {
		const colours = seriesColours(table.columns, names.environment, environments);
		return table.columns.map((c) => {
			const colour = colours.get(c.id);
			return {
				id: c.id,
				label: seriesName(c.labels),
				colour: colour?.index ?? 0,
				dashed: colour?.dashed ?? false,
			};
		});
	}, [table, names, environments]);
	if (table.columns.length === 0)
		return <div className="empty">The query gives no series in this range.</div>;
	return (
		<>
			<div className="panel-body">
				<TimeSeries
					title={expr}
					table={table}
					styles={styles}
					unit="none"
					start={answer.start}
					end={answer.end}
					step={answer.step}
					height={280}
					hidden={hidden}
					focus={focus}
					onZoom={(from, to) => setGlobal({ from: String(from), to: String(to) })}
					onZoomOut={() => setGlobal(zoomOut(global, Date.now() / 1000))}
				/>
			</div>
			{answer.table.columns.length > 50 && (
				<p className="panel-note">
					{all ? Math.min(500, answer.table.columns.length) : 50} of {answer.table.columns.length} series, the
					largest by mean
					<button type="button" className="link-button" onClick={() => setAll(!all)}>
						{all ? "Show fewer" : "Show all"}
					</button>
				</p>
			)}
			<LegendTable
				title={expr}
				table={table}
				styles={styles}
				unit="none"
				hidden={hidden}
				onHidden={setHidden}
				onFocus={setFocus}
			/>
		</>
	);
}

const SHOWN_ROWS = 1000;

function Rows({ answer }: { answer: Answer }) {
	const utc = usePrefs((p) => p.utc);
	const rows = answer.rows.slice(0, SHOWN_ROWS).map((r, i) => ({ ...r, i }));
	if (rows.length === 0) return <div className="empty">The query gives no result at this moment.</div>;
	return (
		<>
			<DataTable
				caption="Result"
				rows={rows}
				rowKey={(r) => String(r.i)}
				dense
				columns={[
					{
						id: "series",
						title: "Series",
						sort: (r) => r.name,
						cell: (r) => <span className="mono">{r.name}</span>,
					},
					{
						id: "time",
						title: "Time",
						right: true,
						sort: (r) => r.time,
						cell: (r) => <span className="dim">{formatMoment(r.time, utc)}</span>,
					},
					{
						id: "value",
						title: "Value",
						right: true,
						sort: (r) => parseValue(r.value),
						cell: (r) => <span className="mono">{r.value}</span>,
					},
				]}
			/>
			{answer.rows.length > SHOWN_ROWS && (
				<p className="panel-note">
					{SHOWN_ROWS} of {answer.rows.length} rows
				</p>
			)}
		</>
	);
}
