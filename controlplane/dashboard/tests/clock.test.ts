/** What a tick of the page's clock asks again. */

import { QueryClient } from "@tanstack/react-query";
import { expect, it } from "vitest";
import { isRepeated } from "../src/state/clock";

async function query(key: string, answer: () => Promise<unknown>) {
	const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
	await client.prefetchQuery({ queryKey: [key], queryFn: answer });
	const found = client.getQueryCache().find({ queryKey: [key] });
	if (!found) throw new Error("no such query");
	return found;
}

it.each([
	["range", async () => ({}), true],
	["alerts", async () => [], true],
	// The server has no such endpoint.
	["alerts", async () => null, false],
	["config", async () => ({}), false],
	["data-age", async () => 3, false],
	// What is asked once is asked again until it is answered.
	["config", () => Promise.reject(new Error("away")), true],
])("%s", async (key, answer, expected) => {
	expect(isRepeated(await query(key, answer))).toBe(expected);
});
