/** Availability of 24 hours in 48 cells; height and outline tell the state, not only colour. */

import { availability, type Scope } from "../lib/promql/queries";
import { type Panel, useRangePanel } from "../state/queries";
import { useScope } from "../state/scope";

export const CELL = 1800;
export const CELLS = 48;

export type CellState = "met" | "risk" | "breached" | "none";

export function cellState(
	value: number | null | undefined,
	errorPercent: { warning: number; critical: number },
): CellState {
	if (value === null || value === undefined) return "none";
	const errors = 100 - value;
	return errors > errorPercent.critical ? "breached" : errors > errorPercent.warning ? "risk" : "met";
}

export function useAvailability(by: readonly string[]): Panel {
	const { names, environmentSelector } = useScope();
	const scope: Scope = { names, selector: environmentSelector, by, window: CELL };
	return useRangePanel([{ id: "availability", expr: availability(scope) }], {
		step: CELL,
		lastSeconds: CELL * CELLS,
	});
}
