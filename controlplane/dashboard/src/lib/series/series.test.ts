import { describe, expect, it } from "vitest";
import { assignColours, COLOURS, environmentColour, seriesColours } from "./colour";
import { toCsv } from "./csv";
import {
	aboveFor,
	align,
	current,
	labelsId,
	largest,
	parseValue,
	seriesName,
	spansAbove,
	statsOf,
} from "./table";
import { timeTicks, valueScale } from "./ticks";

describe("alignment", () => {
	it("puts null where a step is missing, and never bridges it", () => {
		const table = align(
			[
				{
					metric: { a: "x" },
					values: [
						[100, "1"],
						[120, "3"],
					],
				},
			],
			100,
			130,
			10,
		);
		expect(table.time).toEqual([100, 110, 120, 130]);
		expect(table.columns[0]?.values).toEqual([1, null, 3, null]);
	});

	it("makes NaN and infinity gaps that are told apart", () => {
		const table = align(
			[
				{
					metric: {},
					values: [
						[0, "NaN"],
						[10, "+Inf"],
						[20, "-Inf"],
						[30, "4e-3"],
					],
				},
			],
			0,
			30,
			10,
		);
		expect(table.columns[0]?.values).toEqual([null, null, null, 0.004]);
		expect(table.columns[0]?.odd).toEqual([0, 1, 2]);
	});

	it("leaves out what is not on the grid", () => {
		const table = align(
			[
				{
					metric: {},
					values: [
						[-10, "1"],
						[5, "2"],
						[10, "3"],
						[40, "4"],
					],
				},
			],
			0,
			30,
			10,
		);
		expect(table.columns[0]?.values).toEqual([null, 3, null, null]);
	});

	it("bears series without values, and fractions of seconds", () => {
		expect(align([{ metric: {} }], 0, 10, 10).columns[0]?.values).toEqual([null, null]);
		expect(align([{ metric: {}, values: [[0.2, "1"]] }], 0, 0.4, 0.1).columns[0]?.values).toEqual([
			null,
			null,
			1,
			null,
			null,
		]);
	});

	it("has one length for all columns, whatever comes", () => {
		for (let seed = 1; seed < 40; seed++) {
			const values = Array.from({ length: seed }, (_, i): [number, string] => [
				((i * 7 * seed) % 50) * 10,
				String(i),
			]);
			const table = align([{ metric: { seed: String(seed) }, values }], 0, 490, 10);
			expect(table.columns.every((c) => c.values.length === table.time.length)).toBe(true);
		}
	});
});

it("ids do not depend on the order of labels", () => {
	expect(labelsId({ b: "1", a: "2" })).toBe(labelsId({ a: "2", b: "1" }));
	expect(labelsId({ a: "1" })).not.toBe(labelsId({ a: "2" }));
});

it.each([
	["1.5", 1.5],
	["+Inf", Number.POSITIVE_INFINITY],
	["-Inf", Number.NEGATIVE_INFINITY],
	["NaN", Number.NaN],
])("value %s", (text, value) => {
	expect(parseValue(text)).toBe(value);
});

describe("statistics", () => {
	it("skips gaps", () => {
		expect(statsOf([null, 2, 4, null])).toEqual({ last: 4, min: 2, max: 4, mean: 3, lastIndex: 2 });
		expect(statsOf([null])).toEqual({ last: null, min: null, max: null, mean: null, lastIndex: -1 });
	});

	const time = [0, 10, 20, 30, 40];
	it.each([
		[[9, 1, 9, 9, 9], 30 - 10],
		[[9, 9, 9, 9, 9], 40],
		[[1, 1, 1, 1, 9], 0],
		[[9, 9, 9, 9, 1], 0],
		[[9, null, 9, 9, null], 10],
		[[null, null], 0],
	])("how long %j is above 5", (values, seconds) => {
		expect(aboveFor(time, values as (number | null)[], 5)).toBe(seconds);
	});

	it("finds the spans above a limit over all columns", () => {
		const table = align(
			[
				{
					metric: { a: "1" },
					values: [
						[0, "9"],
						[10, "9"],
						[40, "9"],
					],
				},
				{ metric: { a: "2" }, values: [[20, "9"]] },
			],
			0,
			40,
			10,
		);
		expect(spansAbove(table, 5)).toEqual([
			{ from: 0, to: 20 },
			{ from: 40, to: 40 },
		]);
	});

	it("takes no value from a line that ended", () => {
		expect(current([1, 2, 3, null])).toBe(3);
		expect(current([3, null, null, null, null])).toBeNull();
		expect(current([])).toBeNull();
	});

	it("keeps the largest by mean", () => {
		const table = align(
			[1, 5, 3].map((v) => ({ metric: { v: String(v) }, values: [[0, String(v)]] as [number, string][] })),
			0,
			0,
			1,
		);
		expect(largest(table, 2).columns.map((c) => c.labels.v)).toEqual(["5", "3"]);
		expect(largest(table, 3)).toBe(table);
	});
});

