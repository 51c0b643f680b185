/** Step and rate window of range queries. All values are seconds. */

export const STEPS: readonly number[] = [
	1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400,
];

/** The smallest step of the ladder that is at least 0.8 of the raw step and at least the scrape interval. */
export function stepFor(range: number, chartWidth: number, scrape: number): number {
	const points = Math.min(500, Math.max(150, chartWidth / 2));
	const raw = range / points;
	return STEPS.find((s) => s >= 0.8 * raw && s >= scrape) ?? 86400;
}

/** The window of `rate()`: long enough for four scrapes, and never shorter than the gap between two points. */
export function rateWindow(step: number, scrape: number): number {
	return Math.max(step + scrape, 4 * scrape);
}

/** Both ends rounded down to the step, so that a refresh asks for the same points again. */
export function alignRange(start: number, end: number, step: number): { start: number; end: number } {
	return { start: Math.floor(start / step) * step, end: Math.floor(end / step) * step };
}
