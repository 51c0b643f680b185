/** Numbers for reading. One pure formatter for every unit. */

export type Unit = "seconds" | "percent" | "points" | "rate" | "count" | "bytes" | "none";

export interface Shown {
	readonly number: string;
	readonly unit: string;
}

/** A non-breaking space stands between number and unit, so that no line breaks there. */
const GAP = "\u00a0";

function digits(value: number, places: number): string {
	const text = value.toFixed(places);
	return text === "-0" || /^-0\.0*$/.test(text) ? text.slice(1) : text;
}

/** About three significant digits, without zeros at the end. */
function significant(value: number): string {
	const size = Math.abs(value);
	if (size === 0) return "0";
	if (size < 0.01) return value.toPrecision(2);
	const places = size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.9995 ? 2 : 3;
	const text = digits(value, places);
	return places === 0 ? text : text.replace(/\.?0+$/, "");
}

function scaled(value: number): [number, string] {
	const size = Math.abs(value);
	if (size >= 1e12) return [value / 1e12, "T"];
	if (size >= 1e9) return [value / 1e9, "G"];
	if (size >= 1e6) return [value / 1e6, "M"];
	if (size >= 1e4) return [value / 1e3, "k"];
	return [value, ""];
}

function time(value: number): [number, string] {
	const size = Math.abs(value);
	if (size === 0) return [0, "ms"];
	if (size < 0.9995e-3) return [value * 1e6, "µs"];
	if (size < 0.9995) return [value * 1e3, "ms"];
	if (size < 120) return [value, "s"];
	if (size < 7200) return [value / 60, "min"];
	return [value / 3600, "h"];
}

function bytes(value: number): [number, string] {
	const names = ["B", "KiB", "MiB", "GiB", "TiB"];
	let at = 0;
	let v = value;
	while (Math.abs(v) >= 1024 && at < names.length - 1) {
		v /= 1024;
		at++;
	}
	return [v, names[at] as string];
}

/** Number and unit apart, for the cards. */
export function show(value: number | null | undefined, unit: Unit): Shown {
	if (value === null || value === undefined || Number.isNaN(value)) return { number: "–", unit: "" };
	if (!Number.isFinite(value)) return { number: value > 0 ? "∞" : "−∞", unit: "" };
	switch (unit) {
		case "seconds": {
			const [v, u] = time(value);
			const ms = u === "ms" || u === "µs";
			return { number: ms && Math.abs(v) >= 10 ? digits(v, 0) : significant(v), unit: u };
		}
		case "percent":
		case "points": {
			const u = unit === "percent" ? "%" : "pp";
			const size = Math.abs(value);
			if (size > 0 && size < 0.005) return { number: "< 0.01", unit: u };
			// 99.996 must not read as 100: what is left to 100 is what matters there.
			if (unit === "percent" && value > 99 && value < 100)
				return { number: digits(Math.min(value, 99.99), 2), unit: u };
			return {
				number:
					size >= 10 || size === 0
						? digits(value, size === 0 || size === 100 ? 0 : 1)
						: digits(value, size < 0.1 ? 2 : 1),
				unit: u,
			};
		}
		case "rate": {
			const [v, k] = scaled(value);
			return {
				number: Math.abs(v) < 100 && Math.abs(v) >= 0.05 ? digits(v, 1) : significant(v),
				unit: `${k}/s`,
			};
		}
		case "count": {
			const [v, k] = scaled(value);
			const places = Number.isInteger(v) || Math.abs(v) >= 100 ? 0 : 1;
			return { number: k === "" ? digits(v, places) : significant(v), unit: k };
		}
		case "bytes": {
			const [v, u] = bytes(value);
			return { number: u === "B" ? digits(v, 0) : significant(v), unit: u };
		}
		default: {
			if (Math.abs(value) >= 1e15 || (value !== 0 && Math.abs(value) < 1e-4))
				return { number: value.toPrecision(4), unit: "" };
			const [v, k] = scaled(value);
			return { number: Number.isInteger(v) ? String(v) : significant(v), unit: k };
		}
	}
}

