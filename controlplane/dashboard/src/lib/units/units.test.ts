import { describe, expect, it } from "vitest";
import { change, format, formatTick, type Unit } from "./units";

const NBSP = "\u00a0";

describe("format", () => {
	it.each<[number | null, Unit, string]>([
		[null, "rate", "–"],
		[Number.NaN, "rate", "–"],
		[Number.POSITIVE_INFINITY, "seconds", "∞"],
		[0.000_045, "seconds", "45 µs"],
		[0.0042, "seconds", "4.2 ms"],
		[0.371, "seconds", "371 ms"],
		[0.9996, "seconds", "1 s"],
		[1.84, "seconds", "1.84 s"],
		[12.3, "seconds", "12.3 s"],
		[300, "seconds", "5 min"],
		[0, "seconds", "0 ms"],
		[72.54, "rate", "72.5/s"],
		[2, "rate", "2.0/s"],
		[0, "rate", "0/s"],
		[0.012, "rate", "0.012/s"],
		[1234, "rate", "1234/s"],
		[12_345, "rate", "12.3k/s"],
		[5.27, "percent", "5.3 %"],
		[0, "percent", "0 %"],
		[100, "percent", "100 %"],
		[0.04, "percent", "0.04 %"],
		[0.001, "percent", "< 0.01 %"],
		[99.996, "percent", "99.99 %"],
		[99.5, "percent", "99.50 %"],
		[19, "count", "19"],
		[7.4, "count", "7.4"],
		[1_250_000, "count", "1.25M"],
		[1536, "bytes", "1.5 KiB"],
		[12, "bytes", "12 B"],
		[3, "none", "3"],
		[0.123_456, "none", "0.123"],
		[-2.5, "none", "-2.5"],
	])("%d as %s is %s", (value, unit, text) => {
		expect(format(value, unit).replaceAll(NBSP, " ")).toBe(text);
	});
});

describe("ticks", () => {
	it.each<[number, number, number, Unit, string]>([
		[0.2, 0.2, 0.8, "seconds", "200 ms"],
		[0.5, 0.5, 2, "seconds", "0.5 s"],
		[2, 2, 8, "percent", "2 %"],
		[2.5, 2.5, 10, "percent", "2.5 %"],
		[0, 2.5, 10, "percent", "0.0 %"],
		[20, 20, 60, "rate", "20"],
		[15_000, 5000, 20_000, "count", "15k"],
		[1.5, 0.5, 2, "none", "1.5"],
	])("%d with step %d up to %d as %s is %s", (value, step, max, unit, text) => {
		expect(formatTick(value, step, max, unit).replaceAll(NBSP, " ")).toBe(text);
	});

	it("neighbours differ", () => {
		for (const unit of ["seconds", "percent", "rate", "count", "bytes", "none"] as Unit[]) {
			for (let step = 1e-4; step < 1e6; step *= 10) {
				for (const lead of [1, 2, 2.5, 5]) {
					const s = Number((lead * step).toPrecision(6));
					const ticks = [0, 1, 2, 3, 4].map((i) => formatTick(i * s, s, 4 * s, unit));
					expect(new Set(ticks).size, `${unit} step ${s}: ${ticks.join(" ")}`).toBe(5);
				}
			}
		}
	});
});

describe("change", () => {
	it.each([
		[50, 40, "rate", "none", "+25.0 %", "neutral"],
		[40, 50, "rate", "none", "−20.0 %", "neutral"],
		[0.4, 0.3, "seconds", "low", "+100 ms", "worse"],
		[0.3, 0.4, "seconds", "low", "−100 ms", "better"],
		[0.302, 0.3, "seconds", "low", "+2 ms", "neutral"],
		[6.8, 2, "percent", "low", "+4.8 pp", "worse"],
		[97.2, 98, "percent", "high", "−0.8 pp", "worse"],
		[2, 2.01, "percent", "low", "no change", "same"],
		[3, 4, "count", "high", "−1", "worse"],
		[5, 5, "count", "high", "no change", "same"],
	] as const)("from %d to %d as %s, %s is good", (now, before, unit, good, text, verdict) => {
		const moved = change(now, before, unit, good);
		expect(moved?.text.replaceAll(NBSP, " ")).toBe(text);
		expect(moved?.verdict).toBe(verdict);
	});

	it("says nothing without both sides", () => {
		expect(change(null, 1, "rate", "none")).toBeNull();
		expect(change(1, null, "rate", "none")).toBeNull();
		expect(change(1, 0, "rate", "none")).toBeNull();
	});
});
