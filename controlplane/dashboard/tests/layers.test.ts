/** Which folder may import which: features never each other, lib nothing above it. */

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, it } from "vitest";

const SRC = join(import.meta.dirname, "..", "src");

const ALLOWED: Record<string, readonly string[]> = {
	lib: ["lib"],
	api: ["lib", "api"],
	state: ["lib", "api", "state"],
	components: ["lib", "api", "state", "components"],
	charts: ["lib", "api", "state", "components", "charts"],
	features: ["lib", "api", "state", "components", "charts"],
	app: ["lib", "api", "state", "components", "charts", "features", "app"],
};

interface Import {
	readonly from: string;
	readonly to: string;
}

function imports(): Import[] {
	const found: Import[] = [];
	for (const entry of readdirSync(SRC, { recursive: true, encoding: "utf8" })) {
		if (!/\.tsx?$/.test(entry)) continue;
		const text = readFileSync(join(SRC, entry), "utf8");
		for (const match of text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)) {
			found.push({ from: entry, to: relative(SRC, join(SRC, dirname(entry), match[1] as string)) });
		}
	}
	return found;
}

const top = (path: string): string => path.split("/")[0] as string;
const feature = (path: string): string | undefined =>
	top(path) === "features" ? path.split("/")[1] : undefined;

describe("layers", () => {
	const all = imports();

	it("sees the imports", () => {
		expect(all.length).toBeGreaterThan(150);
	});

	it("keeps every folder below its own", () => {
		const wrong = all.filter(({ from, to }) => {
			const allowed = ALLOWED[top(from)];
			if (!allowed || (feature(to) !== undefined && feature(to) === feature(from))) return false;
			return !allowed.includes(top(to));
		});
		expect(wrong).toEqual([]);
	});

	it("keeps React out of lib", () => {
		const wrong = readdirSync(join(SRC, "lib"), { recursive: true, encoding: "utf8" })
			.filter((f) => /\.tsx?$/.test(f))
			.filter((f) =>
				/from "(react|@mantine|@tanstack|echarts)/.test(readFileSync(join(SRC, "lib", f), "utf8")),
			);
		expect(wrong).toEqual([]);
	});

	it("keeps colours in the tokens", () => {
		const wrong = readdirSync(SRC, { recursive: true, encoding: "utf8" })
			.filter((f) => /\.(tsx?|css)$/.test(f) && !f.endsWith("tokens.css") && !f.includes(".test."))
			.filter((f) => /#[0-9a-fA-F]{6}\b/.test(readFileSync(join(SRC, f), "utf8")));
		expect(wrong).toEqual([]);
	});
});
