/** Keys and preferences. */

import { X } from "lucide-react";
import { useEffect, useRef } from "react";
import { usePrefs } from "../state/prefs";
import { useUiConfig } from "../state/scope";
import { KEYS } from "./keys";

export function Help({ open, onClose }: { open: boolean; onClose: () => void }) {
	const prefs = usePrefs();
	const version = useUiConfig().data?.version ?? "";
	// The browser's own dialog keeps the focus inside, closes on Esc and needs no styles at run time.
	const dialog = useRef<HTMLDialogElement>(null);
	useEffect(() => {
		if (open && !dialog.current?.open) dialog.current?.showModal();
	}, [open]);
	return (
		<dialog className="dialog" ref={dialog} onClose={onClose} aria-labelledby="help-title">
			<header className="row">
				<h2 id="help-title">Keys and preferences</h2>
				<button
					type="button"
					className="button quiet icon spread"
					aria-label="Close"
					onClick={() => dialog.current?.close()}
				>
					<X />
				</button>
			</header>
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
		</dialog>
	);
}
