/** PromQL: rows A, B, C with table and graph. The address keeps Prometheus' own form. */

import { Plus } from "lucide-react";
import { useState } from "react";
import { type ExploreRow, readExplore, writeExplore } from "../../lib/url/search";
import { useQueryParams, useSetParams } from "../../state/url";
import { QueryRow } from "./QueryRow";
import "./explore.css";

const MAX_ROWS = 6;

export function ExplorePage() {
	const params = useQueryParams();
	const set = useSetParams();
	const [spare, setSpare] = useState(0);
	const rows: ExploreRow[] = readExplore(params);
	for (let i = 0; i < spare && rows.length < MAX_ROWS; i++) rows.push({ expr: "", tab: 0 });

	const write = (next: readonly ExploreRow[]) => {
		// Rows that are gone must leave the address too.
		const gone: Record<string, undefined> = {};
		for (const key of Object.keys(params)) if (/^g\d+\./.test(key)) gone[key] = undefined;
		set({ ...gone, ...writeExplore(next) });
	};
	const change = (i: number, row: ExploreRow) => {
		write(rows.map((r, at) => (at === i ? row : r)).filter((r, at) => r.expr !== "" || at === 0));
		setSpare(0);
	};
	const remove = (i: number) => {
		setSpare(0);
		write(rows.filter((_, at) => at !== i));
	};
	return (
		<>
			{rows.map((row, i) => (
				<QueryRow
					// biome-ignore lint/suspicious/noArrayIndexKey: the place is the identity of a row
					key={i}
					letter={String.fromCharCode(65 + i)}
					row={row}
					onChange={(r) => change(i, r)}
					onRemove={rows.length > 1 ? () => remove(i) : undefined}
				/>
			))}
			<div className="row">
				<button
					type="button"
					className="button"
					disabled={rows.length >= MAX_ROWS || rows.at(-1)?.expr === ""}
					onClick={() => setSpare(1)}
				>
					<Plus /> Add query
				</button>
			</div>
		</>
	);
}
