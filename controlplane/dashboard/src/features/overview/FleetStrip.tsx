/** Totals of the fleet, each with its line and its change against the range before. */

import { Sparkline } from "../../charts/Sparkline";
import { Chip, TONES } from "../../components/StatusChip";
import { BigNumber, Delta } from "../../components/Values";
import { HEALTH_WORDS, type HealthState, SEVERITY } from "../../lib/health/health";
import { activeRequests, errorRate, latency, requestRate, type Scope } from "../../lib/promql/queries";
import { current } from "../../lib/series/table";
import { formatDuration } from "../../lib/time/range";
import { change, type Unit } from "../../lib/units/units";
import type { Planes } from "../../state/health";
import { single, useInstant, useRangePanel } from "../../state/queries";
import { useScope } from "../../state/scope";

export function FleetStrip({ planes }: { planes: Planes }) {
	const { names, environmentSelector, environments, selected } = useScope();
	const { step, window, shown } = planes;
	const scope: Scope = { names, selector: environmentSelector, by: [], window };
	const planeScope = environmentSelector === "" ? "" : `{${environmentSelector}}`;
	const withEnvironment = planeScope === "" ? `{${names.environment}!=""}` : planeScope;
	const counts = SEVERITY.map((state): [HealthState, number] => [
		state,
		shown.filter((v) => v.health.state === state).length,
	]).filter(([, n]) => n > 0);
	const reporting = shown.filter((v) => v.age !== null && v.health.state !== "stale").length;
	return (
		<section
			className="card fleet"
			aria-label={selected.length === environments.length ? "All data planes" : "Chosen data planes"}
		>
			<div>
				<span className="label">Data planes</span>
				<div className="figure">
					<BigNumber value={shown.length} unit="count" />
					<span className="muted">{reporting === shown.length ? "" : `${reporting} `}reporting</span>
				</div>
				<div className="chips">
					{counts.map(([state, n]) => (
						<Chip key={state} tone={TONES[state]}>
							{n} {HEALTH_WORDS[state].toLowerCase()}
						</Chip>
					))}
				</div>
			</div>
			<Total title="Request rate" expr={requestRate(scope)} unit="rate" good="none" step={step} />
			<Total title="p95 latency" expr={latency(scope, 0.95)} unit="seconds" good="low" step={step} />
			<Total title="Error rate" expr={errorRate(scope)} unit="percent" good="low" step={step} />
			<Total title="Active requests" expr={activeRequests(scope)} unit="count" good="none" step={step} />
			<Total
				title="Targets up"
				expr={`sum(up${withEnvironment})`}
				unit="count"
				good="high"
				step={step}
				suffix={`/ ${shown.reduce((n, v) => n + (v.all ?? 0), 0)}`}
				override={shown.reduce((n, v) => n + (v.up ?? 0), 0)}
			/>
		</section>
	);
}

interface TotalProps {
	title: string;
	expr: string;
	unit: Unit;
	good: "low" | "high" | "none";
	step: number;
	suffix?: string;
	override?: number;
}

function Total({ title, expr, unit, good, step, suffix, override }: TotalProps) {
	const { length } = useScope();
	const panel = useRangePanel([{ id: "total", expr }], { step });
	const before = useInstant(expr, "before");
	const values = panel.table?.columns[0]?.values ?? [];
	const now = override ?? current(values);
	const moved = change(now, single(before.data), unit, good);
	return (
		<div>
			<span className="label">{title}</span>
			<div className="figure" title={`against ${formatDuration(length)} before`}>
				<BigNumber value={now} unit={unit} suffix={suffix} />
				<Delta change={moved} />
			</div>
			<Sparkline
				values={values}
				colour="var(--series-1)"
				width={150}
				height={30}
				floor={unit === "seconds" || unit === "rate" ? undefined : 0}
				label={`${title} over the range`}
			/>
		</div>
	);
}
