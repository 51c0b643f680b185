/** Sizes of what a browser loads, and that two builds give the same bytes. */

import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build, type Rolldown } from "vite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "..");
const KB = 1000;

type Chunks = Map<string, Rolldown.OutputChunk>;
const dirs: string[] = [];
let chunks: Chunks;
let dir: string;

/** Vitest sets another environment, in which React would be bundled with its development checks. */
process.env.NODE_ENV = "production";

async function bundle(): Promise<{ dir: string; chunks: Chunks }> {
	const out = mkdtempSync(join(tmpdir(), "bellwether-dashboard-"));
	dirs.push(out);
	const result = await build({
		root: ROOT,
		logLevel: "error",
		mode: "production",
		build: { outDir: out, emptyOutDir: true },
	});
	const output = (result as Rolldown.RolldownOutput).output;
	return {
		dir: out,
		chunks: new Map(output.flatMap((o) => (o.type === "chunk" ? [[o.fileName, o] as const] : []))),
	};
}

/** Everything that loads together with a chunk: its static imports, and theirs. */
function closure(start: readonly string[]): Set<string> {
	const seen = new Set<string>();
	const walk = (name: string) => {
		if (seen.has(name) || !chunks.has(name)) return;
		seen.add(name);
		for (const next of chunks.get(name)?.imports ?? []) walk(next);
	};
	for (const name of start) walk(name);
	return seen;
}

const gzip = (file: string): number => gzipSync(readFileSync(join(dir, file)), { level: 9 }).length;
const sum = (files: Iterable<string>): number => [...files].reduce((n, f) => n + gzip(f), 0);
const page = (name: string): string =>
	[...chunks.keys()].find((f) => f.includes(`/${name}-`)) ?? `missing ${name}`;
const entry = (): string => [...chunks.values()].find((c) => c.isEntry)?.fileName ?? "missing entry";

beforeAll(async () => {
	const built = await bundle();
	dir = built.dir;
	chunks = built.chunks;
}, 120_000);

afterAll(() => {
	for (const d of dirs) rmSync(d, { recursive: true, force: true });
});

describe("sizes", () => {
	it.each([
		["OverviewPage", [], 230],
		["MetricsPage", [], 430],
		["ExplorePage", ["Editor"], 570],
	])("script of %s", (name, later, budget) => {
		const files = closure([entry(), page(name), ...later.map(page)]);
		expect(files.has(page(name)), page(name)).toBe(true);
		const size = sum(files) / KB;
		console.info(`${name}: ${size.toFixed(0)} KB gzip of ${budget}`);
		expect(size).toBeLessThan(budget);
	});

	it("the overview loads neither charts nor editor", () => {
		const files = [...closure([entry(), page("OverviewPage")])];
		expect(files.filter((f) => /echarts|codemirror|TimeSeries/.test(f))).toEqual([]);
	});

	it("styles and fonts", () => {
		const files = readdirSync(join(dir, "assets"));
		const css = sum(files.filter((f) => f.endsWith(".css")).map((f) => `assets/${f}`)) / KB;
		const fonts =
			files
				.filter((f) => f.endsWith(".woff2"))
				.reduce((n, f) => n + statSync(join(dir, "assets", f)).size, 0) / KB;
		console.info(`styles ${css.toFixed(0)} KB gzip, fonts ${fonts.toFixed(0)} KB`);
		expect(css).toBeLessThan(35);
		expect(fonts).toBeLessThan(100);
	});

	it("all of it, compressed", () => {
		const files = readdirSync(dir, { recursive: true, encoding: "utf8" }).filter((f) =>
			statSync(join(dir, f)).isFile(),
		);
		const total = sum(files) / KB;
		console.info(`embedded ${total.toFixed(0)} KB gzip`);
		expect(total).toBeLessThan(1200);
	});

	it("nothing is loaded from elsewhere", () => {
		const html = readFileSync(join(dir, "index.html"), "utf8");
		expect(html).not.toMatch(/(?:src|href)="(?:https?:)?\/\//);
		expect(html).toContain("__BELLWETHER_NONCE__");
		expect(readFileSync(join(dir, "licenses.md"), "utf8")).toContain("echarts");
	});
});

it("two builds give the same bytes", async () => {
	const digest = (d: string) => {
		const hash = createHash("sha256");
		for (const f of readdirSync(d, { recursive: true, encoding: "utf8" }).sort()) {
			if (statSync(join(d, f)).isFile()) hash.update(f).update(readFileSync(join(d, f)));
		}
		return hash.digest("hex");
	};
	const again = await bundle();
	expect(digest(again.dir)).toBe(digest(dir));
}, 120_000);
