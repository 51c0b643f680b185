/** Rule groups: health, last evaluation, duration against the interval. */

import { useState } from "react";
import { failureFrom } from "../../api/client";
import type { Rule, RuleGroup } from "../../api/prometheus";
import { DataTable } from "../../components/DataTable";
import { FailureNotice } from "../../components/FailureNotice";
import { PageLink } from "../../components/PageLink";
import { Segments } from "../../components/Segments";
import { Chip } from "../../components/StatusChip";
import { formatAgo, formatDuration } from "../../lib/time/range";
import { format } from "../../lib/units/units";
import { useRules } from "../../state/queries";
import { useQueryParams, useSetParams } from "../../state/url";
import "./alerts.css";

type Health = "all" | "ok" | "err" | "unknown";

const healthOf = (rule: Rule): Health =>
	rule.health === "ok" || rule.health === "err" ? rule.health : "unknown";

/** Name, labels, expression and error of a rule hold all words. */
function matches(rule: Rule, group: RuleGroup, text: string): boolean {
	const labels = Object.entries(rule.labels ?? {}).map(([k, v]) => `${k}=${v}`);
	const all = [group.name, group.file, rule.name, rule.query, rule.lastError ?? "", ...labels];
	const joined = all.join(" ").toLowerCase();
	const words = text.toLowerCase().split(/\s+/);
	return words.every((word) => joined.includes(word));
}

export function RulesPage() {
	const query = useRules();
	const params = useQueryParams();
	const set = useSetParams();
	const [text, setText] = useState(params.search ?? "");
	const health = (["ok", "err", "unknown"] as const).find((h) => h === params.health) ?? "all";
	const found = query.groups.map((group) => ({
		...group,
		rules: group.rules.filter((rule) => matches(rule, group, text)),
	}));
	const count = (of: Health) => found.flatMap((g) => g.rules).filter((r) => healthOf(r) === of).length;
	const groups = found
		.map((group) => ({
			...group,
			rules: group.rules.filter((rule) => health === "all" || healthOf(rule) === health),
		}))
		.filter((group) => group.rules.length > 0);
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
			<div className="row">
				<input
					className="input rules-filter"
					data-filter
					placeholder="Filter by name, expression, label or error"
					aria-label="Filter rules"
					value={text}
					onChange={(e) => {
						setText(e.currentTarget.value);
						set({ search: e.currentTarget.value || undefined }, true);
					}}
				/>
				<Segments
					label="Health"
					value={health}
					onChange={(h) => set({ health: h === "all" ? undefined : h })}
					options={[
						{ value: "all", label: `All ${found.flatMap((g) => g.rules).length}` },
						{ value: "ok", label: `Ok ${count("ok")}` },
						{ value: "err", label: `Failing ${count("err")}` },
						{ value: "unknown", label: `Not evaluated ${count("unknown")}` },
					]}
				/>
			</div>
			{groups.length === 0 && !query.isPending && (
				<div className="card empty">
					<p>{query.groups.length === 0 ? "The server has no rules." : "No rule matches the filter."}</p>
				</div>
			)}
			{groups.map((group) => (
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
