/** Chart options, drawn without a browser by ECharts' SVG renderer. */

import { LineChart } from "echarts/charts";
import { DatasetComponent, GridComponent, MarkAreaComponent, MarkLineComponent } from "echarts/components";
import * as echarts from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import { describe, expect, it } from "vitest";
import {
	type ChartInput,
	type ChartTokens,
	chartOption,
	MARGIN,
	scaleOf,
	withAlpha,
} from "../src/charts/options";
import { sparkPath, thin } from "../src/charts/Sparkline";
import { align } from "../src/lib/series/table";

echarts.use([LineChart, GridComponent, DatasetComponent, MarkLineComponent, MarkAreaComponent, SVGRenderer]);

const hex = (n: number) => `#${n.toString(16).padStart(6, "0")}`;
const tokens: ChartTokens = {
	series: [1, 2, 3, 4, 5, 6, 7, 8].map((n) => hex(n * 0x111111)),
	grid: hex(0xeeeeee),
	axis: hex(0x777777),
	crit: hex(0xcc0000),
	critFill: "rgba(204,0,0,0.1)",
	ground: "rgba(255,255,255,0.8)",
	stale: "rgba(0,0,0,0.1)",
	font: "sans-serif",
};

const START = 1_795_176_000;
const points = (values: (number | null)[]): [number, string][] =>
	values.flatMap((v, i): [number, string][] => (v === null ? [] : [[START + 10 * i, String(v)]]));

function input(rows: (number | null)[][], more: Partial<ChartInput> = {}): ChartInput {
	const end = START + 10 * ((rows[0]?.length ?? 1) - 1);
	const table = align(
		rows.map((r, i) => ({ metric: { n: String(i) }, values: points(r) })),
		START,
		end,
		10,
	);
	return {
		table,
		styles: table.columns.map((c, i) => ({ id: c.id, label: `line ${i}`, colour: i })),
		hidden: new Set(),
		focus: null,
		unit: "rate",
		start: START,
		end,
		step: 10,
		width: 600,
		height: 200,
		tokens,
		utc: true,
		...more,
	};
}

function draw(chart: ChartInput): string {
	const instance = echarts.init(null, null, {
		renderer: "svg",
		ssr: true,
		width: chart.width,
		height: chart.height,
	});
	instance.setOption(chartOption(chart));
	const svg = instance.renderToSVGString();
	instance.dispose();
	return svg;
}

/** The drawn lines of one colour: the path data. */
const lines = (svg: string, colour: string): string[] =>
	[...svg.matchAll(/<path [^>]*>/g)]
		.map((m) => m[0])
		.filter((p) => p.includes(`stroke="${colour}"`) && p.includes('fill="none"'))
		.map((p) => / d="([^"]+)"/.exec(p)?.[1] ?? "");
