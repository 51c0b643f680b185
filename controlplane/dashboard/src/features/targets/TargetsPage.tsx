/** Scrape pools with one line per target, errors in plain view. */

import { ChevronDown, ChevronRight } from "lucide-react";
import { useState } from "react";
import { failureFrom } from "../../api/client";
import type { Target } from "../../api/prometheus";
import { DataTable } from "../../components/DataTable";
import { FailureNotice } from "../../components/FailureNotice";
import { Segments } from "../../components/Segments";
import { Chip } from "../../components/StatusChip";
import { formatAgo, formatMoment } from "../../lib/time/range";
import { format } from "../../lib/units/units";
import { useNow } from "../../state/clock";
import { usePrefs } from "../../state/prefs";
import { useScope, useTargets } from "../../state/scope";
import { useQueryParams, useSetParams } from "../../state/url";
import { Discovery } from "./Discovery";
import { Labels } from "./Labels";
import "./targets.css";

type State = "all" | "up" | "down" | "unknown";
const RANK = { down: 0, unknown: 1, up: 2 } as const;

function matches(target: Target, text: string): boolean {
	if (text === "") return true;
	const words = text.toLowerCase().split(/\s+/);
	const all = `${target.scrapePool} ${target.scrapeUrl} ${target.health} ${target.lastError} ${Object.entries(
		target.labels,
	)
		.map(([k, v]) => `${k}=${v}`)
		.join(" ")}`.toLowerCase();
	return words.every((w) => all.includes(w));
}

export function TargetsPage() {
	const { names, selected, all } = useScope();
	const query = useTargets();
	const params = useQueryParams();
	const set = useSetParams();
	const state: State =
		params.state === "up" || params.state === "down" || params.state === "unknown" ? params.state : "all";
	const [text, setText] = useState(params.search ?? "");
	const chosen = (query.data?.activeTargets ?? []).filter(
		(t) => (all || selected.includes(t.labels[names.environment] ?? "")) && matches(t, text),
	);
	const jobs = [...new Set((query.data?.activeTargets ?? []).map((t) => t.scrapePool))].sort();
	const job = jobs.includes(params.job ?? "") ? params.job : undefined;
	const ofJob = job === undefined ? chosen : chosen.filter((t) => t.scrapePool === job);
	const shown = ofJob.filter((t) => state === "all" || t.health === state);
	const closed = new Set((params.closed ?? "").split(",").filter((name) => name !== ""));
	const toggle = (pool: string) => {
		if (!closed.delete(pool)) closed.add(pool);
		set({ closed: closed.size === 0 ? undefined : [...closed].join(",") }, true);
	};
	const pools = [...new Set(shown.map((t) => t.scrapePool))].sort();
	const count = (of: readonly Target[], health: Target["health"]) =>
		of.filter((t) => t.health === health).length;
	const dropped = query.data?.droppedTargets?.length ?? 0;
	const tab = params.tab === "discovery" ? "discovery" : "targets";
	return (
		<>
			<div className="row">
				<Segments
					label="Part of the targets page"
					value={tab}
					onChange={(t) => set({ tab: t === "targets" ? undefined : t })}
					options={[
						{ value: "targets", label: "Targets" },
						{ value: "discovery", label: "Discovery" },
					]}
				/>
				<input
					className="input targets-filter"
					data-filter
					placeholder="Filter by text, label or error"
					aria-label="Filter targets"
					value={text}
					onChange={(e) => {
						setText(e.currentTarget.value);
						set({ search: e.currentTarget.value }, true);
					}}
				/>
				<select
					className="input"
					aria-label="Job"
					value={job ?? ""}
					onChange={(e) => set({ job: e.currentTarget.value || undefined })}
				>
					<option value="">All jobs</option>
					{jobs.map((name) => (
						<option key={name}>{name}</option>
					))}
				</select>
				{tab === "targets" && (
					<Segments
						label="State"
						value={state}
						onChange={(s) => set({ state: s === "all" ? undefined : s })}
						options={[
							{ value: "all", label: `All ${ofJob.length}` },
							{ value: "up", label: `Up ${count(ofJob, "up")}` },
							{ value: "down", label: `Down ${count(ofJob, "down")}` },
							{ value: "unknown", label: `Unknown ${count(ofJob, "unknown")}` },
						]}
					/>
				)}
				{dropped > 0 && <span className="muted">{dropped} dropped by relabelling</span>}
			</div>
			{query.error && (
				<FailureNotice failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
			)}
			{tab === "discovery" && (
				<Discovery
					active={ofJob}
					dropped={
						all
							? (query.data?.droppedTargets ?? []).filter(
									(d) => job === undefined || (d.scrapePool ?? d.discoveredLabels.job) === job,
								)
							: []
					}
					text={text}
				/>
			)}
			{tab === "targets" &&
				pools.map((pool) => {
					const own = shown.filter((t) => t.scrapePool === pool);
					const up = count(own, "up");
					return (
						<Pool
							key={pool}
							name={pool}
							targets={own}
							up={up}
							open={!closed.has(pool)}
							onToggle={() => toggle(pool)}
						/>
					);
				})}
			{tab === "targets" && !query.isPending && pools.length === 0 && !query.error && (
				<div className="card empty">
					<p>
						{chosen.length === 0 && text === ""
							? "The server has no targets here."
							: "No target matches the filter."}
					</p>
				</div>
			)}
		</>
	);
}

