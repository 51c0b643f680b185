/** The signals as four charts: environments over each other, or each against the baseline. */

import { useCallback, useMemo } from "react";
import { ChartPanel } from "../../charts/ChartPanel";
import type { SeriesStyle } from "../../charts/options";
import { environmentColour } from "../../lib/series/colour";
import { type Against, difference } from "../../lib/series/difference";
import type { Table } from "../../lib/series/table";
import type { Unit } from "../../lib/units/units";
import type { Panel } from "../../state/queries";
import { useScope } from "../../state/scope";

export interface ComparedSignal {
	readonly title: string;
	readonly unit: Unit;
	readonly panel: Panel;
	/** How the signal is set against the baseline, and what the result is counted in. */
	readonly against: Against;
}

const WORDS: Record<Against, string> = {
	ratio: "times",
	percent: "per cent more than",
	points: "above",
};
const UNITS: Record<Against, Unit> = { ratio: "none", percent: "percent", points: "points" };

export function Overlay({ signals, limit }: { signals: readonly ComparedSignal[]; limit: number }) {
	const styles = useStyles();
	return (
		<div className="compare-panels">
			{signals.map((s) => (
				<ChartPanel
					key={s.title}
					title={s.title}
					subtitle="all environments"
					panel={s.panel}
					styles={styles}
					unit={s.unit}
					integers={s.unit === "count"}
					threshold={s.unit === "percent" ? limit : undefined}
					heading="Environment"
				/>
			))}
		</div>
	);
}

export function Differences({ signals, baseline }: { signals: readonly ComparedSignal[]; baseline: string }) {
	return (
		<div className="compare-panels">
			{signals.map((s) => (
				<DifferencePanel key={s.title} signal={s} baseline={baseline} />
			))}
		</div>
	);
}

function DifferencePanel({ signal, baseline }: { signal: ComparedSignal; baseline: string }) {
	const { names } = useScope();
	const styles = useStyles();
	const { panel, against, title } = signal;
	const table = useMemo(
		() => panel.table && difference(panel.table, (c) => c.labels[names.environment] === baseline, against),
		[panel.table, names, baseline, against],
	);
	return (
		<ChartPanel
			title={title}
			subtitle={`${WORDS[against]} ${baseline}`}
			panel={{ ...panel, table }}
			styles={styles}
			unit={signal.unit === "count" ? "count" : UNITS[against]}
			heading="Environment"
		/>
	);
}

function useStyles(): (table: Table) => SeriesStyle[] {
	const { names, environments } = useScope();
	return useCallback(
		(table) =>
			table.columns
				.map((c) => {
					const environment = c.labels[names.environment] ?? "";
					const { index, dashed } = environmentColour(environments, environment);
					return { id: c.id, label: environment || c.id, colour: index, dashed };
				})
				.sort((a, b) => environments.indexOf(a.label) - environments.indexOf(b.label)),
		[names, environments],
	);
}
