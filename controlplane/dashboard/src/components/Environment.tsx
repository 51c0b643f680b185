/** An environment's name with its colour, which it keeps everywhere. */

import type { CSSProperties } from "react";
import { environmentColour } from "../lib/series/colour";

export function seriesVariable(index: number): string {
	return `var(--series-${index + 1})`;
}

export function tagStyle(order: readonly string[], environment: string): CSSProperties {
	return { "--tag": seriesVariable(environmentColour(order, environment).index) } as CSSProperties;
}

export interface EnvironmentProps {
	name: string;
	order: readonly string[];
	large?: boolean;
}

export function Environment({ name, order, large = false }: EnvironmentProps) {
	return (
		<span className="env">
			<span className={large ? "tag large" : "tag"} style={tagStyle(order, name)} aria-hidden />
			{name}
		</span>
	);
}
