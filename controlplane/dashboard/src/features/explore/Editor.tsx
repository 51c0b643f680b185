/** The PromQL editor: completion, highlighting, bracket matching. Loaded after the page. */

import {
	autocompletion,
	closeBrackets,
	closeBracketsKeymap,
	completionKeymap,
} from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { lintKeymap } from "@codemirror/lint";
import { EditorState, Prec } from "@codemirror/state";
import { EditorView, keymap, placeholder } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { PromQLExtension } from "@prometheus-io/codemirror-promql";
import { useEffect, useRef } from "react";
import { urlOf } from "../../api/client";

const theme = EditorView.theme({
	"&": { fontSize: "13px", backgroundColor: "transparent", color: "var(--text)" },
	"&.cm-focused": { outline: "none" },
	".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "18px" },
	".cm-content": { padding: "7px 6px", caretColor: "var(--text)" },
	".cm-cursor": { borderLeftColor: "var(--text)" },
	".cm-placeholder": { color: "var(--text-3)" },
	"&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
		backgroundColor: "var(--accent-weak)",
	},
	".cm-matchingBracket": {
		backgroundColor: "var(--accent-weak) !important",
		outline: "1px solid var(--accent)",
	},
	".cm-tooltip": {
		backgroundColor: "var(--surface)",
		border: "1px solid var(--border-strong)",
		borderRadius: "8px",
		boxShadow: "var(--shadow-pop)",
		overflow: "hidden",
	},
	".cm-tooltip.cm-tooltip-autocomplete > ul": {
		fontFamily: "var(--mono)",
		fontSize: "12px",
		maxHeight: "300px",
	},
	".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "3px 8px" },
	".cm-tooltip-autocomplete ul li[aria-selected]": {
		backgroundColor: "var(--accent-weak)",
		color: "var(--text)",
	},
	".cm-completionMatchedText": { textDecoration: "none", color: "var(--accent)", fontWeight: "600" },
	".cm-completionIcon": { display: "none" },
	".cm-completionDetail": { color: "var(--text-3)", fontStyle: "normal", marginLeft: "12px" },
	".cm-completionInfo": { padding: "6px 10px", maxWidth: "320px" },
	".cm-diagnostic": { padding: "4px 10px" },
	".cm-lintRange-error": {
		textDecoration: "underline wavy var(--crit)",
		textUnderlineOffset: "3px",
		backgroundImage: "none",
	},
});

const colours = HighlightStyle.define([
	{ tag: [tags.keyword, tags.operatorKeyword, tags.modifier], color: "var(--accent)" },
	{ tag: tags.function(tags.variableName), color: "var(--accent)" },
	{ tag: tags.labelName, color: "var(--text-2)" },
	{ tag: tags.string, color: "var(--ok)" },
	{ tag: tags.number, color: "var(--warn)" },
	{ tag: tags.comment, color: "var(--text-3)", fontStyle: "italic" },
	{ tag: tags.invalid, color: "var(--crit)" },
]);

function newLine(view: EditorView): boolean {
	view.dispatch(view.state.replaceSelection("\n"));
	return true;
}

export interface EditorProps {
	label: string;
	value: string;
	onChange: (value: string) => void;
	onRun: (value: string) => void;
}

export default function Editor({ label, value, onChange, onRun }: EditorProps) {
	const host = useRef<HTMLDivElement>(null);
	const view = useRef<EditorView | null>(null);
	const calls = useRef({ onChange, onRun });
	calls.current = { onChange, onRun };
	const first = useRef(value);

	useEffect(() => {
		const run = () => {
			const text = view.current?.state.doc.toString() ?? "";
			calls.current.onRun(text);
			return true;
		};
		// The base address without its slash: the extension appends /api/v1 itself.
		const promql = new PromQLExtension()
			.activateCompletion(true)
			.activateLinter(true)
			.setComplete({ remote: { url: urlOf("").href.replace(/\/$/, "").split("?")[0], httpMethod: "GET" } });
		const nonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? "";
		const editor = new EditorView({
			parent: host.current as HTMLDivElement,
			state: EditorState.create({
				doc: first.current,
				extensions: [
					EditorView.cspNonce.of(nonce),
					history(),
					bracketMatching(),
					closeBrackets(),
					autocompletion(),
					EditorView.lineWrapping,
					theme,
					syntaxHighlighting(colours),
					placeholder("PromQL expression, Enter runs it"),
					promql.asExtension(),
					Prec.high(
						keymap.of([
							{ key: "Enter", run },
							{ key: "Mod-Enter", run },
						]),
					),
					Prec.highest(keymap.of(completionKeymap)),
					keymap.of([
						{ key: "Shift-Enter", run: newLine },
						...closeBracketsKeymap,
						...historyKeymap,
						...lintKeymap,
						...defaultKeymap,
					]),
					EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false" }),
					EditorView.updateListener.of((u) => {
						if (u.docChanged) calls.current.onChange(u.state.doc.toString());
					}),
				],
			}),
		});
		view.current = editor;
		return () => editor.destroy();
	}, [label]);

	useEffect(() => {
		const editor = view.current;
		if (!editor || editor.state.doc.toString() === value) return;
		editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: value } });
	}, [value]);

	return <div ref={host} />;
}
