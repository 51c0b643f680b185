/** A state as shape, word and colour, never colour alone. */

import { HEALTH_WORDS, type HealthState } from "../lib/health/health";

export type Tone = "ok" | "warn" | "crit" | "idle";

export const TONES: Record<HealthState, Tone> = {
	healthy: "ok",
	degraded: "warn",
	critical: "crit",
	down: "crit",
	stale: "idle",
	"no-traffic": "idle",
	unknown: "idle",
};

/** Tick, triangle, octagon, dashed ring. */
export function ToneIcon({ tone }: { tone: Tone }) {
	// The word beside it says the state, so the drawing is hidden from assistive technology.
	const common = {
		viewBox: "0 0 16 16",
		fill: "none",
		stroke: "currentColor",
		strokeWidth: 1.6,
		strokeLinecap: "round" as const,
		strokeLinejoin: "round" as const,
	};
	switch (tone) {
		case "ok":
			return (
				<svg aria-hidden="true" {...common}>
					<circle cx="8" cy="8" r="6.4" fill="currentColor" stroke="none" opacity="0.25" />
					<path d="M5.2 8.200l2 2 3.600-4" strokeWidth="1.800" />
				</svg>
			);
		case "warn":
			return (
				<svg aria-hidden="true" {...common}>
					<path d="M8 2.200l6.200 11.200H1.800z" />
					<path d="M8 6.600v3M8 11.600v.1" />
				</svg>
			);
		case "crit":
			return (
				<svg aria-hidden="true" {...common}>
					<path d="M5.400 1.800h5.200l3.600 3.600v5.200l-3.600 3.600H5.400l-3.600-3.600V5.400z" />
					<path d="M6 6l4 4M10 6l-4 4" />
				</svg>
			);
		default:
			return (
				<svg aria-hidden="true" {...common}>
					<circle cx="8" cy="8" r="6" strokeDasharray="2.400 2.200" />
				</svg>
			);
	}
}

export function Chip({ tone, children }: { tone: Tone; children: React.ReactNode }) {
	return (
		<span className="chip" data-tone={tone}>
			<ToneIcon tone={tone} />
			{children}
		</span>
	);
}

export function StatusChip({ state }: { state: HealthState }) {
	return <Chip tone={TONES[state]}>{HEALTH_WORDS[state]}</Chip>;
}
