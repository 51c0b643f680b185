/** All data planes on one page: which is unwell, since when, on which route. */

import { FailureNotice } from "../../components/FailureNotice";
import { usePlaneViews } from "../../state/health";
import { useScope } from "../../state/scope";
import { AvailabilityStrip } from "./AvailabilityStrip";
import { FleetStrip } from "./FleetStrip";
import { NeedsAttention } from "./NeedsAttention";
import { PlaneCard } from "./PlaneCard";
import { PlaneTable } from "./PlaneTable";
import { RoutesWithErrors } from "./RoutesWithErrors";
import "./overview.css";

const CARDS = 12;

export function OverviewPage() {
	const planes = usePlaneViews();
	const { config } = useScope();
	const { shown, panels } = planes;
	const failure = Object.values(panels).find((p) => p.failure)?.failure;
	return (
		<>
			{failure && (
				<FailureNotice
					failure={failure}
					onRetry={() =>
						Object.values(panels).forEach((p) => {
							p.retry();
						})
					}
				/>
			)}
			<FleetStrip planes={planes} />
			{shown.length === 0 && (
				<div className="card empty">
					<h2>No data plane yet</h2>
					<p>
						The server scrapes no target with the labels <code className="mono">environment</code> and{" "}
						<code className="mono">data_plane_id</code>
						{config.present ? "." : ", and this server gives no configuration of its own."}
					</p>
				</div>
			)}
			{shown.length > 0 && shown.length <= CARDS && (
				<section className="plane-grid" aria-label="Data planes">
					{shown.map((view) => (
						<PlaneCard key={view.plane.key} view={view} />
					))}
				</section>
			)}
			{shown.length > CARDS && <PlaneTable views={shown} />}
			{shown.length > 0 && <AvailabilityStrip />}
			<div className="two">
				<NeedsAttention views={shown} />
				<RoutesWithErrors />
			</div>
		</>
	);
}
