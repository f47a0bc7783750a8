/**
 * Adapters for caches of queries: what an event is about is asked for again, or set from the event; what a state holds is set.
 *
 * Bind once per sync and cache, right after createSync; what they give ends it. No query needs an interval any more.
 */

import type { Off, Sync, SyncEvent } from "./tidegate.js";

/** A key of the cache, and its new value, or a function of the old one. `undefined`: asked for again, as of what is gone. */
export type Entry<Key> = readonly [key: Key, value: unknown];

export interface BindOptions<Key> {
  /** By entity type: the keys that an event makes stale. Each is asked for again once in `debounceMs`, however many events there are. */
  keys?: Readonly<Record<string, (id: string, event: SyncEvent) => readonly Key[]>>;
  /** By entity type: what an event sets at once. `data` is undefined where the entity is gone (`delete`, `leave`). */
  set?: Readonly<Record<string, (id: string, data: Record<string, any> | undefined, event: SyncEvent) => readonly Entry<Key>[]>>;
  /** By entity type: what a whole state sets (option `state: true` of createSync), from `sync.entities` of that type. */
  state?: Readonly<Record<string, (entities: ReadonlyMap<string, any>) => readonly Entry<Key>[]>>;
  /** What a `reset` makes stale; default: everything. Nothing where the state of every type of `keys` follows. */
  all?: readonly Key[];
  /** How long invalidations are gathered; default 100. */
  debounceMs?: number;
  /** For tests. */
  clock?: { setTimeout(run: () => void, ms: number): any; clearTimeout(id: any): void };
  random?: () => number;
}

/** What of TanStack Query's QueryClient is used (version 5). */
export interface QueryClientLike {
  invalidateQueries(filters?: { queryKey?: readonly unknown[] }): Promise<unknown>;
  setQueryData(queryKey: readonly unknown[], value: any): unknown;
  isFetching(filters?: { queryKey?: readonly unknown[]; exact?: boolean }): number;
}

/** Keys are query keys; one is stale with all that begin with it. */
export function bindQueryClient(sync: Sync, queryClient: QueryClientLike, options?: BindOptions<readonly unknown[]>): Off;

/** `mutate`: of `useSWRConfig()`, or SWR's global one. Keys are as useSWR takes them. */
export function bindSwr(sync: Sync, mutate: (key: any, data?: any, options?: any) => Promise<any>, options?: BindOptions<unknown>): Off;
