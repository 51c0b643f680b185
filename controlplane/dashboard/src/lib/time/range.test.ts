import { describe, expect, it } from "vitest";
import {
	describeRange,
	filledLength,
	formatAgo,
	formatDuration,
	formatSpan,
	openingRange,
	parseBound,
	parseDuration,
	presetOf,
	resolveRange,
	shiftRange,
	zoomOut,
} from "./range";

const NOW = 1_795_178_400;

describe("durations", () => {
	it.each([
		["5m", 300],
		["1h30m", 5400],
		["1d", 86400],
		["500ms", 0.5],
		["2w1d", 1_296_000],
		["0", 0],
		["", null],
		["5", null],
		["m5", null],
		["5m1h", null],
		["1h1h", null],
		["-5m", null],
	])("parses %s", (text, seconds) => {
		expect(parseDuration(text)).toBe(seconds);
	});

	it.each([
		[40, "40s"],
		[300, "5m"],
		[5400, "1h30m"],
		[86400, "1d"],
		[0.5, "500ms"],
		[0, "0s"],
		[90061, "1d1h1m1s"],
	])("formats %d", (seconds, text) => {
		expect(formatDuration(seconds)).toBe(text);
	});

	it("reads back what it writes", () => {
		for (let s = 1; s < 200_000; s = Math.ceil(s * 1.37)) expect(parseDuration(formatDuration(s))).toBe(s);
	});
});

describe("bounds", () => {
	it.each([
		["now", NOW],
		["now-1h", NOW - 3600],
		["now - 90m", NOW - 5400],
		["now+5m", NOW + 300],
		["1795178400", NOW],
		["1795178400000", NOW],
		["2026-11-20T14:00:00Z", Date.UTC(2026, 10, 20, 14) / 1000],
		["2026-11-20 14:00", new Date(2026, 10, 20, 14).getTime() / 1000],
		["2026-11-20", new Date(2026, 10, 20).getTime() / 1000],
		["yesterday", null],
		["now-", null],
		["2026-13-01", null],
		["2026-11-20 25:00", null],
		["", null],
	])("parses %s", (text, at) => {
		expect(parseBound(text, NOW)).toBe(at);
	});

	it("says what is wrong with a range", () => {
		expect(resolveRange({ from: "x", to: "now" }, NOW)).toBe("from");
		expect(resolveRange({ from: "now-1h", to: "x" }, NOW)).toBe("to");
		expect(resolveRange({ from: "now", to: "now-1h" }, NOW)).toBe("order");
		expect(resolveRange({ from: "now-1h", to: "now" }, NOW)).toEqual({ start: NOW - 3600, end: NOW });
	});
});

describe("moving a range", () => {
	it("goes back with fixed ends and returns to now", () => {
		const back = shiftRange({ from: "now-1h", to: "now" }, NOW, -0.5);
		expect(back).toEqual({ from: String(NOW - 5400), to: String(NOW - 1800) });
		expect(shiftRange(back, NOW, 0.5)).toEqual({ from: "now-1h", to: "now" });
	});

	it("zooms out to the past when live, round the middle when fixed", () => {
		expect(zoomOut({ from: "now-1h", to: "now" }, NOW)).toEqual({ from: "now-2h", to: "now" });
		expect(zoomOut({ from: String(NOW - 10_000), to: String(NOW - 8000) }, NOW)).toEqual({
			from: String(NOW - 11_000),
			to: String(NOW - 7000),
		});
	});

	it("knows presets", () => {
		expect(presetOf({ from: "now-1h", to: "now" })?.label).toBe("1h");
		expect(presetOf({ from: "now-60m", to: "now" })?.label).toBe("1h");
		expect(presetOf({ from: "now-7m", to: "now" })).toBeUndefined();
		expect(describeRange({ from: "now-6h", to: "now" }, NOW)).toBe("Last 6 hours");
		expect(describeRange({ from: "now-90m", to: "now" }, NOW)).toBe("Last 1h30m");
	});
});

it.each([
	[0.2, "now"],
	[4, "4 s ago"],
	[61, "1 min ago"],
])("ages read well: %d", (s, text) => {
	expect(formatAgo(s)).toBe(text);
});

it.each([
	[40, "40 s"],
	[360, "6 min"],
	[7500, "2 h 5 min"],
	[7200, "2 h"],
	[200_000, "2 d"],
])("spans read well: %d", (s, text) => {
	expect(formatSpan(s)).toBe(text);
});

describe("the range a page opens with", () => {
	it.each([
		[0, "now-5m"],
		[20, "now-5m"],
		[301, "now-15m"],
		[901, "now-1h"],
		[3600, "now-1h"],
		[1e6, "now-1h"],
	])("data of the last %d s open with %s", (age, from) => {
		expect(openingRange(age)).toEqual({ from, to: "now" });
	});

	it.each([
		[3600, 3600, 3600],
		[3600, 3500, 3600],
		[3600, 30, 60],
		[3600, 119, 60],
		[3600, 120, 120],
		[300, 200, 180],
		[30, 10, 30],
		[86400, 40000, 21600],
	])("numbers over %d s with %d s of data take %d s", (length, age, expected) => {
		expect(filledLength(length, age)).toBe(expected);
	});
});
