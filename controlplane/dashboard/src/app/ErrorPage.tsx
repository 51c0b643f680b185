/** What stands in place of a page that does not exist or broke. */

import type { ErrorComponentProps } from "@tanstack/react-router";
import { PageLink } from "../components/PageLink";

export function NotFoundPage() {
	return (
		<div className="card empty">
			<h2>No such page</h2>
			<p>The address leads nowhere in this dashboard.</p>
			<PageLink to="/" className="button">
				Go to the overview
			</PageLink>
		</div>
	);
}

export function ErrorPage({ error, reset }: ErrorComponentProps) {
	return (
		<div className="card empty" role="alert">
			<h2>This page broke</h2>
			<p className="mono">{error instanceof Error ? error.message : String(error)}</p>
			<button type="button" className="button" onClick={reset}>
				Try again
			</button>
		</div>
	);
}
