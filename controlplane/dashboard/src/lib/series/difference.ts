/** Series against a baseline, step by step. */

import type { Column, Table } from "./table";

/** A ratio, a change in per cent, or points. */
export type Against = "ratio" | "percent" | "points";

function against(value: number | null, base: number | null, how: Against): number | null {
	if (value === null || base === null) return null;
	if (how === "points") return value - base;
	// Nothing is a multiple of zero.
	if (base === 0) return null;
	return how === "ratio" ? value / base : (100 * (value - base)) / base;
}

/** The other columns against the baseline's; without a baseline there is nothing to compare with. */
export function difference(table: Table, isBase: (column: Column) => boolean, how: Against): Table {
	const base = table.columns.find(isBase);
	if (!base) return { time: table.time, columns: [] };
	return {
		time: table.time,
		columns: table.columns
			.filter((c) => c !== base)
			.map((c) => ({ ...c, values: c.values.map((v, i) => against(v, base.values[i] ?? null, how)) })),
	};
}
