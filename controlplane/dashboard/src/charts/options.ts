/** ECharts options as a pure function of data and tokens. */

import type { Table } from "../lib/series/table";
import { statsOf } from "../lib/series/table";
import { type Scale, timeTicks, valueScale } from "../lib/series/ticks";
import { formatAxisTime } from "../lib/time/range";
import { formatTick, type Unit } from "../lib/units/units";

export interface SeriesStyle {
	readonly id: string;
	readonly label: string;
	/** 0 to 7. */
	readonly colour: number;
	readonly dashed?: boolean;
	/** 1 full, less for weaker lines of the same colour. */
	readonly strength?: number;
}

export interface ChartTokens {
	readonly series: readonly string[];
	readonly grid: string;
	readonly axis: string;
	readonly crit: string;
	readonly critFill: string;
	/** Behind text that stands on lines. */
	readonly ground: string;
	readonly stale: string;
	readonly font: string;
}

export interface ChartInput {
	readonly table: Table;
	readonly styles: readonly SeriesStyle[];
	readonly hidden: ReadonlySet<string>;
	readonly focus: string | null;
	readonly unit: Unit;
	readonly start: number;
	readonly end: number;
	readonly step: number;
	readonly width: number;
	readonly height: number;
	readonly tokens: ChartTokens;
	readonly utc: boolean;
	readonly stacked?: boolean;
	readonly threshold?: number;
	readonly breached?: readonly { from: number; to: number }[];
	/** From here to the end nothing is known any more. */
	readonly staleFrom?: number;
	readonly integers?: boolean;
	/** Shared upper end, for charts side by side. */
	readonly top?: number;
}

/** The plot inside the canvas, equal for all charts of a page, so that times line up. */
export const MARGIN = { left: 52, right: 10, top: 10, bottom: 24 };

/** The value scale of what is visible. */
export function scaleOf(
	input: Pick<ChartInput, "table" | "hidden" | "stacked" | "threshold" | "integers" | "top" | "unit">,
): Scale {
	const visible = input.table.columns.filter((c) => !input.hidden.has(c.id));
	let low = 0;
	let high = Number.NEGATIVE_INFINITY;
	if (input.stacked) {
		for (let i = 0; i < input.table.time.length; i++) {
			let sum = 0;
			for (const c of visible) sum += c.values[i] ?? 0;
			if (sum > high) high = sum;
		}
	} else {
		for (const c of visible) {
			const { min, max } = statsOf(c.values);
			if (min !== null && min < low) low = min;
			if (max !== null && max > high) high = max;
		}
	}
	if (input.top !== undefined) high = Math.max(high, input.top);
	// The threshold is shown when the data comes near it; a far one would flatten the lines.
	if (input.threshold !== undefined && (high > input.threshold * 0.5 || high <= 0))
		high = Math.max(high, input.threshold * 1.1);
	return valueScale(low, Number.isFinite(high) ? high : 1, input.integers, input.unit === "bytes");
}

