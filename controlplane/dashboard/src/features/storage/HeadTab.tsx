/** What the head holds now, and how series, samples and bytes developed. */

import { useCallback, useMemo } from "react";
import * as prometheus from "../../api/prometheus";
import { ChartPanel } from "../../charts/ChartPanel";
import type { SeriesStyle } from "../../charts/options";
import { BigNumber } from "../../components/Values";
import { headSeries, samplesAppended, storedBytes } from "../../lib/promql/queries";
import { assignColours } from "../../lib/series/colour";
import type { Table } from "../../lib/series/table";
import { formatMoment, formatSpan } from "../../lib/time/range";
import { usePrefs } from "../../state/prefs";
import { single, useInstant, useRangePanel, useStatus } from "../../state/queries";
import { useScope } from "../../state/scope";

/** An empty head says the largest and the smallest number instead of times. */
const isTime = (ms: number | undefined): ms is number => ms !== undefined && ms > 0 && ms < 1e15;

export function HeadTab({ status }: { status: prometheus.TsdbStatus | undefined }) {
	const { window } = useScope();
	const utc = usePrefs((p) => p.utc);
	const runtime = useStatus("runtime", prometheus.runtimeInfo);
	const series = useRangePanel(useMemo(() => [{ id: "series", expr: headSeries() }], []));
	const samples = useRangePanel(useMemo(() => [{ id: "samples", expr: samplesAppended(window) }], [window]));
	const stored = storedBytes();
	const bytes = useRangePanel(
		useMemo(
			() => [
				{ id: "blocks", expr: stored.blocks },
				{ id: "wal", expr: stored.wal },
			],
			[stored.blocks, stored.wal],
		),
	);
	const blocks = single(useInstant(`sum(${stored.blocks})`, "server").data);
	const wal = single(useInstant(`sum(${stored.wal})`, "server").data);
	const byInstance = useCallback((table: Table): SeriesStyle[] => {
		const colours = assignColours(table.columns.map((c) => c.id));
		return table.columns.map((c) => ({
			id: c.id,
			label: c.labels.instance ?? "server",
			colour: table.columns.length === 1 ? 0 : (colours.get(c.id)?.index ?? 0),
		}));
	}, []);
	const byKind = useCallback(
		(table: Table): SeriesStyle[] =>
			table.columns.map((c) => {
				const blocks = c.id.startsWith("blocks:");
				return {
					id: c.id,
					label: `${blocks ? "Blocks" : "Write-ahead log"} ${c.labels.instance ?? ""}`.trim(),
					colour: blocks ? 0 : 1,
				};
			}),
		[],
	);
	const head = status?.headStats;
	const retention = runtime.data?.storageRetention;
	return (
		<>
			<section className="storage-cards" aria-label="Head" data-panel="Head">
				<Figure title="Series in the head" value={head?.numSeries} />
				<Figure title="Chunks" value={head?.chunkCount} />
				<Figure title="Label pairs" value={head?.numLabelPairs} />
				<Figure title="Blocks on disk" value={blocks} unit="bytes" />
				<Figure title="Write-ahead log" value={wal} unit="bytes" />
			</section>
			<section className="card" aria-label="Span of the head">
				<dl className="storage-facts">
					<Fact name="Oldest in the head" at={head?.minTime} utc={utc} />
					<Fact name="Newest" at={head?.maxTime} utc={utc} />
					<div>
						<dt>Span</dt>
						<dd>
							{isTime(head?.minTime) && isTime(head?.maxTime)
								? formatSpan((head.maxTime - head.minTime) / 1000)
								: "–"}
						</dd>
					</div>
					<div>
						<dt>Retention</dt>
						<dd>{retention ? String(retention) : "–"}</dd>
					</div>
				</dl>
			</section>
			<div className="storage-charts">
				<ChartPanel
					title="Head series"
					subtitle="series with recent samples"
					panel={series}
					styles={byInstance}
					unit="count"
					integers
					heading="Server"
				/>
				<ChartPanel
					title="Samples appended"
					subtitle="per second"
					panel={samples}
					styles={byInstance}
					unit="rate"
					heading="Server"
				/>
				<ChartPanel
					title="On disk"
					subtitle="blocks and write-ahead log"
					panel={bytes}
					styles={byKind}
					unit="bytes"
					heading="Part"
				/>
			</div>
		</>
	);
}

function Figure({
	title,
	value,
	unit = "count",
}: {
	title: string;
	value: number | null | undefined;
	unit?: "count" | "bytes";
}) {
	return (
		<div className="card" data-card={title}>
			<span className="label">{title}</span>
			<BigNumber value={value ?? null} unit={unit} />
		</div>
	);
}

function Fact({ name, at, utc }: { name: string; at: number | undefined; utc: boolean }) {
	return (
		<div>
			<dt>{name}</dt>
			<dd className="num">{isTime(at) ? formatMoment(at / 1000, utc) : "–"}</dd>
		</div>
	);
}