describe("colours", () => {
	it("one series per environment keeps the colours of the environments", () => {
		const series = (id: string, env: string) => ({ id, labels: { env } });
		const order = ["prod", "dev", "qa"];
		const colours = seriesColours([series("a", "qa"), series("b", "prod")], "env", order);
		expect([colours.get("a")?.index, colours.get("b")?.index]).toEqual([2, 0]);
		const two = [series("a", "qa"), series("b", "qa")];
		expect(seriesColours(two, "env", order)).toEqual(assignColours(["a", "b"]));
		const foreign = [series("a", "qa"), series("b", "lab")];
		expect(seriesColours(foreign, "env", order)).toEqual(assignColours(["a", "b"]));
	});

	it("environments take them in order", () => {
		const order = ["prod", "dev", "qa"];
		expect(order.map((e) => environmentColour(order, e).index)).toEqual([0, 1, 2]);
		expect(environmentColour(order, "unknown").dashed).toBe(true);
		const nine = Array.from({ length: 9 }, (_, i) => `e${i}`);
		expect(environmentColour(nine, "e8")).toEqual({ index: 0, dashed: true });
	});

	it("others keep theirs, up to eight without a repeat", () => {
		const ids = Array.from({ length: COLOURS }, (_, i) => `series ${i}`);
		const given = assignColours(ids);
		expect(new Set([...given.values()].map((c) => c.index)).size).toBe(COLOURS);
		expect(assignColours([...ids].reverse())).toEqual(given);
		expect([...assignColours([...ids, "more"]).values()].filter((c) => c.dashed)).toHaveLength(1);
	});
});

describe("ticks", () => {
	it.each([
		[0, 57, { min: 0, max: 60, step: 20 }],
		[0, 0.0061, { min: 0, max: 0.008, step: 0.002 }],
		[0, 0, { min: 0, max: 1, step: 0.25 }],
		[-5, 5, { min: -5, max: 5, step: 2.5 }],
		[0, 100, { min: 0, max: 100, step: 25 }],
	])("from %d to %d", (low, high, scale) => {
		expect(valueScale(low, high)).toEqual(scale);
	});

	it("covers the data with few ticks", () => {
		for (let high = 1e-6; high < 1e12; high *= 1.7) {
			const { min, max, step } = valueScale(0, high);
			expect(min).toBe(0);
			expect(max).toBeGreaterThanOrEqual(high * (1 - 1e-9));
			expect(Math.round(max / step)).toBeGreaterThanOrEqual(2);
			expect(Math.round(max / step)).toBeLessThanOrEqual(6);
		}
	});

	it.each([
		[900 * 1024, 250 * 1024],
		[3 * 1024 ** 2, 1024 ** 2],
		[2, 1],
	])("%d bytes have steps of %d", (high, step) => {
		expect(valueScale(0, high, false, true).step).toBe(step);
	});

	it("counts whole things in whole steps", () => {
		expect(valueScale(0, 3, true).step).toBe(1);
		expect(valueScale(0, 10, true).step).toBe(5);
	});

	it("times fall on round moments of the zone", () => {
		const { step, ticks } = timeTicks(1000, 4600, 6, 0);
		expect(step).toBe(600);
		expect(ticks).toEqual([1200, 1800, 2400, 3000, 3600, 4200]);
		expect(timeTicks(0, 86400, 2, 19_800).ticks[0]).toBe(43200 - 19_800);
	});
});

it("names a series as Prometheus does", () => {
	expect(seriesName({ __name__: "up", job: "a" })).toBe('up{job="a"}');
	expect(seriesName({ __name__: "up" })).toBe("up");
	expect(seriesName({})).toBe("{}");
});

it("writes CSV that no spreadsheet runs", () => {
	const table = align([{ metric: { a: "=1+1" }, values: [[0, "1"]] }], 0, 10, 10);
	const id = table.columns[0]?.id ?? "";
	expect(toCsv(table, new Map([[id, '=cmd,"x"']]))).toBe(
		`time,epoch,"'=cmd,""x"""\r\n1970-01-01T00:00:00.000Z,0,1\r\n1970-01-01T00:00:10.000Z,10,\r\n`,
	);
});
