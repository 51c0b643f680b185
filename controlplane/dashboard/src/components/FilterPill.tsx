/** A filter with several values, as a pill that opens a list. */

import { Popover } from "@mantine/core";
import { ChevronDown } from "lucide-react";
import { useState } from "react";
import "./controls.css";

export interface FilterPillProps {
	name: string;
	any: string;
	options: readonly string[];
	chosen: readonly string[];
	onChange: (chosen: string[]) => void;
	mono?: boolean;
}

export function FilterPill({ name, any, options, chosen, onChange, mono }: FilterPillProps) {
	const [open, setOpen] = useState(false);
	const [text, setText] = useState("");
	// A chosen value stays in the list even when it has no data in this range.
	const known = [...new Set([...options, ...chosen])].sort();
	const shown = known.filter((o) => o.toLowerCase().includes(text.toLowerCase()));
	const said = chosen.length === 0 ? any : chosen.length === 1 ? chosen[0] : `${chosen.length} chosen`;
	const toggle = (value: string) =>
		onChange(chosen.includes(value) ? chosen.filter((c) => c !== value) : [...chosen, value]);
	return (
		<Popover opened={open} onChange={setOpen} position="bottom-start" trapFocus returnFocus withinPortal>
			<Popover.Target>
				<button
					type="button"
					className="button pill"
					data-on={chosen.length > 0}
					onClick={() => setOpen(!open)}
				>
					{name} <b className={mono && chosen.length > 0 ? "mono" : ""}>{said}</b> <ChevronDown aria-hidden />
				</button>
			</Popover.Target>
			<Popover.Dropdown>
				<div className="filter-list">
					{known.length > 8 && (
						<input
							className="input"
							placeholder={`Find ${name.toLowerCase()}`}
							aria-label={`Find ${name.toLowerCase()}`}
							value={text}
							onChange={(e) => setText(e.currentTarget.value)}
						/>
					)}
					<div className="filter-options">
						{shown.map((o) => (
							<label key={o}>
								<input type="checkbox" checked={chosen.includes(o)} onChange={() => toggle(o)} />
								<span className={mono ? "mono" : ""}>{o}</span>
							</label>
						))}
						{shown.length === 0 && <p className="dim">Nothing to choose from</p>}
					</div>
					<button
						type="button"
						className="button small quiet"
						disabled={chosen.length === 0}
						onClick={() => onChange([])}
					>
						Clear
					</button>
				</div>
			</Popover.Dropdown>
		</Popover>
	);
}
