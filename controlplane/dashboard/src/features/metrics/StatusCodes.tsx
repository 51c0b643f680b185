/** Answers by status code, stacked. */

import { useCallback, useMemo, useRef } from "react";
import { ChartPanel } from "../../charts/ChartPanel";
import type { SeriesStyle } from "../../charts/options";
import { statusCodes } from "../../lib/promql/queries";
import { assignColours } from "../../lib/series/colour";
import type { Table } from "../../lib/series/table";
import { useRangePanel } from "../../state/queries";
import { useScope } from "../../state/scope";
import type { MetricsScope } from "./scope";
import { useInView } from "./useInView";

/** The usual codes keep one colour whatever else is on the chart. */
const COLOURS: Readonly<Record<string, number>> = {
	"200": 0,
	"201": 1,
	"400": 4,
	"402": 5,
	"404": 7,
	"500": 2,
	"502": 3,
	"503": 6,
};

export function StatusCodes({ metrics }: { metrics: MetricsScope }) {
	const { names } = useScope();
	const box = useRef<HTMLDivElement>(null);
	const near = useInView(box);
	const asks = useMemo(() => [{ id: "codes", expr: statusCodes(metrics.total) }], [metrics]);
	const panel = useRangePanel(asks, { enabled: near });
	const styles = useCallback(
		(table: Table): SeriesStyle[] => {
			const others = assignColours(table.columns.map((c) => c.id));
			return table.columns
				.map((c) => ({
					id: c.id,
					label: c.labels[names.status] ?? "(none)",
					colour: COLOURS[c.labels[names.status] ?? ""] ?? others.get(c.id)?.index ?? 0,
				}))
				.sort((a, b) => a.label.localeCompare(b.label));
		},
		[names],
	);
	return (
		<div ref={box}>
			<ChartPanel
				title="Status codes"
				subtitle="answers per second, stacked"
				panel={panel}
				styles={styles}
				unit="rate"
				stacked
				heading="Status"
			/>
		</div>
	);
}
