/** One data plane: state, one sentence why, four signals, links. */

import { Sparkline } from "../../charts/Sparkline";
import { seriesVariable, tagStyle } from "../../components/Environment";
import { PageLink } from "../../components/PageLink";
import { StatusChip, TONES, type Tone } from "../../components/StatusChip";
import { BigNumber } from "../../components/Values";
import type { Limits } from "../../lib/health/health";
import { escapeString } from "../../lib/promql/selector";
import { environmentColour } from "../../lib/series/colour";
import { formatAgo } from "../../lib/time/range";
import type { Unit } from "../../lib/units/units";
import type { PlaneSignal, PlaneView } from "../../state/health";
import { useScope } from "../../state/scope";
import { metricsPath } from "../../state/url";

function tone(value: number | null, limits: Limits | undefined): Tone | undefined {
	if (value === null || !limits) return undefined;
	return value > limits.critical ? "crit" : value > limits.warning ? "warn" : undefined;
}

export function PlaneCard({ view }: { view: PlaneView }) {
	const { names, environments } = useScope();
	const { plane, health } = view;
	const env = { env: plane.environment };
	const colour = seriesVariable(environmentColour(environments, plane.environment).index);
	const expr = `up{${names.environment}="${escapeString(plane.environment)}"}`;
	const old = health.state === "stale" || health.state === "down";
	const signals: { title: string; signal: PlaneSignal; unit: Unit; limits?: Limits; anchor: string }[] = [
		{ title: "Request rate", signal: view.rate, unit: "rate", anchor: "rate" },
		{
			title: "p95 latency",
			signal: view.p95,
			unit: "seconds",
			limits: plane.thresholds.p95Seconds,
			anchor: "latency",
		},
		{
			title: "Error rate",
			signal: view.errors,
			unit: "percent",
			limits: plane.thresholds.errorPercent,
			anchor: "errors",
		},
		{ title: "Active requests", signal: view.active, unit: "count", anchor: "active" },
	];
	return (
		<article
			className="card plane-card"
			data-tone={TONES[health.state]}
			data-old={old}
			data-plane={plane.id}
			data-environment={plane.environment}
			data-state={health.state}
			aria-label={`Data plane ${plane.name}`}
		>
			<header>
				<span className="tag large" style={tagStyle(environments, plane.environment)} aria-hidden />
				<h2>{plane.name}</h2>
				<span className="mono muted">{plane.id}</span>
				<span className="spread">
					<StatusChip state={health.state} />
				</span>
			</header>
			<p className="reason">{health.reason}</p>
			<div className="signals">
				{signals.map(({ title, signal, unit, limits, anchor }) => (
					<PageLink key={title} to={metricsPath()} params={{ ...env, show: anchor }} className="signal">
						<span className="label">{title}</span>
						<BigNumber value={signal.value} unit={unit} tone={tone(signal.value, limits)} />
						<Sparkline
							values={signal.values}
							colour={colour}
							label={`${title} of ${plane.name} over the range`}
						/>
					</PageLink>
				))}
			</div>
			<footer className="plane-foot">
				<dl>
					<dt>Targets up</dt>
					<dd>
						{view.up ?? "–"} / {view.all ?? "–"}
					</dd>
				</dl>
				<dl>
					<dt>Last scrape</dt>
					<dd>{view.age === null ? "never" : formatAgo(view.age)}</dd>
				</dl>
				<nav aria-label={`Pages of ${plane.name}`}>
					<PageLink to={metricsPath()} params={env}>
						Metrics
					</PageLink>
					<PageLink to="/targets" params={env}>
						Targets
					</PageLink>
					<PageLink to="/explore" params={{ ...env, "g0.expr": expr }}>
						Explore
					</PageLink>
				</nav>
			</footer>
		</article>
	);
}
