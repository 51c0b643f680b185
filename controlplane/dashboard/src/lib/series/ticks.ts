/** Round axis ticks. */

export interface Scale {
	readonly min: number;
	readonly max: number;
	readonly step: number;
}

/** The next of 1, 2, 2.5, 5, 10 times a power of ten. */
function nice(raw: number): number {
	const power = 10 ** Math.floor(Math.log10(raw));
	const lead = raw / power;
	const round = lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 2.5 ? 2.5 : lead <= 5 ? 5 : 10;
	return round * power;
}

/** A scale with four or five ticks round the data; it starts at zero unless values are negative. */
export function valueScale(low: number, high: number, integers = false, bytes = false): Scale {
	let min = Math.min(0, Number.isFinite(low) ? low : 0);
	let max = Number.isFinite(high) ? high : 0;
	if (max <= min) max = min + 1;
	// Bytes are shown in powers of 1024, so that is where their round numbers lie.
	const whole = bytes ? 1024 ** Math.max(0, Math.floor(Math.log(max - min) / Math.log(1024))) : 1;
	let step = nice((max - min) / 4 / whole) * whole;
	if (bytes && step < 1) step = 1;
	if (integers && step < 1) step = 1;
	if (integers && step === 2.5) step = 5;
	max = Math.ceil(max / step - 1e-9) * step;
	min = Math.floor(min / step + 1e-9) * step;
	return { min: round(min), max: round(max), step: round(step) };
}

const round = (n: number): number => Number(n.toPrecision(12));

const TIME_STEPS = [
	1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400, 172800,
	604800,
];

/** Round moments between two times, in the wall clock of the zone `offset` seconds east of UTC. */
export function timeTicks(
	start: number,
	end: number,
	wanted: number,
	offset: number,
): { step: number; ticks: number[] } {
	const raw = (end - start) / Math.max(1, wanted);
	const step = TIME_STEPS.find((s) => s >= raw) ?? Math.ceil(raw / 604800) * 604800;
	const ticks: number[] = [];
	for (let t = Math.ceil((start + offset) / step) * step - offset; t <= end; t += step) ticks.push(t);
	return { step, ticks };
}
