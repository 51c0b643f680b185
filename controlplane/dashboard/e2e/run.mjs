// Drives the real pages in Chromium.
//
//   BELLWETHER_DASHBOARD_URL   the dashboard, for example http://127.0.0.1:3000
//   BELLWETHER_E2E_SHOTS       folder for screenshots; none are taken without it
//   BELLWETHER_E2E_DOWN_PLANE  only check that this environment's plane shows as down
//   BELLWETHER_E2E_PAGES       comma-separated pages for the sweep; all by default
//   BELLWETHER_CHROMIUM        the browser, /usr/bin/chromium by default
//
// Exit code 0 when all checks pass, 1 when one fails, 2 when it cannot start.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { Dashboard, launch, until } from "./pages.mjs";

const base = process.env.BELLWETHER_DASHBOARD_URL;
if (!base) {
	console.error("set BELLWETHER_DASHBOARD_URL to the address of a running dashboard");
	process.exit(2);
}
const shots = process.env.BELLWETHER_E2E_SHOTS;
if (shots) mkdirSync(shots, { recursive: true });
const down = process.env.BELLWETHER_E2E_DOWN_PLANE;
const axeSource = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const CHARTS = ["Request rate", "Latency", "Error rate", "Active requests"];
const ENVIRONMENTS = ["prod", "dev", "qa"];

const browser = await launch(chromium).catch((error) => {
	console.error(`the browser does not start: ${error.message}`);
	process.exit(2);
});

let failures = 0;
let checks = 0;

async function check(name, run, options = {}) {
	const context = await browser.newContext({ viewport: { width: 1440, height: 940 }, ...options });
	const dashboard = new Dashboard(await context.newPage(), base);
	const began = Date.now();
	checks++;
	try {
		await run(dashboard);
		assert.deepEqual(dashboard.problems, [], "errors in the console");
		console.log(`ok    ${name} (${Date.now() - began} ms)`);
	} catch (error) {
		failures++;
		console.log(`FAIL  ${name}\n      ${String(error?.stack ?? error).replaceAll("\n", "\n      ")}`);
		if (dashboard.problems.length) console.log(`      console: ${dashboard.problems.join("\n      ")}`);
		await shot(dashboard, `failed-${name.replaceAll(/[^a-z0-9]+/gi, "-")}`);
	} finally {
		await context.close();
	}
}

async function shot(dashboard, name, fullPage = false) {
	if (shots) await dashboard.page.screenshot({ path: join(shots, `${name}.png`), fullPage });
}

