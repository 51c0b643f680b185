/** One moment for all charts of the page. Moving it renders nothing in React: each chart moves its own few elements. */

export interface Moment {
	readonly time: number;
	/** The chart under the pointer or with the focus, which shows the tooltip. */
	readonly owner: string;
	/** Vertical pixel inside the owner's plot, to tell which line is nearest. */
	readonly y: number | null;
	readonly pinned: boolean;
}

let moment: Moment | null = null;
const listeners = new Set<(moment: Moment | null) => void>();

export const crosshair = {
	get: (): Moment | null => moment,
	set(next: Moment | null): void {
		if (next === moment) return;
		moment = next;
		for (const listener of listeners) listener(next);
	},
	subscribe(listener: (moment: Moment | null) => void): () => void {
		listeners.add(listener);
		return () => listeners.delete(listener);
	},
};
