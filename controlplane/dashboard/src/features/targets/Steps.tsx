/** What each relabelling rule of a pool makes of a target's labels, and which one drops it. */

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { failureFrom, unwrap } from "../../api/client";
import type { RelabelRule, RelabelStep } from "../../api/prometheus";
import * as prometheus from "../../api/prometheus";
import { FailureNotice } from "../../components/FailureNotice";
import { Chip } from "../../components/StatusChip";
import type { Labels as LabelSet } from "../../lib/series/table";
import { Labels } from "./Labels";

interface StepsProps {
	pool: string;
	labels: LabelSet;
	/** What the button says: the question that the steps answer. */
	question: string;
}

/** A button that asks the server when it is pressed: pools may have thousands of targets. */
export function Steps({ pool, labels, question }: StepsProps) {
	const [open, setOpen] = useState(false);
	return (
		<div className="steps">
			<button type="button" className="button small" aria-expanded={open} onClick={() => setOpen(!open)}>
				{question}
			</button>
			{open && <Answer pool={pool} labels={labels} />}
		</div>
	);
}

function Answer({ pool, labels }: { pool: string; labels: LabelSet }) {
	const query = useQuery({
		queryKey: ["relabel-steps", pool, JSON.stringify(labels)],
		queryFn: async ({ signal }) => unwrap(await prometheus.relabelSteps(pool, labels, signal)).value.steps,
		staleTime: Number.POSITIVE_INFINITY,
	});
	if (query.error)
		return <FailureNotice failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />;
	if (query.data === undefined) return <p className="muted">Asking the server…</p>;
	if (query.data.length === 0) return <p className="muted">The pool has no relabelling rules.</p>;
	const end = query.data.findIndex((step) => !step.keep);
	const shown = end < 0 ? query.data : query.data.slice(0, end + 1);
	return (
		<ol className="steps-list">
			{shown.map((step, i) => (
				<Step
					// biome-ignore lint/suspicious/noArrayIndexKey: two rules may be equal, and their order is fixed
					key={`${i} ${JSON.stringify(step.rule)}`}
					number={i + 1}
					step={step}
					before={shown[i - 1]?.output ?? labels}
				/>
			))}
		</ol>
	);
}

function Step({ number, step, before }: { number: number; step: RelabelStep; before: LabelSet }) {
	const changed = Object.fromEntries(Object.entries(step.output).filter(([k, v]) => before[k] !== v));
	const gone = Object.keys(before).filter((k) => step.keep && !(k in step.output));
	const same = step.keep && Object.keys(changed).length === 0 && gone.length === 0;
	return (
		<li data-kept={step.keep}>
			<span className="mono">
				{number}. {describe(step.rule)}
			</span>
			{!step.keep && <Chip tone="crit">this rule drops the target</Chip>}
			{same && <span className="muted">changes nothing</span>}
			{Object.keys(changed).length > 0 && step.keep && <Labels labels={changed} marked={() => true} />}
			{gone.length > 0 && <span className="muted">removes {gone.join(", ")}</span>}
		</li>
	);
}

/** The keys of a rule as the documentation orders them. */
const ORDER = ["source_labels", "separator", "regex", "modulus", "target_label", "replacement"];
const DEFAULTS: RelabelRule = { separator: ";", regex: "(.*)", replacement: "$1", modulus: 0 };

/** A rule in one line, as it could stand in the configuration; what is the default is left out. */
export function describe(rule: RelabelRule): string {
	const written = ORDER.flatMap((key) => {
		const value = rule[key];
		if (value === undefined || value === "" || value === DEFAULTS[key]) return [];
		return [`${key}: ${Array.isArray(value) ? `[${value.join(", ")}]` : value}`];
	});
	return [String(rule.action ?? "replace"), ...written].join(" · ");
}
