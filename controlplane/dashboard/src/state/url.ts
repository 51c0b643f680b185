/** Reading and writing the address from components. */

import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";
import { type GlobalSearch, type Params, readGlobal, writeGlobal } from "../lib/url/search";

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
	return useMemo(() => readGlobal(merged({}, { env, from, to, refresh })), [env, from, to, refresh]);
}

/** The part of the address that goes along from page to page. */
export function useCarried(): Record<string, string> {
	const global = useGlobal();
	return useMemo(() => merged({}, writeGlobal(global)), [global]);
}

export function useSetGlobal(): (patch: Partial<GlobalSearch>) => void {
	const set = useSetParams();
	const global = useGlobal();
	return useCallback((patch) => set(writeGlobal({ ...global, ...patch })), [set, global]);
}

/** Where the page with the request charts answers on this port. */
export function metricsPath(): string {
	const told = document.querySelector<HTMLMetaElement>('meta[name="bellwether-metrics-path"]')?.content;
	return told?.startsWith("/") ? told : "/metrics";
}
