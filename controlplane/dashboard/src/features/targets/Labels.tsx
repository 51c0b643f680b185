/** Labels as small tags. */

import type { Labels as LabelSet } from "../../lib/series/table";

export function Labels({ labels, marked }: { labels: LabelSet; marked?: (name: string) => boolean }) {
	return (
		<span className="labels">
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
