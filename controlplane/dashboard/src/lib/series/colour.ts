/** Which of the eight series colours a series gets. */

export const COLOURS = 8;

export interface Colour {
	/** 0 to 7: the custom property `--series-<n + 1>`. */
	readonly index: number;
	/** From the ninth series on the colours repeat, dashed. */
	readonly dashed: boolean;
}

function hash(text: string): number {
	let h = 0x811c9dc5;
	for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
	return h >>> 0;
}

/** Environments take the colours in configuration order. */
export function environmentColour(order: readonly string[], environment: string): Colour {
	const at = order.indexOf(environment);
	if (at < 0) return { index: hash(environment) % COLOURS, dashed: true };
	return { index: at % COLOURS, dashed: at >= COLOURS };
}

/** Other series: a stable hash of the labels, stepped on when the colour is taken. */
export function assignColours(ids: readonly string[]): Map<string, Colour> {
	const given = new Map<string, Colour>();
	const taken = new Set<number>();
	for (const id of [...ids].sort()) {
		if (given.has(id)) continue;
		let slot = hash(id) % COLOURS;
		const dashed = taken.size >= COLOURS;
		if (!dashed) while (taken.has(slot)) slot = (slot + 1) % COLOURS;
		taken.add(slot);
		given.set(id, { index: slot, dashed });
	}
	return given;
}

/** One series per environment keeps the colours of the environments; any other set takes {@link assignColours}. */
export function seriesColours(
	columns: readonly { readonly id: string; readonly labels: Readonly<Record<string, string>> }[],
	label: string,
	environments: readonly string[],
): Map<string, Colour> {
	const of = columns.map((c) => c.labels[label] ?? "");
	const each = new Set(of).size === of.length && of.every((e) => environments.includes(e));
	if (!each) return assignColours(columns.map((c) => c.id));
	return new Map(columns.map((c, i) => [c.id, environmentColour(environments, of[i] ?? "")]));
}
