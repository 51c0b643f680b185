/** Numbers for the cards. */

import { type Change, show, type Unit } from "../lib/units/units";
import type { Tone } from "./StatusChip";

export function BigNumber({
	value,
	unit,
	tone,
	suffix,
}: {
	value: number | null;
	unit: Unit;
	tone?: Tone;
	suffix?: string;
}) {
	const shown = show(value, unit);
	return (
		<span className="big" data-tone={tone}>
			{shown.number}
			{shown.unit !== "" && <small>{shown.unit}</small>}
			{suffix !== undefined && <small>{suffix}</small>}
		</span>
	);
}

const WORDS = { better: "better", worse: "worse", same: "", neutral: "" };

export function Delta({ change }: { change: Change | null }) {
	if (!change) return null;
	return (
		<span className="delta" data-verdict={change.verdict}>
			{change.text}
			{WORDS[change.verdict] !== "" && <span className="sr-only"> ({WORDS[change.verdict]})</span>}
		</span>
	);
}
