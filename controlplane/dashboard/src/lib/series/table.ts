/** From the matrix of a range query to one aligned columnar table. */

export type Labels = Readonly<Record<string, string>>;

export interface MatrixSeries {
	readonly metric: Labels;
	/** Epoch seconds and the value as Prometheus writes it. */
	readonly values?: readonly (readonly [number, string])[];
}

export interface Column {
	/** Stable over refreshes: the labels in order. */
	readonly id: string;
	readonly labels: Labels;
	readonly values: readonly (number | null)[];
	/** Indices at which the sample was NaN or infinite, drawn as a gap but told apart. */
	readonly odd: readonly number[];
}

export interface Table {
	/** Epoch seconds, one per step, both ends included. */
	readonly time: readonly number[];
	readonly columns: readonly Column[];
}

export function labelsId(labels: Labels): string {
	return Object.keys(labels)
		.sort()
		.map((k) => `${k}=${JSON.stringify(labels[k])}`)
		.join(",");
}

/** A value as Prometheus writes it: `NaN`, `+Inf`, `-Inf` or a decimal. */
export function parseValue(text: string): number {
	if (text === "+Inf" || text === "Inf") return Number.POSITIVE_INFINITY;
	if (text === "-Inf") return Number.NEGATIVE_INFINITY;
	return Number(text);
}

/** A missing step is null: lines never bridge it. Samples outside the grid or between its steps are left out. */
export function align(matrix: readonly MatrixSeries[], start: number, end: number, step: number): Table {
	const count = Math.max(0, Math.floor((end - start) / step + 1e-9) + 1);
	const time = Array.from({ length: count }, (_, i) => start + i * step);
	const columns = matrix.map((series): Column => {
		const values: (number | null)[] = new Array(count).fill(null);
		const odd: number[] = [];
		for (const [t, text] of series.values ?? []) {
			const slot = (t - start) / step;
			const index = Math.round(slot);
			if (index < 0 || index >= count || Math.abs(slot - index) > 1e-3) continue;
			const value = parseValue(text);
			if (Number.isFinite(value)) values[index] = value;
			else odd.push(index);
		}
		return { id: labelsId(series.metric), labels: series.metric, values, odd };
	});
	return { time, columns };
}

export interface Stats {
	readonly last: number | null;
	readonly min: number | null;
	readonly max: number | null;
	readonly mean: number | null;
	/** Index of the last sample, -1 without any. */
	readonly lastIndex: number;
}

export function statsOf(values: readonly (number | null)[]): Stats {
	let last: number | null = null;
	let lastIndex = -1;
	let min = Number.POSITIVE_INFINITY;
	let max = Number.NEGATIVE_INFINITY;
	let sum = 0;
	let count = 0;
	for (let i = 0; i < values.length; i++) {
		const v = values[i];
		if (v === null || v === undefined) continue;
		last = v;
		lastIndex = i;
		if (v < min) min = v;
		if (v > max) max = v;
		sum += v;
		count++;
	}
	if (count === 0) return { last: null, min: null, max: null, mean: null, lastIndex: -1 };
	return { last, min, max, mean: sum / count, lastIndex };
}

/** The newest value, unless the line ended more than three steps before the range does. */
export function current(values: readonly (number | null)[]): number | null {
	const { last, lastIndex } = statsOf(values);
	return lastIndex >= values.length - 4 ? last : null;
}

/** The largest columns by mean, for panels with too many series. */
export function largest(table: Table, limit: number): Table {
	if (table.columns.length <= limit) return table;
	const ranked = table.columns
		.map((column) => ({ column, mean: statsOf(column.values).mean ?? Number.NEGATIVE_INFINITY }))
		.sort((a, b) => b.mean - a.mean);
	return { time: table.time, columns: ranked.slice(0, limit).map((r) => r.column) };
}

/** Spans of time in which any column is above the limit, in epoch seconds. */
export function spansAbove(table: Table, limit: number): { from: number; to: number }[] {
	const spans: { from: number; to: number }[] = [];
	const step = (table.time[1] ?? 0) - (table.time[0] ?? 0);
	for (let i = 0; i < table.time.length; i++) {
		const t = table.time[i] as number;
		if (!table.columns.some((c) => (c.values[i] ?? Number.NEGATIVE_INFINITY) > limit)) continue;
		const open = spans.at(-1);
		if (open && Math.abs(open.to - t) <= step + 1e-6) open.to = t;
		else spans.push({ from: t, to: t });
	}
	return spans;
}

/** For how many seconds a column has been above the limit without a break, up to its newest sample. */
export function aboveFor(time: readonly number[], values: readonly (number | null)[], limit: number): number {
	const { lastIndex } = statsOf(values);
	let i = lastIndex;
	while (i >= 0 && (values[i] ?? Number.NEGATIVE_INFINITY) > limit) i--;
	if (i === lastIndex) return 0;
	return (time[lastIndex] as number) - (time[i + 1] as number);
}

/** Name and labels as Prometheus writes a series. */
export function seriesName(labels: Labels): string {
	const { __name__: name = "", ...rest } = labels;
	const inside = Object.entries(rest)
		.map(([k, v]) => `${k}=${JSON.stringify(v)}`)
		.join(", ");
	return inside === "" ? name || "{}" : `${name}{${inside}}`;
}