export function chartOption(input: ChartInput): Record<string, unknown> {
	const { table, tokens, unit, start, end, width } = input;
	const scale = scaleOf(input);
	const offset = input.utc ? 0 : -new Date(end * 1000).getTimezoneOffset() * 60;
	const plot = Math.max(50, width - MARGIN.left - MARGIN.right);
	const { step: tickStep, ticks } = timeTicks(start, end, plot / 64, offset);
	// A label that would reach beyond the canvas is left out; its line stays.
	const half = tickStep < 60 ? 26 : 17;
	const room = ((half - MARGIN.right) / plot) * (end - start);
	const labelled = ticks.filter((t) => t <= end - room);
	const many = table.columns.length > 50;
	const pointsPerPixel = table.time.length / plot;
	const text = { color: tokens.axis, fontSize: 11, fontFamily: tokens.font };
	const source: Record<string, unknown> = { time: table.time };
	table.columns.forEach((c, i) => {
		source[`c${i}`] = c.values;
	});
	const style = new Map(input.styles.map((s) => [s.id, s]));
	const alone = table.columns.filter((c) => !input.hidden.has(c.id)).length === 1;
	const series = table.columns.map((column, i) => {
		const s = style.get(column.id) ?? { id: column.id, label: column.id, colour: i % 8 };
		const colour = tokens.series[s.colour] ?? tokens.axis;
		const hidden = input.hidden.has(column.id);
		const faded = input.focus !== null && input.focus !== column.id;
		const strength = (s.strength ?? 1) * (faded ? 0.2 : 1);
		return {
			id: column.id,
			type: "line",
			encode: { x: "time", y: `c${i}` },
			stack: input.stacked ? "all" : undefined,
			stackStrategy: "all",
			silent: true,
			animation: false,
			// A lone sample between two gaps has no line to be seen by.
			showSymbol: hasLoneSample(column.values),
			symbol: "circle",
			symbolSize: (_: unknown, p: { dataIndex: number }) => (isLone(column.values, p.dataIndex) ? 4 : 0),
			emphasis: { disabled: true },
			connectNulls: false,
			sampling: pointsPerPixel > 2 ? "lttb" : undefined,
			lineStyle: {
				width: hidden ? 0 : many ? 1 : 1.6,
				color: colour,
				opacity: hidden ? 0 : strength,
				type: s.dashed ? [5, 4] : "solid",
				join: "round",
			},
			itemStyle: { color: colour, opacity: hidden ? 0 : strength },
			areaStyle:
				!hidden && (input.stacked || alone)
					? input.stacked
						? { color: colour, opacity: 0.55 * strength }
						: {
								color: {
									type: "linear",
									x: 0,
									y: 0,
									x2: 0,
									y2: 1,
									colorStops: [
										{ offset: 0, color: withAlpha(colour, 0.16 * strength) },
										{ offset: 1, color: withAlpha(colour, 0.01) },
									],
								},
							}
					: undefined,
			z: 3,
			data: undefined,
		};
	});
	return {
		animation: false,
		dataset: { source, sourceHeader: false },
		grid: { ...MARGIN, containLabel: false, outerBoundsMode: "none" },
		xAxis: {
			type: "value",
			min: start,
			max: end,
			axisLine: { lineStyle: { color: tokens.grid } },
			axisTick: { show: false, customValues: ticks },
			axisLabel: {
				...text,
				customValues: labelled,
				margin: 9,
				showMinLabel: true,
				hideOverlap: true,
				formatter: (v: number) => formatAxisTime(v, input.utc, tickStep < 60),
			},
			splitLine: { show: true, customValues: ticks, lineStyle: { color: tokens.grid } },
			silent: true,
		},
		yAxis: {
			type: "value",
			min: scale.min,
			max: scale.max,
			interval: scale.step,
			axisLine: { show: false },
			axisTick: { show: false },
			axisLabel: { ...text, margin: 8, formatter: (v: number) => formatTick(v, scale.step, scale.max, unit) },
			splitLine: { lineStyle: { color: tokens.grid } },
			silent: true,
		},
		series: [...series, marks(input, scale)],
	};
}

/** Threshold line, breached spans and the span without data, on a series of their own that has no data. */
function marks(input: ChartInput, scale: Scale): Record<string, unknown> {
	const { tokens, threshold } = input;
	const shown = threshold !== undefined && threshold <= scale.max;
	const spans = (input.breached ?? []).map((b) => [
		{ xAxis: b.from - input.step / 2, itemStyle: { color: tokens.critFill } },
		{ xAxis: Math.min(input.end, b.to + input.step / 2) },
	]);
	if (input.staleFrom !== undefined && input.staleFrom < input.end)
		spans.push([{ xAxis: input.staleFrom, itemStyle: { color: tokens.stale } }, { xAxis: input.end }]);
	return {
		id: "marks",
		type: "line",
		data: [],
		silent: true,
		animation: false,
		markArea: { silent: true, data: spans },
		markLine: shown
			? {
					silent: true,
					symbol: "none",
					data: [{ yAxis: threshold }],
					lineStyle: { color: tokens.crit, type: [5, 4], width: 1.2 },
					label: {
						position: "insideStartTop",
						formatter: `threshold ${formatTick(threshold, threshold, scale.max, input.unit)}`,
						color: tokens.crit,
						fontSize: 11,
						fontFamily: tokens.font,
						// Stands on the lines, so it needs ground of its own.
						backgroundColor: tokens.ground,
						padding: [1, 3],
					},
				}
			: { data: [] },
	};
}

const known = (v: number | null | undefined): boolean => v !== null && v !== undefined;

function isLone(values: readonly (number | null)[], i: number): boolean {
	return known(values[i]) && !known(values[i - 1]) && !known(values[i + 1]);
}

function hasLoneSample(values: readonly (number | null)[]): boolean {
	return values.some((_, i) => isLone(values, i));
}

/** A hexadecimal colour with an alpha value. */
export function withAlpha(hex: string, alpha: number): string {
	const n = Number.parseInt(hex.trim().slice(1), 16);
	return `rgba(${(n >> 16) & 255},${(n >> 8) & 255},${n & 255},${alpha.toFixed(3)})`;
}
