/** A chart over time: ECharts draws, the overlay points, the keyboard works too. */

import type { ECharts } from "echarts/core";
import { type KeyboardEvent, type PointerEvent, useEffect, useId, useMemo, useRef, useState } from "react";
import { statsOf } from "../lib/series/table";
import { formatMoment } from "../lib/time/range";
import { format } from "../lib/units/units";
import { usePrefs } from "../state/prefs";
import { echarts, fontsReady, nextFrame } from "./core";
import { crosshair } from "./crosshair";
import { type ChartInput, chartOption, MARGIN, scaleOf } from "./options";
import { Overlay } from "./overlay";
import { useChartTokens } from "./tokens";
import "./charts.css";

export interface TimeSeriesProps
	extends Omit<ChartInput, "width" | "height" | "tokens" | "utc" | "hidden" | "focus"> {
	title: string;
	height?: number;
	hidden?: ReadonlySet<string>;
	focus?: string | null;
	onZoom?: (from: number, to: number) => void;
	onZoomOut?: () => void;
}

const NONE: ReadonlySet<string> = new Set();

/** Title, range and last, smallest and largest value of each line, for people who do not see the chart. */
function summarise(p: TimeSeriesProps, utc: boolean): string {
	const labels = new Map(p.styles.map((s) => [s.id, s.label]));
	const lines = p.table.columns.slice(0, 12).map((c) => {
		const s = statsOf(c.values);
		const name = labels.get(c.id) ?? c.id;
		return `${name}: last ${format(s.last, p.unit)}, lowest ${format(s.min, p.unit)}, highest ${format(s.max, p.unit)}`;
	});
	const more = p.table.columns.length > 12 ? ` and ${p.table.columns.length - 12} more series` : "";
	return `${p.title}, ${formatMoment(p.start, utc)} to ${formatMoment(p.end, utc)}. ${lines.join(". ")}${more}. Arrow keys move the crosshair.`;
}

