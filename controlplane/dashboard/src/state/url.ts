/** Reading and writing the address from components. */

import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";
import { type GlobalSearch, type Params, readGlobal, writeGlobal } from "../lib/url/search";
import { useOpening } from "./opening";

export type Patch = Readonly<Record<string, string | undefined>>;

export function useQueryParams(): Params {
	return useSearch({ strict: false }) as Params;
}

export function merged(params: Params, patch: Patch): Record<string, string> {
	const out: Record<string, string> = {};
	for (const [key, value] of Object.entries({ ...params, ...patch }))
		if (value !== undefined && value !== "") out[key] = value;
	return out;
}

/** Changes some parameters and leaves the others; a new history entry unless `replace`. */
export function useSetParams(): (patch: Patch, replace?: boolean) => void {
	const navigate = useNavigate();
	return useCallback(
		(patch, replace = false) => {
			void navigate({
				to: ".",
				replace,
				search: ((previous: Params) => merged(previous, patch)) as never,
			});
		},
		[navigate],
	);
}

export function useGlobal(): GlobalSearch {
	const { env, from, to, refresh } = useQueryParams();
	const opening = useOpening();
	return useMemo(
		() => readGlobal(merged({}, { env, from, to, refresh }), opening),
		[env, from, to, refresh, opening],
	);
}

/** The part of the address that goes along from page to page. */
export function useCarried(): Record<string, string> {
	const global = useGlobal();
	const opening = useOpening();
	return useMemo(() => merged({}, writeGlobal(global, opening)), [global, opening]);
}

export function useSetGlobal(): (patch: Partial<GlobalSearch>) => void {
	const set = useSetParams();
	const global = useGlobal();
	const opening = useOpening();
	return useCallback((patch) => set(writeGlobal({ ...global, ...patch }, opening)), [set, global, opening]);
}

/** Goes to a page as a link would, taking environment, range and refresh along. */
export function useGo(): (to: string, params?: Patch) => void {
	const navigate = useNavigate();
	const carried = useCarried();
	return useCallback(
		(to, params = {}) => {
			void navigate({ to: to as never, search: merged(carried, params) as never });
		},
		[navigate, carried],
	);
}

/** Where the page with the request charts answers on this port. */
export function metricsPath(): string {
	const told = document.querySelector<HTMLMetaElement>('meta[name="bellwether-metrics-path"]')?.content;
	return told?.startsWith("/") ? told : "/metrics";
}
