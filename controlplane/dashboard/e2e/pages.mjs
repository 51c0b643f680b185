// Page objects: what a test says about a page, in the words of a person.

const ARGS = [
	"--headless",
	"--no-sandbox",
	"--disable-gpu",
	"--disable-quic",
	"--no-first-run",
	"--disable-background-networking",
	"--disable-component-update",
	"--disable-sync",
];

export async function launch(chromium) {
	const executablePath = process.env.BELLWETHER_CHROMIUM ?? "/usr/bin/chromium";
	return chromium.launch({ executablePath, args: ARGS });
}

/** Polls until `check` answers something true; what it last answered is in the error. */
export async function until(what, check, seconds = 30) {
	const end = Date.now() + seconds * 1000;
	let last;
	while (Date.now() < end) {
		try {
			last = await check();
			if (last) return last;
		} catch (error) {
			last = error;
		}
		await new Promise((r) => setTimeout(r, 150));
	}
	throw new Error(`waited ${seconds} s in vain: ${what} (last: ${last})`);
}

export class Dashboard {
	constructor(page, base) {
		this.page = page;
		this.base = base.replace(/\/$/, "");
		this.problems = [];
		page.on("console", (m) => {
			if (m.type() === "error" && !this.expected(m))
				this.problems.push(`console: ${m.text()} ${m.location().url}`);
		});
		page.on("pageerror", (e) => this.problems.push(`page: ${e.stack ?? e}`));
	}

	/** Endpoints that a server may not have answer 404, which the browser reports; the page hides what needs them. */
	expected(message) {
		const optional =
			/\/(api\/v1\/(alerts|rules|metadata|status\/\w+|format_query|parse_query)|ui\/v1\/config)\b/;
		if (optional.test(message.location().url) && message.text().includes("404")) return true;
		return this.allowed?.test(message.location().url) ?? false;
	}

	async open(path) {
		await this.page.goto(this.base + path);
		await this.page.locator("main#page:not([aria-busy])").waitFor({ timeout: 30_000 });
	}

	async environments() {
		const buttons = this.page.getByRole("group", { name: "Environment" }).getByRole("button");
		return (await buttons.allTextContents()).map((t) => t.trim());
	}

	async chooseEnvironment(name) {
		await this.page
			.getByRole("group", { name: "Environment" })
			.getByRole("button", { name, exact: true })
			.click();
	}

	async chooseRange(label) {
		await this.page.getByTestId("range").click();
		await this.page
			.getByRole("button", { name: new RegExp(`^${label}`) })
			.last()
			.click();
	}

	plane(environment) {
		return this.page.locator(`article[data-environment="${environment}"]`);
	}

	async planeState(environment) {
		return this.plane(environment).getAttribute("data-state");
	}

	panel(title) {
		return this.page.locator(`[data-panel="${title}"]`);
	}

	/** How many samples a chart draws. */
	async points(title) {
		const chart = this.panel(title).locator("[data-points]");
		if ((await chart.count()) === 0) return 0;
		return Number(await chart.first().getAttribute("data-points"));
	}

	/** Whether ECharts really drew: counts pixels that are not transparent. */
	async inked(title) {
		return this.panel(title)
			.locator("canvas")
			.first()
			.evaluate((canvas) => {
				const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
				let n = 0;
				for (let i = 3; i < data.length; i += 4) if (data[i] > 0) n++;
				return n;
			});
	}

	async legend(title) {
		return (await this.panel(title).locator(".legend-name").allTextContents()).map((t) => t.trim());
	}

	async card(title) {
		return (await this.page.locator(`[data-card="${title}"] .big`).textContent())?.trim();
	}

	async theme(name) {
		await this.page.evaluate((theme) => {
			const prefs = JSON.parse(localStorage.getItem("bellwether-prefs") ?? '{"state":{},"version":0}');
			prefs.state.theme = theme;
			localStorage.setItem("bellwether-prefs", JSON.stringify(prefs));
		}, name);
		await this.page.reload();
		await this.page.locator("main#page:not([aria-busy])").waitFor();
	}

	/** Violations of WCAG 2.2 AA, in words. */
	async axe(source) {
		await this.page.evaluate(source);
		return this.page.evaluate(async () => {
			const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
			const result = await globalThis.axe.run(document, { runOnly: { type: "tag", values: tags } });
			return result.violations.map(
				(v) => `${v.id}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).join(" | ")}`,
			);
		});
	}
}
