/** A sortable table. */

import { ChevronDown, ChevronUp } from "lucide-react";
import { type ReactNode, useMemo, useState } from "react";

export interface TableColumn<T> {
	readonly id: string;
	readonly title: string;
	readonly right?: boolean;
	/** The title is only read out, for columns that explain themselves. */
	readonly quiet?: boolean;
	readonly cell: (row: T) => ReactNode;
	/** Makes the column sortable. Rows without a value come last. */
	readonly sort?: (row: T) => number | string | null;
	readonly width?: string;
}

export interface DataTableProps<T> {
	caption: string;
	rows: readonly T[];
	columns: readonly TableColumn<T>[];
	rowKey: (row: T) => string;
	initial?: { id: string; down: boolean };
	dense?: boolean;
	onRow?: (row: T) => void;
}

export function DataTable<T>({ caption, rows, columns, rowKey, initial, dense, onRow }: DataTableProps<T>) {
	const [order, setOrder] = useState(initial);
	const sorted = useMemo(() => {
		const by = columns.find((c) => c.id === order?.id)?.sort;
		if (!by || !order) return rows;
		const sign = order.down ? -1 : 1;
		return [...rows].sort((a, b) => {
			const x = by(a);
			const y = by(b);
			if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1;
			return (
				sign * (typeof x === "string" || typeof y === "string" ? String(x).localeCompare(String(y)) : x - y)
			);
		});
	}, [rows, columns, order]);
	return (
		// biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls sideways must be reachable by keyboard
		<section className="scroll-x" tabIndex={0} aria-label={`${caption}: table`}>
			<table className={dense ? "data dense" : "data"}>
				<caption className="sr-only">{caption}</caption>
				<thead>
					<tr>
						{columns.map((c) => {
							const on = order?.id === c.id;
							const direction = on ? (order?.down ? "descending" : "ascending") : undefined;
							return (
								<th
									key={c.id}
									scope="col"
									className={c.right ? "right" : ""}
									aria-sort={direction}
									style={{ width: c.width }}
								>
									{c.sort ? (
										<button
											type="button"
											onClick={() => setOrder({ id: c.id, down: on ? !order?.down : Boolean(c.right) })}
										>
											{c.title}
											{on && (order?.down ? <ChevronDown aria-hidden /> : <ChevronUp aria-hidden />)}
										</button>
									) : (
										<span className={c.quiet ? "sr-only" : undefined}>{c.title}</span>
									)}
								</th>
							);
						})}
					</tr>
				</thead>
				<tbody>
					{sorted.map((row) => (
						<tr key={rowKey(row)} data-link={onRow !== undefined} onClick={onRow && (() => onRow(row))}>
							{columns.map((c) => (
								<td key={c.id} className={c.right ? "right num" : ""}>
									{c.cell(row)}
								</td>
							))}
						</tr>
					))}
				</tbody>
			</table>
		</section>
	);
}
