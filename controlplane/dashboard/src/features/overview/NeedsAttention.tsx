/** Firing and pending alerts, targets that are down, planes that are not well. */

import { Environment } from "../../components/Environment";
import { PageLink } from "../../components/PageLink";
import { TONES, type Tone, ToneIcon } from "../../components/StatusChip";
import { alertReason, HEALTH_WORDS } from "../../lib/health/health";
import { formatAgo, formatSpan } from "../../lib/time/range";
import type { PlaneView } from "../../state/health";
import { useAlerts } from "../../state/queries";
import { planeKey, useScope, useTargets } from "../../state/scope";

interface Item {
	readonly key: string;
	readonly tone: Tone;
	readonly title: string;
	readonly environment?: string;
	readonly text: string;
	readonly since: string;
}

export function NeedsAttention({ views }: { views: readonly PlaneView[] }) {
	const { names, environments, selected, all } = useScope();
	const { alerts, missing } = useAlerts();
	const targets = useTargets();
	const now = Date.now() / 1000;
	const wanted = (environment: string | undefined) =>
		all || (environment !== undefined && selected.includes(environment));
	const items: Item[] = [];
	for (const alert of alerts) {
		const environment = alert.labels[names.environment];
		if (alert.state === "inactive" || !wanted(environment)) continue;
		const span = alert.activeAt ? formatSpan(now - Date.parse(alert.activeAt) / 1000) : "";
		const firing = alert.state === "firing";
		items.push({
			key: `alert ${JSON.stringify(alert.labels)}`,
			tone: firing ? (alert.labels.severity === "critical" ? "crit" : "warn") : "idle",
			title: alert.labels.alertname ?? "Alert",
			environment,
			text: alert.annotations.summary ?? alert.annotations.description ?? "",
			since: firing ? span : `pending ${span}`,
		});
	}
	for (const view of views) {
		const { state, reason } = view.health;
		if (state === "healthy" || state === "no-traffic" || (state === "unknown" && view.up)) continue;
		// The alert has an entry of its own.
		const told = alerts.some((a) => a.state === "firing" && reason === alertReason(a.labels.alertname ?? ""));
		if (told) continue;
		items.push({
			key: `plane ${view.plane.key}`,
			tone: TONES[state],
			title: `${HEALTH_WORDS[state]}: ${view.plane.id || view.plane.name}`,
			environment: view.plane.environment,
			text: reason,
			since: view.age === null ? "" : `scraped ${formatAgo(view.age)}`,
		});
	}
	for (const target of targets.data?.activeTargets ?? []) {
		const environment = target.labels[names.environment];
		if (target.health !== "down" || !wanted(environment)) continue;
		// The entry of a plane that is down says it already.
		const plane = planeKey(environment ?? "", target.labels[names.plane] ?? "");
		if (views.some((v) => v.plane.key === plane && v.health.state === "down")) continue;
		items.push({
			key: `target ${target.scrapePool} ${target.scrapeUrl}`,
			tone: "crit",
			title: `Target down: ${target.labels.instance ?? target.scrapeUrl}`,
			environment,
			text: target.lastError || "The last scrape failed",
			since: target.scrapePool,
		});
	}
	const rank: Record<Tone, number> = { crit: 0, warn: 1, idle: 2, ok: 3 };
	items.sort((a, b) => rank[a.tone] - rank[b.tone]);
	const firing = alerts.filter((a) => a.state === "firing").length;
	const pending = alerts.filter((a) => a.state === "pending").length;
	return (
		<section className="card attention" aria-label="Needs attention" data-panel="Needs attention">
			<header className="card-head">
				<h2>Needs attention</h2>
				<span className="sub">
					{missing
						? items.length === 0
							? ""
							: `${items.length} open`
						: `${firing} firing · ${pending} pending`}
				</span>
				<span className="spread">
					{missing ? (
						<PageLink to="/targets">All targets →</PageLink>
					) : (
						<PageLink to="/alerts">All alerts →</PageLink>
					)}
				</span>
			</header>
			{items.length === 0 ? (
				<div className="empty" data-tone="ok">
					<p>Nothing. Every plane answers, every target is up.</p>
				</div>
			) : (
				<ul>
					{items.slice(0, 8).map((item) => (
						<li key={item.key} data-tone={item.tone}>
							<span className="mark">
								<ToneIcon tone={item.tone} />
							</span>
							<div>
								<strong>{item.title}</strong>
								{item.environment && <Environment name={item.environment} order={environments} />}
								<p>{item.text}</p>
							</div>
							<span className="muted num">{item.since}</span>
						</li>
					))}
				</ul>
			)}
			{items.length > 8 && <p className="panel-note">and {items.length - 8} more</p>}
		</section>
	);
}
