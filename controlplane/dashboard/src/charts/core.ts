/** The parts of ECharts that are used. Without Dataset a chart stays empty and says nothing. */

import { LineChart } from "echarts/charts";
import { DatasetComponent, GridComponent, MarkAreaComponent, MarkLineComponent } from "echarts/components";
import * as echarts from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";

echarts.use([
	LineChart,
	GridComponent,
	DatasetComponent,
	MarkLineComponent,
	MarkAreaComponent,
	CanvasRenderer,
]);

export { echarts };

let fonts: Promise<unknown> | undefined;

/** Canvas text does not wait for web fonts: without this the axes of the first chart fall back to another font. */
export function fontsReady(): Promise<unknown> {
	fonts ??= document.fonts?.load('12px "Inter Variable"').catch(() => undefined) ?? Promise.resolve();
	return fonts;
}

/** One chart is built per frame, so that a page with many stays responsive while it loads. */
const queue: (() => void)[] = [];
let scheduled = false;

export function nextFrame(work: () => void): () => void {
	queue.push(work);
	if (!scheduled) {
		scheduled = true;
		requestAnimationFrame(run);
	}
	return () => {
		const at = queue.indexOf(work);
		if (at >= 0) queue.splice(at, 1);
	};
}

function run(): void {
	queue.shift()?.();
	if (queue.length > 0) requestAnimationFrame(run);
	else scheduled = false;
}
