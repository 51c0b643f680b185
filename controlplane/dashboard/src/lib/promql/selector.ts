/** Label matchers as text. Values come from people and from the network, so everything is escaped here. */

export interface Matcher {
	readonly label: string;
	/** One value compares, several become an alternation. An empty list matches everything. */
	readonly values: readonly string[];
	readonly negative?: boolean;
}

/** The inside of a double-quoted PromQL string. */
export function escapeString(value: string): string {
	return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

/** A value as a literal inside an RE2 expression. */
export function quoteRegex(value: string): string {
	return value.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

/** `a="x",b=~"y|z"`: what stands between the braces. */
export function selector(matchers: readonly Matcher[]): string {
	return matchers
		.filter((m) => m.values.length > 0)
		.map((m) => {
			const only = m.values[0] as string;
			if (m.values.length === 1) return `${m.label}${m.negative ? "!=" : "="}"${escapeString(only)}"`;
			const any = m.values.map(quoteRegex).join("|");
			return `${m.label}${m.negative ? "!~" : "=~"}"${escapeString(any)}"`;
		})
		.join(",");
}

/** Two insides of braces as one. */
export function join(...parts: readonly string[]): string {
	return parts.filter((p) => p !== "").join(",");
}
