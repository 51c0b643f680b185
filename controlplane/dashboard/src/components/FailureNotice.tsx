/**
 * One plain sentence, what the server said, and what can be done. Nothing while the banner of the page says that the
 * whole server is away: the same sentence on every panel would only push away what is still to be read.
 */

import { RotateCw } from "lucide-react";
import type { Failure } from "../api/client";
import { isAway, useAway } from "../state/scope";
import { ToneIcon } from "./StatusChip";

export function FailureNotice({
	failure,
	onRetry,
	query,
}: {
	failure: Failure;
	onRetry?: () => void;
	query?: string;
}) {
	const away = useAway();
	if (away && isAway(failure)) return null;
	const soft = failure.kind === "starting";
	return (
		<div className="notice" data-tone={soft ? "warn" : "crit"} role="alert">
			<ToneIcon tone={soft ? "warn" : "crit"} />
			<div>
				<strong>{failure.summary}</strong>
				{failure.detail !== "" && <div className="mono muted">{failure.detail}</div>}
				{query !== undefined && (
					<details>
						<summary>Show query</summary>
						<code className="mono">{query}</code>
					</details>
				)}
				{onRetry && (
					<button type="button" className="button small" onClick={onRetry}>
						<RotateCw /> Retry
					</button>
				)}
			</div>
		</div>
	);
}
