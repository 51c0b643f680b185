/** Keys for the whole page. Never while somebody types. */

import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { shiftRange, zoomOut } from "../lib/time/range";
import { refreshAll } from "../state/clock";
import { usePrefs, useTheme } from "../state/prefs";
import { useGlobal, useGo, useSetGlobal } from "../state/url";
import { NAV } from "./pages";

export const KEYS: readonly { keys: string; what: string }[] = [
	...NAV.map((p) => ({ keys: `g ${p.key}`, what: p.title })),
	{ keys: "Ctrl K", what: "Search everything" },
	{ keys: "1 .. 9", what: "One environment" },
	{ keys: "0", what: "All environments" },
	{ keys: "t", what: "Time range" },
	{ keys: "[ ]", what: "Back and forward by half a range" },
	{ keys: "-", what: "Zoom out" },
	{ keys: "r", what: "Refresh now" },
	{ keys: "/", what: "Filter or query" },
	{ keys: "f", what: "The chart under the pointer on the full screen" },
	{ keys: "y", what: "Dark or light" },
	{ keys: "?", what: "This help" },
];

function typing(target: EventTarget | null): boolean {
	return (
		target instanceof HTMLElement &&
		(target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
	);
}

function fullScreen(): void {
	if (document.fullscreenElement) {
		void document.exitFullscreen();
		return;
	}
	const charts = [...document.querySelectorAll("[data-panel]")].filter((p) => p.querySelector(".chart"));
	const chosen =
		charts.find((p) => p.contains(document.activeElement)) ?? charts.find((p) => p.matches(":hover"));
	void chosen?.requestFullscreen();
}

interface KeyActions {
	environments: readonly string[];
	onHelp: () => void;
	onRange: () => void;
	onSearch: () => void;
}

export function useKeys({ environments, onHelp, onRange, onSearch }: KeyActions): void {
	const enabled = usePrefs((p) => p.keys);
	const setPrefs = usePrefs((p) => p.set);
	const theme = useTheme();
	const global = useGlobal();
	const setGlobal = useSetGlobal();
	const go = useGo();
	const client = useQueryClient();
	// Works while somebody types and with the other keys off: no character is lost to it.
	useEffect(() => {
		const pressed = (event: KeyboardEvent) => {
			if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey) return;
			event.preventDefault();
			onSearch();
		};
		document.addEventListener("keydown", pressed);
		return () => document.removeEventListener("keydown", pressed);
	}, [onSearch]);
	useEffect(() => {
		if (!enabled) return;
		let went = 0;
		const pressed = (event: KeyboardEvent) => {
			if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
			const now = Date.now() / 1000;
			if (Date.now() - went < 1200) {
				went = 0;
				const page = NAV.find((p) => p.key === event.key);
				if (page) go(page.to);
				return;
			}
			const digit = /^[0-9]$/.test(event.key) ? Number(event.key) : -1;
			if (digit === 0) setGlobal({ env: [] });
			else if (digit > 0) {
				const name = environments[digit - 1];
				if (name) setGlobal({ env: [name] });
			} else if (event.key === "g") went = Date.now();
			else if (event.key === "t") onRange();
			else if (event.key === "[") setGlobal(shiftRange(global, now, -0.5));
			else if (event.key === "]" && global.to !== "now") setGlobal(shiftRange(global, now, 0.5));
			else if (event.key === "-") setGlobal(zoomOut(global, now));
			else if (event.key === "r") refreshAll(client, global.refresh, true);
			else if (event.key === "y") setPrefs({ theme: theme === "dark" ? "light" : "dark" });
			else if (event.key === "f") fullScreen();
			else if (event.key === "?") onHelp();
			else if (event.key === "/") {
				const field = document.querySelector<HTMLElement>("[data-filter], [data-filter] .cm-content");
				if (!field) return;
				event.preventDefault();
				(field.querySelector<HTMLElement>(".cm-content") ?? field).focus();
			} else return;
			if (event.key === "t") event.preventDefault();
		};
		document.addEventListener("keydown", pressed);
		return () => document.removeEventListener("keydown", pressed);
	}, [enabled, environments, onHelp, onRange, global, setGlobal, go, client, setPrefs, theme]);
}
