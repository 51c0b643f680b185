/** Rate, errors, duration of one, several or all environments. */

import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { unwrap } from "../../api/client";
import * as prometheus from "../../api/prometheus";
import { FilterPill } from "../../components/FilterPill";
import { formatDuration, rangeOrDefault } from "../../lib/time/range";
import { writeMetrics } from "../../lib/url/search";
import { clock } from "../../state/clock";
import { useScope } from "../../state/scope";
import { useQueryParams, useSetParams } from "../../state/url";
import { Cards } from "./Cards";
import { Charts } from "./Charts";
import { RoutesTable } from "./RoutesTable";
import { StatusCodes } from "./StatusCodes";
import { useMetricsScope } from "./scope";
import "./metrics.css";

/** Values of a label in this range; the list is short-lived and never blocks the page. */
function useValues(label: string, match: string): readonly string[] {
	const { range } = useScope();
	const query = useQuery({
		queryKey: ["values", label, match, range.from, range.to],
		staleTime: Number.POSITIVE_INFINITY,
		queryFn: async ({ signal }) => {
			const { start, end } = rangeOrDefault(range, clock.forFetch());
			return unwrap(await prometheus.labelValues(label, match, start, end, signal)).value;
		},
	});
	return query.data ?? [];
}

export function MetricsPage() {
	const { names, environmentSelector, planes, selected, step, window } = useScope();
	const metrics = useMetricsScope();
	const { search } = metrics;
	const set = useSetParams();
	const { show } = useQueryParams();
	const match = `${names.duration}_count${environmentSelector === "" ? "" : `{${environmentSelector}}`}`;
	const routes = useValues(names.route, match);
	const methods = useValues(names.method, match);
	const ids = planes.filter((p) => selected.includes(p.environment) && p.id !== "").map((p) => p.id);
	const change = (patch: Partial<typeof search>) => set(writeMetrics({ ...search, ...patch }));

	useEffect(() => {
		if (show) document.getElementById(`chart-${show}`)?.scrollIntoView({ block: "center" });
	}, [show]);

	return (
		<>
			<div className="row" data-testid="filters">
				<FilterPill
					name="Data plane"
					any="all"
					options={ids}
					chosen={search.plane}
					onChange={(plane) => change({ plane })}
				/>
				<FilterPill
					name="Route"
					any="all"
					options={routes}
					chosen={search.route}
					onChange={(route) => change({ route })}
					mono
				/>
				<FilterPill
					name="Method"
					any="all"
					options={methods}
					chosen={search.method}
					onChange={(method) => change({ method })}
				/>
				<FilterPill
					name="Status class"
					any="any"
					options={["1xx", "2xx", "3xx", "4xx", "5xx"]}
					chosen={search.status}
					onChange={(status) => change({ status })}
				/>
				{metrics.filtered && (
					<button
						type="button"
						className="link-button"
						onClick={() => change({ plane: [], route: [], method: [], status: [] })}
					>
						Clear filters
					</button>
				)}
				<span className="spread muted num" data-testid="resolution">
					Step {formatDuration(step)} · rate window {formatDuration(window)}
				</span>
			</div>
			<Cards metrics={metrics} />
			<Charts metrics={metrics} onQuantile={(q) => change({ q })} />
			<RoutesTable metrics={metrics} onRoute={(route) => change({ route: [route] })} />
			<StatusCodes metrics={metrics} />
		</>
	);
}
