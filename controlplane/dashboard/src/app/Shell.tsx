/** Sidebar, top bar, and the page between them. */

import { Tooltip } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { Outlet, useLocation } from "@tanstack/react-router";
import { Check, CircleHelp, Link2, Menu as MenuIcon, Moon, PanelLeft, Search, Sun } from "lucide-react";
import { useEffect, useMemo, useState } from "react";
import { EnvironmentSwitch } from "../components/EnvironmentSwitch";
import { PageLink } from "../components/PageLink";
import { RangePicker } from "../components/RangePicker";
import { LastUpdated, RefreshControl } from "../components/RefreshControl";
import { useRefreshLoop } from "../state/clock";
import { usePrefs, useTheme } from "../state/prefs";
import { useAlerts, useRules, useStorageMissing } from "../state/queries";
import { ScopeProvider, useScope, useUiConfig } from "../state/scope";
import { useGlobal } from "../state/url";
import { ConnectionBanner } from "./ConnectionBanner";
import { Help } from "./Help";
import { useKeys } from "./keys";
import { Palette } from "./Palette";
import { NAV, type NavPage } from "./pages";

const TITLES: Record<string, string> = { "/compare": "Compare environments", "/planes": "Data planes" };

function titleOf(path: string): string {
	const page = NAV.find((p) => p.to !== "/" && path.startsWith(p.to)) ?? (path === "/" ? NAV[0] : undefined);
	return TITLES[page?.to ?? ""] ?? page?.title ?? "Bellwether";
}

export function Shell() {
	const path = useLocation({ select: (l) => l.pathname });
	const [drawer, setDrawer] = useState(false);
	const [help, setHelp] = useState(false);
	const [range, setRange] = useState(false);
	const [palette, setPalette] = useState(false);
	const pages = usePages();
	const collapsed = usePrefs((p) => p.collapsed);
	const { refresh } = useGlobal();
	useRefreshLoop(useQueryClient(), refresh);
	const title = titleOf(path);
	useEffect(() => {
		document.title = `${title} · Bellwether`;
	}, [title]);
	// biome-ignore lint/correctness/useExhaustiveDependencies: a new page closes the drawer
	useEffect(() => setDrawer(false), [path]);
	return (
		<div className="shell" data-drawer={drawer} data-collapsed={collapsed}>
			<button type="button" className="skip" onClick={() => document.getElementById("page")?.focus()}>
				Skip to the page
			</button>
			<Sidebar pages={pages} onHelp={() => setHelp(true)} onSearch={() => setPalette(true)} />
			{drawer && <div className="scrim only-narrow" onClick={() => setDrawer(false)} aria-hidden />}
			<div className="main">
				<ScopeProvider waiting={<Waiting title={title} />}>
					<Keys
						onHelp={() => setHelp(true)}
						onRange={() => setRange(true)}
						onSearch={() => setPalette(true)}
					/>
					<Palette
						open={palette}
						onClose={() => setPalette(false)}
						onHelp={() => setHelp(true)}
						pages={pages}
					/>
					<header className="topbar">
						<button
							type="button"
							className="button icon only-narrow"
							aria-label="Navigation"
							onClick={() => setDrawer(true)}
						>
							<MenuIcon />
						</button>
						<h1>{title}</h1>
						<EnvironmentSwitch />
						<RangePicker open={range} onOpen={setRange} />
						<RefreshControl />
						<LastUpdated />
						<ShareButton />
						<ThemeButton />
					</header>
					<main id="page" className="page" tabIndex={-1}>
						<ConnectionBanner />
						<Outlet />
					</main>
				</ScopeProvider>
			</div>
			<Help open={help} onClose={() => setHelp(false)} />
		</div>
	);
}

function Waiting({ title }: { title: string }) {
	return (
		<>
			<header className="topbar">
				<h1>{title}</h1>
			</header>
			<main id="page" className="page" tabIndex={-1} aria-busy="true">
				<ConnectionBanner />
				{[108, 256, 158].map((height) => (
					<div key={height} className="card skeleton" style={{ height }} />
				))}
			</main>
		</>
	);
}

