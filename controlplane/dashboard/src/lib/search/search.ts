/** Finding an entry by a few typed letters. */

export interface Found<T> {
	readonly entry: T;
	readonly score: number;
}

/** How well a word fits a text: at its start, at the start of one of its words, anywhere, or not at all (0). */
function fits(text: string, word: string): number {
	const at = text.indexOf(word);
	if (at < 0) return 0;
	if (at === 0) return 3;
	return new RegExp(`[^a-z0-9]${word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`).test(text) ? 2 : 1;
}

/**
 * Entries that hold every typed word, the best first, equal ones in the order given. Nothing typed finds nothing
 * and everything: the first `limit` entries.
 */
export function search<T>(
	entries: readonly T[],
	text: (entry: T) => string,
	typed: string,
	limit: number,
): T[] {
	const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
	if (words.length === 0) return entries.slice(0, limit);
	const found: Found<T>[] = [];
	for (const entry of entries) {
		const all = text(entry).toLowerCase();
		let score = 0;
		for (const word of words) {
			const fit = fits(all, word);
			if (fit === 0) {
				score = 0;
				break;
			}
			score += fit;
		}
		if (score > 0) found.push({ entry, score });
	}
	return found
		.sort((a, b) => b.score - a.score)
		.slice(0, limit)
		.map((f) => f.entry);
}
