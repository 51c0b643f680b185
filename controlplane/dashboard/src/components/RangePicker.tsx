/** Time range: back, presets and custom, forward, zoom out. */

import { Popover, Tooltip } from "@mantine/core";
import { ChevronDown, ChevronLeft, ChevronRight, Clock, ZoomOut } from "lucide-react";
import { type FormEvent, useEffect, useState } from "react";
import {
	describeRange,
	formatDuration,
	formatStamp,
	PRESETS,
	presetOf,
	rangeOrDefault,
	resolveRange,
	shiftRange,
	zoomOut,
} from "../lib/time/range";
import { usePrefs } from "../state/prefs";
import { useGlobal, useSetGlobal } from "../state/url";
import "./controls.css";

const WRONG = {
	from: "The start is not a time. Try now-90m or 2026-11-20 14:00.",
	to: "The end is not a time. Try now or 2026-11-20 15:00.",
	order: "The end must come after the start.",
};

export function RangePicker({ open, onOpen }: { open: boolean; onOpen: (open: boolean) => void }) {
	const global = useGlobal();
	const set = useSetGlobal();
	const utc = usePrefs((p) => p.utc);
	const setPrefs = usePrefs((p) => p.set);
	const now = () => Date.now() / 1000;
	const preset = presetOf(global);
	return (
		// biome-ignore lint/a11y/useSemanticElements: a fieldset cannot be laid out as a row of buttons everywhere
		<div className="group" role="group" aria-label="Time range">
			<Tooltip label="Back by half a range  [">
				<button
					type="button"
					aria-label="Back by half a range"
					onClick={() => set(shiftRange(global, now(), -0.5))}
				>
					<ChevronLeft />
				</button>
			</Tooltip>
			<Popover opened={open} onChange={onOpen} position="bottom-end" trapFocus returnFocus withinPortal>
				<Popover.Target>
					<button type="button" onClick={() => onOpen(!open)} data-testid="range">
						<Clock /> {describeRange(global, now(), utc)} <ChevronDown />
					</button>
				</Popover.Target>
				<Popover.Dropdown>
					<div className="range-pop">
						<ul>
							{PRESETS.map((p) => (
								<li key={p.label}>
									<button
										type="button"
										aria-current={preset === p}
										onClick={() => {
											set({ from: `now-${formatDuration(p.seconds)}`, to: "now" });
											onOpen(false);
										}}
									>
										{p.long} <span className="dim">{p.label}</span>
									</button>
								</li>
							))}
						</ul>
						<CustomRange onDone={() => onOpen(false)} utc={utc} onUtc={(on) => setPrefs({ utc: on })} />
					</div>
				</Popover.Dropdown>
			</Popover>
			<Tooltip label="Forward by half a range  ]">
				<button
					type="button"
					aria-label="Forward by half a range"
					disabled={global.to === "now"}
					onClick={() => set(shiftRange(global, now(), 0.5))}
				>
					<ChevronRight />
				</button>
			</Tooltip>
			<Tooltip label="Zoom out  -">
				<button type="button" aria-label="Zoom out" onClick={() => set(zoomOut(global, now()))}>
					<ZoomOut />
				</button>
			</Tooltip>
		</div>
	);
}

function CustomRange({
	onDone,
	utc,
	onUtc,
}: {
	onDone: () => void;
	utc: boolean;
	onUtc: (utc: boolean) => void;
}) {
	const global = useGlobal();
	const set = useSetGlobal();
	const readable = (text: string): string =>
		/^\d+(\.\d+)?$/.test(text) ? formatStamp(Number(text), utc) : text;
	const [from, setFrom] = useState(readable(global.from));
	const [to, setTo] = useState(readable(global.to));
	const [tried, setTried] = useState(false);
	useEffect(() => setTried(false), []);
	const zone = (text: string): string =>
		utc && /^\d{4}-/.test(text.trim()) && !text.trim().endsWith("Z") ? `${text.trim()}Z` : text.trim();
	const resolved = resolveRange({ from: zone(from), to: zone(to) }, Date.now() / 1000);
	const wrong = typeof resolved === "string" ? resolved : null;
	const submit = (event: FormEvent) => {
		event.preventDefault();
		setTried(true);
		if (wrong) return;
		const fixed = (text: string, at: "start" | "end") => {
			if (/^now/.test(text.trim())) return text.trim().replaceAll(" ", "");
			return String(Math.round(rangeOrDefault({ from: zone(from), to: zone(to) }, Date.now() / 1000)[at]));
		};
		set({ from: fixed(from, "start"), to: fixed(to, "end") });
		onDone();
	};
	return (
		<form onSubmit={submit}>
			<label>
				From
				<input
					className="input mono"
					value={from}
					aria-invalid={tried && (wrong === "from" || wrong === "order")}
					onChange={(e) => setFrom(e.currentTarget.value)}
				/>
			</label>
			<label>
				To
				<input
					className="input mono"
					value={to}
					aria-invalid={tried && (wrong === "to" || wrong === "order")}
					onChange={(e) => setTo(e.currentTarget.value)}
				/>
			</label>
			{tried && wrong && (
				<p className="wrong" role="alert">
					{WRONG[wrong]}
				</p>
			)}
			<div className="row">
				<button type="submit" className="button primary">
					Apply
				</button>
				<button type="button" className="button" aria-pressed={utc} onClick={() => onUtc(!utc)}>
					{utc ? "Times in UTC" : "Local times"}
				</button>
			</div>
			<p className="dim">now, now-90m, 2026-11-20 14:00 or epoch seconds</p>
		</form>
	);
}
