/** What was discovered, and what relabelling made of it: the labels of a target, or nothing. */

import type { Target, Targets } from "../../api/prometheus";
import { DataTable } from "../../components/DataTable";
import { Chip } from "../../components/StatusChip";
import type { Labels as LabelSet } from "../../lib/series/table";
import { Labels } from "./Labels";
import { Steps } from "./Steps";

interface Row {
	readonly key: string;
	readonly discovered: LabelSet;
	/** Null where relabelling dropped the target. */
	readonly labels: LabelSet | null;
}

type Dropped = NonNullable<Targets["droppedTargets"]>[number];

interface DiscoveryProps {
	active: readonly Target[];
	dropped: readonly Dropped[];
	/** What the dropped ones are filtered by; the others are filtered already. */
	text: string;
}

export function Discovery({ active, dropped, text }: DiscoveryProps) {
	const words = text.toLowerCase().split(/\s+/);
	const poolOf = (d: Dropped) => d.scrapePool ?? d.discoveredLabels.job ?? "";
	const kept = dropped.filter((d) => {
		const all = JSON.stringify(d.discoveredLabels).toLowerCase();
		return words.every((w) => all.includes(w));
	});
	const pools = [...new Set([...active.map((t) => t.scrapePool), ...kept.map(poolOf)])].sort();
	if (pools.length === 0) {
		return (
			<div className="card empty">
				<p>{text === "" ? "The server has discovered nothing here." : "Nothing matches the filter."}</p>
			</div>
		);
	}
	return pools.map((pool) => {
		const targets = active.filter((t) => t.scrapePool === pool);
		const without = kept.filter((d) => poolOf(d) === pool);
		const rows: Row[] = [
			...targets.map((t) => ({
				key: `${t.scrapeUrl} ${JSON.stringify(t.labels)}`,
				discovered: t.discoveredLabels ?? {},
				labels: t.labels,
			})),
			...without.map((d, i) => ({
				key: `dropped ${i} ${JSON.stringify(d.discoveredLabels)}`,
				discovered: d.discoveredLabels,
				labels: null,
			})),
		];
		return (
			<section className="card pool" key={pool} aria-label={`Discovery of ${pool}`} data-panel={pool}>
				<header className="card-head">
					<h2>{pool}</h2>
					<span className="counts">
						<Chip tone="ok">{targets.length} kept</Chip>
						{without.length > 0 && <Chip tone="idle">{without.length} dropped</Chip>}
					</span>
				</header>
				<DataTable
					caption={`Discovery of ${pool}`}
					rows={rows}
					rowKey={(r) => r.key}
					columns={[
						{
							id: "discovered",
							title: "Discovered labels",
							width: "55%",
							cell: (r) => <Labels labels={r.discovered} />,
						},
						{
							id: "final",
							title: "Labels of the target",
							cell: (r) =>
								r.labels ? (
									<>
										<Labels labels={r.labels} marked={(name) => r.labels?.[name] !== r.discovered[name]} />
										<Steps pool={pool} labels={r.discovered} question="Which rules?" />
									</>
								) : (
									<>
										<Chip tone="idle">dropped by relabelling</Chip>
										<Steps pool={pool} labels={r.discovered} question="By which rule?" />
									</>
								),
						},
					]}
				/>
			</section>
		);
	});
}
