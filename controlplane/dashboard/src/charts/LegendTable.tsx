/** Last, mean and largest value of each line; a click isolates, Ctrl or Cmd toggles. */

import { type MouseEvent, useMemo } from "react";
import { DataTable, type TableColumn } from "../components/DataTable";
import { seriesVariable } from "../components/Environment";
import { type Stats, statsOf, type Table } from "../lib/series/table";
import { format, type Unit } from "../lib/units/units";
import type { SeriesStyle } from "./options";

interface Row {
	readonly style: SeriesStyle;
	readonly stats: Stats;
}

export interface LegendTableProps {
	title: string;
	table: Table;
	styles: readonly SeriesStyle[];
	unit: Unit;
	hidden: ReadonlySet<string>;
	onHidden: (hidden: ReadonlySet<string>) => void;
	onFocus: (id: string | null) => void;
	heading?: string;
}

export function LegendTable({
	title,
	table,
	styles,
	unit,
	hidden,
	onHidden,
	onFocus,
	heading = "Series",
}: LegendTableProps) {
	const rows = useMemo((): Row[] => {
		const columns = new Map(table.columns.map((c) => [c.id, c]));
		return styles.flatMap((style) => {
			const column = columns.get(style.id);
			return column ? [{ style, stats: statsOf(column.values) }] : [];
		});
	}, [table, styles]);

	const choose = (event: MouseEvent, id: string) => {
		const all = rows.map((r) => r.style.id);
		if (event.ctrlKey || event.metaKey) {
			const next = new Set(hidden);
			if (!next.delete(id)) next.add(id);
			return onHidden(next.size === all.length ? new Set() : next);
		}
		const others = all.filter((o) => o !== id);
		const isolated = !hidden.has(id) && others.length > 0 && others.every((o) => hidden.has(o));
		onHidden(isolated ? new Set() : new Set(others));
	};
	const columns: TableColumn<Row>[] = [
		{
			id: "name",
			title: heading,
			sort: (r) => r.style.label,
			cell: ({ style }) => (
				<button
					type="button"
					className="legend-name"
					title="Click to isolate, Ctrl or Cmd click to toggle"
					aria-pressed={!hidden.has(style.id)}
					onClick={(e) => choose(e, style.id)}
					onPointerEnter={() => onFocus(style.id)}
					onPointerLeave={() => onFocus(null)}
				>
					<span
						className={style.dashed ? "legend-key dashed" : "legend-key"}
						style={{ background: seriesVariable(style.colour), opacity: style.strength ?? 1 }}
						aria-hidden
					/>
					<span title={style.label}>{style.label}</span>
				</button>
			),
		},
		{
			id: "last",
			title: "Last",
			right: true,
			sort: (r) => r.stats.last,
			cell: (r) => format(r.stats.last, unit),
			width: "21%",
		},
		{
			id: "mean",
			title: "Mean",
			right: true,
			sort: (r) => r.stats.mean,
			cell: (r) => format(r.stats.mean, unit),
			width: "21%",
		},
		{
			id: "max",
			title: "Max",
			right: true,
			sort: (r) => r.stats.max,
			cell: (r) => format(r.stats.max, unit),
			width: "21%",
		},
	];
	return (
		<div className="legend">
			<DataTable
				caption={`${title}: values per series`}
				rows={rows}
				columns={columns}
				rowKey={(r) => r.style.id}
				dense
			/>
		</div>
	);
}
