/** Says once, for the whole page, that the server cannot be reached or is starting. */

import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { ToneIcon } from "../components/StatusChip";
import { refreshAll } from "../state/clock";
import { useAway } from "../state/scope";

const RETRY_SECONDS = 5;

export function ConnectionBanner() {
	const failure = useAway();
	const away = failure !== undefined;
	const client = useQueryClient();
	const [left, setLeft] = useState(RETRY_SECONDS);
	useEffect(() => {
		if (!away) return;
		let remaining = RETRY_SECONDS;
		setLeft(remaining);
		const timer = setInterval(() => {
			remaining -= 1;
			if (remaining <= 0) {
				remaining = RETRY_SECONDS;
				refreshAll(client, RETRY_SECONDS, true);
			}
			setLeft(remaining);
		}, 1000);
		return () => clearInterval(timer);
	}, [away, client]);
	if (!failure) return null;
	return (
		<div className="notice" data-tone="warn" role="status">
			<ToneIcon tone="warn" />
			<div>
				<strong>{failure.summary}</strong> <span className="muted">{failure.detail}</span>
				<div className="muted" aria-hidden="true">
					What is shown is the last that was known. Trying again in {left} s.
				</div>
			</div>
			<button
				type="button"
				className="button small spread"
				onClick={() => refreshAll(client, RETRY_SECONDS, true)}
			>
				Try now
			</button>
		</div>
	);
}
