// @vitest-environment jsdom
/** The states of a panel, found by role as a person finds them. */

import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { createMemoryHistory, createRootRoute, createRouter, RouterProvider } from "@tanstack/react-router";
import { cleanup, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import type { ReactNode } from "react";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { failureOf } from "../src/api/client";
import { ChartPanel } from "../src/charts/ChartPanel";
import { DataTable } from "../src/components/DataTable";
import { align, type Table } from "../src/lib/series/table";
import { parseQuery } from "../src/lib/url/search";
import type { Panel } from "../src/state/queries";
import { ScopeProvider } from "../src/state/scope";

// jsdom cannot draw; the drawing itself is tested with the SVG renderer.
vi.mock("../src/charts/TimeSeries", () => ({
	TimeSeries: (p: { title: string; table: Table; staleFrom?: number }) => (
		<div
			role="img"
			aria-label={`chart ${p.title}`}
			data-lines={p.table.columns.length}
			data-stale={p.staleFrom}
		/>
	),
}));

beforeAll(() => {
	vi.stubGlobal("matchMedia", () => ({
		matches: false,
		addEventListener() {},
		removeEventListener() {},
		addListener() {},
		removeListener() {},
	}));
	vi.stubGlobal(
		"ResizeObserver",
		class {
			observe() {}
			unobserve() {}
			disconnect() {}
		},
	);
	vi.stubGlobal("scrollTo", () => {});
	const answers: Record<string, unknown> = {
		"/api/v1/targets": { activeTargets: [], droppedTargets: [] },
		"/api/v1/query": { resultType: "vector", result: [] },
	};
	vi.stubGlobal("fetch", async (url: URL) => {
		const data = answers[url.pathname];
		if (data === undefined) return new Response("no such page", { status: 404 });
		return new Response(JSON.stringify({ status: "success", data }), {
			status: 200,
			headers: { "content-type": "application/json" },
		});
	});
});
afterEach(cleanup);

async function show(children: ReactNode) {
	const root = createRootRoute({ component: () => <ScopeProvider waiting={null}>{children}</ScopeProvider> });
	const router = createRouter({
		routeTree: root,
		history: createMemoryHistory({ initialEntries: ["/"] }),
		parseSearch: parseQuery,
	});
	render(
		<MantineProvider env="test">
			<QueryClientProvider client={new QueryClient({ defaultOptions: { queries: { retry: false } } })}>
				<RouterProvider router={router as never} />
			</QueryClientProvider>
		</MantineProvider>,
	);
	return router;
}

const END = 1000;
function table(lines: number, last = END): Table {
	const series = Array.from({ length: lines }, (_, i) => ({
		metric: { n: String(i) },
		values: Array.from({ length: (last - 0) / 10 + 1 }, (_, k): [number, string] => [k * 10, String(i + 1)]),
	}));
	return align(series, 0, END, 10);
}

const calm: Panel = {
	table: table(2),
	start: 0,
	end: END,
	step: 10,
	loading: false,
	refreshing: false,
	failure: undefined,
	notices: [],
	asks: [{ id: "a", expr: "rate(x[1m])" }],
	updatedAt: 1,
	retry: () => {},
	cancel: () => {},
};
const styles = (t: Table) => t.columns.map((c) => ({ id: c.id, label: `line ${c.labels.n}`, colour: 0 }));
const chart = (panel: Partial<Panel>) =>
	show(
		<ChartPanel title="Rate" subtitle="req/s" panel={{ ...calm, ...panel }} styles={styles} unit="rate" />,
	);

describe("a panel", () => {
	it("shows chart and legend", async () => {
		await chart({});
		expect(await screen.findByRole("img", { name: "chart Rate" })).toBeTruthy();
		expect(screen.getByRole("button", { name: "line 1" })).toBeTruthy();
		expect(screen.queryByRole("alert")).toBeNull();
	});

	it("keeps its place while it loads", async () => {
		await chart({ table: undefined, loading: true, refreshing: true });
		const region = await screen.findByRole("region", { name: "Rate" });
		expect(region.querySelector("[aria-busy=true] .skeleton")).toBeTruthy();
	});

	it("says that it is slow, and can be cancelled", async () => {
		const cancel = vi.fn();
		await chart({ table: undefined, loading: true, refreshing: true, cancel });
		const button = await screen.findByRole("button", { name: "Cancel" }, { timeout: 9000 });
		await userEvent.click(button);
		expect(cancel).toHaveBeenCalledOnce();
	}, 15_000);

	it("says when there is nothing, and offers a wider range", async () => {
		const router = await chart({ table: { time: [0, 10], columns: [] } });
		await userEvent.click(await screen.findByRole("button", { name: "Widen the range" }));
		await waitFor(() => expect((router.state.location.search as Record<string, string>).from).toBe("now-2h"));
		expect(screen.getByRole("link", { name: "Open in Explore" }).getAttribute("href")).toContain("g0.expr");
	});

	it("keeps the last good data dimmed below an error", async () => {
		const retry = vi.fn();
		await chart({ failure: failureOf(503, "timeout", "query timed out"), retry });
		const alert = await screen.findByRole("alert");
		expect(alert.textContent).toMatch(/shorter range.*query timed out/);
		expect(screen.getByRole("img", { name: "chart Rate" }).closest("[data-dimmed=true]")).toBeTruthy();
		expect(within(alert).getByText("rate(x[1m])")).toBeTruthy();
		await userEvent.click(within(alert).getByRole("button", { name: /Retry/ }));
		expect(retry).toHaveBeenCalledOnce();
	});

	it("leaves it to the banner to say that the whole server is away", async () => {
		const away = { status: "error", errorType: "unavailable", error: "away" };
		const answer = async () =>
			new Response(JSON.stringify(away), { status: 502, headers: { "content-type": "application/json" } });
		const before = fetch;
		vi.stubGlobal("fetch", answer);
		try {
			await chart({ failure: failureOf(502, "unavailable", "away") });
			expect(await screen.findByRole("img", { name: "chart Rate" })).toBeTruthy();
			expect(screen.queryByRole("alert")).toBeNull();
			cleanup();
			await chart({ table: undefined, failure: failureOf(502, "unavailable", "away") });
			expect(await screen.findByText("Waiting for the metrics server")).toBeTruthy();
		} finally {
			vi.stubGlobal("fetch", before);
		}
	});

	it("draws the fifty largest of too many", async () => {
		await chart({ table: table(60) });
		expect((await screen.findByRole("img", { name: "chart Rate" })).dataset.lines).toBe("50");
		await userEvent.click(screen.getByRole("button", { name: "Show all" }));
		expect(screen.getByRole("img", { name: "chart Rate" }).dataset.lines).toBe("60");
	});

	it("says when the data is old", async () => {
		await chart({ table: table(1, 800) });
		expect(await screen.findByText("no data for 3 min")).toBeTruthy();
		expect(screen.getByRole("img", { name: "chart Rate" }).dataset.stale).toBe("800");
	});

	it("passes on what the server remarks", async () => {
		await chart({ notices: ["metric might not be a counter"] });
		expect(await screen.findByText("1 notice from the server")).toBeTruthy();
	});

	it("can be read as a table", async () => {
		await chart({});
		await userEvent.click(await screen.findByRole("button", { name: "Rate: menu" }));
		await userEvent.click(await screen.findByRole("menuitem", { name: "Show as table" }));
		expect(screen.getByRole("region", { name: /Rate as a table/ }).querySelectorAll("tbody tr")).toHaveLength(
			101,
		);
	});

	it("isolates a line by its legend, and shows all again", async () => {
		await chart({});
		const button = await screen.findByRole("button", { name: "line 0" });
		const other = screen.getByRole("button", { name: "line 1" });
		await userEvent.click(button);
		expect(other.getAttribute("aria-pressed")).toBe("false");
		await userEvent.click(button);
		expect(other.getAttribute("aria-pressed")).toBe("true");
	});
});

it("a table sorts by a column, rows without a value last", async () => {
	const rows = [{ v: 2 }, { v: null }, { v: 10 }];
	render(
		<DataTable
			caption="numbers"
			rows={rows}
			rowKey={(r) => String(r.v)}
			columns={[{ id: "v", title: "Value", right: true, sort: (r) => r.v, cell: (r) => String(r.v) }]}
		/>,
	);
	const cells = () => screen.getAllByRole("cell").map((c) => c.textContent);
	await userEvent.click(screen.getByRole("button", { name: "Value" }));
	expect(cells()).toEqual(["10", "2", "null"]);
	expect(screen.getByRole("columnheader").getAttribute("aria-sort")).toBe("descending");
	await userEvent.click(screen.getByRole("button", { name: "Value" }));
	expect(cells()).toEqual(["2", "10", "null"]);
});