async function flows() {
	await check("the landing page shows three environments with their numbers", async (d) => {
		await d.open("/");
		assert.deepEqual((await d.environments()).sort(), ["All", ...ENVIRONMENTS].sort());
		for (const environment of ENVIRONMENTS) {
			const card = d.plane(environment);
			await card.waitFor();
			await until(
				`a request rate of ${environment}`,
				async () => /[1-9]/.test((await card.locator(".big").first().textContent()) ?? ""),
				60,
			);
			assert.ok(((await card.locator(".reason").textContent()) ?? "").length > 10, "a sentence says why");
		}
		await until(
			"a line in every card",
			async () => (await d.page.locator("article svg[role=img] path").count()) >= 12,
		);
		await d.panel("Availability").waitFor();
		await d.panel("Needs attention").waitFor();
		await d.panel("Routes with most errors").waitFor();
		assert.match((await d.page.locator(".updated").textContent()) ?? "", /^Updated /);
	});

	await check("a number leads to its chart", async (d) => {
		await d.open("/");
		await d
			.plane("prod")
			.getByRole("link", { name: /Request rate of prod/ })
			.click();
		await until("the metrics page of prod", () => /env=prod/.test(d.page.url()));
		await until("its chart", async () => (await d.points("Request rate")) > 0, 60);
	});

	await check("the metrics page has four charts with data and five cards", async (d) => {
		await d.open("/metrics?from=now-5m");
		for (const chart of CHARTS) {
			await until(`data in ${chart}`, async () => (await d.points(chart)) > 3, 90);
			await until(`a drawing of ${chart}`, async () => (await d.inked(chart)) > 2000);
			assert.deepEqual((await d.legend(chart)).sort(), [...ENVIRONMENTS].sort(), `lines of ${chart}`);
		}
		for (const card of ["Request rate", "p95 latency", "Error rate", "Active requests", "Availability"]) {
			await until(`a number on ${card}`, async () => /\d/.test((await d.card(card)) ?? ""));
		}
		assert.match(
			(await d.page.getByTestId("resolution").textContent()) ?? "",
			/Step \d+\w+ · rate window \d+\w+/,
		);
	});

	await check("the environment switch changes every chart and stays on the next page", async (d) => {
		await d.open("/metrics?from=now-5m");
		await until("data", async () => (await d.points("Request rate")) > 3, 60);
		await d.chooseEnvironment("dev");
		assert.match(d.page.url(), /env=dev/);
		await until("only dev", async () => (await d.legend("Request rate")).join() === "dev");
		await until(
			"three quantiles of dev",
			async () => (await d.legend("Latency")).sort().join() === "p50,p95,p99",
		);
		await d.page.getByRole("link", { name: "Data planes", exact: true }).click();
		await until(
			"one plane in the table",
			async () => (await d.panel("Data planes").locator("tbody tr").count()) === 1,
		);
		assert.match(d.page.url(), /env=dev/);
		await d.chooseEnvironment("All");
		await until("all planes", async () => (await d.panel("Data planes").locator("tbody tr").count()) >= 3);
	});

	await check("the range switch works, also by typing, and Back undoes it", async (d) => {
		await d.open("/metrics");
		for (const [label, from] of [
			["Last 5 minutes", "now-5m"],
			["Last 15 minutes", "now-15m"],
			["Last 6 hours", "now-6h"],
			["Last 24 hours", "now-1d"],
		]) {
			await d.chooseRange(label);
			await until(`${from} in the address`, () => d.page.url().includes(`from=${from}`));
			await until(`the button says ${label}`, async () =>
				(await d.page.getByTestId("range").textContent())?.includes(label),
			);
		}
		await d.page.goBack();
		await until("the range before", () => d.page.url().includes("from=now-6h"));
		await d.page.getByTestId("range").click();
		const form = d.page.locator(".range-pop form");
		await form.getByLabel("From").fill("nonsense");
		await form.getByRole("button", { name: "Apply" }).click();
		await form.getByRole("alert").waitFor();
		await form.getByLabel("From").fill("now-7m");
		await form.getByRole("button", { name: "Apply" }).click();
		await until("a custom range", () => d.page.url().includes("from=now-7m"));
		await until("data again", async () => (await d.points("Request rate")) > 3, 60);
	});

	await check("refresh: automatic, off, manual", async (d) => {
		await d.open("/metrics?from=now-5m&refresh=10s");
		await until("data", async () => (await d.points("Request rate")) > 3, 60);
		const asks = [];
		d.page.on("request", (r) => r.url().includes("query_range") && asks.push(r.url()));
		await until("an automatic refresh", () => asks.length > 3, 20);
		await d.page.getByRole("button", { name: /Refresh automatically/ }).click();
		await d.page.getByRole("menuitem", { name: "Off" }).click();
		await until("off in the address", () => d.page.url().includes("refresh=off"));
		const before = asks.length;
		await d.page.getByRole("button", { name: "Refresh now" }).click();
		await until("a manual refresh", () => asks.length > before);
		// The page is older than that by now: only an answer to the refresh can be so young.
		await d.page.waitForFunction((from) => performance.now() > from, 8000);
		await d.page.getByRole("button", { name: "Refresh now" }).click();
		await until("a fresh time", async () =>
			/now|\b[0-3] s ago/.test((await d.page.locator(".updated").textContent()) ?? ""),
		);
	});

	await check("the crosshair shows values, keys move it, dragging zooms", async (d) => {
		await d.open("/metrics?from=now-5m&refresh=off");
		await until(
			"a drawing",
			async () => (await d.points("Request rate")) > 3 && (await d.inked("Request rate")) > 2000,
			60,
		);
		const chart = d.panel("Request rate").locator(".chart");
		await chart.scrollIntoViewIfNeeded();
		const box = await chart.boundingBox();
		await d.page.mouse.move(box.x + box.width * 0.95, box.y + box.height / 2);
		const tip = d.page.locator(".chart-tip", { hasText: "Click to pin" }).first();
		await until("a tooltip", async () => (await tip.evaluate((n) => n.style.opacity)) === "1");
		assert.match((await tip.textContent()) ?? "", /prod/);
		await d.page.mouse.move(5, 5);
		await chart.focus();
		await d.page.keyboard.press("End");
		await d.page.keyboard.press("ArrowLeft");
		const live = d.panel("Request rate").locator("figure [aria-live]");
		await until("values are read out", async () => /prod/.test((await live.textContent()) ?? ""));
		await d.page.keyboard.press("Escape");
		const y = box.y + box.height / 2;
		await d.page.mouse.move(box.x + box.width * 0.4, y);
		await d.page.mouse.down();
		await d.page.mouse.move(box.x + box.width * 0.6, y, { steps: 4 });
		await d.page.mouse.up();
		await until("a fixed range", () => /from=\d{9,}/.test(d.page.url()));
		await d.page.goBack();
		await until("the range before", () => d.page.url().includes("from=now-5m"));
	});

	await check("a link of Prometheus opens in Explore, an error shows its place", async (d) => {
		await d.open(`/graph?g0.expr=${encodeURIComponent("sum(up)")}&g0.tab=0&g0.range_input=5m`);
		await until("Explore", () => d.page.url().includes("/explore"));
		assert.match(d.page.url(), /from=now-5m/);
		await until("one series", async () =>
			/^1 series/.test((await d.page.getByTestId("series-count").textContent()) ?? ""),
		);
		await d.page.getByRole("button", { name: "Table", exact: true }).click();
		await until("a row", async () =>
			/^1 row/.test((await d.page.getByTestId("series-count").textContent()) ?? ""),
		);
		d.allowed = /api\/v1\/query/;
		await d.open(`/query?g0.expr=${encodeURIComponent("sum(up) +* 2")}`);
		const place = d.page.getByTestId("error-position");
		await place.waitFor();
		assert.equal(await place.locator("mark").textContent(), "*");
	});

	await check("targets are listed with their last scrape", async (d) => {
		await d.open("/targets");
		await until("targets", async () => (await d.page.locator("main tbody tr").count()) >= 3);
		await d.page.getByLabel("Filter targets").fill("prod");
		await until("fewer targets", async () => {
			const rows = await d.page.locator("main tbody tr").allTextContents();
			return rows.length > 0 && rows.every((r) => r.includes("prod"));
		});
		assert.match((await d.page.locator("main tbody tr").first().textContent()) ?? "", /ago|now/);
		const labels = d.page.locator("main tbody .labels").first();
		assert.match((await labels.getAttribute("title")) ?? "", /^Before relabelling:\n.*__address__="/s);
	});

	await check("targets are shown of one job, and pools can be closed", async (d) => {
		await d.open("/targets");
		const pools = d.page.locator("section.pool");
		await until("pools", async () => (await pools.count()) >= 3);
		await d.page.getByLabel("Job").selectOption("orders");
		await until("one pool", async () => (await pools.count()) === 1);
		assert.match(d.page.url(), /job=orders/);
		const head = d.page.getByRole("button", { name: "orders" });
		assert.equal(await head.getAttribute("aria-expanded"), "true");
		await head.click();
		await until("a closed pool", async () => (await d.page.locator("main tbody tr").count()) === 0);
		await d.page.reload();
		await until("a pool that stays closed", async () => (await pools.count()) === 1);
		assert.equal(await d.page.getByRole("button", { name: "orders" }).getAttribute("aria-expanded"), "false");
	});

	await check("discovery tells what relabelling did", async (d) => {
		await d.open("/service-discovery?job=data-planes");
		await until("the tab", () => /targets\?.*tab=discovery/.test(d.page.url()));
		const rows = d.page.locator("main tbody tr");
		await until("discovered targets", async () => (await rows.count()) >= 3);
		assert.match((await rows.first().textContent()) ?? "", /__address__/);
		await d.page.getByRole("button", { name: "Which rules?" }).first().click();
		await d.page.getByText("The pool has no relabelling rules.").waitFor();
	});

	await check("Prometheus' own addresses lead to their pages", async (d) => {
		for (const [path, panel] of [
			["/config", "Configuration"],
			["/flags", "Flags"],
			["/status", "Run time"],
			["/tsdb-status", "Metrics"],
			["/alertmanager-discovery", "Alertmanagers"],
		]) {
			await d.open(path);
			await d.panel(panel).waitFor();
			assert.match(d.page.url(), /\/storage\?.*tab=/);
		}
		await d.open("/storage?tab=blocks");
		await d.panel("Blocks").waitFor();
		await d.open("/config");
		await until("the text", async () =>
			/scrape_configs:/.test((await d.panel("Configuration").textContent()) ?? ""),
		);
		await d.open("/flags");
		await d.page.getByLabel("Filter flags").fill("lookback");
		await until("one flag or none", async () => (await d.page.locator("main tbody tr").count()) <= 1);
	});

	await check("rules are filtered by words and health", async (d) => {
		await d.open("/rules");
		const rows = d.page.locator("main tbody tr");
		await until("rules", async () => (await rows.count()) >= 10);
		await d.page.getByLabel("Filter rules").fill("HighErrorRate");
		await until("one rule", async () => (await rows.count()) === 1);
		await d.page.getByRole("button", { name: /^Failing/ }).click();
		await d.page.getByText("No rule matches the filter.").waitFor();
		assert.match(d.page.url(), /health=err/);
	});

	await check("an unreachable server is said once, and what was known stays", async (d) => {
		d.allowed = /api\/v1/;
		await d.open("/metrics?from=now-5m&refresh=off");
		await until("data", async () => (await d.points("Request rate")) > 3, 60);
		await d.page.route("**/api/v1/**", (route) =>
			route.fulfill({
				status: 502,
				contentType: "application/json",
				body: '{"status":"error","errorType":"unavailable","error":"away"}',
			}),
		);
		await d.page.getByRole("button", { name: "Refresh now" }).click();
		await d.page.getByText("The metrics server cannot be reached.").first().waitFor();
		assert.ok((await d.points("Request rate")) > 3, "the last good data stays");
		await d.page.unroute("**/api/v1/**");
		await until("it comes back by itself", async () => (await d.page.locator(".notice").count()) === 0, 40);
	});

	await check("a page opened while the server is away says so, and fills when it is back", async (d) => {
		d.allowed = /api\/v1/;
		await d.page.route("**/api/v1/**", (route) =>
			route.fulfill({
				status: 502,
				contentType: "application/json",
				body: '{"status":"error","errorType":"unavailable","error":"away"}',
			}),
		);
		await d.page.goto(`${d.base}/?refresh=off`);
		await d.page.getByText("The metrics server cannot be reached.").waitFor();
		await until(
			"the page stays",
			async () => (await d.page.locator("main#page:not([aria-busy])").count()) === 1,
		);
		await d.page.unroute("**/api/v1/**");
		await until("a request rate", async () =>
			/[1-9]/.test((await d.plane("prod").locator(".big").first().textContent()) ?? ""),
		);
		// The other queries of the page come back one by one.
		await until("no notice any more", async () => (await d.page.locator(".notice").count()) === 0);
	});

	await check("the search finds a metric by its beginning", async (d) => {
		await d.open("/");
		await d.page.keyboard.press("Control+k");
		const field = d.page.getByRole("combobox");
		await field.fill("orders_val");
		await d.page.getByRole("option", { name: /orders_value_total/ }).waitFor();
		await field.press("Enter");
		await until("Explore", () => /\/explore\?.*g0\.expr=orders_value_total/.test(d.page.url()));
		assert.equal(await d.page.getByRole("dialog").count(), 0);
	});

	await check("environments compare over each other and against a baseline", async (d) => {
		await d.open("/compare?from=now-5m");
		await d.page.getByRole("button", { name: "Overlay" }).click();
		await until(
			"three lines",
			async () => (await d.legend("Request rate")).join() === ENVIRONMENTS.join(),
			60,
		);
		await d.page.getByRole("button", { name: "Difference", exact: true }).click();
		await until("all but the baseline", async () => (await d.legend("Request rate")).join() === "dev,qa");
		assert.match(d.page.url(), /view=difference/);
		await d.page.goBack();
		await until("the view before", () => d.page.url().includes("view=overlay"));
	});

	await check("keys work", async (d) => {
		await d.open("/");
		await d.page.keyboard.press("g");
		await d.page.keyboard.press("m");
		await until("the metrics page", () => d.page.url().includes("/metrics"));
		await d.page.keyboard.press("2");
		await until("the second environment", () => d.page.url().includes("env="));
		await d.page.keyboard.press("0");
		await until("all", () => !d.page.url().includes("env="));
		await d.page.keyboard.press("?");
		await d.page.getByRole("dialog").waitFor();
	});
}

const PAGES = (
	process.env.BELLWETHER_E2E_PAGES ??
	"/,/metrics,/compare,/compare?view=overlay,/compare?view=difference,/planes,/planes/dp-prod-01,/targets,/targets?tab=discovery,/storage,/storage?tab=cardinality,/storage?tab=server,/storage?tab=blocks,/storage?tab=flags,/storage?tab=config,/storage?tab=alertmanagers,/explore,/explore?g0.expr=up,/alerts,/rules"
).split(",");

/** Every page, both themes, wide and narrow: no errors, no barriers, nothing wider than the screen. */
async function sweep() {
	for (const colorScheme of ["light", "dark"]) {
		for (const path of PAGES) {
			const name = `${path.replaceAll(/[^a-z0-9]+/gi, "-").replace(/^-|-$/g, "") || "overview"}-${colorScheme}`;
			const withRange = `${path}${path.includes("?") ? "&" : "?"}from=now-15m`;
			await check(
				`${path} in ${colorScheme}`,
				async (d) => {
					await d.open(withRange);
					await d.page.waitForLoadState("networkidle");
					assert.deepEqual(await d.axe(axeSource), [], "axe");
					await shot(d, name, true);
				},
				{ colorScheme },
			);
		}
	}
	for (const path of PAGES) {
		await check(
			`${path} at 320 px`,
			async (d) => {
				await d.open(path);
				await d.page.waitForLoadState("networkidle");
				const wide = await d.page.evaluate(
					() => document.documentElement.scrollWidth - document.documentElement.clientWidth,
				);
				assert.ok(wide <= 0, `the page is ${wide} px wider than the screen`);
				await shot(
					d,
					`${path.replaceAll(/[^a-z0-9]+/gi, "-").replace(/^-|-$/g, "") || "overview"}-narrow`,
					true,
				);
			},
			{ viewport: { width: 320, height: 720 } },
		);
	}
}

async function downPlane(environment) {
	await check(`the stopped plane ${environment} shows as down`, async (d) => {
		await d.open("/?refresh=10s&from=now-15m");
		await until(
			`${environment} down`,
			async () => ["down", "stale"].includes(await d.planeState(environment)),
			90,
		);
		assert.equal(await d.planeState(environment), "down");
		assert.match((await d.plane(environment).textContent()) ?? "", /Down/);
		assert.match((await d.panel("Needs attention").textContent()) ?? "", new RegExp(environment));
		const order = await d.page
			.locator("article[data-environment]")
			.evaluateAll((all) => all.map((a) => a.dataset.environment));
		assert.equal(order[0], environment, "the worst plane comes first");
		for (const other of ENVIRONMENTS.filter((e) => e !== environment)) {
			assert.notEqual(await d.planeState(other), "down", other);
		}
		await shot(d, `overview-${environment}-down`, true);
		await d.open("/targets?state=down");
		await until(
			"its target among those that are down",
			async () => (await d.page.locator("main tbody tr", { hasText: environment }).count()) > 0,
		);
		assert.ok(
			((await d.page.locator(".target-error").first().textContent()) ?? "").length > 5,
			"the scrape error is in plain view",
		);
		await shot(d, `targets-${environment}-down`, true);
	});
}

if (down) await downPlane(down);
else {
	await flows();
	await sweep();
}
await browser.close();
console.log(failures === 0 ? `all ${checks} checks passed` : `${failures} of ${checks} checks failed`);
process.exit(failures === 0 ? 0 : 1);
