import { parser } from "@prometheus-io/lezer-promql";
import { describe, expect, it } from "vitest";
import { DEFAULT_NAMES, namesWith } from "./names";
import * as queries from "./queries";
import { escapeString, join, quoteRegex, selector } from "./selector";

/** The first place that the grammar does not accept. */
function syntaxError(expr: string): string | null {
	let wrong: string | null = null;
	parser.parse(expr).iterate({
		enter: (node) => {
			if (node.type.isError && wrong === null)
				wrong = `at ${node.from}: ${expr.slice(node.from, node.from + 20)}`;
		},
	});
	return wrong;
}

const NASTY = ['a"b', "a\\b", "a|b", "a.b*", "(x)", "line\nbreak", "{}", "日本", ""];
const selectors = [
	"",
	selector([{ label: "environment", values: ["prod"] }]),
	selector([
		{ label: "environment", values: ["prod", "qa"] },
		{ label: "http_route", values: ["/api/orders", ...NASTY] },
		{ label: "http_request_method", values: ["GET"], negative: true },
	]),
	...NASTY.map((v) => selector([{ label: "http_route", values: [v] }])),
];

describe("every generated query is PromQL", () => {
	const names = DEFAULT_NAMES;
	for (const inside of selectors) {
		for (const by of [[], ["environment"], ["environment", "data_plane_id"]]) {
			for (const window of [4, 40, 310, 86_400, 0.5]) {
				const scope = { names, selector: inside, by, window };
				const routes = queries.routeTable(scope, 0.95);
				const all = {
					rate: queries.requestRate(scope),
					latency: queries.latency(scope, 0.95),
					native: queries.latencyNative(scope, 0.99),
					errors: queries.errorRate(scope),
					increase: queries.errorRate(scope, "increase"),
					active: queries.activeRequests(scope),
					availability: queries.availability(scope),
					codes: queries.statusCodes(scope),
					routesRate: routes.rate,
					routesQuantile: routes.quantile,
					routesErrors: routes.errors,
					mostErrors: queries.mostErrors(scope, 5),
					up: queries.targetsUp(names, inside),
					all: queries.targetsAll(names, inside),
					age: queries.sampleAge(names, inside),
					dataAge: queries.dataAge(names, 3600, 30),
					headSeries: queries.headSeries(),
					samplesAppended: queries.samplesAppended(window),
					blocks: queries.storedBytes().blocks,
					wal: queries.storedBytes().wal,
					duration: queries.scrapeDuration(names, inside),
					samples: queries.scrapeSamples(names, inside),
				};
				it(`with {${inside}} by ${by.join()} over ${window}`, () => {
					for (const [name, expr] of Object.entries(all))
						expect(syntaxError(expr), `${name}: ${expr}`).toBeNull();
				});
			}
		}
	}

	it("and the check itself finds errors", () => {
		expect(syntaxError("sum by (a (up)")).not.toBeNull();
		expect(syntaxError('up{a="b}')).not.toBeNull();
	});
});

describe("queries as designed", () => {
	const scope = { names: DEFAULT_NAMES, selector: 'environment="prod"', by: ["environment"], window: 40 };
	const count = 'http_server_request_duration_seconds_count{environment="prod"}[40s]';
	const failed =
		'http_server_request_duration_seconds_count{environment="prod",http_response_status_code=~"5.."}[40s]';

	it("keeps a service without errors at zero, and one without traffic away", () => {
		expect(queries.errorRate(scope)).toBe(
			`100 * (sum by (environment) (rate(${failed})) or 0 * sum by (environment) (rate(${count}))) / (sum by (environment) (rate(${count})) > 0)`,
		);
	});

	it("gives the age of a plane that vanished", () => {
		expect(queries.sampleAge(DEFAULT_NAMES, "")).toBe(
			"time() - max by (environment, data_plane_id) (timestamp(up) or max_over_time(timestamp(up)[1h:30s]))",
		);
	});

	it("makes a total without labels", () => {
		expect(queries.requestRate({ ...scope, by: [], selector: "" })).toBe(
			"sum (rate(http_server_request_duration_seconds_count[40s]))",
		);
	});

	it("takes other names", () => {
		const names = namesWith({ duration: "request_seconds", environment: "env", status: 'x"', nonsense: "a" });
		expect(names.status).toBe(DEFAULT_NAMES.status);
		expect(names).not.toHaveProperty("nonsense");
		expect(queries.latency({ ...scope, names, by: [names.environment] }, 0.5)).toContain(
			"sum by (env, le) (rate(request_seconds_bucket",
		);
	});
});

describe("selectors", () => {
	it.each([
		[[{ label: "a", values: [] }], ""],
		[[{ label: "a", values: ["x"] }], 'a="x"'],
		[[{ label: "a", values: ["x", "y"] }], 'a=~"x|y"'],
		[[{ label: "a", values: ["x"], negative: true }], 'a!="x"'],
		[[{ label: "a", values: ["x", "y"], negative: true }], 'a!~"x|y"'],
		[[{ label: "a", values: ['q"uote'] }], 'a="q\\"uote"'],
		[[{ label: "a", values: ["b\\s", "n"] }], 'a=~"b\\\\\\\\s|n"'],
		[[{ label: "r", values: ["/a.b", "/c+"] }], 'r=~"/a\\\\.b|/c\\\\+"'],
		[
			[
				{ label: "a", values: ["x"] },
				{ label: "b", values: ["y"] },
			],
			'a="x",b="y"',
		],
	])("%j is %s", (matchers, text) => {
		expect(selector(matchers)).toBe(text);
	});

	it("escapes and quotes so that the value comes back", () => {
		for (const value of NASTY) {
			expect(JSON.parse(`"${escapeString(value)}"`)).toBe(value);
			expect(new RegExp(`^(?:${quoteRegex(value)})$`).test(value)).toBe(true);
		}
		expect(new RegExp(`^(?:${quoteRegex("a.b")})$`).test("axb")).toBe(false);
	});

	it("joins what is not empty", () => {
		expect(join("", "a", "", "b")).toBe("a,b");
	});
});
