/** One choice of a few, as a row of buttons. */

import type { ReactNode } from "react";

export interface SegmentsProps<T extends string> {
	label: string;
	value: T;
	options: readonly { value: T; label: ReactNode }[];
	onChange: (value: T) => void;
	small?: boolean;
}

export function Segments<T extends string>({ label, value, options, onChange, small }: SegmentsProps<T>) {
	return (
		// biome-ignore lint/a11y/useSemanticElements: a fieldset cannot be laid out as a row of buttons everywhere
		<div className={small ? "segments small" : "segments"} role="group" aria-label={label}>
			{options.map((o) => (
				<button
					key={o.value}
					type="button"
					aria-pressed={o.value === value}
					onClick={() => onChange(o.value)}
				>
					{o.label}
				</button>
			))}
		</div>
	);
}
