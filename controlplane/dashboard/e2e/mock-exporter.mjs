// A data plane for development: an exporter with the metrics of the shop API, and optionally a Prometheus that
// scrapes three of them. `node e2e/mock-exporter.mjs <port of prod> <port of dev> <port of qa>`; a GET of /stop on a
// port closes it, so that the plane goes down.
import { createServer } from "node:http";

const PLANES = [
	{ environment: "prod", id: "dp-prod-01", rate: 48, errors: 0.024, slow: 1 },
	{ environment: "dev", id: "dp-dev-01", rate: 12, errors: 0.019, slow: 1.1 },
	{ environment: "qa", id: "dp-qa-01", rate: 9, errors: 0.022, slow: 1.05 },
];
const ROUTES = [
	["GET", "/api/users", 0.3, 0.11, 1],
	["GET", "/api/products", 0.35, 0.018, 0.1],
	["POST", "/api/orders", 0.15, 0.19, 2],
	["GET", "/api/search", 0.1, 0.21, 0.6],
	["POST", "/api/payments", 0.06, 0.24, 3],
	["GET", "/api/reports", 0.04, 0.9, 0.8],
];
const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

function plane({ environment, id, rate, errors, slow }) {
	const series = new Map();
	let active = 0;
	const observe = (method, route, code, seconds) => {
		const key = `http_request_method="${method}",http_route="${route}",http_response_status_code="${code}"`;
		const s = series.get(key) ?? { buckets: BOUNDS.map(() => 0), count: 0, sum: 0 };
		series.set(key, s);
		s.count++;
		s.sum += seconds;
		BOUNDS.forEach((b, i) => {
			if (seconds <= b) s.buckets[i]++;
		});
	};
	const work = (seconds) => {
		const wave = 1 + 0.12 * Math.sin(Date.now() / 37_000) + 0.1 * (Math.random() - 0.5);
		for (const [method, route, share, latency, bad] of ROUTES) {
			const exact = rate * share * wave * seconds;
			const n = Math.floor(exact) + (Math.random() < exact % 1 ? 1 : 0);
			for (let i = 0; i < n; i++) {
				const failed = Math.random() < errors * bad;
				observe(
					method,
					route,
					failed ? 500 : method === "POST" ? 201 : 200,
					latency * slow * Math.exp(0.5 * (Math.random() + Math.random() - 1)),
				);
			}
		}
		active = Math.max(0, Math.round(rate * 0.15 * wave + Math.random() * 3 - 1));
	};
	const labels = `environment="${environment}",data_plane_id="${id}"`;
	const text = () => {
		const lines = ["# TYPE http_server_request_duration_seconds histogram"];
		for (const [key, s] of series) {
			const name = "http_server_request_duration_seconds";
			BOUNDS.forEach((b, i) => {
				lines.push(`${name}_bucket{${labels},${key},le="${b}"} ${s.buckets[i]}`);
			});
			lines.push(`${name}_bucket{${labels},${key},le="+Inf"} ${s.count}`);
			lines.push(`${name}_sum{${labels},${key}} ${s.sum}`, `${name}_count{${labels},${key}} ${s.count}`);
		}
		lines.push("# TYPE http_server_active_requests gauge");
		lines.push(`http_server_active_requests{${labels},http_request_method="GET"} ${active}`);
		return `${lines.join("\n")}\n`;
	};
	return { work, text };
}

const ports = process.argv.slice(2).map(Number);
if (ports.length === 0) {
	console.error("usage: node e2e/mock-exporter.mjs <port> [<port> ...]");
	process.exit(2);
}
ports.forEach((port, i) => {
	const own = plane(PLANES[i % PLANES.length]);
	let last = Date.now();
	setInterval(() => {
		const now = Date.now();
		own.work((now - last) / 1000);
		last = now;
	}, 500);
	const server = createServer((request, response) => {
		if (request.url === "/stop") {
			response.end("stopping\n");
			server.close();
			server.closeAllConnections();
			return;
		}
		response.setHeader("content-type", "text/plain; version=0.0.4");
		response.end(own.text());
	});
	server.listen(port, "127.0.0.1");
});
