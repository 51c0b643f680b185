/** A small line without axes, as SVG, so that the start page needs no chart library. Gaps stay gaps. */

import { useId } from "react";
import { statsOf } from "../lib/series/table";

export interface SparklineProps {
	values: readonly (number | null)[];
	colour: string;
	width?: number;
	height?: number;
	/** Lower end of the scale; the smallest value when left out. */
	floor?: number;
	label: string;
}

/** At most `count` points: means of neighbours, and the last value as it is. */
export function thin(values: readonly (number | null)[], count: number): readonly (number | null)[] {
	const size = Math.ceil(values.length / count);
	if (size <= 1) return values;
	const out: (number | null)[] = [];
	// Groups are counted from the end, so that the newest group is whole.
	for (let end = values.length - 1; end > 0; end -= size) {
		const group = values.slice(Math.max(0, end - size), end).filter((v): v is number => v !== null);
		out.unshift(group.length ? group.reduce((a, b) => a + b, 0) / group.length : null);
	}
	const { last, lastIndex } = statsOf(values);
	out.push(lastIndex >= values.length - size ? last : null);
	return out;
}

export function sparkPath(values: readonly (number | null)[], width: number, height: number, floor?: number) {
	const known = values.filter((v): v is number => v !== null);
	if (known.length === 0) return null;
	const pad = 3;
	const low = floor ?? Math.min(...known);
	const high = Math.max(...known, low);
	// A flat line sits in the middle, or on the floor when it is the floor.
	const span = high - low || 1;
	const lift = high === low && floor === undefined ? 0.5 : 0;
	const x = (i: number) => pad + (i / Math.max(1, values.length - 1)) * (width - 2 * pad);
	const y = (v: number) => height - pad - ((v - low) / span + lift) * (height - 2 * pad);
	const runs: string[][] = [];
	let open: string[] | null = null;
	let last: { x: number; y: number } | null = null;
	let first = 0;
	values.forEach((v, i) => {
		if (v === null) {
			open = null;
			return;
		}
		if (!open) {
			open = [];
			runs.push(open);
			if (runs.length === 1) first = x(i);
		}
		open.push(`${x(i).toFixed(1)} ${y(v).toFixed(1)}`);
		last = { x: x(i), y: y(v) };
	});
	const line = runs.map((r) => (r.length === 1 ? `M${r[0]}h0.1` : `M${r.join("L")}`)).join("");
	const end = last as { x: number; y: number } | null;
	const area =
		runs.length === 1 && end ? `${line}L${end.x.toFixed(1)} ${height}L${first.toFixed(1)} ${height}Z` : "";
	return { line, area, end };
}

export function Sparkline({ values, colour, width = 72, height = 26, floor, label }: SparklineProps) {
	const id = useId();
	const path = sparkPath(thin(values, Math.round(width / 2)), width, height, floor);
	if (!path) return <svg width={width} height={height} aria-hidden="true" />;
	return (
		<svg
			viewBox={`0 0 ${width} ${height}`}
			width="100%"
			height={height}
			preserveAspectRatio="none"
			role="img"
			aria-label={label}
		>
			<defs>
				<linearGradient id={id} x1="0" y1="0" x2="0" y2="1">
					<stop offset="0" stopColor={colour} stopOpacity="0.22" />
					<stop offset="1" stopColor={colour} stopOpacity="0" />
				</linearGradient>
			</defs>
			<path d={path.area} fill={`url(#${id})`} />
			<path
				d={path.line}
				fill="none"
				stroke={colour}
				strokeWidth="1.5"
				strokeLinejoin="round"
				strokeLinecap="round"
				vectorEffect="non-scaling-stroke"
			/>
			{path.end && (
				<path
					d={`M${path.end.x} ${path.end.y}h0.01`}
					stroke={colour}
					strokeWidth="5"
					strokeLinecap="round"
					vectorEffect="non-scaling-stroke"
				/>
			)}
		</svg>
	);
}
