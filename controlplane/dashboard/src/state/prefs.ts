/** What one person likes; kept in the browser. */

import { useEffect, useSyncExternalStore } from "react";
import { create } from "zustand";
import { persist } from "zustand/middleware";

export type ThemeChoice = "system" | "light" | "dark";

export interface Prefs {
	theme: ThemeChoice;
	utc: boolean;
	keys: boolean;
	collapsed: boolean;
	dashes: boolean;
	set: (patch: Partial<Omit<Prefs, "set">>) => void;
}

export const usePrefs = create<Prefs>()(
	persist(
		(set) => ({
			theme: "system",
			utc: false,
			keys: true,
			collapsed: false,
			dashes: false,
			set: (patch) => set(patch),
		}),
		{ name: "bellwether-prefs" },
	),
);

const dark = typeof matchMedia === "function" ? matchMedia("(prefers-color-scheme: dark)") : undefined;

/** The theme on screen. */
export function useTheme(): "light" | "dark" {
	const choice = usePrefs((p) => p.theme);
	const system = useSyncExternalStore(
		(changed) => {
			dark?.addEventListener("change", changed);
			return () => dark?.removeEventListener("change", changed);
		},
		() => dark?.matches ?? false,
	);
	const theme = choice === "system" ? (system ? "dark" : "light") : choice;
	useEffect(() => {
		document.documentElement.dataset.theme = theme;
	}, [theme]);
	return theme;
}
