/** Rule groups: health, last evaluation, duration against the interval. */

import { failureFrom } from "../../api/client";
import type { Rule } from "../../api/prometheus";
import { DataTable } from "../../components/DataTable";
import { FailureNotice } from "../../components/FailureNotice";
import { PageLink } from "../../components/PageLink";
import { Chip } from "../../components/StatusChip";
import { formatAgo, formatDuration } from "../../lib/time/range";
import { format } from "../../lib/units/units";
import { useRules } from "../../state/queries";
import "./alerts.css";

export function RulesPage() {
	const query = useRules();
	if (query.missing) {
		return (
			<div className="card empty">
				<h2>No rules here</h2>
				<p>This server has no rules endpoint.</p>
			</div>
		);
	}
	return (
		<>
			{query.error && (
				<FailureNotice failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
			)}
			{query.groups.length === 0 && !query.isPending && (
				<div className="card empty">
					<p>The server has no rules.</p>
				</div>
			)}
			{query.groups.map((group) => (
				<section className="card" key={`${group.file} ${group.name}`} data-panel={group.name}>
					<header className="card-head">
						<h2>{group.name}</h2>
						<span className="sub mono">{group.file}</span>
						<span className="spread muted num">
							every {formatDuration(group.interval)}, took {format(group.evaluationTime ?? null, "seconds")}
						</span>
					</header>
					<DataTable
						caption={`Rules of ${group.name}`}
						rows={group.rules}
						rowKey={(r) => `${r.type} ${r.name} ${r.query}`}
						columns={[
							{
								id: "health",
								title: "Health",
								cell: (r: Rule) => (
									<Chip tone={r.health === "ok" ? "ok" : r.health === "err" ? "crit" : "idle"}>
										{r.health}
									</Chip>
								),
							},
							{ id: "name", title: "Rule", sort: (r) => r.name, cell: (r) => <strong>{r.name}</strong> },
							{
								id: "query",
								title: "Expression",
								cell: (r) => (
									<>
										<PageLink to="/explore" params={{ "g0.expr": r.query }} className="mono">
											{r.query}
										</PageLink>
										{r.lastError && <div className="mono rule-error">{r.lastError}</div>}
									</>
								),
							},
							{
								id: "last",
								title: "Evaluated",
								right: true,
								cell: (r) =>
									r.lastEvaluation ? formatAgo((Date.now() - Date.parse(r.lastEvaluation)) / 1000) : "never",
							},
							{
								id: "took",
								title: "Duration",
								right: true,
								cell: (r) => format(r.evaluationTime ?? null, "seconds"),
							},
						]}
					/>
				</section>
			))}
		</>
	);
}