/** Number and unit as one text. */
export function format(value: number | null | undefined, unit: Unit): string {
	const { number, unit: u } = show(value, unit);
	if (u === "") return number;
	return u === "/s" || u === "k" || u === "M" || u === "G" || u === "T" || u.endsWith("/s")
		? `${number}${u}`
		: `${number}${GAP}${u}`;
}

/** Axis ticks that all use one unit, with as many digits as neighbouring ticks need to differ. */
export function formatTick(value: number, step: number, max: number, unit: Unit): string {
	const places = (s: number): number => {
		let p = 0;
		while (p < 6 && Math.abs(s * 10 ** p - Math.round(s * 10 ** p)) > 1e-6) p++;
		return p;
	};
	const top = Math.max(Math.abs(max), Math.abs(value));
	switch (unit) {
		case "seconds": {
			const factor =
				top <= 1e-3 ? 1e6 : top < 1.0001 ? 1e3 : top < 120.0001 ? 1 : top < 7200.0001 ? 1 / 60 : 1 / 3600;
			const name =
				factor === 1e6 ? "µs" : factor === 1e3 ? "ms" : factor === 1 ? "s" : factor === 1 / 60 ? "min" : "h";
			return `${digits(value * factor, places(step * factor))}${GAP}${name}`;
		}
		case "percent":
			return `${digits(value, places(step))}${GAP}%`;
		case "points":
			return `${digits(value, places(step))}${GAP}pp`;
		case "bytes": {
			const [, name] = bytes(top);
			const factor = 1024 ** ["B", "KiB", "MiB", "GiB", "TiB"].indexOf(name);
			return `${digits(value / factor, places(step / factor))}${GAP}${name}`;
		}
		default: {
			const factor = top >= 1e9 ? 1e9 : top >= 1e6 ? 1e6 : top >= 1e4 ? 1e3 : 1;
			const name = factor === 1e9 ? "G" : factor === 1e6 ? "M" : factor === 1e3 ? "k" : "";
			if (step < 1e-6) return value === 0 ? "0" : value.toPrecision(2);
			return `${digits(value / factor, places(step / factor))}${name}`;
		}
	}
}

export interface Change {
	readonly text: string;
	/** Better or worse only where that is certain; rate and active requests stay neutral. */
	readonly verdict: "better" | "worse" | "same" | "neutral";
}

/** How a value moved against an earlier one. */
export function change(
	now: number | null,
	before: number | null,
	unit: Unit,
	good: "low" | "high" | "none",
): Change | null {
	if (now === null || before === null || !Number.isFinite(now) || !Number.isFinite(before)) return null;
	const delta = now - before;
	const sign = delta > 0 ? "+" : "−";
	const size = Math.abs(delta);
	let text: string;
	if (unit === "rate") {
		if (before === 0) return now === 0 ? { text: "no change", verdict: "same" } : null;
		const percent = (100 * size) / Math.abs(before);
		if (percent < 0.05) return { text: "no change", verdict: "same" };
		text =
			percent >= 1000
				? `${sign}${Math.round(percent / 100)}×`
				: `${sign}${digits(percent, percent >= 100 ? 0 : 1)}${GAP}%`;
	} else if (unit === "percent") {
		if (size < 0.05) return { text: "no change", verdict: "same" };
		text = `${sign}${digits(size, 1)}${GAP}pp`;
	} else if (unit === "seconds") {
		if (size < 0.0005) return { text: "no change", verdict: "same" };
		text = `${sign}${format(size, "seconds")}`;
	} else {
		if (size < 0.5) return { text: "no change", verdict: "same" };
		text = `${sign}${format(Math.round(size), unit)}`;
	}
	if (good === "none") return { text, verdict: "neutral" };
	// A tenth of the old value is noise for latency; small moves are said, not judged.
	const notable =
		unit === "seconds" ? size > 0.1 * Math.max(before, 1e-9) : unit === "percent" ? size >= 0.5 : true;
	if (!notable) return { text, verdict: "neutral" };
	const better = good === "low" ? delta < 0 : delta > 0;
	return { text, verdict: better ? "better" : "worse" };
}
