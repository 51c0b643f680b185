/** The range of a page whose address names none: settled once per visit, so that nothing jumps while one looks. */

import { useSyncExternalStore } from "react";
import { DEFAULT_RANGE, openingRange, type RangeSpec } from "../lib/time/range";

let range: RangeSpec = DEFAULT_RANGE;
/** Epoch seconds since when there are data, as far as the last hour tells; unknown before it is settled. */
let began: number | undefined;
const listeners = new Set<() => void>();

/** Takes the first age it is told, in seconds. */
export function settleOpening(dataAge: number): void {
	if (began !== undefined) return;
	began = Date.now() / 1000 - dataAge;
	range = openingRange(dataAge);
	for (const changed of listeners) changed();
}

/** How many seconds of data there are now. */
export function dataAgeNow(): number {
	return began === undefined ? Number.POSITIVE_INFINITY : Date.now() / 1000 - began;
}

export function useOpening(): RangeSpec {
	return useSyncExternalStore(
		(changed) => {
			listeners.add(changed);
			return () => listeners.delete(changed);
		},
		() => range,
	);
}
