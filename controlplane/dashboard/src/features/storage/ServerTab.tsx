/** Build, run time, flags and the loaded configuration of the server, each on its tab. */

import { Check, Copy } from "lucide-react";
import { useEffect, useState } from "react";
import { failureFrom } from "../../api/client";
import * as prometheus from "../../api/prometheus";
import { DataTable } from "../../components/DataTable";
import { FailureNotice } from "../../components/FailureNotice";
import { useStatus } from "../../state/queries";

export function ServerTab() {
	const build = useStatus("build", prometheus.buildInfo);
	const runtime = useStatus("runtime", prometheus.runtimeInfo);
	return (
		<>
			<Failed queries={[build, runtime]} />
			<div className="storage-lists">
				<FactTable title="Build" facts={build.data} />
				<FactTable title="Run time" facts={runtime.data} />
			</div>
		</>
	);
}

export function FlagsTab() {
	const flags = useStatus("flags", prometheus.flags);
	return (
		<>
			<Failed queries={[flags]} />
			<FactTable title="Flags" facts={flags.data} filter />
		</>
	);
}

export function ConfigurationTab() {
	const config = useStatus("config-file", prometheus.configuration);
	return (
		<>
			<Failed queries={[config]} />
			<Configuration yaml={config.data?.yaml} />
		</>
	);
}

interface Asked {
	readonly error: Error | null;
	readonly refetch: () => Promise<unknown>;
}

/** The first failure; trying again repeats all that failed. */
function Failed({ queries }: { queries: readonly Asked[] }) {
	const failed = queries.find((q) => q.error);
	if (!failed?.error) return null;
	return (
		<FailureNotice
			failure={failureFrom(failed.error)}
			onRetry={() => {
				for (const query of queries) if (query.error) void query.refetch();
			}}
		/>
	);
}

/** Go's "no limit" is the largest number there is. */
function worded(value: prometheus.Facts[string] | undefined): string {
	if (value === null || value === undefined) return "";
	return typeof value === "number" && value >= 2 ** 63 - 1 ? "no limit" : String(value);
}

function FactTable({
	title,
	facts,
	filter = false,
}: {
	title: string;
	facts: prometheus.Facts | null | undefined;
	filter?: boolean;
}) {
	const [text, setText] = useState("");
	const rows = Object.entries(facts ?? {})
		.map(([name, value]) => ({ name, value: worded(value) }))
		.filter((r) => r.value !== "" && `${r.name} ${r.value}`.toLowerCase().includes(text.toLowerCase()));
	return (
		<section className="card" aria-label={title} data-panel={title}>
			<header className="card-head">
				<h2>{title}</h2>
				{filter && (
					<input
						className="input spread"
						data-filter
						placeholder="Filter"
						aria-label={`Filter ${title.toLowerCase()}`}
						value={text}
						onChange={(e) => setText(e.currentTarget.value)}
					/>
				)}
			</header>
			{rows.length === 0 ? (
				<div className="empty">
					<p>{text === "" ? "The server says nothing here." : "Nothing matches the filter."}</p>
				</div>
			) : (
				<DataTable
					caption={title}
					dense
					rows={rows}
					rowKey={(r) => r.name}
					columns={[
						{
							id: "name",
							title: "Name",
							sort: (r) => r.name,
							cell: (r) => <span className="mono">{r.name}</span>,
						},
						{
							id: "value",
							title: "Value",
							cell: (r) => <span className="mono storage-value">{r.value}</span>,
						},
					]}
				/>
			)}
		</section>
	);
}

function Configuration({ yaml }: { yaml: string | undefined }) {
	const [copied, setCopied] = useState(false);
	useEffect(() => {
		if (!copied) return;
		const timer = setTimeout(() => setCopied(false), 1500);
		return () => clearTimeout(timer);
	}, [copied]);
	if (yaml === undefined) return null;
	return (
		<section className="card" aria-label="Configuration" data-panel="Configuration">
			<header className="card-head">
				<h2>Configuration</h2>
				<span className="sub">as loaded, secrets hidden</span>
				<button
					type="button"
					className="button small spread"
					onClick={() => void navigator.clipboard?.writeText(yaml).then(() => setCopied(true))}
				>
					{copied ? <Check /> : <Copy />} {copied ? "Copied" : "Copy"}
				</button>
			</header>
			{/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard */}
			<section className="storage-yaml" tabIndex={0} aria-label="Text of the configuration">
				<pre className="mono">{yaml}</pre>
			</section>
		</section>
	);
}
