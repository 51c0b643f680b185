import { describe, expect, it } from "vitest";
import { type Against, difference } from "./difference";
import type { Table } from "./table";

const table: Table = {
	time: [0, 10, 20, 30],
	columns: [
		{ id: "a", labels: { env: "prod" }, values: [2, 0, null, 4], odd: [] },
		{ id: "b", labels: { env: "dev" }, values: [1, 1, 1, null], odd: [] },
	],
};
const isProd = (c: { labels: Readonly<Record<string, string>> }) => c.labels.env === "prod";

describe("difference", () => {
	it.each<[Against, (number | null)[]]>([
		["ratio", [0.5, null, null, null]],
		["percent", [-50, null, null, null]],
		["points", [-1, 1, null, null]],
	])("%s, and a gap where either has one", (how, values) => {
		const { columns } = difference(table, isProd, how);
		expect(columns).toHaveLength(1);
		expect(columns[0]?.id).toBe("b");
		expect(columns[0]?.values).toEqual(values);
	});

	it("is empty without a baseline", () => {
		expect(difference(table, () => false, "ratio")).toEqual({ time: table.time, columns: [] });
	});
});
