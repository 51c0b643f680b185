// @vitest-environment jsdom
/** Which rule dropped a target, and what the others did. */

import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Steps, describe as worded } from "../src/features/targets/Steps";

const defaults = { separator: ";", regex: "(.*)", replacement: "$1" };
const labels = { __address__: "a:1", __meta_zone: "eu", job: "j" };

afterEach(() => {
	cleanup();
	vi.unstubAllGlobals();
});

function show(steps: readonly unknown[]): URL[] {
	const asked: URL[] = [];
	vi.stubGlobal("fetch", async (url: URL) => {
		asked.push(url);
		return new Response(JSON.stringify({ status: "success", data: { steps } }), {
			status: 200,
			headers: { "content-type": "application/json" },
		});
	});
	render(
		<QueryClientProvider client={new QueryClient({ defaultOptions: { queries: { retry: false } } })}>
			<Steps pool="j" labels={labels} question="By which rule?" />
		</QueryClientProvider>,
	);
	return asked;
}

describe("relabelling step by step", () => {
	it("asks when it is opened and names the rule that drops", async () => {
		const asked = show([
			{
				rule: { ...defaults, action: "replace", source_labels: ["__meta_zone"], target_label: "zone" },
				output: { ...labels, zone: "eu" },
				keep: true,
			},
			{
				rule: { ...defaults, action: "labeldrop", regex: "__meta_.*" },
				output: { ...labels, zone: "eu" },
				keep: true,
			},
			{
				rule: { ...defaults, action: "drop", source_labels: ["zone"], regex: "eu" },
				output: {},
				keep: false,
			},
			{ rule: { ...defaults, action: "keep", source_labels: ["job"] }, output: {}, keep: false },
		]);
		expect(asked).toHaveLength(0);
		await userEvent.click(screen.getByRole("button", { name: "By which rule?" }));
		const steps = await screen.findAllByRole("listitem");
		expect(asked).toHaveLength(1);
		expect(JSON.parse(asked[0]?.searchParams.get("labels") ?? "")).toEqual(labels);
		// What comes after the rule that drops is not shown.
		expect(steps).toHaveLength(3);
		const [first, second, third] = steps as [HTMLElement, HTMLElement, HTMLElement];
		expect(within(first).getByText("eu")).toBeTruthy();
		expect(within(second).getByText("changes nothing")).toBeTruthy();
		expect(third.textContent).toContain("drop · source_labels: [zone] · regex: eu");
		expect(within(third).getByText("this rule drops the target")).toBeTruthy();
	});

	it("says when there is no rule", async () => {
		show([]);
		await userEvent.click(screen.getByRole("button", { name: "By which rule?" }));
		expect(await screen.findByText("The pool has no relabelling rules.")).toBeTruthy();
	});

	it("leaves defaults out", () => {
		expect(worded({ ...defaults, action: "keep", source_labels: ["a", "b"], regex: "x", modulus: 0 })).toBe(
			"keep · source_labels: [a, b] · regex: x",
		);
	});
});
