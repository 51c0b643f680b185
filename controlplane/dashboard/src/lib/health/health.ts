/** Health of a data plane: the first rule that matches, with the sentence that says why. */

import { formatSpan } from "../time/range";
import { format } from "../units/units";

export type HealthState = "stale" | "down" | "critical" | "degraded" | "no-traffic" | "healthy" | "unknown";

export interface Limits {
	readonly warning: number;
	readonly critical: number;
}

export interface Thresholds {
	readonly errorPercent: Limits;
	readonly p95Seconds: Limits;
}

export const DEFAULT_THRESHOLDS: Thresholds = {
	errorPercent: { warning: 5, critical: 20 },
	p95Seconds: { warning: 1, critical: 2 },
};

/** A signal now, and for how many seconds without a break it has been above each limit. */
export interface Signal {
	readonly value: number | null;
	readonly aboveWarningFor: number;
	readonly aboveCriticalFor: number;
}

export interface PlaneFacts {
	/** Seconds since the newest sample; null when none was ever seen. */
	readonly age: number | null;
	readonly scrapeInterval: number;
	readonly targetsUp: number | null;
	readonly targetsAll: number | null;
	readonly rate: number | null;
	readonly errors: Signal;
	readonly p95: Signal;
	/** Rate window in seconds; critical needs two of them. */
	readonly window: number;
	readonly alerts: readonly { name: string; severity: "critical" | "warning" }[];
	/** The scrape error of a target that is down, if known. */
	readonly scrapeError?: string;
}

export interface Health {
	readonly state: HealthState;
	readonly reason: string;
}

/** The sentence of a plane that is unwell because an alert says so. */
export const alertReason = (name: string): string => `Alert ${name} is firing`;

/** Worst first: the order of the cards. */
export const SEVERITY: readonly HealthState[] = [
	"down",
	"stale",
	"critical",
	"degraded",
	"no-traffic",
	"unknown",
	"healthy",
];

export const HEALTH_WORDS: Record<HealthState, string> = {
	down: "Down",
	stale: "Stale",
	critical: "Critical",
	degraded: "Degraded",
	"no-traffic": "No traffic",
	unknown: "Unknown",
	healthy: "Healthy",
};

const plural = (n: number, word: string): string => `${n} ${word}${n === 1 ? "" : "s"}`;
const forSpan = (seconds: number): string => (seconds >= 60 ? ` for ${formatSpan(seconds)}` : "");

export function healthOf(facts: PlaneFacts, limits: Thresholds): Health {
	const { age, targetsUp, targetsAll, errors, p95, window } = facts;
	if (age !== null && age > 3 * facts.scrapeInterval) {
		return {
			state: "stale",
			reason: `No data for ${formatSpan(age)}; the last scrape is older than 3 intervals`,
		};
	}
	if (targetsAll !== null && targetsAll > 0 && targetsUp === 0) {
		const why = facts.scrapeError ? `: ${facts.scrapeError}` : "";
		return {
			state: "down",
			reason: targetsAll === 1 ? `Its target is down${why}` : `All ${targetsAll} targets are down${why}`,
		};
	}
	const alert = facts.alerts.find((a) => a.severity === "critical");
	if (alert) return { state: "critical", reason: alertReason(alert.name) };
	const e = limits.errorPercent;
	const l = limits.p95Seconds;
	if (errors.value !== null && errors.value > e.critical && errors.aboveCriticalFor >= 2 * window) {
		const said = `Error rate ${format(errors.value, "percent")} is above the critical ${e.critical} %`;
		return { state: "critical", reason: said + forSpan(errors.aboveCriticalFor) };
	}
	if (p95.value !== null && p95.value > l.critical && p95.aboveCriticalFor >= 2 * window) {
		const said = `p95 latency ${format(p95.value, "seconds")} is above the critical ${format(l.critical, "seconds")}`;
		return { state: "critical", reason: said + forSpan(p95.aboveCriticalFor) };
	}
	if (targetsAll !== null && targetsUp !== null && targetsUp < targetsAll) {
		return { state: "degraded", reason: `${plural(targetsAll - targetsUp, "target")} of ${targetsAll} down` };
	}
	const warning = facts.alerts[0];
	if (warning) return { state: "degraded", reason: alertReason(warning.name) };
	if (errors.value !== null && errors.value > e.warning) {
		const said = `Error rate ${format(errors.value, "percent")} is above the ${e.warning} % threshold`;
		return { state: "degraded", reason: said + forSpan(errors.aboveWarningFor) };
	}
	if (p95.value !== null && p95.value > l.warning) {
		const said = `p95 latency ${format(p95.value, "seconds")} is above the ${format(l.warning, "seconds")} threshold`;
		return { state: "degraded", reason: said + forSpan(p95.aboveWarningFor) };
	}
	if (facts.rate !== null && facts.rate <= 0)
		return { state: "no-traffic", reason: "Scraped, but no requests in the last window" };
	if (facts.rate !== null) return { state: "healthy", reason: "All signals are within their thresholds" };
	if (targetsUp !== null && targetsUp > 0)
		return { state: "unknown", reason: "Scraped, but it has not sent request metrics yet" };
	return { state: "unknown", reason: "Nothing has been heard from it yet" };
}
