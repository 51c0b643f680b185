/** Five numbers: the last window, its change against one range earlier, and its line. */

import { Sparkline } from "../../charts/Sparkline";
import { seriesVariable } from "../../components/Environment";
import type { Tone } from "../../components/StatusChip";
import { BigNumber, Delta } from "../../components/Values";
import { activeRequests, availability, errorRate, latency, requestRate } from "../../lib/promql/queries";
import { environmentColour } from "../../lib/series/colour";
import { current } from "../../lib/series/table";
import { formatDuration } from "../../lib/time/range";
import { change, type Unit } from "../../lib/units/units";
import { single, useInstant, useRangePanel } from "../../state/queries";
import { useAway, useScope } from "../../state/scope";
import { type MetricsScope, withoutStatus } from "./scope";

const QUANTILES = { p50: 0.5, p95: 0.95, p99: 0.99 } as const;

export function Cards({ metrics }: { metrics: MetricsScope }) {
	const { environmentSelector, selected, environments, planes, length } = useScope();
	const { total, search } = metrics;
	const only = selected.length === 1 ? selected[0] : undefined;
	const colour = seriesVariable(only ? environmentColour(environments, only).index : 0);
	const limits = planes.find((p) => p.environment === (only ?? environments[0]))?.thresholds;
	const long = { ...total, window: length };
	return (
		<section className="cards" aria-label="Key numbers">
			<Card
				title="Request rate"
				chart="rate"
				expr={requestRate(total)}
				unit="rate"
				good="none"
				colour={colour}
			/>
			<Card
				title={`${search.q} latency`}
				chart="latency"
				expr={latency(total, QUANTILES[search.q])}
				unit="seconds"
				good="low"
				colour={colour}
				limits={search.q === "p95" ? limits?.p95Seconds : undefined}
			/>
			<Card
				title="Error rate"
				chart="errors"
				expr={errorRate(total)}
				unit="percent"
				good="low"
				colour={colour}
				limits={limits?.errorPercent}
			/>
			<Card
				title="Active requests"
				chart="active"
				expr={activeRequests(withoutStatus(total, environmentSelector, search))}
				unit="count"
				good="none"
				colour={colour}
			/>
			<Card
				title="Availability"
				chart="errors"
				expr={availability(total, "rate")}
				now={availability(long, "increase")}
				unit="percent"
				good="high"
				colour={colour}
				hint="over the whole range"
			/>
		</section>
	);
}

interface CardProps {
	title: string;
	chart: string;
	/** The line, and the number too, unless `now` is given. */
	expr: string;
	now?: string;
	unit: Unit;
	good: "low" | "high" | "none";
	colour: string;
	limits?: { warning: number; critical: number };
	hint?: string;
}

function Card({ title, chart, expr, now, unit, good, colour, limits, hint }: CardProps) {
	const { length } = useScope();
	const away = useAway() !== undefined;
	const panel = useRangePanel([{ id: "total", expr }]);
	const exact = useInstant(now ?? expr, "end", now !== undefined);
	const before = useInstant(now ?? expr, "before");
	const values = panel.table?.columns[0]?.values ?? [];
	const value = now === undefined ? current(values) : single(exact.data);
	const tone: Tone | undefined =
		!limits || value === null
			? undefined
			: value > limits.critical
				? "crit"
				: value > limits.warning
					? "warn"
					: undefined;
	const moved = change(value, single(before.data), unit, good);
	const jump = () => {
		const target = document.getElementById(`chart-${chart}`);
		target?.scrollIntoView({ block: "center", behavior: "smooth" });
	};
	return (
		<button type="button" className="card metric-card" onClick={jump} data-card={title} title={hint}>
			{panel.refreshing && !panel.loading && <span className="progress" aria-hidden />}
			<span className="label">{title}</span>
			<BigNumber value={value} unit={unit} tone={tone} />
			<span className="label">
				{panel.failure && !away ? (
					<span data-tone="crit">{panel.failure.summary}</span>
				) : (
					<>
						<Delta change={moved} />{" "}
						<span>{moved ? `vs ${formatDuration(length)} before` : "no earlier data"}</span>
					</>
				)}
			</span>
			<Sparkline
				values={values}
				colour={colour}
				width={180}
				height={30}
				floor={unit === "percent" && good === "low" ? 0 : undefined}
				label={`${title} over the range`}
			/>
		</button>
	);
}
