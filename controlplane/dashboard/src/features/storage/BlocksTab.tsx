/** The blocks on the disk: the time that each covers and what is in it. */

import { failureFrom } from "../../api/client";
import * as prometheus from "../../api/prometheus";
import { DataTable } from "../../components/DataTable";
import { FailureNotice } from "../../components/FailureNotice";
import { formatMoment, formatSpan } from "../../lib/time/range";
import { usePrefs } from "../../state/prefs";
import { useStatus } from "../../state/queries";

export function BlocksTab() {
	const utc = usePrefs((p) => p.utc);
	const query = useStatus("blocks", prometheus.tsdbBlocks);
	const blocks = query.data?.blocks ?? [];
	const count = (n: number | undefined) => (n === undefined ? "–" : n.toLocaleString("en"));
	return (
		<>
			{query.error && (
				<FailureNotice failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
			)}
			<section className="card" aria-label="Blocks" data-panel="Blocks">
				<header className="card-head">
					<h2>Blocks</h2>
					<span className="sub">oldest first; the newest samples are in the head</span>
				</header>
				{blocks.length === 0 && !query.isPending ? (
					<div className="empty">
						<p>{query.data === null ? "The server does not list its blocks." : "No block is written yet."}</p>
					</div>
				) : (
					<DataTable
						caption="Blocks"
						dense
						rows={blocks}
						rowKey={(b) => b.ulid}
						initial={{ id: "from", down: false }}
						columns={[
							{ id: "ulid", title: "Identifier", cell: (b) => <span className="mono">{b.ulid}</span> },
							{
								id: "from",
								title: "From",
								sort: (b) => b.minTime,
								cell: (b) => formatMoment(b.minTime / 1000, utc),
							},
							{
								id: "to",
								title: "To",
								sort: (b) => b.maxTime,
								cell: (b) => formatMoment(b.maxTime / 1000, utc),
							},
							{
								id: "span",
								title: "Span",
								right: true,
								sort: (b) => b.maxTime - b.minTime,
								cell: (b) => formatSpan((b.maxTime - b.minTime) / 1000),
							},
							{ id: "level", title: "Level", right: true, cell: (b) => b.compaction?.level ?? "–" },
							{
								id: "series",
								title: "Series",
								right: true,
								sort: (b) => b.stats?.numSeries ?? null,
								cell: (b) => count(b.stats?.numSeries),
							},
							{
								id: "samples",
								title: "Samples",
								right: true,
								sort: (b) => b.stats?.numSamples ?? null,
								cell: (b) => count(b.stats?.numSamples),
							},
							{
								id: "chunks",
								title: "Chunks",
								right: true,
								sort: (b) => b.stats?.numChunks ?? null,
								cell: (b) => count(b.stats?.numChunks),
							},
						]}
					/>
				)}
			</section>
		</>
	);
}
