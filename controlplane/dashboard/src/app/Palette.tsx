/** Everything by name: pages, planes, routes, metrics, actions. Opened with Ctrl or Cmd and K. */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type KeyboardEvent, useEffect, useId, useMemo, useRef, useState } from "react";
import { unwrap } from "../api/client";
import * as prometheus from "../api/prometheus";
import { search } from "../lib/search/search";
import { formatDuration, PRESETS } from "../lib/time/range";
import { refreshAll } from "../state/clock";
import { usePrefs, useTheme } from "../state/prefs";
import { useScope } from "../state/scope";
import { metricsPath, useGlobal, useGo, useSetGlobal } from "../state/url";
import { NAV, type NavPage } from "./pages";

const SHOWN = 12;

interface Entry {
	readonly kind: string;
	readonly text: string;
	readonly run: () => void;
}

export interface PaletteProps {
	open: boolean;
	onClose: () => void;
	onHelp: () => void;
	/** Pages that the server has nothing for are not offered. */
	pages?: readonly NavPage[];
}

export function Palette({ open, onClose, onHelp, pages = NAV }: PaletteProps) {
	const dialog = useRef<HTMLDialogElement>(null);
	useEffect(() => {
		if (open && !dialog.current?.open) dialog.current?.showModal();
	}, [open]);
	return (
		<dialog className="dialog palette" ref={dialog} onClose={onClose} aria-label="Search">
			{open && <Finder onDone={() => dialog.current?.close()} onHelp={onHelp} pages={pages} />}
		</dialog>
	);
}

function Finder({
	onDone,
	onHelp,
	pages,
}: {
	onDone: () => void;
	onHelp: () => void;
	pages: readonly NavPage[];
}) {
	const entries = useEntries(pages, onHelp);
	const [typed, setTyped] = useState("");
	const [at, setAt] = useState(0);
	const list = useId();
	const found = useMemo(() => search(entries, (e) => `${e.text} ${e.kind}`, typed, SHOWN), [entries, typed]);
	const chosen = Math.min(at, Math.max(0, found.length - 1));
	const run = (entry: Entry | undefined) => {
		if (!entry) return;
		onDone();
		entry.run();
	};
	const pressed = (event: KeyboardEvent) => {
		if (event.key === "ArrowDown") setAt((chosen + 1) % Math.max(1, found.length));
		else if (event.key === "ArrowUp") setAt((chosen + found.length - 1) % Math.max(1, found.length));
		else if (event.key === "Enter") run(found[chosen]);
		else return;
		event.preventDefault();
	};
	return (
		<>
			<input
				className="input"
				role="combobox"
				aria-expanded="true"
				aria-controls={list}
				aria-activedescendant={found.length ? `${list}-${chosen}` : undefined}
				aria-label="Search pages, planes, routes, metrics and actions"
				placeholder="Search pages, planes, routes, metrics and actions"
				// biome-ignore lint/a11y/noAutofocus: the dialog was opened to type here
				autoFocus
				value={typed}
				onChange={(e) => {
					setTyped(e.currentTarget.value);
					setAt(0);
				}}
				onKeyDown={pressed}
			/>
			<div role="listbox" id={list} aria-label="Found">
				{found.map((entry, i) => (
					// biome-ignore lint/a11y/useFocusableInteractive: see above
					// biome-ignore lint/a11y/useKeyWithClickEvents: the field takes the keys
					<div
						key={`${entry.kind} ${entry.text}`}
						role="option"
						id={`${list}-${i}`}
						aria-selected={i === chosen}
						onClick={() => run(entry)}
						onPointerMove={() => setAt(i)}
					>
						<span className={entry.kind === "Metric" || entry.kind === "Route" ? "mono" : undefined}>
							{entry.text}
						</span>
						<span className="dim">{entry.kind}</span>
					</div>
				))}
			</div>
			{found.length === 0 && <p className="muted palette-none">Nothing is called that.</p>}
		</>
	);
}

/** What can be found, in the order in which it is shown before anything is typed. */
function useEntries(pages: readonly NavPage[], onHelp: () => void): readonly Entry[] {
	const { planes, environments, names } = useScope();
	const go = useGo();
	const setGlobal = useSetGlobal();
	const { refresh } = useGlobal();
	const client = useQueryClient();
	const theme = useTheme();
	const setPrefs = usePrefs((p) => p.set);
	const metrics = useNames("__name__", undefined);
	const routes = useNames(names.route, `${names.duration}_count`);
	return useMemo(() => {
		const other = theme === "dark" ? "light" : "dark";
		const entry = (kind: string, text: string, run: () => void): Entry => ({ kind, text, run });
		return [
			...pages.map((p) => entry("Page", p.title, () => go(p.to))),
			...planes.map((p) =>
				entry("Data plane", p.id || p.name, () => go(`/planes/${encodeURIComponent(p.id || p.environment)}`)),
			),
			...environments.map((e) => entry("Environment", `Only ${e}`, () => setGlobal({ env: [e] }))),
			entry("Environment", "All environments", () => setGlobal({ env: [] })),
			entry("Action", "Refresh now", () => refreshAll(client, refresh, true)),
			entry("Action", `Use the ${other} theme`, () => setPrefs({ theme: other })),
			entry("Action", "Keys and preferences", onHelp),
			...PRESETS.map((p) =>
				entry("Range", p.long, () => setGlobal({ from: `now-${formatDuration(p.seconds)}`, to: "now" })),
			),
			...routes.map((r) => entry("Route", r, () => go(metricsPath(), { route: r }))),
			...metrics.map((m) => entry("Metric", m, () => go("/explore", { "g0.expr": m }))),
		];
	}, [pages, planes, environments, go, setGlobal, client, refresh, theme, setPrefs, onHelp, metrics, routes]);
}

const NONE: readonly string[] = [];

function useNames(label: string, match: string | undefined): readonly string[] {
	const query = useQuery({
		queryKey: ["palette", label, match],
		staleTime: 60_000,
		queryFn: async ({ signal }) => {
			const now = Math.floor(Date.now() / 1000);
			return unwrap(await prometheus.labelValues(label, match, now - 3600, now, signal)).value;
		},
	});
	return query.data ?? NONE;
}