/** The labels of a target before relabelling, for a tool tip. */
function discovered(target: Target): string | undefined {
	const labels = Object.entries(target.discoveredLabels ?? {});
	if (labels.length === 0) return undefined;
	return `Before relabelling:\n${labels.map(([k, v]) => `${k}="${v}"`).join("\n")}`;
}

interface PoolProps {
	name: string;
	targets: readonly Target[];
	up: number;
	open: boolean;
	onToggle: () => void;
}

function Pool({ name, targets, up, open, onToggle }: PoolProps) {
	const now = useNow();
	const utc = usePrefs((p) => p.utc);
	const down = targets.length - up;
	return (
		<section className="card pool" aria-label={`Pool ${name}`} data-panel={name}>
			<header className="card-head">
				<h2>
					<button type="button" className="pool-toggle" aria-expanded={open} onClick={onToggle}>
						{open ? <ChevronDown aria-hidden /> : <ChevronRight aria-hidden />}
						{name}
					</button>
				</h2>
				<span className="counts">
					<Chip tone="ok">{up} up</Chip>
					{down > 0 && <Chip tone="crit">{down} not up</Chip>}
				</span>
			</header>
			{open && (
				<DataTable
					caption={`Targets of ${name}`}
					rows={[...targets].sort(
						(a, b) => RANK[a.health] - RANK[b.health] || a.scrapeUrl.localeCompare(b.scrapeUrl),
					)}
					rowKey={(t) => `${t.scrapeUrl} ${JSON.stringify(t.labels)}`}
					columns={[
						{
							id: "state",
							title: "State",
							sort: (t) => RANK[t.health],
							cell: (t) => (
								<Chip tone={t.health === "up" ? "ok" : t.health === "down" ? "crit" : "idle"}>
									{t.health}
								</Chip>
							),
						},
						{
							id: "endpoint",
							title: "Endpoint",
							sort: (t) => t.scrapeUrl,
							cell: (t) => (
								<>
									<a className="mono" href={t.globalUrl ?? t.scrapeUrl} rel="noreferrer" target="_blank">
										{t.scrapeUrl}
									</a>
									{t.lastError !== "" && <span className="target-error">{t.lastError}</span>}
								</>
							),
						},
						{
							id: "labels",
							title: "Labels",
							cell: (t) => <Labels labels={t.labels} title={discovered(t)} />,
						},
						{
							id: "age",
							title: "Last scrape",
							right: true,
							sort: (t) => Date.parse(t.lastScrape),
							cell: (t) => {
								const at = Date.parse(t.lastScrape) / 1000;
								if (!(at > 0)) return "never";
								return <span title={formatMoment(at, utc)}>{formatAgo(Math.max(0, now - at))}</span>;
							},
						},
						{
							id: "took",
							title: "Duration",
							right: true,
							sort: (t) => t.lastScrapeDuration,
							cell: (t) => format(t.lastScrapeDuration, "seconds"),
						},
						{ id: "interval", title: "Interval", right: true, cell: (t) => t.scrapeInterval ?? "–" },
					]}
				/>
			)}
		</section>
	);
}
