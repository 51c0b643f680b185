/** Cuts a query at the place that an error message names (line and column from 1, columns in characters). */
export function markPosition(
	expr: string,
	at: { line: number; column: number },
): { before: string; at: string; after: string } | null {
	const lines = expr.split("\n");
	const line = lines[at.line - 1];
	if (line === undefined || at.column < 1 || at.column > line.length + 1) return null;
	const offset = lines.slice(0, at.line - 1).reduce((n, l) => n + l.length + 1, 0) + at.column - 1;
	const word = /^(\w+|\S|\s)/.exec(expr.slice(offset))?.[0] ?? "";
	// At the end of the input there is nothing to underline, so a space is.
	return { before: expr.slice(0, offset), at: word || "\u00a0", after: expr.slice(offset + word.length) };
}
