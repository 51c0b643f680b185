import { describe, expect, it } from "vitest";
import { DEFAULT_THRESHOLDS, type HealthState, healthOf, type PlaneFacts, SEVERITY } from "./health";

const quiet = { value: 1, aboveWarningFor: 0, aboveCriticalFor: 0 };
const well: PlaneFacts = {
	age: 4,
	scrapeInterval: 10,
	targetsUp: 2,
	targetsAll: 2,
	rate: 50,
	errors: quiet,
	p95: { ...quiet, value: 0.3 },
	window: 40,
	alerts: [],
};
const signal = (value: number, warning: number, critical = 0) => ({
	value,
	aboveWarningFor: warning,
	aboveCriticalFor: critical,
});

describe("health of a plane", () => {
	it.each<[string, Partial<PlaneFacts>, HealthState, RegExp]>([
		["all is well", {}, "healthy", /within their thresholds/],
		["old samples", { age: 31 }, "stale", /No data for 31 s/],
		["just at three intervals", { age: 30 }, "healthy", /within/],
		[
			"vanished while down before",
			{ age: 900, targetsUp: null, targetsAll: null, rate: null },
			"stale",
			/15 min/,
		],
		[
			"a failing scrape with a fresh timestamp is down, not stale",
			{ targetsUp: 0, targetsAll: 1, age: 3 },
			"down",
			/target is down/,
		],
		["all of several down", { targetsUp: 0 }, "down", /All 2 targets/],
		[
			"with the scrape error",
			{ targetsUp: 0, targetsAll: 1, scrapeError: "connection refused" },
			"down",
			/connection refused/,
		],
		[
			"critical alert",
			{ alerts: [{ name: "HighErrorRate", severity: "critical" }] },
			"critical",
			/HighErrorRate/,
		],
		[
			"errors critical for two windows",
			{ errors: signal(25, 100, 80) },
			"critical",
			/25\.0.%.*critical 20 %.*1 min/,
		],
		["errors critical for one window only", { errors: signal(25, 60, 40) }, "degraded", /5 % threshold/],
		["latency critical", { p95: signal(2.5, 200, 120) }, "critical", /p95 latency 2\.5.s.*2 min/],
		["one target down", { targetsUp: 1 }, "degraded", /1 target of 2 down/],
		["warning alert", { alerts: [{ name: "Slow", severity: "warning" }] }, "degraded", /Slow/],
		[
			"critical alert behind a warning one",
			{
				alerts: [
					{ name: "A", severity: "warning" },
					{ name: "B", severity: "critical" },
				],
			},
			"critical",
			/B/,
		],
		[
			"errors over the warning",
			{ errors: signal(6.8, 360) },
			"degraded",
			/6\.8.% is above the 5 % threshold for 6 min/,
		],
		["errors just over", { errors: signal(6.8, 10) }, "degraded", /threshold$/],
		["latency over the warning", { p95: signal(1.2, 10) }, "degraded", /1\.2.s/],
		["errors win over latency", { p95: signal(1.2, 10), errors: signal(9, 10) }, "degraded", /Error rate/],
		[
			"no requests",
			{ rate: 0, errors: { ...quiet, value: null }, p95: { ...quiet, value: null } },
			"no-traffic",
			/no requests/,
		],
		[
			"nothing yet",
			{
				age: null,
				targetsUp: null,
				targetsAll: null,
				rate: null,
				errors: { ...quiet, value: null },
				p95: { ...quiet, value: null },
			},
			"unknown",
			/Nothing has been heard/,
		],
		["scraped but silent", { rate: null }, "unknown", /not sent request metrics/],
		["stale wins over down", { age: 100, targetsUp: 0 }, "stale", /No data/],
		[
			"down wins over a critical alert",
			{ targetsUp: 0, alerts: [{ name: "A", severity: "critical" }] },
			"down",
			/down/,
		],
	])("%s", (_, facts, state, reason) => {
		const health = healthOf({ ...well, ...facts }, DEFAULT_THRESHOLDS);
		expect(health.state).toBe(state);
		expect(health.reason).toMatch(reason);
	});

	it("takes thresholds of the plane", () => {
		const strict = { ...DEFAULT_THRESHOLDS, errorPercent: { warning: 0.5, critical: 2 } };
		expect(healthOf(well, strict).state).toBe("degraded");
	});

	it("orders every state", () => {
		expect(new Set(SEVERITY).size).toBe(7);
		expect(SEVERITY.at(-1)).toBe("healthy");
	});
});
