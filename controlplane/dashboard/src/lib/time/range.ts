/** Time ranges as they stand in the address: `now-1h`..`now`, or epoch seconds. All times are seconds. */

export interface RangeSpec {
	readonly from: string;
	readonly to: string;
}

export interface ResolvedRange {
	readonly start: number;
	readonly end: number;
}

export const DEFAULT_RANGE: RangeSpec = { from: "now-1h", to: "now" };

/** The presets of the menu; the first five are the ones everybody knows. */
export const PRESETS: readonly { label: string; long: string; seconds: number }[] = [
	{ label: "5m", long: "Last 5 minutes", seconds: 300 },
	{ label: "15m", long: "Last 15 minutes", seconds: 900 },
	{ label: "1h", long: "Last 1 hour", seconds: 3600 },
	{ label: "6h", long: "Last 6 hours", seconds: 21600 },
	{ label: "24h", long: "Last 24 hours", seconds: 86400 },
	{ label: "2d", long: "Last 2 days", seconds: 172800 },
	{ label: "7d", long: "Last 7 days", seconds: 604800 },
	{ label: "15d", long: "Last 15 days", seconds: 1296000 },
];

/**
 * The range that a page opens with when the address names none. Lines that fill a chart say more than a sliver at its
 * edge, so a young server opens with the shortest usual range that holds all of its last hour.
 */
export function openingRange(dataAge: number): RangeSpec {
	const fitting = PRESETS.find((p) => p.seconds >= dataAge && p.seconds < 3600);
	return fitting ? { from: `now-${formatDuration(fitting.seconds)}`, to: "now" } : DEFAULT_RANGE;
}

const FILLED = [60, 120, 180, 300, 600, 900, 1800, 2700, 3600, 7200, 10800, 21600, 43200, 86400, 172800];

/**
 * The window for numbers over a whole range whose data begin `dataAge` seconds before its end. A rate over a window
 * that is mostly empty comes out far too low. Goes up in steps, so that the query does not change with every refresh.
 */
export function filledLength(length: number, dataAge: number): number {
	if (dataAge >= 0.95 * length) return length;
	const fitting = FILLED.filter((s) => s <= dataAge).at(-1) ?? (FILLED[0] as number);
	return Math.min(length, fitting);
}

const UNITS: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400, w: 604800, y: 31536000 };

/** Seconds of a Prometheus duration such as `1h30m`, or null. Units must fall, as in PromQL. */
export function parseDuration(text: string): number | null {
	if (text === "0") return 0;
	let rest = text.trim();
	if (rest === "") return null;
	let total = 0;
	let last = Number.POSITIVE_INFINITY;
	while (rest !== "") {
		const match = /^(\d+)(ms|[smhdwy])/.exec(rest);
		if (!match) return null;
		const unit = UNITS[match[2] as string] as number;
		if (unit >= last) return null;
		last = unit;
		total += Number(match[1]) * unit;
		rest = rest.slice(match[0].length);
	}
	return total;
}

/** A Prometheus duration for a number of seconds: `40s`, `5m`, `1h30m`. */
export function formatDuration(seconds: number): string {
	let rest = Math.round(seconds * 1000);
	if (rest <= 0) return "0s";
	let text = "";
	for (const [unit, size] of [
		["d", 86_400_000],
		["h", 3_600_000],
		["m", 60_000],
		["s", 1000],
		["ms", 1],
	] as const) {
		const count = Math.floor(rest / size);
		if (count > 0) text += `${count}${unit}`;
		rest -= count * size;
	}
	return text;
}

/** Epoch seconds of one end of a range, or null when the text means nothing. `local` reads dates without zone. */
export function parseBound(text: string, now: number): number | null {
	const trimmed = text.trim();
	if (trimmed === "now") return now;
	const relative = /^now\s*([+-])\s*(\S+)$/.exec(trimmed);
	if (relative) {
		const seconds = parseDuration(relative[2] as string);
		if (seconds === null) return null;
		return relative[1] === "-" ? now - seconds : now + seconds;
	}
	if (/^\d{9,11}(\.\d+)?$/.test(trimmed)) return Number(trimmed);
	if (/^\d{12,14}$/.test(trimmed)) return Number(trimmed) / 1000;
	const date = /^(\d{4})-(\d{2})-(\d{2})(?:[ T](\d{2}):(\d{2})(?::(\d{2}))?)?(Z)?$/.exec(trimmed);
	if (!date) return null;
	const [, y, mo, d, h = "00", mi = "00", s = "00", zone] = date;
	const parts = [Number(y), Number(mo) - 1, Number(d), Number(h), Number(mi), Number(s)] as const;
	if (parts[1] > 11 || parts[2] > 31 || parts[3] > 23 || parts[4] > 59 || parts[5] > 59) return null;
	const ms = zone ? Date.UTC(...parts) : new Date(...parts).getTime();
	return Number.isNaN(ms) ? null : ms / 1000;
}

export type RangeProblem = "from" | "to" | "order";

/** Both ends in epoch seconds, or which of them is wrong. */
export function resolveRange(spec: RangeSpec, now: number): ResolvedRange | RangeProblem {
	const start = parseBound(spec.from, now);
	if (start === null) return "from";
	const end = parseBound(spec.to, now);
	if (end === null) return "to";
	if (end <= start) return "order";
	return { start, end };
}

