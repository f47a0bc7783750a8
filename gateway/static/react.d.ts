/**
 * Hooks and components for React 18 and 19, over one sync for the page.
 *
 * `const { SyncManagerProvider, useEntitySync, … } = createHooks(React);` once, in a module of the application's own.
 *
 * Filters, options and lists are compared by value, and the newest callback is called: inline ones neither subscribe anew nor go stale.
 * Where an entity, a channel or the value of `by` is not known yet (undefined, or null where null has no other meaning) a hook waits for it: it selects nothing.
 * On the server, and in a page's first rendering, nothing is connected: `initialized`, no events, no entities.
 */

import type { FunctionComponent, ReactElement, ReactNode } from "react";
import type {
  AutoRefreshOptions,
  Change,
  Health,
  Metrics,
  Off,
  OptimisticOptions,
  OutboxAnswer,
  OutboxRequest,
  Selection,
  Sync,
  SyncError,
  SyncEvent,
  SyncOptions,
  SyncState,
  Transport,
} from "./tidegate.js";

type Row = Record<string, any>;
type Maybe<Value> = Value | null | undefined;

export interface ProviderProps {
  /** Options of createSync, read once: a provider with another `key` makes another sync. Of `getToken` the newest is called. */
  initialConfig?: SyncOptions;
  /** In place of that option. */
  enablePersistence?: boolean;
  /** A sync that the application made, and closes. `initialConfig` is not looked at then. */
  sync?: Sync;
  children?: ReactNode;
}

/** The states by the names that pages know. `ERROR` is `failed`; what heals by itself is `unavailable`. */
export const ConnectionState: {
  readonly INITIALIZED: "initialized";
  readonly CONNECTING: "connecting";
  readonly CONNECTED: "connected";
  readonly UNAVAILABLE: "unavailable";
  readonly PAUSED: "paused";
  readonly DISCONNECTED: "disconnected";
  readonly FAILED: "failed";
  readonly ERROR: "failed";
};

export interface SyncManager {
  /** Null before the component is mounted, and on the server. */
  readonly sync: Sync | null;
  /** The newest `eventHistoryLimit` ones, the newest last. */
  readonly events: readonly SyncEvent[];
  readonly lastEvent: SyncEvent | null;
  readonly connectionState: SyncState;
  readonly isConnected: boolean;
  readonly transport: Transport;
  readonly health: Health;
  readonly error: SyncError | null;
  readonly metrics: Metrics;
  /** For effects; the same function at each rendering. */
  subscribe(run: (event: SyncEvent) => void): Off;
  subscribe(filter: Selection, run: (event: SyncEvent) => void): Off;
  reconnect(): void;
}

export interface ConnectionHealth {
  readonly status: Health;
  readonly state: SyncState;
  readonly transport: Transport;
  /** Events come, by whatever transport. */
  readonly isConnected: boolean;
  readonly error: SyncError | null;
  reconnect(): void;
}

export interface EventOptions {
  filter?: string | readonly string[];
  /** How many events the hook keeps, 100 by default: the newest. */
  limit?: number;
}

export interface EntitySync<Data = Row> {
  /** Of this entity alone, the newest last: those that the sync had, and what came since. */
  readonly events: readonly SyncEvent<Data>[];
  readonly latestEvent: SyncEvent<Data> | null;
  /** All of its type: with `state: true` the whole, else what came by events. */
  readonly entities: ReadonlyMap<string, Data>;
  /** The one that `order:O-1` names; null for a type, and where it is not known. */
  readonly entity: Data | null;
  readonly isConnected: boolean;
  readonly error: SyncError | null;
}

export interface EventTypeSync<Data = Row> {
  readonly events: readonly SyncEvent<Data>[];
  readonly latestEvent: SyncEvent<Data> | null;
  readonly isConnected: boolean;
}

export interface StageChangeOptions {
  /** Default `stage_change`, whose data has `previousStage` and `newStage`; `payment_status_change` has `previousPaymentStatus` and `newPaymentStatus`. */
  eventType?: string;
  /** The member that changed, for sources that add none of these: its values in `previous` and `data`. */
  member?: string;
}

export interface PollingFallback {
  /** This hook polls, or the sync does. */
  readonly isPolling: boolean;
  readonly transport: Transport;
}

export interface RealtimeState<Data = Row> {
  readonly isConnected: boolean;
  readonly error: SyncError | null;
  /** The last insert, update, delete or leave. */
  readonly latestUpdate: SyncEvent<Data> | null;
}

