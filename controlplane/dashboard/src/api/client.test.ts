import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError, call, failureOf, positionIn, unwrap } from "./client";
import { DEFAULT_CONFIG, readConfig } from "./ui";

describe("what an error answer means", () => {
	it.each([
		[400, "bad_data", '1:5: parse error: unexpected "}"', "bad-query"],
		[422, "execution", "query processing would load too many samples into memory", "too-large"],
		[422, "execution", "multiple matches for labels", "bad-query"],
		[503, "timeout", "query timed out in expression evaluation", "timeout"],
		[503, "unavailable", "Service Unavailable", "starting"],
		[504, "timeout", "", "timeout"],
		[502, "unavailable", "the metrics server cannot be reached", "unreachable"],
		[401, "", "", "signed-out"],
		[403, "", "", "forbidden"],
		[404, "", "404 page not found", "not-found"],
		[500, "internal", "boom", "server"],
	])("%d %s %s", (status, type, detail, kind) => {
		const failure = failureOf(status, type, detail);
		expect(failure.kind).toBe(kind);
		expect(failure.summary).toMatch(/\.$/);
		expect(failure.detail).toBe(detail);
	});

	it.each([
		['1:5: parse error: unexpected "}"', { line: 1, column: 5 }],
		['invalid parameter "query": 2:13: parse error: x', { line: 2, column: 13 }],
		["parse error at line 3, char 7: x", { line: 3, column: 7 }],
		["many-to-many matching not allowed", undefined],
	])("position in %s", (message, position) => {
		expect(positionIn(message)).toEqual(position);
	});
});

describe("requests", () => {
	const answers: ((r: Response) => void)[] = [];
	const asked: { url: string; method: string }[] = [];
	beforeEach(() => {
		vi.stubGlobal("document", { baseURI: "http://dashboard/prefix/" });
		vi.stubGlobal("fetch", (url: URL, init: RequestInit) => {
			asked.push({ url: String(url), method: init.method ?? "GET" });
			return new Promise<Response>((resolve, reject) => {
				answers.push(resolve);
				init.signal?.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
			});
		});
	});
	afterEach(() => {
		answers.length = 0;
		asked.length = 0;
		vi.unstubAllGlobals();
	});
	const json = (body: unknown, status = 200) => new Response(JSON.stringify(body), { status });
	const settle = () => new Promise((r) => setTimeout(r, 0));

	it("go below the base, and give value and notices", async () => {
		const result = call("api/v1/query", { query: "up", time: undefined });
		await settle();
		answers[0]?.(json({ status: "success", data: 7, warnings: ["w"] }));
		expect(await result).toEqual({ ok: true, value: 7, warnings: ["w"], infos: [] });
		expect(asked[0]).toEqual({ url: "http://dashboard/prefix/api/v1/query?query=up", method: "GET" });
	});

	it("long queries are posted", async () => {
		const result = call("api/v1/query", { query: "x".repeat(5000) });
		await settle();
		answers[0]?.(json({ status: "success", data: 1 }));
		await result;
		expect(asked[0]).toEqual({ url: "http://dashboard/prefix/api/v1/query", method: "POST" });
	});

	it("no more than six at a time, aborted ones leave the queue", async () => {
		const abort = new AbortController();
		const all = Array.from({ length: 8 }, (_, i) =>
			call("api/v1/query", { query: String(i) }, i === 6 ? abort.signal : undefined),
		);
		await settle();
		expect(asked).toHaveLength(6);
		abort.abort();
		expect(await all[6]).toMatchObject({ ok: false, failure: { kind: "cancelled" } });
		answers[0]?.(json({ status: "success", data: 0 }));
		await all[0];
		await settle();
		expect(asked).toHaveLength(7);
		expect(asked[6]?.url).toContain("query=7");
		for (const answer of answers.slice(1)) answer(json({ status: "success", data: 0 }));
		await Promise.all(all);
	});

	it("failures say what happened", async () => {
		const refused = call("api/v1/query", {});
		const garbage = call("api/v1/query", {});
		await settle();
		answers[0]?.(json({ status: "error", errorType: "bad_data", error: "1:2: parse error: x" }, 400));
		answers[1]?.(new Response("<html>", { status: 200 }));
		expect(await refused).toMatchObject({
			ok: false,
			failure: { kind: "bad-query", position: { line: 1, column: 2 } },
		});
		const bad = await garbage;
		expect(bad).toMatchObject({ ok: false, failure: { kind: "server" } });
		expect(() => unwrap(bad)).toThrow(ApiError);
	});
});

describe("configuration of the pages", () => {
	it("takes what the server says", () => {
		const config = readConfig({
			version: "1.2",
			planes: [
				{
					id: "dp-1",
					environment: "prod",
					api_url: "http://a",
					thresholds: { error_percent: { warning: 1 } },
				},
				{ id: "no environment" },
			],
			scrape_interval_seconds: 5,
			thresholds: { p95_seconds: { critical: 9 } },
			names: { route: "path" },
		});
		expect(config.planes).toHaveLength(1);
		expect(config.planes[0]).toMatchObject({ name: "prod", apiUrl: "http://a" });
		expect(config.planes[0]?.thresholds?.errorPercent).toEqual({ warning: 1, critical: 20 });
		expect(config.thresholds.p95Seconds).toEqual({ warning: 1, critical: 9 });
		expect(config.names.route).toBe("path");
		expect(config.scrapeInterval).toBe(5);
	});
	it.each([null, 7, "x", [], { planes: 3, thresholds: [], scrape_interval_seconds: -1 }])(
		"bears %j",
		(json) => {
			expect(readConfig(json)).toEqual({ ...DEFAULT_CONFIG, present: true });
		},
	);
});
