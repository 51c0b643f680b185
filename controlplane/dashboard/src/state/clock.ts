/** One clock for the page: every query of a tick uses the same "now". */

import type { QueryClient } from "@tanstack/react-query";
import { useEffect, useSyncExternalStore } from "react";

let now = Date.now() / 1000;

export const clock = {
	/** The moment of the running tick. Queries that start much later than the tick get a fresh moment. */
	forFetch(): number {
		const actual = Date.now() / 1000;
		if (actual - now > 5 || actual < now) now = actual;
		return now;
	},
	tick(): void {
		now = Date.now() / 1000;
	},
};

const failures = new Map<string, { count: number; next: number }>();
const MAX_BACKOFF = 300;
/** Answers that do not change while a page is open. */
const FIXED: ReadonlySet<unknown> = new Set(["config", "data-age", "has-storage"]);

/** Asks every panel on screen again; failing ones wait twice as long each time, up to five minutes. */
export function refreshAll(client: QueryClient, seconds: number, force: boolean): void {
	clock.tick();
	const at = Date.now() / 1000;
	void client.invalidateQueries({
		predicate: (query) => {
			// Null says that the server has no such endpoint; asking again would only fill the console.
			if (FIXED.has(query.queryKey[0]) || query.state.data === null) return false;
			const known = failures.get(query.queryHash);
			if (query.state.status !== "error") {
				if (known) failures.delete(query.queryHash);
				return true;
			}
			if (force) {
				failures.delete(query.queryHash);
				return true;
			}
			if (known && at < known.next) return false;
			const count = (known?.count ?? 0) + 1;
			failures.set(query.queryHash, { count, next: at + Math.min(MAX_BACKOFF, seconds * 2 ** count) - 0.5 });
			return true;
		},
	});
}

/** Runs the automatic refresh; paused while the tab is hidden, catches up on return. */
export function useRefreshLoop(client: QueryClient, seconds: number): void {
	useEffect(() => {
		if (seconds === 0) return;
		let last = Date.now();
		const check = () => {
			if (document.hidden || Date.now() - last < seconds * 1000 - 50) return;
			last = Date.now();
			refreshAll(client, seconds, false);
		};
		const timer = setInterval(check, 1000);
		document.addEventListener("visibilitychange", check);
		return () => {
			clearInterval(timer);
			document.removeEventListener("visibilitychange", check);
		};
	}, [client, seconds]);
}

/** Epoch seconds, moving once a second, for "4 s ago". */
export function useNow(): number {
	return useSyncExternalStore(
		(changed) => {
			const timer = setInterval(changed, 1000);
			return () => clearInterval(timer);
		},
		() => Math.floor(Date.now() / 1000),
	);
}