export interface RealtimeOptions<Data = Row> {
  /** The entity type. */
  table: string;
  /** `branch_id=eq.7`; several have to hold all. */
  filter?: string | readonly string[];
  onInsert?: (row: Data, event: SyncEvent<Data>) => void;
  /** `old` has the members of `previous` over those of the new row: where the source tells no `previous`, it is like the new one. */
  onUpdate?: (row: Data, old: Data, event: SyncEvent<Data>) => void;
  /** Deleted, or out of the filter. The row as it was; `{id}` where nobody says more. */
  onDelete?: (old: Data, event: SyncEvent<Data>) => void;
}

export type RowAction = "insert" | "update" | "delete";

/** Which changes a callback is for: those of an action, or some of them. */
export type CallbackRule<Action, Data = Row> = Action | { on: Action; when?: (row: Data, old: Data, event: SyncEvent<Data>) => boolean };

export interface EntityHookOptions<Data, Actions extends Record<string, RowAction>, Values> {
  /** The member that the hook's first argument has to equal: `customer_id`. A text of digits means the number too. */
  by?: string;
  /** Besides. */
  filter?: string | readonly string[];
  /** The names of the callbacks. Default: `onInsert`, `onUpdate`, `onDelete`. */
  callbacks?: { [Name in keyof Actions]: CallbackRule<Actions[Name], Data> };
  /** Values that follow from the rows that match: complete with the option `state: true`, else of what came by events. */
  derive?: Values;
}

type Usual = { onInsert: "insert"; onUpdate: "update"; onDelete: "delete" };
type Derive = Record<string, (rows: any[]) => unknown>;

type Handler<Data, Action> = Action extends "update"
  ? (row: Data, old: Data, event: SyncEvent<Data>) => void
  : (row: Data, event: SyncEvent<Data>) => void;
/** Each gets what its action has: insert the row, update the row and the old one, delete the old one; and the event. */
export type Handlers<Data, Actions> = { [Name in keyof Actions]?: Handler<Data, Actions[Name]> };
export type Derived<Values> = { readonly [Name in keyof Values]: Values[Name] extends (rows: any) => infer Value ? Value : never };

export type EntityHook<Data, Actions, Values> = (
  value?: Maybe<string | number>,
  handlers?: Handlers<Data, Actions>,
) => RealtimeState<Data> & Derived<Values>;

export interface AllUpdates {
  /** All of them. */
  readonly isConnected: boolean;
  readonly error: SyncError | null;
  readonly activeSubscriptions: number;
  /** For MultiSubscriptionStatus. */
  readonly subscriptions: readonly Subscription[];
  readonly [derived: string]: any;
}

export interface Subscription {
  readonly name: string;
  readonly isConnected: boolean;
}

export interface OptimisticUpdates<Data = Row> {
  /** With what is on its way. */
  readonly entities: ReadonlyMap<string, Data>;
  /** `sync.optimistic`; a function in place of the options is their `write`. */
  update<Answer>(
    entity: string,
    change: Change<Data>,
    options: OptimisticOptions<Data, Answer> | OptimisticOptions<Data, Answer>["write"],
  ): Promise<Answer>;
  /** `sync.enqueue` and `sync.batch`: kept until they are answered, over reloads too. */
  enqueue(request: OutboxRequest<Data>): Promise<OutboxAnswer>;
  batch(requests: readonly OutboxRequest<Data>[]): Promise<readonly OutboxAnswer[]>;
  /** How many writes of this component are on their way. */
  readonly pending: number;
  readonly isPending: boolean;
  /** Of the last write that failed, until the next one. It was rolled back, and the promise rejects as well. */
  readonly error: Error | null;
}

export interface ConnectionStatusProps {
  /** Default: as the provider's sync is, with a button to try again where it has lost its connection. */
  isConnected?: boolean;
  className?: string;
  /** Default true. False: for screen readers alone. */
  showLabel?: boolean;
  variant?: "default" | "compact" | "badge";
  /** Other words than the English ones. */
  labels?: Partial<Record<Health, string>>;
  retryLabel?: string;
}

export interface MultiSubscriptionStatusProps {
  subscriptions: readonly Subscription[];
  className?: string;
  connectedLabel?: string;
  disconnectedLabel?: string;
}