/** As {@link resolveRange}, with the default range in place of a wrong one. */
export function rangeOrDefault(spec: RangeSpec, now: number): ResolvedRange {
	const range = resolveRange(spec, now);
	return typeof range === "string" ? { start: now - 3600, end: now } : range;
}

export function isLive(spec: RangeSpec): boolean {
	return spec.to === "now";
}

/** The preset of a range, if it is one. */
export function presetOf(spec: RangeSpec): (typeof PRESETS)[number] | undefined {
	if (spec.to !== "now") return undefined;
	const seconds = /^now-(.+)$/.exec(spec.from)?.[1];
	const parsed = seconds ? parseDuration(seconds) : null;
	return PRESETS.find((p) => p.seconds === parsed);
}

const pad = (n: number): string => String(n).padStart(2, "0");
const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

interface Parts {
	y: number;
	mo: number;
	d: number;
	wd: number;
	h: number;
	mi: number;
	s: number;
}

function partsOf(epoch: number, utc: boolean): Parts {
	const t = new Date(epoch * 1000);
	return utc
		? {
				y: t.getUTCFullYear(),
				mo: t.getUTCMonth(),
				d: t.getUTCDate(),
				wd: t.getUTCDay(),
				h: t.getUTCHours(),
				mi: t.getUTCMinutes(),
				s: t.getUTCSeconds(),
			}
		: {
				y: t.getFullYear(),
				mo: t.getMonth(),
				d: t.getDate(),
				wd: t.getDay(),
				h: t.getHours(),
				mi: t.getMinutes(),
				s: t.getSeconds(),
			};
}

/** `14:05`, or `14:05:30` when seconds matter. */
export function formatClock(epoch: number, utc = false, seconds = false): string {
	const p = partsOf(epoch, utc);
	return `${pad(p.h)}:${pad(p.mi)}${seconds ? `:${pad(p.s)}` : ""}`;
}

/** `2026-11-20 14:05:30`, the form that {@link parseBound} reads back. */
export function formatStamp(epoch: number, utc = false): string {
	const p = partsOf(epoch, utc);
	return `${p.y}-${pad(p.mo + 1)}-${pad(p.d)} ${pad(p.h)}:${pad(p.mi)}:${pad(p.s)}`;
}

/** `Fri 20 Nov, 14:15:40`. */
export function formatMoment(epoch: number, utc = false): string {
	const p = partsOf(epoch, utc);
	return `${DAYS[p.wd]} ${p.d} ${MONTHS[p.mo]}, ${pad(p.h)}:${pad(p.mi)}:${pad(p.s)}`;
}

/** `Thu 14:30`. */
export function formatWeekday(epoch: number, utc = false): string {
	const p = partsOf(epoch, utc);
	return `${DAYS[p.wd]} ${pad(p.h)}:${pad(p.mi)}`;
}

/** An axis label: the date at midnight, else the time of day. */
export function formatAxisTime(epoch: number, utc = false, seconds = false): string {
	const p = partsOf(epoch, utc);
	if (p.h === 0 && p.mi === 0 && p.s === 0) return `${p.d} ${MONTHS[p.mo]}`;
	return formatClock(epoch, utc, seconds);
}

/** What stands on the range button. */
export function describeRange(spec: RangeSpec, now: number, utc = false): string {
	const preset = presetOf(spec);
	if (preset) return preset.long;
	const range = resolveRange(spec, now);
	if (typeof range === "string") return "Custom range";
	if (spec.to === "now") return `Last ${formatDuration(range.end - range.start)}`;
	const sameDay = formatStamp(range.start, utc).slice(0, 10) === formatStamp(range.end, utc).slice(0, 10);
	const left = formatStamp(range.start, utc).slice(5, 16);
	const right = formatStamp(range.end, utc).slice(sameDay ? 11 : 5, 16);
	return `${left} – ${right}`;
}

/** `4 s ago`, `3 min ago`. */
export function formatAgo(seconds: number): string {
	if (seconds < 1) return "now";
	return `${formatSpan(seconds)} ago`;
}

/** A length of time for reading: `40 s`, `6 min`, `2 h 5 min`, `3 d`. */
export function formatSpan(seconds: number): string {
	const s = Math.max(0, Math.round(seconds));
	if (s < 60) return `${s} s`;
	if (s < 3600) return `${Math.floor(s / 60)} min`;
	if (s < 86400) {
		const minutes = Math.floor((s % 3600) / 60);
		return `${Math.floor(s / 3600)} h${minutes ? ` ${minutes} min` : ""}`;
	}
	return `${Math.floor(s / 86400)} d`;
}

/** Moves a range by a share of its length; the result has fixed ends, unless it reaches now again. */
export function shiftRange(spec: RangeSpec, now: number, share: number): RangeSpec {
	const { start, end } = rangeOrDefault(spec, now);
	const by = Math.round((end - start) * share);
	if (end + by >= now) return { from: `now-${formatDuration(Math.round(end - start))}`, to: "now" };
	return { from: String(Math.round(start + by)), to: String(Math.round(end + by)) };
}

/** The range twice as long: to the past when it ends now, else round its middle. */
export function zoomOut(spec: RangeSpec, now: number): RangeSpec {
	const { start, end } = rangeOrDefault(spec, now);
	const length = Math.round(end - start);
	if (spec.to === "now") return { from: `now-${formatDuration(length * 2)}`, to: "now" };
	const right = Math.round(end + length / 2);
	if (right >= now) return { from: `now-${formatDuration(length * 2)}`, to: "now" };
	return { from: String(Math.round(start - length / 2)), to: String(right) };
}
