/** Every address and its page. Pages load when they are visited. */

import {
	createRootRoute,
	createRoute,
	createRouter,
	lazyRouteComponent,
	redirect,
} from "@tanstack/react-router";
import { formatQuery, type Params, parseQuery, readExploreRange } from "../lib/url/search";
import { ErrorPage, NotFoundPage } from "./ErrorPage";
import { Shell } from "./Shell";

const root = createRootRoute({
	component: Shell,
	notFoundComponent: NotFoundPage,
	errorComponent: ErrorPage,
	validateSearch: (search: Record<string, unknown>): Params => search as Params,
});

const page = (path: string, component: ReturnType<typeof lazyRouteComponent>) =>
	createRoute({ getParentRoute: () => root, path, component });

const metrics = () => lazyRouteComponent(() => import("../features/metrics/MetricsPage"), "MetricsPage");

/** Prometheus' own addresses of Explore keep their parameters. */
const alias = (path: string) =>
	createRoute({
		getParentRoute: () => root,
		path,
		beforeLoad: ({ search }) => {
			const range = readExploreRange(search as Params);
			throw redirect({ to: "/explore" as never, search: { ...search, ...range } as never, replace: true });
		},
	});

/** Prometheus' own addresses of what is a part of a page here; other parameters stay. */
const moved = (path: string, to: string, tab: string) =>
	createRoute({
		getParentRoute: () => root,
		path,
		beforeLoad: ({ search }) => {
			throw redirect({ to: to as never, search: { ...search, tab } as never, replace: true });
		},
	});

const tree = root.addChildren([
	page(
		"/",
		lazyRouteComponent(() => import("../features/overview/OverviewPage"), "OverviewPage"),
	),
	page("/metrics", metrics()),
	// The metrics server keeps /metrics for its own exposition.
	page("/red", metrics()),
	page(
		"/compare",
		lazyRouteComponent(() => import("../features/compare/ComparePage"), "ComparePage"),
	),
	page(
		"/planes",
		lazyRouteComponent(() => import("../features/planes/PlanesPage"), "PlanesPage"),
	),
	page(
		"/planes/$id",
		lazyRouteComponent(() => import("../features/planes/PlanePage"), "PlanePage"),
	),
	page(
		"/alerts",
		lazyRouteComponent(() => import("../features/alerts/AlertsPage"), "AlertsPage"),
	),
	page(
		"/rules",
		lazyRouteComponent(() => import("../features/alerts/RulesPage"), "RulesPage"),
	),
	page(
		"/storage",
		lazyRouteComponent(() => import("../features/storage/StoragePage"), "StoragePage"),
	),
	page(
		"/explore",
		lazyRouteComponent(() => import("../features/explore/ExplorePage"), "ExplorePage"),
	),
	page(
		"/targets",
		lazyRouteComponent(() => import("../features/targets/TargetsPage"), "TargetsPage"),
	),
	alias("/graph"),
	alias("/query"),
	moved("/service-discovery", "/targets", "discovery"),
	moved("/config", "/storage", "config"),
	moved("/flags", "/storage", "flags"),
	moved("/status", "/storage", "server"),
	moved("/tsdb-status", "/storage", "cardinality"),
	moved("/alertmanager-discovery", "/storage", "alertmanagers"),
]);

export const router = createRouter({
	routeTree: tree,
	basepath: new URL(document.baseURI).pathname.replace(/\/$/, "") || "/",
	parseSearch: parseQuery,
	stringifySearch: (search) => formatQuery(search as Params),
	defaultPreload: "intent",
	scrollRestoration: true,
});
