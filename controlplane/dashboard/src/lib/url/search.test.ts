import { describe, expect, it } from "vitest";
import {
	formatQuery,
	GLOBAL_DEFAULTS,
	type GlobalSearch,
	joinList,
	parseQuery,
	readExplore,
	readExploreRange,
	readGlobal,
	readMetrics,
	splitList,
	writeExplore,
	writeGlobal,
	writeMetrics,
} from "./search";

const through = (params: Record<string, string | undefined>) => parseQuery(formatQuery(params).slice(1));

describe("global state", () => {
	it.each<GlobalSearch>([
		GLOBAL_DEFAULTS,
		{ env: ["prod", "qa"], from: "now-6h", to: "now", refresh: 10 },
		{ env: ["a,b", "c\\d", "ü&=?#"], from: "1795170000", to: "1795178400", refresh: 0 },
		{ env: [], from: "now-15m", to: "now", refresh: 60 },
	])("comes back: %j", (search) => {
		expect(readGlobal(through(writeGlobal(search)))).toEqual(search);
	});

	it("leaves defaults out", () => {
		expect(formatQuery(writeGlobal(GLOBAL_DEFAULTS))).toBe("");
	});

	it("knows another opening range", () => {
		const opening = { from: "now-5m", to: "now" };
		const search = { ...GLOBAL_DEFAULTS, ...opening };
		expect(formatQuery(writeGlobal(search, opening))).toBe("");
		expect(readGlobal({}, opening)).toEqual(search);
		expect(formatQuery(writeGlobal(GLOBAL_DEFAULTS, opening))).toBe("?from=now-1h&to=now");
	});

	it("is readable", () => {
		const search = { env: ["prod", "qa"], from: "now-6h", to: "now", refresh: 10 };
		expect(formatQuery({ ...writeGlobal(search), route: "/api/orders" })).toBe(
			"?env=prod,qa&from=now-6h&to=now&refresh=10s&route=/api/orders",
		);
	});

	it.each([
		["refresh=off", 0],
		["refresh=10s", 10],
		["refresh=30", 30],
		["refresh=1m", 60],
		["refresh=7s", 30],
		["refresh=x", 30],
		["", 30],
	])("refresh of %s", (query, seconds) => {
		expect(readGlobal(parseQuery(query)).refresh).toBe(seconds);
	});

	it("ignores what it does not know", () => {
		expect(readGlobal(parseQuery("?nonsense=1&env=prod"))).toEqual({ ...GLOBAL_DEFAULTS, env: ["prod"] });
	});
});

it("lists bear every character", () => {
	for (const list of [["a"], ["a,b", "c"], ["\\", ",", "\\,"], ["x y", "ü"]])
		expect(splitList(joinList(list))).toEqual(list);
	expect(splitList("a,,a,b")).toEqual(["a", "b"]);
});

describe("metrics", () => {
	it("comes back", () => {
		const search = {
			plane: ["dp-1"],
			route: ["/api/orders", "/a,b"],
			method: ["GET"],
			status: ["5xx"],
			q: "p99" as const,
		};
		expect(readMetrics(through(writeMetrics(search)))).toEqual(search);
	});
	it("drops what is no status class or quantile", () => {
		expect(readMetrics({ status: "5xx,abc,9xx", q: "p42" })).toMatchObject({ status: ["5xx"], q: "p95" });
	});
});

describe("explore", () => {
	it("comes back in Prometheus' form", () => {
		const rows = [
			{ expr: 'rate(x{a=~"b|c",d!="&"}[5m]) > 0', tab: 0 as const },
			{ expr: "up", tab: 1 as const },
		];
		expect(readExplore(through(writeExplore(rows)))).toEqual(rows);
		expect(writeExplore(rows)).toHaveProperty("g0.expr");
	});
	it("reads links of Prometheus 2 and 3", () => {
		const link = parseQuery("g0.expr=up&g0.tab=1&g0.range_input=6h&g1.expr=rate(x%5B1m%5D)&g1.tab=graph");
		expect(readExplore(link)).toEqual([
			{ expr: "up", tab: 1 },
			{ expr: "rate(x[1m])", tab: 0 },
		]);
		expect(readExploreRange(link)).toEqual({ from: "now-6h", to: "now" });
		expect(readExploreRange({ "g0.range_input": "<b>" })).toBeNull();
	});
	it("is one empty row at first", () => {
		expect(readExplore({})).toEqual([{ expr: "", tab: 0 }]);
		expect(formatQuery(writeExplore([{ expr: "", tab: 0 }]))).toBe("");
	});
});
