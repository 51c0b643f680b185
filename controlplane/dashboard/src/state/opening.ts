/** The range of a page whose address names none: settled once per visit, so that nothing jumps while one looks. */

import { useSyncExternalStore } from "react";
import { DEFAULT_RANGE, openingRange, type RangeSpec } from "../lib/time/range";

let range: RangeSpec = DEFAULT_RANGE;
let settled = false;
const listeners = new Set<() => void>();

/** Takes the first age it is told, in seconds. */
export function settleOpening(dataAge: number): void {
	if (settled) return;
	settled = true;
	range = openingRange(dataAge);
	for (const changed of listeners) changed();
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
