/** The five routes with the largest share of failed requests over the range. */

import { failureFrom } from "../../api/client";
import { DataTable } from "../../components/DataTable";
import { Environment } from "../../components/Environment";
import { FailureNotice } from "../../components/FailureNotice";
import { PageLink } from "../../components/PageLink";
import { latency, mostErrors, requestRate, type Scope } from "../../lib/promql/queries";
import { format } from "../../lib/units/units";
import { filledWords, type Sample, useFilledLength, useInstant } from "../../state/queries";
import { useScope } from "../../state/scope";
import { metricsPath } from "../../state/url";

interface Row {
	readonly key: string;
	readonly environment: string;
	readonly route: string;
	readonly method: string;
	readonly errors: number;
	readonly rate: number | null;
	readonly p95: number | null;
}

export function RoutesWithErrors() {
	const { names, environmentSelector, environments, length, all, selected, planes } = useScope();
	const filled = useFilledLength();
	const by = [names.environment, names.route, names.method];
	const scope: Scope = { names, selector: environmentSelector, by, window: filled ?? length };
	const known = filled !== undefined;
	const errors = useInstant(mostErrors(scope, 5), "end", known);
	const rate = useInstant(requestRate(scope), "end", known);
	const p95 = useInstant(latency(scope, 0.95), "end", known);
	const keyOf = (s: Sample) => by.map((l) => s.labels[l] ?? "").join(" ");
	const rates = new Map(rate.data?.map((s) => [keyOf(s), s.value]));
	const p95s = new Map(p95.data?.map((s) => [keyOf(s), s.value]));
	const rows = (errors.data ?? [])
		.filter((s) => s.value > 0)
		.map(
			(s): Row => ({
				key: keyOf(s),
				environment: s.labels[names.environment] ?? "",
				route: s.labels[names.route] ?? "(no route)",
				method: s.labels[names.method] ?? "",
				errors: s.value,
				rate: rates.get(keyOf(s)) ?? null,
				p95: p95s.get(keyOf(s)) ?? null,
			}),
		)
		.sort((a, b) => b.errors - a.errors);
	const limits = (r: Row) => planes.find((p) => p.environment === r.environment)?.thresholds.errorPercent;
	const toneOf = (r: Row) =>
		r.errors > (limits(r)?.critical ?? 20) ? "crit" : r.errors > (limits(r)?.warning ?? 5) ? "warn" : "idle";
	return (
		<section className="card" aria-label="Routes with most errors" data-panel="Routes with most errors">
			<header className="card-head">
				<h2>Routes with most errors</h2>
				<span className="sub">
					{filledWords(length, filled)}, {all ? "all environments" : selected.join(", ")}
				</span>
			</header>
			{errors.error ? (
				<FailureNotice failure={failureFrom(errors.error)} onRetry={() => void errors.refetch()} />
			) : errors.isPending ? (
				<div className="panel-placeholder" style={{ height: 190 }}>
					<div className="skeleton" />
				</div>
			) : rows.length === 0 ? (
				<div className="empty">
					<p>No failed requests on any route with at least 0.1 requests per second.</p>
				</div>
			) : (
				<DataTable
					caption="Routes with most errors"
					rows={rows}
					rowKey={(r) => r.key}
					columns={[
						{
							id: "route",
							title: "Route",
							cell: (r) => (
								<PageLink to={metricsPath()} params={{ env: r.environment, route: r.route }} className="mono">
									{r.method} {r.route}
								</PageLink>
							),
						},
						{
							id: "env",
							title: "Env",
							cell: (r) => <Environment name={r.environment} order={environments} />,
						},
						{ id: "rate", title: "Rate", right: true, cell: (r) => format(r.rate, "rate") },
						{ id: "p95", title: "p95", right: true, cell: (r) => format(r.p95, "seconds") },
						{
							id: "errors",
							title: "Errors",
							right: true,
							cell: (r) => (
								<span data-tone={toneOf(r)}>
									<span
										style={{
											color: r.errors > (limits(r)?.warning ?? 5) ? "var(--chip)" : undefined,
											fontWeight: 600,
										}}
									>
										{format(r.errors, "percent")}
									</span>{" "}
									<span className="bar" aria-hidden>
										<i style={{ width: `${(100 * r.errors) / (rows[0]?.errors ?? r.errors)}%` }} />
									</span>
								</span>
							),
						},
					]}
				/>
			)}
		</section>
	);
}
