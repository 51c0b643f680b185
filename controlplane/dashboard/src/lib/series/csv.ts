/** A table as CSV (RFC 4180): ISO time, epoch, one column per series. */

import type { Table } from "./table";

/** Text that a spreadsheet would take for a formula gets an apostrophe in front. */
function cell(text: string): string {
	const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
	return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function toCsv(table: Table, labels: ReadonlyMap<string, string>): string {
	const head = ["time", "epoch", ...table.columns.map((c) => cell(labels.get(c.id) ?? c.id))].join(",");
	const rows = table.time.map((t, i) =>
		[
			new Date(t * 1000).toISOString(),
			String(t),
			...table.columns.map((c) => c.values[i]?.toString() ?? ""),
		].join(","),
	);
	return `${[head, ...rows].join("\r\n")}\r\n`;
}