const texts = (svg: string): string[] =>
	[...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map((m) => m[1] as string);

describe("a chart", () => {
	const wave = Array.from({ length: 31 }, (_, i) => 20 + 10 * Math.sin(i / 5));

	it("draws one line per column, in its colour", () => {
		const svg = draw(input([wave, wave.map((v) => v / 2)]));
		expect(lines(svg, tokens.series[0] as string)).toHaveLength(1);
		expect(lines(svg, tokens.series[1] as string)).toHaveLength(1);
		expect(lines(svg, tokens.series[2] as string)).toHaveLength(0);
	});

	it("leaves a gap where steps are missing", () => {
		const gap = wave.map((v, i) => (i > 10 && i < 15 ? null : v));
		const path = lines(draw(input([gap, wave])), tokens.series[0] as string).join(" ");
		expect(path.match(/M/g)).toHaveLength(2);
	});

	it("shows a lone sample between gaps", () => {
		const lone = wave.map((_, i) => (i === 12 ? 25 : null));
		const option = chartOption(input([lone])) as { series: { showSymbol?: boolean }[] };
		expect(option.series[0]?.showSymbol).toBe(true);
		expect((chartOption(input([wave])) as { series: { showSymbol?: boolean }[] }).series[0]?.showSymbol).toBe(
			false,
		);
	});

	it("has round ticks with units, and times on round moments", () => {
		const said = texts(draw(input([wave.map((v) => v / 100)], { unit: "seconds" }))).map((t) =>
			t.replaceAll("\u00a0", " "),
		);
		expect(said).toContain("0 ms");
		expect(said).toContain("100 ms");
		expect(said).toContain("12:01");
	});

	it("leaves out a time that would be cut off at the edge", () => {
		const option = (end: number) =>
			(
				chartOption({ ...input([wave]), end }) as {
					xAxis: { axisLabel: { customValues: number[] }; splitLine: { customValues: number[] } };
				}
			).xAxis;
		const minute = Math.ceil((START + 120) / 60) * 60;
		expect(option(minute).splitLine.customValues).toContain(minute);
		expect(option(minute).axisLabel.customValues).not.toContain(minute);
		expect(option(minute + 30).axisLabel.customValues).toContain(minute);
	});

	it("draws the threshold when the data comes near it, and not when it is far", () => {
		const near = texts(draw(input([wave], { unit: "percent", threshold: 25 })));
		expect(near.some((t) => t.startsWith("threshold"))).toBe(true);
		const far = texts(draw(input([wave], { unit: "percent", threshold: 500 })));
		expect(far.some((t) => t.startsWith("threshold"))).toBe(false);
	});

	it("shades breached spans", () => {
		const plain = draw(input([wave]));
		const shaded = draw(input([wave], { breached: [{ from: START + 50, to: START + 100 }] }));
		expect(plain).not.toContain("rgb(204,0,0)");
		expect(shaded).toContain("rgb(204,0,0)");
	});

	it("starts at zero and covers a stack", () => {
		expect(scaleOf(input([wave])).min).toBe(0);
		expect(scaleOf(input([wave, wave], { stacked: true })).max).toBeGreaterThanOrEqual(60);
		expect(scaleOf(input([wave, wave])).max).toBeLessThan(60);
		expect(scaleOf(input([wave], { hidden: new Set(['n="0"']) })).max).toBe(1);
	});

	it("keeps the data inside the margins", () => {
		const path = lines(draw(input([wave, wave])), tokens.series[0] as string)[0] as string;
		const xs = [...path.matchAll(/[ML]?(-?[\d.]+) (-?[\d.]+)/g)].map((m) => Number(m[1]));
		expect(Math.min(...xs)).toBeCloseTo(MARGIN.left, 0);
		expect(Math.max(...xs)).toBeCloseTo(600 - MARGIN.right, 0);
	});

	it("bears no data at all", () => {
		expect(() => draw(input([]))).not.toThrow();
		expect(() => draw(input([[null, null, null]]))).not.toThrow();
	});
});

it("alpha of a colour", () => {
	expect(withAlpha(hex(0xff8000), 0.5)).toBe("rgba(255,128,0,0.500)");
});

describe("a sparkline", () => {
	it("is nothing without values", () => {
		expect(sparkPath([null, null], 70, 26)).toBeNull();
		expect(sparkPath([], 70, 26)).toBeNull();
	});
	it("keeps gaps and marks the end", () => {
		const path = sparkPath([1, 2, null, 3], 70, 26);
		expect(path?.line.match(/M/g)).toHaveLength(2);
		expect(path?.end?.x).toBeCloseTo(67);
	});
	it("is thinned to means, with the newest value kept", () => {
		const values = Array.from({ length: 181 }, (_, i) => i);
		const thinned = thin(values, 36);
		expect(thinned.length).toBeLessThanOrEqual(37);
		expect(thinned.at(-1)).toBe(180);
		expect(thin([1, 2, 3], 36)).toEqual([1, 2, 3]);
		expect(thin([...values.slice(0, 100), ...new Array(81).fill(null)], 36).at(-1)).toBeNull();
	});
});
