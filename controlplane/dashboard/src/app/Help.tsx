/** Keys and preferences. */

import { Modal } from "@mantine/core";
import { usePrefs } from "../state/prefs";
import { useScopeVersion } from "../state/version";
import { KEYS } from "./keys";

export function Help({ open, onClose }: { open: boolean; onClose: () => void }) {
	const prefs = usePrefs();
	const version = useScopeVersion();
	return (
		<Modal
			opened={open}
			onClose={onClose}
			title="Keys and preferences"
			centered
			closeButtonProps={{ "aria-label": "Close" }}
		>
			<table className="data dense">
				<tbody>
					{KEYS.map((k) => (
						<tr key={k.keys}>
							<td>{k.keys.split(" ").map((key) => (key === ".." ? " to " : <kbd key={key}>{key}</kbd>))}</td>
							<td>{k.what}</td>
						</tr>
					))}
				</tbody>
			</table>
			<div className="filter-options">
				<label>
					<input
						type="checkbox"
						checked={prefs.keys}
						onChange={(e) => prefs.set({ keys: e.currentTarget.checked })}
					/>
					Keys are on
				</label>
				<label>
					<input
						type="checkbox"
						checked={prefs.utc}
						onChange={(e) => prefs.set({ utc: e.currentTarget.checked })}
					/>
					Times in UTC
				</label>
				<label>
					<input
						type="checkbox"
						checked={prefs.dashes}
						onChange={(e) => prefs.set({ dashes: e.currentTarget.checked })}
					/>
					Tell lines apart by dashes as well
				</label>
				<label>
					<input
						type="checkbox"
						checked={prefs.theme === "system"}
						onChange={(e) => prefs.set({ theme: e.currentTarget.checked ? "system" : "light" })}
					/>
					Theme of the system
				</label>
			</div>
			<p className="dim">
				{version !== "" && `Bellwether ${version} · `}
				<a href="licenses">third-party licences</a>
			</p>
		</Modal>
	);
}
