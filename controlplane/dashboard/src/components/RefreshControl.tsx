/** Manual and automatic refresh, and how old the page is. */

import { Menu, Tooltip } from "@mantine/core";
import { useIsFetching, useQueryClient } from "@tanstack/react-query";
import { Check, ChevronDown, RefreshCw } from "lucide-react";
import { formatAgo } from "../lib/time/range";
import { formatRefresh, REFRESHES } from "../lib/url/search";
import { isRepeated, refreshAll, useNow } from "../state/clock";
import { useGlobal, useSetGlobal } from "../state/url";

const WORDS: Record<number, string> = { 0: "Off", 10: "Every 10 s", 30: "Every 30 s", 60: "Every minute" };

export function RefreshControl() {
	const { refresh } = useGlobal();
	const set = useSetGlobal();
	const client = useQueryClient();
	return (
		// biome-ignore lint/a11y/useSemanticElements: a fieldset cannot be laid out as a row of buttons everywhere
		<div className="group" role="group" aria-label="Refresh">
			<Tooltip label="Refresh now  r">
				<button type="button" aria-label="Refresh now" onClick={() => refreshAll(client, refresh, true)}>
					<RefreshCw />
				</button>
			</Tooltip>
			<Menu position="bottom-end" withinPortal>
				<Menu.Target>
					<button type="button">
						<span className="sr-only">Refresh automatically: </span>
						{formatRefresh(refresh)} <ChevronDown />
					</button>
				</Menu.Target>
				<Menu.Dropdown>
					{REFRESHES.map((seconds) => (
						<Menu.Item
							key={seconds}
							rightSection={seconds === refresh ? <Check size={14} /> : null}
							onClick={() => set({ refresh: seconds })}
						>
							{WORDS[seconds]}
						</Menu.Item>
					))}
				</Menu.Dropdown>
			</Menu>
		</div>
	);
}

/** Counts from the oldest panel on screen. */
export function LastUpdated() {
	const now = useNow();
	useIsFetching();
	const client = useQueryClient();
	const times = client
		.getQueryCache()
		.findAll({ type: "active", predicate: (q) => isRepeated(q) && q.state.dataUpdatedAt > 0 })
		.map((q) => q.state.dataUpdatedAt);
	if (times.length === 0) return <span className="updated">Not updated yet</span>;
	return (
		<span className="updated">Updated {formatAgo(Math.max(0, now + 1 - Math.min(...times) / 1000))}</span>
	);
}
