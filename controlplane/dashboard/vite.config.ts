import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

/** The dashboard's server fills these placeholders per request; Vite's own server fills them with fixed values. */
function placeholders(): Plugin {
	return {
		name: "bellwether-placeholders",
		apply: "serve",
		transformIndexHtml: (html) =>
			html
				.replaceAll("__BELLWETHER_BASE__", "/")
				.replaceAll("__BELLWETHER_METRICS_PATH__", "/metrics")
				.replaceAll("__BELLWETHER_NONCE__", "development"),
	};
}

const upstream = process.env.BELLWETHER_PROMETHEUS_URL ?? "http://127.0.0.1:9090";
const ui = process.env.BELLWETHER_UI_URL ?? "http://127.0.0.1:3000";

export default defineConfig({
	base: "./",
	plugins: [react(), placeholders()],
	html: { cspNonce: "__BELLWETHER_NONCE__" },
	server: { proxy: { "/api": upstream, "/-": upstream, "/ui": ui } },
	build: {
		target: "es2022",
		sourcemap: false,
		// Nothing is inlined: `data:` is not allowed by the content security policy, except for images.
		assetsInlineLimit: 0,
		license: { fileName: "licenses.md" },
		chunkSizeWarningLimit: 1200,
		rolldownOptions: {
			output: {
				codeSplitting: {
					groups: [
						// Shared by several libraries: without a group of their own they would pull ECharts into the start page.
						{ name: "shared", test: /node_modules[\\/](tslib|clsx)[\\/]/, priority: 50 },
						{ name: "react", test: /node_modules[\\/](react|react-dom|scheduler)[\\/]/, priority: 40 },
						{ name: "tanstack", test: /node_modules[\\/]@tanstack[\\/]/, priority: 30 },
						{ name: "mantine", test: /node_modules[\\/](@mantine|@floating-ui)[\\/]/, priority: 30 },
						{ name: "echarts", test: /node_modules[\\/](echarts|zrender)[\\/]/, priority: 30 },
						{
							name: "codemirror",
							test: /node_modules[\\/](@codemirror|@lezer|@prometheus-io|style-mod|w3c-keyname|crelt|lru-cache|@marijn)[\\/]/,
							priority: 30,
						},
					],
				},
			},
		},
	},
	test: {
		include: ["src/**/*.test.{ts,tsx}", "tests/**/*.test.{ts,tsx}"],
		environment: "node",
		testTimeout: 30_000,
	},
} as Parameters<typeof defineConfig>[0]);
