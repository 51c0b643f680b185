/** The database behind the charts: what its head holds, what fills it, how the server is set up. */

import { failureFrom } from "../../api/client";
import * as prometheus from "../../api/prometheus";
import { FailureNotice } from "../../components/FailureNotice";
import { Segments } from "../../components/Segments";
import { useStatus } from "../../state/queries";
import { useQueryParams, useSetParams } from "../../state/url";
import { AlertmanagersTab } from "./AlertmanagersTab";
import { BlocksTab } from "./BlocksTab";
import { CardinalityTab } from "./CardinalityTab";
import { HeadTab } from "./HeadTab";
import { ConfigurationTab, FlagsTab, ServerTab } from "./ServerTab";
import "./storage.css";

const TABS = [
	{ value: "head", label: "Head" },
	{ value: "blocks", label: "Blocks" },
	{ value: "cardinality", label: "Cardinality" },
	{ value: "server", label: "Server" },
	{ value: "flags", label: "Flags" },
	{ value: "config", label: "Configuration" },
	{ value: "alertmanagers", label: "Alertmanagers" },
] as const;

type Tab = (typeof TABS)[number]["value"];

/** Entries of every list on the cardinality tab. */
const LIMIT = 20;

const askStatus = (signal?: AbortSignal) => prometheus.tsdbStatus(LIMIT, signal);

export function StoragePage() {
	const params = useQueryParams();
	const set = useSetParams();
	const status = useStatus("tsdb", askStatus);
	const tab: Tab = TABS.find((t) => t.value === params.tab)?.value ?? "head";
	const needsStatus = tab === "head" || tab === "cardinality";
	if (status.data === null && needsStatus) {
		return (
			<div className="card empty">
				<h2>No storage here</h2>
				<p>This server gives no statistics of its database.</p>
			</div>
		);
	}
	return (
		<>
			<div className="row storage-tabs">
				<Segments
					label="Part of the storage page"
					value={tab}
					onChange={(t) => set({ tab: t === "head" ? undefined : t })}
					options={TABS}
				/>
			</div>
			{status.error && needsStatus && (
				<FailureNotice failure={failureFrom(status.error)} onRetry={() => void status.refetch()} />
			)}
			{tab === "head" && <HeadTab status={status.data ?? undefined} />}
			{tab === "blocks" && <BlocksTab />}
			{tab === "cardinality" && <CardinalityTab status={status.data ?? undefined} />}
			{tab === "server" && <ServerTab />}
			{tab === "flags" && <FlagsTab />}
			{tab === "config" && <ConfigurationTab />}
			{tab === "alertmanagers" && <AlertmanagersTab />}
		</>
	);
}
