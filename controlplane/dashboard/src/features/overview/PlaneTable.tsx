/** More than twelve planes as a table with the same columns as the cards. */

import { DataTable } from "../../components/DataTable";
import { Environment } from "../../components/Environment";
import { StatusChip } from "../../components/StatusChip";
import { SEVERITY } from "../../lib/health/health";
import { formatAgo } from "../../lib/time/range";
import { format } from "../../lib/units/units";
import type { PlaneView } from "../../state/health";
import { useScope } from "../../state/scope";

export function PlaneTable({ views }: { views: readonly PlaneView[] }) {
	const { environments } = useScope();
	return (
		<section className="card">
			<DataTable
				caption="Data planes"
				rows={views}
				rowKey={(v) => v.plane.key}
				columns={[
					{
						id: "env",
						title: "Environment",
						sort: (v) => v.plane.environment,
						cell: (v) => <Environment name={v.plane.environment} order={environments} />,
					},
					{
						id: "id",
						title: "Data plane",
						sort: (v) => v.plane.id,
						cell: (v) => <span className="mono">{v.plane.id}</span>,
					},
					{
						id: "state",
						title: "Status",
						sort: (v) => SEVERITY.indexOf(v.health.state),
						cell: (v) => <StatusChip state={v.health.state} />,
					},
					{ id: "why", title: "Reason", cell: (v) => v.health.reason },
					{
						id: "rate",
						title: "Rate",
						right: true,
						sort: (v) => v.rate.value,
						cell: (v) => format(v.rate.value, "rate"),
					},
					{
						id: "p95",
						title: "p95",
						right: true,
						sort: (v) => v.p95.value,
						cell: (v) => format(v.p95.value, "seconds"),
					},
					{
						id: "errors",
						title: "Errors",
						right: true,
						sort: (v) => v.errors.value,
						cell: (v) => format(v.errors.value, "percent"),
					},
					{
						id: "active",
						title: "Active",
						right: true,
						sort: (v) => v.active.value,
						cell: (v) => format(v.active.value, "count"),
					},
					{ id: "up", title: "Targets up", right: true, cell: (v) => `${v.up ?? "–"} / ${v.all ?? "–"}` },
					{
						id: "age",
						title: "Last scrape",
						right: true,
						sort: (v) => v.age,
						cell: (v) => (v.age === null ? "never" : formatAgo(v.age)),
					},
				]}
			/>
		</section>
	);
}
