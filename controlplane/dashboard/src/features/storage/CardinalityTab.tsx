/** What the series consist of: the metrics, labels and pairs with the most of them, each with its share. */

import type { ReactNode } from "react";
import type { Counted, TsdbStatus } from "../../api/prometheus";
import { DataTable } from "../../components/DataTable";
import { PageLink } from "../../components/PageLink";
import { escapeString } from "../../lib/promql/selector";
import { format } from "../../lib/units/units";

export function CardinalityTab({ status }: { status: TsdbStatus | undefined }) {
	const all = status?.headStats?.numSeries;
	const query = (expr: string, name: string) => (
		<PageLink to="/explore" params={{ "g0.expr": expr, "g0.tab": "1" }} className="mono">
			{name}
		</PageLink>
	);
	return (
		<div className="storage-lists">
			<List
				title="Metrics"
				subtitle="by number of series"
				rows={status?.seriesCountByMetricName}
				value="Series"
				whole={all}
				name={({ name }) => query(`count by (job) ({__name__="${escapeString(name)}"})`, name)}
			/>
			<List
				title="Label values"
				subtitle="labels by number of different values"
				rows={status?.labelValueCountByLabelName}
				value="Values"
				name={({ name }) => query(`count by (${name}) ({${name}!=""})`, name)}
			/>
			<List
				title="Label pairs"
				subtitle="by number of series"
				rows={status?.seriesCountByLabelValuePair}
				value="Series"
				whole={all}
				name={({ name }) => {
					const at = name.indexOf("=");
					const [label, value] = [name.slice(0, at), name.slice(at + 1)];
					return query(`count by (__name__) ({${label}="${escapeString(value)}"})`, name);
				}}
			/>
			<List
				title="Memory of labels"
				subtitle="bytes of the values of each label"
				rows={status?.memoryInBytesByLabelName}
				value="Size"
				unit="bytes"
				name={({ name }) => <span className="mono">{name}</span>}
			/>
		</div>
	);
}

interface ListProps {
	title: string;
	subtitle: string;
	rows: readonly Counted[] | undefined;
	value: string;
	unit?: "count" | "bytes";
	/** What a value is a share of, where that means something. */
	whole?: number;
	name: (row: Counted) => ReactNode;
}

function List({ title, subtitle, rows, value, unit = "count", whole, name }: ListProps) {
	const most = Math.max(1, ...(rows ?? []).map((r) => r.value));
	const number = (v: number) => (unit === "count" ? v.toLocaleString("en") : format(v, unit));
	return (
		<section className="card" aria-label={title} data-panel={title}>
			<header className="card-head">
				<h2>{title}</h2>
				<span className="sub">{subtitle}</span>
			</header>
			{rows === undefined || rows.length === 0 ? (
				<div className="empty">
					<p>The server gives no list of these.</p>
				</div>
			) : (
				<DataTable
					caption={title}
					dense
					rows={rows}
					rowKey={(r) => r.name}
					columns={[
						{ id: "name", title: "Name", sort: (r) => r.name, cell: name },
						{
							id: "value",
							title: value,
							right: true,
							sort: (r) => r.value,
							cell: (r) => number(r.value),
						},
						...(whole
							? [
									{
										id: "share",
										title: "Share",
										right: true,
										cell: (r: Counted) => format((100 * r.value) / whole, "percent"),
									},
								]
							: []),
						{
							id: "bar",
							title: "Against the largest",
							quiet: true,
							width: "18%",
							cell: (r) => (
								<span className="storage-bar" aria-hidden>
									<i style={{ width: `${(100 * r.value) / most}%` }} />
								</span>
							),
						},
					]}
				/>
			)}
		</section>
	);
}