export function TimeSeries(props: TimeSeriesProps) {
	const { height = 190, hidden = NONE, focus = null } = props;
	const id = useId();
	const utc = usePrefs((p) => p.utc);
	const tokens = useChartTokens();
	const host = useRef<HTMLDivElement>(null);
	const canvas = useRef<HTMLDivElement>(null);
	const chart = useRef<ECharts | null>(null);
	const overlay = useRef<Overlay | null>(null);
	const drag = useRef<{ from: number; moved: boolean } | null>(null);
	const selection = useRef<number | null>(null);
	const [width, setWidth] = useState(0);
	const [said, setSaid] = useState("");

	useEffect(() => {
		const node = host.current as HTMLDivElement;
		const observer = new ResizeObserver(([entry]) => setWidth(Math.round(entry?.contentRect.width ?? 0)));
		observer.observe(node);
		const own = new Overlay(node);
		overlay.current = own;
		return () => {
			observer.disconnect();
			own.dispose();
			chart.current?.dispose();
			chart.current = null;
		};
	}, []);

	const input = useMemo(
		(): ChartInput => ({ ...props, hidden, focus, width, height, tokens, utc }),
		[props, hidden, focus, width, height, tokens, utc],
	);

	useEffect(() => {
		if (width === 0) return;
		let live = true;
		let cancel = () => {};
		const draw = () => {
			if (!live || !canvas.current) return;
			chart.current ??= echarts.init(canvas.current, undefined, { renderer: "canvas", width, height });
			chart.current.resize({ width, height });
			chart.current.setOption(chartOption(input), { replaceMerge: ["series"], lazyUpdate: false });
			overlay.current?.update({
				id,
				table: input.table,
				styles: input.styles,
				hidden,
				stacked: input.stacked ?? false,
				unit: input.unit,
				start: input.start,
				end: input.end,
				step: input.step,
				scale: scaleOf(input),
				width,
				height,
				utc,
				colours: tokens.series,
			});
		};
		if (chart.current) draw();
		else
			void fontsReady().then(() => {
				if (live) cancel = nextFrame(draw);
			});
		return () => {
			live = false;
			cancel();
		};
	}, [input, width, height, hidden, id, utc, tokens]);

	const local = (event: PointerEvent) => {
		const box = (host.current as HTMLDivElement).getBoundingClientRect();
		return { x: event.clientX - box.left, y: event.clientY - box.top };
	};
	const pinnedHere = () => crosshair.get()?.pinned ?? false;

	const onMove = (event: PointerEvent) => {
		const { x, y } = local(event);
		const time = overlay.current?.timeAt(x) ?? null;
		if (time === null) return;
		if (drag.current) {
			if (Math.abs(time - drag.current.from) >= props.step) drag.current.moved = true;
			if (drag.current.moved) overlay.current?.select(drag.current.from, time);
		}
		if (!pinnedHere()) crosshair.set({ time, owner: id, y, pinned: false });
	};
	const onDown = (event: PointerEvent) => {
		if (event.button !== 0) return;
		const time = overlay.current?.timeAt(local(event).x) ?? null;
		if (time !== null) drag.current = { from: time, moved: false };
		try {
			host.current?.setPointerCapture(event.pointerId);
		} catch {
			// The pointer may be gone already; dragging then ends at the chart's edge.
		}
	};
	const onUp = (event: PointerEvent) => {
		const started = drag.current;
		drag.current = null;
		overlay.current?.select(null, null);
		if (!started) return;
		const { x, y } = local(event);
		const time = overlay.current?.timeAt(x) ?? null;
		if (time === null) return;
		if (started.moved && time !== started.from) {
			crosshair.set(null);
			props.onZoom?.(Math.min(started.from, time), Math.max(started.from, time));
		} else crosshair.set({ time, owner: id, y, pinned: !pinnedHere() });
	};
	const onLeave = () => {
		if (!drag.current && !pinnedHere() && crosshair.get()?.owner === id) crosshair.set(null);
	};

	const onKey = (event: KeyboardEvent) => {
		const { table, step } = props;
		const first = table.time[0];
		const last = table.time.at(-1);
		if (first === undefined || last === undefined) return;
		const current = crosshair.get()?.time ?? last;
		const jump = event.ctrlKey ? 10 * step : step;
		let next = current;
		switch (event.key) {
			case "ArrowLeft":
				next = Math.max(first, current - jump);
				break;
			case "ArrowRight":
				next = Math.min(last, current + jump);
				break;
			case "Home":
				next = first;
				break;
			case "End":
				next = last;
				break;
			case "Escape":
				selection.current = null;
				overlay.current?.select(null, null);
				crosshair.set(null);
				return;
			case "Enter":
				event.preventDefault();
				if (selection.current !== null && selection.current !== current) {
					const from = selection.current;
					selection.current = null;
					overlay.current?.select(null, null);
					props.onZoom?.(Math.min(from, current), Math.max(from, current));
				} else crosshair.set({ time: current, owner: id, y: null, pinned: !pinnedHere() });
				return;
			default:
				return;
		}
		event.preventDefault();
		if (event.shiftKey) {
			selection.current ??= current;
			overlay.current?.select(selection.current, next);
		} else {
			selection.current = null;
			overlay.current?.select(null, null);
		}
		crosshair.set({ time: next, owner: id, y: null, pinned: true });
		const rows = overlay.current?.rowsAt(next) ?? [];
		const values = rows.slice(0, 6).map((r) => `${r.label} ${format(r.value, props.unit)}`);
		setSaid(`${formatMoment(next, utc)}. ${values.join(", ") || "no data"}`);
	};

	return (
		<figure>
			<div
				ref={host}
				className="chart"
				style={{ height }}
				role="application"
				aria-roledescription="chart"
				aria-label={summarise(props, utc)}
				// biome-ignore lint/a11y/noNoninteractiveTabindex: the arrow keys move the crosshair
				tabIndex={0}
				onPointerMove={onMove}
				onPointerDown={onDown}
				onPointerUp={onUp}
				onPointerLeave={onLeave}
				onDoubleClick={() => props.onZoomOut?.()}
				onKeyDown={onKey}
				data-points={props.table.columns.reduce((n, c) => n + c.values.filter((v) => v !== null).length, 0)}
			>
				<div ref={canvas} />
			</div>
			<div className="sr-only" aria-live="polite">
				{said}
			</div>
		</figure>
	);
}

export { MARGIN };
