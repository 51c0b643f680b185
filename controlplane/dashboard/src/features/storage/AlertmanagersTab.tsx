/** Where alerts are sent, and the discovered Alertmanagers that relabelling dropped. */

import { failureFrom } from "../../api/client";
import * as prometheus from "../../api/prometheus";
import { DataTable } from "../../components/DataTable";
import { FailureNotice } from "../../components/FailureNotice";
import { Chip } from "../../components/StatusChip";
import { useStatus } from "../../state/queries";

export function AlertmanagersTab() {
	const query = useStatus("alertmanagers", prometheus.alertmanagers);
	const rows = [
		...(query.data?.activeAlertmanagers ?? []).map(({ url }) => ({ url, active: true })),
		...(query.data?.droppedAlertmanagers ?? []).map(({ url }) => ({ url, active: false })),
	];
	return (
		<>
			{query.error && (
				<FailureNotice failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
			)}
			<section className="card" aria-label="Alertmanagers" data-panel="Alertmanagers">
				<header className="card-head">
					<h2>Alertmanagers</h2>
				</header>
				{rows.length === 0 && !query.isPending ? (
					<div className="empty">
						<p>
							{query.data === null
								? "The server does not know Alertmanagers."
								: "Alerts are not sent anywhere: the configuration names no Alertmanager."}
						</p>
					</div>
				) : (
					<DataTable
						caption="Alertmanagers"
						rows={rows}
						rowKey={(r) => r.url}
						columns={[
							{
								id: "state",
								title: "State",
								width: "20%",
								cell: (r) => (
									<Chip tone={r.active ? "ok" : "idle"}>
										{r.active ? "in use" : "dropped by relabelling"}
									</Chip>
								),
							},
							{
								id: "url",
								title: "Endpoint",
								sort: (r) => r.url,
								cell: (r) => <span className="mono">{r.url}</span>,
							},
						]}
					/>
				)}
			</section>
		</>
	);
}