export interface RealtimeNotificationProps {
  type?: "job" | "invoice" | "message" | "loyalty" | "info";
  title: ReactNode;
  message?: ReactNode;
  /** Without it there is no button to dismiss it. */
  onDismiss?: () => void;
  action?: { label: string; onClick: () => void };
  className?: string;
  dismissLabel?: string;
}

export interface Hooks {
  /** Opens its sync when it is mounted, and closes it when it is gone for good. */
  SyncManagerProvider(props: ProviderProps): ReactElement;

  /** Everything of the sync. The component renders for each event; the hooks below render for less. */
  useSyncManager(): SyncManager;
  useConnectionHealth(): ConnectionHealth;

  /** What is known of `order:O-1`, or of all of `order`, and what happened to it. */
  useEntitySync<Data = Row>(entity: Maybe<string>, options?: EventOptions & { eventTypes?: string | readonly string[] }): EntitySync<Data>;
  useEventTypeSync<Data = Row>(
    eventTypes: string | readonly string[],
    run?: (event: SyncEvent<Data>) => void,
    options?: EventOptions & { entity?: string | readonly string[] },
  ): EventTypeSync<Data>;
  useStageChange(entity: Maybe<string>, run: (event: SyncEvent, previous: any, next: any) => void, options?: StageChangeOptions): void;

  /** `sync.autoRefresh`, while the component is there. Null: of all that the sync selects. The first fetch is the page's own. */
  useAutoRefresh(entity: string | readonly string[] | null | undefined, refetch: () => unknown, options?: AutoRefreshOptions): void;
  /** The same for all that the sync selects, or `entity`. */
  useDashboardSync(refresh: () => unknown, options?: AutoRefreshOptions & { entity?: string | readonly string[] }): void;

  /**
   * Calls `poll` while the sync has no transport at all, first after `graceMs` (2000), then `intervalMs` (30000) after each answer: for what
   * a backend beside the gateway can still say. That the sync itself polls where it can't stream needs no hook; this one tells.
   */
  usePollingFallback(poll?: () => unknown, options?: { intervalMs?: number; graceMs?: number }): PollingFallback;

  /** Is in a channel while the component is there. Without tokens `userId` becomes the client id, else it is ignored. */
  usePresence<Meta = Row>(channel: Maybe<string>, userId?: string, meta?: Meta): { readonly onlineUsers: Readonly<Record<string, Meta>>; readonly isConnected: boolean };
  /** `handlers` by event. `send` is for event handlers and effects, and rejects with the gateway's word. */
  useBroadcast(
    channel: Maybe<string>,
    handlers?: Readonly<Record<string, (payload: any, from: string) => void>>,
  ): { send(event: string, payload?: Row): Promise<void>; readonly isConnected: boolean };

  useOptimisticUpdates<Data = Row>(type?: string): OptimisticUpdates<Data>;

  /**
   * The rows of an entity type as they come, change and go. Where the provider's sync selects less (other `entities`, `eventTypes`, a `filter`)
   * they come by a sync of their own, one for each `table` and `filter`, which closes with its last user. With `components` and without `entities`
   * the provider's is taken to select them.
   */
  useRealtime<Data = Row>(options: RealtimeOptions<Data>): RealtimeState<Data>;

  /** A hook for an entity type, with the application's names. Call it once, outside of components. */
  makeEntityHook<Data = Row, Actions extends Record<string, RowAction> = Usual, Values extends Derive = {}>(
    entity: string,
    options?: EntityHookOptions<Data, Actions, Values>,
  ): EntityHook<Data, Actions, Values>;

  /** One hook for several entity types, by name: each with the options of makeEntityHook, and `entity` where its name is another. */
  makeAllUpdatesHook(
    types: Readonly<Record<string, EntityHookOptions<any, Record<string, RowAction>, Derive> & { entity?: string }>>,
  ): (value?: Maybe<string | number>, handlers?: Readonly<Record<string, (...given: any[]) => void>>) => AllUpdates;

  /** Says how the connection is, in words, shapes and colours (tidegate.css). */
  ConnectionStatus: FunctionComponent<ConnectionStatusProps>;
  MultiSubscriptionStatus: FunctionComponent<MultiSubscriptionStatusProps>;
  RealtimeNotification: FunctionComponent<RealtimeNotificationProps>;

  ConnectionState: typeof ConnectionState;
}

/** `open`: in place of createSync, for tests. */
export function createHooks(React: typeof import("react"), options?: { open?: (options?: SyncOptions) => Sync }): Hooks;