function Keys({
	onHelp,
	onRange,
	onSearch,
}: {
	onHelp: () => void;
	onRange: () => void;
	onSearch: () => void;
}) {
	const { environments } = useScope();
	useKeys({ environments, onHelp, onRange, onSearch });
	return null;
}

/** The pages that this server has something for. */
function usePages(): readonly NavPage[] {
	const { missing: noAlerts } = useAlerts();
	const { missing: noRules } = useRules();
	const noStorage = useStorageMissing();
	const features = useUiConfig().data?.features;
	return useMemo(
		() =>
			NAV.filter((p) => features?.[p.title.toLowerCase()] !== false).filter(
				(p) =>
					!(p.needs === "alerts" && noAlerts) &&
					!(p.needs === "rules" && noRules) &&
					!(p.needs === "storage" && noStorage),
			),
		[features, noAlerts, noRules, noStorage],
	);
}

function Sidebar({
	pages: shown,
	onHelp,
	onSearch,
}: {
	pages: readonly NavPage[];
	onHelp: () => void;
	onSearch: () => void;
}) {
	const { alerts } = useAlerts();
	const collapsed = usePrefs((p) => p.collapsed);
	const set = usePrefs((p) => p.set);
	const firing = alerts.filter((a) => a.state === "firing").length;
	const groups = [...new Set(shown.map((p) => p.group))];
	return (
		<nav className="sidebar" aria-label="Pages">
			<PageLink to="/" className="brand" label="Bellwether, overview">
				<Logo />
				<span>Bellwether</span>
			</PageLink>
			{groups.map((group) => (
				<div key={group}>
					{group !== "" && <p className="nav-group">{group}</p>}
					{shown
						.filter((p) => p.group === group)
						.map((p) => (
							<PageLink key={p.to} to={p.to} className="nav-link" label={p.title}>
								<p.icon aria-hidden />
								<span>{p.title}</span>
								{p.needs === "alerts" && firing > 0 && <span className="nav-count">{firing}</span>}
							</PageLink>
						))}
				</div>
			))}
			<button type="button" className="nav-link nav-search" aria-label="Search" onClick={onSearch}>
				<Search aria-hidden />
				<span>Search</span>
				<kbd>Ctrl K</kbd>
			</button>
			<div className="nav-foot">
				<button type="button" className="button quiet small icon" aria-label="Keyboard help" onClick={onHelp}>
					<CircleHelp />
				</button>
				<span>
					Help <kbd>?</kbd>
				</span>
				<button
					type="button"
					className="button quiet small icon spread"
					aria-label={collapsed ? "Widen the navigation" : "Narrow the navigation"}
					onClick={() => set({ collapsed: !collapsed })}
				>
					<PanelLeft />
				</button>
			</div>
		</nav>
	);
}

function Logo() {
	return (
		<svg viewBox="0 0 32 32" aria-hidden="true">
			<rect width="32" height="32" rx="8" />
			<path
				d="M6 21.5h3.2c2.600 0 2.600-12 6.800-12s4.200 12 6.800 12H26"
				fill="none"
				strokeWidth="2.6"
				strokeLinecap="round"
				strokeLinejoin="round"
			/>
			<circle cx="16" cy="22.500" r="2" />
		</svg>
	);
}

function ThemeButton() {
	const theme = useTheme();
	const set = usePrefs((p) => p.set);
	const other = theme === "dark" ? "light" : "dark";
	return (
		<Tooltip label={`Use the ${other} theme  y`}>
			<button
				type="button"
				className="button icon"
				aria-label={`Use the ${other} theme`}
				onClick={() => set({ theme: other })}
			>
				{theme === "dark" ? <Sun /> : <Moon />}
			</button>
		</Tooltip>
	);
}

function ShareButton() {
	const [copied, setCopied] = useState(false);
	useEffect(() => {
		if (!copied) return;
		const timer = setTimeout(() => setCopied(false), 1500);
		return () => clearTimeout(timer);
	}, [copied]);
	const copy = () => {
		void navigator.clipboard?.writeText(window.location.href).then(() => setCopied(true));
	};
	return (
		<Tooltip label={copied ? "Copied" : "Copy a link to this view"}>
			<button type="button" className="button icon" aria-label="Copy a link to this view" onClick={copy}>
				{copied ? <Check /> : <Link2 />}
			</button>
		</Tooltip>
	);
}
