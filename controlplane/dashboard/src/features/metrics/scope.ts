/** The selector of this page: environment, plane, route, method and status class. */

import { useMemo } from "react";
import type { Scope } from "../../lib/promql/queries";
import { join, type Matcher, selector } from "../../lib/promql/selector";
import { type MetricsSearch, readMetrics } from "../../lib/url/search";
import { useScope } from "../../state/scope";
import { useQueryParams } from "../../state/url";

export interface MetricsScope {
	readonly search: MetricsSearch;
	/** One line per environment. */
	readonly byEnvironment: Scope;
	/** One line for everything chosen. */
	readonly total: Scope;
	readonly filtered: boolean;
}

export function useMetricsScope(): MetricsScope {
	const { names, environmentSelector, window } = useScope();
	const params = useQueryParams();
	const { plane, route, method, status, q } = params;
	return useMemo(() => {
		const given = Object.entries({ plane, route, method, status, q }).filter(([, v]) => v !== undefined);
		const search = readMetrics(Object.fromEntries(given) as Record<string, string>);
		const matchers: Matcher[] = [
			{ label: names.plane, values: search.plane },
			{ label: names.route, values: search.route },
			{ label: names.method, values: search.method },
		];
		// A class is an expression of its own: its dots must not be quoted.
		const classes = search.status.length
			? `${names.status}=~"${search.status.map((s) => `${s[0]}..`).join("|")}"`
			: "";
		const inside = join(environmentSelector, selector(matchers), classes);
		return {
			search,
			byEnvironment: { names, selector: inside, by: [names.environment], window },
			total: { names, selector: inside, by: [], window },
			filtered: matchers.some((m) => m.values.length > 0) || classes !== "",
		};
	}, [names, environmentSelector, window, plane, route, method, status, q]);
}

/** Active requests know no status code, and their route is not always known either. */
export function withoutStatus(scope: Scope, environmentSelector: string, search: MetricsSearch): Scope {
	const { names } = scope;
	const matchers: Matcher[] = [
		{ label: names.plane, values: search.plane },
		{ label: names.method, values: search.method },
	];
	return { ...scope, selector: join(environmentSelector, selector(matchers)) };
}
