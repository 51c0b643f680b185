/** All environments, or some: a click chooses one, Ctrl or Cmd adds one. */

import { useScope } from "../state/scope";
import { useSetGlobal } from "../state/url";
import { tagStyle } from "./Environment";

export function EnvironmentSwitch() {
	const { environments, selected, all } = useScope();
	const set = useSetGlobal();
	if (environments.length === 0) return null;
	return (
		// biome-ignore lint/a11y/useSemanticElements: a fieldset cannot be laid out as a row of buttons everywhere
		<div className="segments" role="group" aria-label="Environment" data-testid="environments">
			<button type="button" aria-pressed={all} onClick={() => set({ env: [] })}>
				All
			</button>
			{environments.map((name) => {
				const on = !all && selected.includes(name);
				return (
					<button
						key={name}
						type="button"
						aria-pressed={on}
						onClick={(event) => {
							const add = event.ctrlKey || event.metaKey;
							if (!add || all) return set({ env: [name] });
							set({ env: on ? selected.filter((e) => e !== name) : [...selected, name] });
						}}
					>
						<span className="tag" style={tagStyle(environments, name)} aria-hidden />
						{name}
					</button>
				);
			})}
		</div>
	);
}
