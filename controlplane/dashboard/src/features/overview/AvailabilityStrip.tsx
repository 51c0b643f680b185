import { CELLS, cellState, useAvailability } from "../../components/availability";
import { Environment } from "../../components/Environment";
import { formatClock, formatStamp, formatWeekday } from "../../lib/time/range";
import { show } from "../../lib/units/units";
import { usePrefs } from "../../state/prefs";
import { useScope } from "../../state/scope";

const WORDS = { met: "met", risk: "at risk", breached: "breached", none: "no data" } as const;

export function AvailabilityStrip() {
	const { names, selected, environments, planes } = useScope();
	const utc = usePrefs((p) => p.utc);
	const panel = useAvailability([names.environment]);
	// The range holds one moment more than cells: each cell ends at its moment.
	const time = panel.table?.time.slice(-CELLS) ?? [];
	const first = time[0];
	return (
		<section className="card" aria-label="Availability" data-panel="Availability">
			{panel.refreshing && !panel.loading && <div className="progress" aria-hidden />}
			<header className="card-head">
				<h2>Availability</h2>
				<span className="sub">last 24 h · one cell = 30 min</span>
				<span className="spread cell-legend">
					{(["met", "risk", "breached", "none"] as const).map((s) => (
						<span key={s}>
							<span className="cells" aria-hidden>
								<i data-cell={s} />
							</span>
							{WORDS[s]}
						</span>
					))}
				</span>
			</header>
			<div className="availability">
				{selected.map((environment) => {
					const column = panel.table?.columns.find((c) => c.labels[names.environment] === environment);
					const values = column?.values.slice(-CELLS) ?? new Array(CELLS).fill(null);
					const known = values.filter((v): v is number => v !== null);
					const mean = known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
					const limits = planes.find((p) => p.environment === environment)?.thresholds.errorPercent;
					const shown = show(mean, "percent");
					const states = values.map((v) => cellState(v, limits ?? { warning: 5, critical: 20 }));
					const bad = states.filter((s) => s === "breached" || s === "risk").length;
					return (
						<div key={environment} className="availability-row">
							<Environment name={environment} order={environments} />
							<div
								className="cells"
								role="img"
								aria-label={`${environment}: ${known.length} of ${CELLS} half hours have data, ${bad} of them at risk or breached`}
							>
								{states.map((state, i) => (
									<i
										// biome-ignore lint/suspicious/noArrayIndexKey: the place is the identity of a cell
										key={i}
										data-cell={state}
										title={`${formatStamp((time[i] ?? 0) - 1800, utc).slice(5, 16)}: ${show(values[i], "percent").number} % ${WORDS[state]}`}
									/>
								))}
							</div>
							<b className="num">
								{shown.number} {shown.unit}
							</b>
						</div>
					);
				})}
				{first !== undefined && (
					<div className="cell-axis" aria-hidden>
						{[0, 8, 16, 24, 32, 40].map((i) => (
							<span key={i}>
								{i === 0
									? formatWeekday((time[0] ?? 0) - 1800, utc)
									: formatClock((time[i] ?? 0) - 1800, utc)}
							</span>
						))}
						<span>now</span>
					</div>
				)}
			</div>
		</section>
	);
}
