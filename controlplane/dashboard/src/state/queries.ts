/** Queries for panels. One entry per query and range in the cache; a tick asks again under the same key. */

import { type UseQueryResult, useQueries, useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { type Failure, failureFrom, type Result, unwrap } from "../api/client";
import * as prometheus from "../api/prometheus";
import { dataAge } from "../lib/promql/queries";
import { align, type Column, type Labels, parseValue, type Table } from "../lib/series/table";
import { alignRange } from "../lib/step/step";
import { filledLength, formatDuration, rangeOrDefault } from "../lib/time/range";
import { clock } from "./clock";
import { type PageScope, useScope } from "./scope";

export interface RangeAnswer {
	readonly table: Table;
	readonly start: number;
	readonly end: number;
	readonly step: number;
	readonly notices: readonly string[];
}

export interface Ask {
	readonly id: string;
	readonly expr: string;
}

export interface Panel {
	readonly table: Table | undefined;
	readonly start: number;
	readonly end: number;
	readonly step: number;
	/** Nothing to show yet. */
	readonly loading: boolean;
	readonly refreshing: boolean;
	readonly failure: Failure | undefined;
	readonly notices: readonly string[];
	readonly asks: readonly Ask[];
	/** Epoch milliseconds of the oldest answer. */
	readonly updatedAt: number;
	readonly retry: () => void;
	readonly cancel: () => void;
}

interface RangeOptions {
	readonly step?: number;
	readonly enabled?: boolean;
	/** A range of its own, in seconds before now. It ends with the step that is still running. */
	readonly lastSeconds?: number;
}

function rangeQuery(scope: PageScope, ask: Ask, options: RangeOptions) {
	const step = options.step ?? scope.step;
	const { range } = scope;
	const span = options.lastSeconds;
	return {
		queryKey: ["range", ask.expr, span ?? range.from, span ? "now" : range.to, step] as const,
		enabled: options.enabled ?? true,
		staleTime: Number.POSITIVE_INFINITY,
		structuralSharing: false as const,
		queryFn: async ({ signal }: { signal: AbortSignal }): Promise<RangeAnswer> => {
			const now = clock.forFetch();
			// Rounding down would leave out the newest part of a step that is long.
			const exact = span ? { start: now + step - span, end: now + step } : rangeOrDefault(range, now);
			const { start, end } = alignRange(exact.start, exact.end, step);
			const { value, warnings, infos } = unwrap(
				await prometheus.queryRange(ask.expr, start, end, step, signal),
			);
			const matrix = value.resultType === "matrix" ? value.result : [];
			return { table: align(matrix, start, end, step), start, end, step, notices: [...warnings, ...infos] };
		},
	};
}

/** One or several range queries as one panel; the columns carry the id of their query in front. */
export function useRangePanel(asks: readonly Ask[], options: RangeOptions = {}): Panel {
	const scope = useScope();
	const client = useQueryClient();
	const combine = useMemo(() => combiner(asks, options.step ?? scope.step), [asks, options.step, scope.step]);
	const queries = asks.map((ask) => rangeQuery(scope, ask, options));
	const panel = useQueries({ queries, combine });
	const cancel = () => {
		for (const { queryKey } of queries) void client.cancelQueries({ queryKey, exact: true });
	};
	return { ...panel, cancel };
}

/** Every query of a tick aligns to the same step, but a slow one may lag a tick behind: columns are laid on one time axis. */
function combiner(asks: readonly Ask[], fallbackStep: number) {
	return (results: UseQueryResult<RangeAnswer>[]): Omit<Panel, "cancel"> => {
		const answers = results.map((r) => r.data);
		const newest = answers.reduce<RangeAnswer | undefined>(
			(a, b) => (b && (!a || b.end > a.end) ? b : a),
			undefined,
		);
		const columns: Column[] = [];
		answers.forEach((answer, i) => {
			if (!answer || !newest) return;
			const shift = Math.round((newest.start - answer.start) / newest.step);
			const prefix = asks.length > 1 ? `${asks[i]?.id}:` : "";
			for (const column of answer.table.columns) {
				const values =
					shift === 0 ? column.values : newest.table.time.map((_, at) => column.values[at + shift] ?? null);
				columns.push({ ...column, id: prefix + column.id, values });
			}
		});
		const failed = results.find((r) => r.error);
		return {
			table: newest ? { time: newest.table.time, columns } : undefined,
			start: newest?.start ?? 0,
			end: newest?.end ?? 0,
			step: newest?.step ?? fallbackStep,
			loading: results.some((r) => r.isPending),
			refreshing: results.some((r) => r.isFetching),
			failure: failed ? failureFrom(failed.error) : undefined,
			notices: [...new Set(answers.flatMap((a) => a?.notices ?? []))],
			asks,
			updatedAt: Math.min(...results.map((r) => r.dataUpdatedAt)),
			retry: () => {
				for (const r of results) if (r.error || r.data === undefined) void r.refetch();
			},
		};
	};
}

export interface Sample {
	readonly labels: Labels;
	readonly value: number;
}

/** When an instant query is asked: at the end of the range, one range earlier, or by the server's clock. */
export type Moment = "end" | "before" | "server";

export function useInstant(expr: string, moment: Moment = "end", enabled = true) {
	const scope = useScope();
	const { range } = scope;
	const live = moment === "server";
	return useQuery({
		queryKey: ["instant", expr, moment, live ? "" : range.from, live ? "" : range.to],
		enabled,
		staleTime: Number.POSITIVE_INFINITY,
		queryFn: async ({ signal }): Promise<Sample[]> => {
			const { start, end } = rangeOrDefault(range, clock.forFetch());
			const time = live ? undefined : moment === "end" ? end : start;
			const { value } = unwrap(await prometheus.query(expr, time, signal));
			if (value.resultType !== "vector") return [];
			return value.result.flatMap(({ metric, value: v }) =>
				v ? [{ labels: metric, value: parseValue(v[1]) }] : [],
			);
		},
	});
}

/** The part of the range that holds data, in seconds, for numbers over all of it; undefined until it is known. */
export function useFilledLength(): number | undefined {
	const { names, length, scrape } = useScope();
	const answer = useInstant(dataAge(names, length, Math.max(scrape, Math.ceil(length / 240))));
	if (answer.isPending) return undefined;
	const age = single(answer.data);
	return age === null ? length : filledLength(length, age);
}

/** `last 1h`, or how much of it there is. */
export function filledWords(length: number, filled: number | undefined): string {
	return filled === undefined || filled >= length
		? `last ${formatDuration(length)}`
		: `last ${formatDuration(filled)}, the data so far`;
}

/** Only the finite value of a query without labels. */
export function single(samples: readonly Sample[] | undefined): number | null {
	const value = samples?.[0]?.value;
	return value !== undefined && Number.isFinite(value) ? value : null;
}

/** Alerts; `missing` when the server has no such endpoint yet. */
export function useAlerts() {
	const query = useQuery({
		queryKey: ["alerts"],
		staleTime: Number.POSITIVE_INFINITY,
		queryFn: async ({ signal }) => {
			const result = await prometheus.alerts(signal);
			if (!result.ok && result.failure.kind === "not-found") return null;
			return unwrap(result).value.alerts;
		},
	});
	return { ...query, missing: query.data === null, alerts: query.data ?? [] };
}

export function useRules() {
	const query = useQuery({
		queryKey: ["rules"],
		staleTime: Number.POSITIVE_INFINITY,
		queryFn: async ({ signal }) => {
			const result = await prometheus.rules(signal);
			if (!result.ok && result.failure.kind === "not-found") return null;
			return unwrap(result).value.groups;
		},
	});
	return { ...query, missing: query.data === null, groups: query.data ?? [] };
}

/** Whether the server is known to have no statistics of its database. */
export function useStorageMissing(): boolean {
	const query = useQuery({
		queryKey: ["has-storage"],
		staleTime: Number.POSITIVE_INFINITY,
		queryFn: async ({ signal }) => {
			const result = await prometheus.tsdbStatus(1, signal);
			if (!result.ok && result.failure.kind === "not-found") return null;
			unwrap(result);
			return true;
		},
	});
	return query.data === null;
}

/** One of the server's status answers; `null` when it has no such endpoint. */
export function useStatus<T>(name: string, ask: (signal?: AbortSignal) => Promise<Result<T>>) {
	return useQuery({
		queryKey: ["status", name],
		staleTime: Number.POSITIVE_INFINITY,
		queryFn: async ({ signal }): Promise<T | null> => {
			const result = await ask(signal);
			if (!result.ok && result.failure.kind === "not-found") return null;
			return unwrap(result).value;
		},
	});
}
