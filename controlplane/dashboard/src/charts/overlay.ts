/** Crosshair, points, tooltip and selection of one chart: plain elements that are moved by `transform` only. */

import type { Table } from "../lib/series/table";
import type { Scale } from "../lib/series/ticks";
import { formatAgo, formatMoment } from "../lib/time/range";
import { format, type Unit } from "../lib/units/units";
import { crosshair, type Moment } from "./crosshair";
import { MARGIN, type SeriesStyle } from "./options";

export interface OverlayView {
	readonly id: string;
	readonly table: Table;
	readonly styles: readonly SeriesStyle[];
	readonly hidden: ReadonlySet<string>;
	readonly stacked: boolean;
	readonly unit: Unit;
	readonly start: number;
	readonly end: number;
	readonly step: number;
	readonly scale: Scale;
	readonly width: number;
	readonly height: number;
	readonly utc: boolean;
	readonly colours: readonly string[];
}

const MAX_ROWS = 10;

function element(className: string, parent: Element): HTMLDivElement {
	const div = document.createElement("div");
	div.className = className;
	parent.appendChild(div);
	return div;
}

export class Overlay {
	private view: OverlayView | null = null;
	private readonly line: HTMLDivElement;
	private readonly band: HTMLDivElement;
	private readonly tip: HTMLDivElement;
	private readonly points: HTMLDivElement[] = [];
	private readonly unsubscribe: () => void;
	private readonly host: HTMLElement;

	constructor(host: HTMLElement) {
		this.host = host;
		this.band = element("chart-band", host);
		this.line = element("chart-line", host);
		this.tip = element("chart-tip", document.body);
		this.tip.setAttribute("aria-hidden", "true");
		this.unsubscribe = crosshair.subscribe((m) => this.move(m));
	}

	update(view: OverlayView): void {
		this.view = view;
		this.line.style.height = `${view.height - MARGIN.top - MARGIN.bottom}px`;
		this.band.style.height = this.line.style.height;
		this.move(crosshair.get());
	}

	dispose(): void {
		this.unsubscribe();
		if (crosshair.get()?.owner === this.view?.id) crosshair.set(null);
		this.tip.remove();
	}

	/** Epoch seconds at a pixel of the host, snapped to the step and kept inside the range. */
	timeAt(x: number): number | null {
		const v = this.view;
		if (!v || v.table.time.length === 0) return null;
		const plot = v.width - MARGIN.left - MARGIN.right;
		const t = v.start + ((x - MARGIN.left) / plot) * (v.end - v.start);
		const index = Math.min(v.table.time.length - 1, Math.max(0, Math.round((t - v.start) / v.step)));
		return v.table.time[index] ?? null;
	}

	select(from: number | null, to: number | null): void {
		const v = this.view;
		if (!v || from === null || to === null) {
			this.band.style.opacity = "0";
			return;
		}
		const [a, b] = [this.x(Math.min(from, to)), this.x(Math.max(from, to))];
		this.band.style.opacity = "1";
		this.band.style.transform = `translate(${a}px, ${MARGIN.top}px)`;
		this.band.style.width = `${Math.max(1, b - a)}px`;
	}

	private x(time: number): number {
		const v = this.view as OverlayView;
		return MARGIN.left + ((time - v.start) / (v.end - v.start)) * (v.width - MARGIN.left - MARGIN.right);
	}

	private y(value: number): number {
		const v = this.view as OverlayView;
		const plot = v.height - MARGIN.top - MARGIN.bottom;
		return MARGIN.top + (1 - (value - v.scale.min) / (v.scale.max - v.scale.min)) * plot;
	}

	/** Values at a moment, as shown: the largest first. */
	rowsAt(time: number): { id: string; label: string; value: number; y: number; colour: string }[] {
		const v = this.view;
		if (!v) return [];
		const index = Math.round((time - v.start) / v.step);
		const styles = new Map(v.styles.map((s) => [s.id, s]));
		let stack = 0;
		const rows: { id: string; label: string; value: number; y: number; colour: string }[] = [];
		for (const column of v.table.columns) {
			const value = column.values[index];
			if (value === null || value === undefined || v.hidden.has(column.id)) continue;
			stack += value;
			const style = styles.get(column.id);
			const colour = v.colours[style?.colour ?? 0] ?? "";
			rows.push({
				id: column.id,
				label: style?.label ?? column.id,
				value,
				y: this.y(v.stacked ? stack : value),
				colour,
			});
		}
		return rows.sort((a, b) => b.value - a.value);
	}

	private move(moment: Moment | null): void {
		const v = this.view;
		if (!v || !moment || moment.time < v.start || moment.time > v.end) {
			this.hide();
			return;
		}
		const x = this.x(moment.time);
		this.line.style.opacity = "1";
		this.line.style.transform = `translate(${x}px, ${MARGIN.top}px)`;
		const rows = this.rowsAt(moment.time);
		rows.forEach((row, i) => {
			if (i >= 50) return;
			this.points[i] ??= element("chart-point", this.host);
			const point = this.points[i] as HTMLDivElement;
			point.style.opacity = "1";
			point.style.background = row.colour;
			point.style.transform = `translate(${x}px, ${row.y}px)`;
		});
		for (let i = rows.length; i < this.points.length; i++)
			(this.points[i] as HTMLDivElement).style.opacity = "0";
		if (moment.owner === v.id) this.showTip(moment, rows, x);
		else this.tip.style.opacity = "0";
	}

	private showTip(moment: Moment, rows: ReturnType<Overlay["rowsAt"]>, x: number): void {
		const v = this.view as OverlayView;
		let nearest = -1;
		if (moment.y !== null) {
			let best = Number.POSITIVE_INFINITY;
			rows.forEach((row, i) => {
				const distance = Math.abs(row.y - (moment.y as number));
				if (distance < best) {
					best = distance;
					nearest = i;
				}
			});
		}
		this.tip.replaceChildren();
		const head = element("chart-tip-head", this.tip);
		element("", head).textContent = formatMoment(moment.time, v.utc);
		element("", head).textContent = formatAgo(Math.max(0, Date.now() / 1000 - moment.time));
		rows.slice(0, MAX_ROWS).forEach((row, i) => {
			const line = element(
				i === nearest && rows.length > 1 ? "chart-tip-row near" : "chart-tip-row",
				this.tip,
			);
			element("chart-tip-key", line).style.background = row.colour;
			element("chart-tip-name", line).textContent = row.label;
			element("chart-tip-value", line).textContent = format(row.value, v.unit);
		});
		if (rows.length === 0) element("chart-tip-more", this.tip).textContent = "No data here";
		if (rows.length > MAX_ROWS)
			element("chart-tip-more", this.tip).textContent = `+ ${rows.length - MAX_ROWS} more`;
		element("chart-tip-hint", this.tip).textContent = moment.pinned
			? "Pinned · Esc frees"
			: "Click to pin · drag to zoom";
		const host = this.host.getBoundingClientRect();
		const box = this.tip.getBoundingClientRect();
		const right = host.left + x + 14;
		const left = right + box.width > window.innerWidth - 8 ? host.left + x - 14 - box.width : right;
		const top = Math.min(
			Math.max(8, host.top + (moment.y ?? 20) - box.height / 2),
			window.innerHeight - box.height - 8,
		);
		this.tip.style.transform = `translate(${Math.max(8, left)}px, ${top}px)`;
		this.tip.style.opacity = "1";
	}

	private hide(): void {
		this.line.style.opacity = "0";
		this.tip.style.opacity = "0";
		for (const point of this.points) point.style.opacity = "0";
	}
}
