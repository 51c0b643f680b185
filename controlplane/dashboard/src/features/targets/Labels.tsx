/** Labels as small tags. */

import type { Labels as LabelSet } from "../../lib/series/table";

interface LabelsProps {
	labels: LabelSet;
	marked?: (name: string) => boolean;
	/** A tool tip for all of them. */
	title?: string;
}

export function Labels({ labels, marked, title }: LabelsProps) {
	return (
		<span className="labels" title={title}>
			{Object.entries(labels)
				.filter(([k]) => k !== "__name__")
				.map(([k, v]) => (
					<span key={k} data-marked={marked?.(k)}>
						{k}=<b>{v}</b>
					</span>
				))}
		</span>
	);
}
