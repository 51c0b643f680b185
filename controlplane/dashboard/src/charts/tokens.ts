/** The tokens of the style sheet as values, because a canvas knows no custom properties. */

import { useMemo } from "react";
import { useTheme } from "../state/prefs";
import { type ChartTokens, withAlpha } from "./options";

export function useChartTokens(): ChartTokens {
	const theme = useTheme();
	return useMemo(() => {
		// Read from a probe with the theme set: the effect that marks the document runs after this render.
		document.documentElement.dataset.theme = theme;
		const style = getComputedStyle(document.documentElement);
		const read = (name: string) => style.getPropertyValue(name).trim();
		const crit = read("--crit-solid");
		return {
			series: Array.from({ length: 8 }, (_, i) => read(`--series-${i + 1}`)),
			grid: read("--grid"),
			axis: read("--axis"),
			crit: read("--crit"),
			critFill: withAlpha(crit, theme === "dark" ? 0.12 : 0.08),
			ground: withAlpha(read("--surface"), 0.8),
			stale: withAlpha(read("--text-3"), 0.12),
			font: read("--font"),
		};
	}, [theme]);
}
