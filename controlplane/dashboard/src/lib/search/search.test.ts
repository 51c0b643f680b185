import { expect, it } from "vitest";
import { search } from "./search";

const entries = [
	"Data planes",
	"Overview",
	"http_server_active_requests",
	'Explore up{job="a"}',
	"POST /api/orders",
];
const find = (typed: string, limit = 10) => search(entries, (e) => e, typed, limit);

it.each([
	["over", ["Overview"]],
	["server act", ["http_server_active_requests"]],
	["PLANES data", ["Data planes"]],
	["api/or", ["POST /api/orders"]],
	["up{", ['Explore up{job="a"}']],
	["nothing", []],
])("%s", (typed, expected) => {
	expect(find(typed)).toEqual(expected);
});

it("prefers beginnings", () => {
	expect(find("o")[0]).toBe("Overview");
	expect(find("e")[0]).toBe('Explore up{job="a"}');
});

it("without words gives the first ones", () => {
	expect(find("  ", 2)).toEqual(["Data planes", "Overview"]);
});
