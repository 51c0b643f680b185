/** The pages of the navigation: title, address, key after `g`. */

import { Activity, Bell, Columns2, Crosshair, Database, Gauge, List, Search, Server } from "lucide-react";
import { metricsPath } from "../state/url";

export interface NavPage {
	readonly to: string;
	readonly title: string;
	readonly icon: typeof Gauge;
	readonly key: string;
	readonly group: "" | "Investigate" | "Alerting" | "Platform";
	/** Hidden while the server has no such endpoint. */
	readonly needs?: "alerts" | "rules" | "storage";
}

export const NAV: readonly NavPage[] = [
	{ to: "/", title: "Overview", icon: Gauge, key: "o", group: "" },
	{ to: metricsPath(), title: "Metrics", icon: Activity, key: "m", group: "" },
	{ to: "/compare", title: "Compare", icon: Columns2, key: "c", group: "" },
	{ to: "/explore", title: "Explore", icon: Search, key: "e", group: "Investigate" },
	{ to: "/alerts", title: "Alerts", icon: Bell, key: "a", group: "Alerting", needs: "alerts" },
	{ to: "/rules", title: "Rules", icon: List, key: "u", group: "Alerting", needs: "rules" },
	{ to: "/planes", title: "Data planes", icon: Server, key: "p", group: "Platform" },
	{ to: "/targets", title: "Targets", icon: Crosshair, key: "t", group: "Platform" },
	{ to: "/storage", title: "Storage", icon: Database, key: "s", group: "Platform", needs: "storage" },
];
