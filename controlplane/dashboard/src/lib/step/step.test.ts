import { describe, expect, it } from "vitest";
import { alignRange, rateWindow, STEPS, stepFor } from "./step";

describe("step", () => {
	it.each([
		[3600, 600, 10, 10],
		[21600, 600, 10, 60],
		[86400, 600, 10, 300],
		[300, 600, 10, 10],
		[900, 600, 10, 10],
		[300, 600, 1, 1],
		[3600, 10_000, 1, 10],
		[3600, 1, 10, 20],
		[1296000, 600, 10, 3600],
	])("of %d s on %d px, scraped every %d s, is %d s", (range, width, scrape, step) => {
		expect(stepFor(range, width, scrape)).toBe(step);
	});

	it("never goes below the scrape interval, never above 11 000 points, and always is on the ladder", () => {
		for (let range = 60; range < 90 * 86400; range = Math.ceil(range * 1.31)) {
			for (const scrape of [1, 5, 10, 15, 30, 60]) {
				const step = stepFor(range, 900, scrape);
				expect(step).toBeGreaterThanOrEqual(scrape);
				expect(STEPS).toContain(step);
				expect(range / step).toBeLessThan(11_000);
			}
		}
	});
});

it.each([
	[10, 10, 40],
	[60, 10, 70],
	[300, 10, 310],
	[5, 5, 20],
	[30, 15, 60],
])("rate window of step %d and scrape %d is %d", (step, scrape, window) => {
	expect(rateWindow(step, scrape)).toBe(window);
});

it("rounds both ends down, so that a refresh asks for the same points", () => {
	expect(alignRange(1003, 4603, 10)).toEqual({ start: 1000, end: 4600 });
	expect(alignRange(1009, 4609, 10)).toEqual({ start: 1000, end: 4600 });
});
