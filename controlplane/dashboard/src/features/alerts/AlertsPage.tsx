/** Alerts by urgency: firing, pending. */

import { failureFrom } from "../../api/client";
import { Environment } from "../../components/Environment";
import { FailureNotice } from "../../components/FailureNotice";
import { PageLink } from "../../components/PageLink";
import { ToneIcon } from "../../components/StatusChip";
import { formatSpan } from "../../lib/time/range";
import { useAlerts, useRules } from "../../state/queries";
import { useScope } from "../../state/scope";
import "./alerts.css";

const ORDER = { firing: 0, pending: 1, inactive: 2 } as const;

export function AlertsPage() {
	const { names, environments, selected, all } = useScope();
	const query = useAlerts();
	const rules = useRules();
	if (query.missing) {
		return (
			<div className="card empty">
				<h2>No alerts here</h2>
				<p>This server has no alerts endpoint.</p>
			</div>
		);
	}
	const expressions = new Map(rules.groups.flatMap((g) => g.rules.map((r) => [r.name, r.query])));
	const alerts = [...query.alerts]
		.filter((a) => all || selected.includes(a.labels[names.environment] ?? ""))
		.sort(
			(a, b) =>
				ORDER[a.state] - ORDER[b.state] || (a.labels.severity ?? "").localeCompare(b.labels.severity ?? ""),
		);
	return (
		<>
			{query.error && (
				<FailureNotice failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
			)}
			<section className="card" data-panel="Alerts">
				<header className="card-head">
					<h2>Alerts</h2>
					<span className="sub">
						{alerts.filter((a) => a.state === "firing").length} firing ·{" "}
						{alerts.filter((a) => a.state === "pending").length} pending
					</span>
				</header>
				{alerts.length === 0 && !query.isPending ? (
					<div className="empty">
						<p>No alert is firing or pending.</p>
					</div>
				) : (
					<ul className="alert-list">
						{alerts.map((alert) => {
							const tone =
								alert.state === "firing" ? (alert.labels.severity === "critical" ? "crit" : "warn") : "idle";
							const environment = alert.labels[names.environment];
							const expr = expressions.get(alert.labels.alertname ?? "");
							return (
								<li key={JSON.stringify(alert.labels)} data-tone={tone}>
									<details>
										<summary>
											<span className="mark">
												<ToneIcon tone={tone} />
											</span>
											<span>
												<strong>{alert.labels.alertname}</strong>{" "}
												{environment && <Environment name={environment} order={environments} />}
												<span className="muted">{alert.annotations.summary}</span>
											</span>
											<span className="muted num">
												{alert.state}{" "}
												{alert.activeAt ? formatSpan((Date.now() - Date.parse(alert.activeAt)) / 1000) : ""}
											</span>
										</summary>
										<div className="alert-body">
											{alert.annotations.description && <p>{alert.annotations.description}</p>}
											<p className="mono muted">
												{Object.entries(alert.labels)
													.map(([k, v]) => `${k}="${v}"`)
													.join(" ")}
											</p>
											<p>
												Value <span className="mono">{alert.value}</span>
											</p>
											{expr && (
												<PageLink to="/explore" params={{ "g0.expr": expr }} className="mono">
													{expr}
												</PageLink>
											)}
										</div>
									</details>
								</li>
							);
						})}
					</ul>
				)}
			</section>
		</>
	);
}
