/**
 * The client of a Tidegate gateway: it streams, polls where it has to, resumes, and comes back by itself.
 *
 * What goes over the wire is docs/protocol.md; "section" below means its sections. Members whose names end in `Ms`
 * are milliseconds. An entity is named by one text everywhere: `order` for all of a type, `order:O-1` for one of it.
 */

/** Runs once what it belongs to is not wanted any more. To call it again does nothing. */
export type Off = () => void;

/** What was published (section 1). Members that are absent stay absent. */
export interface SyncEvent<Data = Record<string, any>> {
  /** The cursor at which it stands (section 2): opaque text. */
  readonly id: string;
  readonly eventType: string;
  /** Of an event without an entity both are absent. */
  readonly entityType?: string;
  readonly entityId?: string;
  /** `leave`: the entity is out of what this client asked for, or may see (section 3); it has neither data nor previous. */
  readonly action: "insert" | "update" | "delete" | "signal" | "leave";
  /** The new state, or the payload. */
  readonly data?: Data;
  /** The old state, where the source knows it. */
  readonly previous?: Partial<Data>;
  /** RFC 3339, in UTC, with milliseconds. */
  readonly timestamp: string;
  readonly source?: string;
  readonly actor?: Record<string, any>;
  readonly metadata?: Record<string, any>;
  /** An id alias of the configuration, such as `orderID`. */
  readonly [alias: string]: any;
}

/** Control events (section 4), by name, with their data. */
export interface ControlEvents {
  connected: {
    readonly clientId: string;
    readonly timestamp: string;
    readonly cursor: string;
    readonly heartbeatSeconds: number;
    readonly modes?: Readonly<Record<string, Mode>>;
    readonly recovered?: boolean;
    readonly state?: boolean;
  };
  /** What was missed can't be had: fetch anew what this page shows, after a delay drawn from 0 to `jitterMs`, unless `state` is true. */
  reset: {
    readonly reason: "trimmed" | "epoch" | "unknown" | "scope";
    readonly cursor?: string;
    readonly jitterMs?: number;
    readonly state?: boolean;
  };
  /** A part of the state. Where `last` is true, `sync.entities` has it all. */
  state: {
    readonly entityType: string;
    readonly items: readonly { readonly entityId: string; readonly data: Record<string, any> }[];
    readonly part: number;
    readonly last: boolean;
    readonly cursor: string;
  };
  heartbeat: { readonly timestamp: string };
  refresh: {
    readonly entityType: string;
    /** Absent: the whole type. */
    readonly entityId?: string;
    readonly eventTypes: readonly string[];
    readonly count: number;
    readonly cursor: string;
    readonly jitterMs: number;
  };
  "fetch-mode": {
    readonly component: string;
    readonly mode: Mode;
    readonly reason: string;
    readonly delayMs: number;
    readonly cursor: string;
    readonly pollUrl?: string;
  };
  "token-expiring": { readonly expiresAt: string };
  bye: { readonly reason: string; readonly reconnect: boolean; readonly retryMs: number };
  /** Section 10; `sync.presence` is the easier way. */
  presence: {
    readonly channel: string;
    readonly type: "sync" | "join" | "leave" | "update";
    readonly users: Readonly<Record<string, { readonly meta: Record<string, any> }>>;
  };
  broadcast: { readonly channel: string; readonly event: string; readonly payload: Record<string, any>; readonly from: string };
}

/** What this client itself tells. */
export interface OwnEvents {
  /** A request of the outbox was refused, and dropped. In the tab that made it, and in the one that sent it. */
  outbox: OutboxRefusal;
}

export type Mode = "streaming" | "polling";

/**
 * `initialized` until the microtask after createSync; `connecting`; `connected`: a transport works; `unavailable`: none
 * does, and all are tried again; `paused`: the page is hidden for good or in the back/forward cache; `disconnected`:
 * closed, told to by an operator, or `autoReconnect: false`; `failed`: refused in a way that no retry mends (look at `error`).
 */
export type SyncState = "initialized" | "connecting" | "connected" | "unavailable" | "paused" | "disconnected" | "failed";

/** How events come: `shared` by another tab of this browser. `sse` until polling really starts. */
export type Transport = "sse" | "poll" | "shared";

export type Health = "healthy" | "polling" | "connecting" | "error" | "disconnected";

/** What went wrong last; `message` says what to do. `status` is HTTP's, where there was an answer. */
export interface SyncError extends Error {
  readonly status?: number;
}

/** What an event has to be to be handed on: kinds combine with AND, several of one kind with OR (section 3). */
export interface Selection {
  /** `order`, `order:O-1`; a text is a list of one. */
  entities?: string | readonly string[];
  eventTypes?: string | readonly string[];
  /** Filters as the query has them: `branch_id=eq.7`, `status=in.(open,paid)`; all have to hold. A malformed one throws a TypeError. */
  filter?: string | readonly string[];
}

/** What createSync takes. A wrong option throws a TypeError that names it. */
export interface SyncOptions extends Selection {
  /** Where the gateway is: an origin, with a path or not; `/api/v1/sync/…` is appended. Default: the page's own. */
  baseUrl?: string;
  /** Migration components that this client belongs to (section 8). */
  components?: string | readonly string[];
  /** Begin with the state, and keep it: `sync.entities` is then complete (section 4, `state=with`). Default false. */
  state?: boolean;
  /** Gives the token of the caller (section 9), or null. Asked for when there is none, before it ends, and after a 401; never twice at once. */
  getToken?: () => string | null | undefined | Promise<string | null | undefined>;
  /** Whose page this is, where no token says so: what is kept in storage, and shared among tabs, is kept per user. Default: `sub` of the token, else `clientId`. */
  userId?: string;
  /** Default: 128 random bits, kept in storage. A cohort goes by it. */
  clientId?: string;
  clientVersion?: string;
  /** Refresh hints beside events, for handlers of `refresh` (section 4). `autoRefresh` asks for them by itself. Default false. */
  hints?: boolean;
  /** Of the hints: 50 … 60000. Defaults 500 and 2000. */
  debounceMs?: number;
  maxWaitMs?: number;
  /** Channels to be in from the beginning (section 10). */
  presence?: string | readonly string[];
  channels?: string | readonly string[];
  /** Cookies to a gateway of another origin as well (`credentials: "include"`). Default true. */
  withCredentials?: boolean;
  /** Default true. False: a stream that is lost ends in `disconnected`. */
  autoReconnect?: boolean;
  /** In a row, in which nothing worked; beyond them `failed`. Default Infinity. */
  maxReconnectAttempts?: number;
  /** The base of the backoff, 1000 by default: full jitter over min(30 s, reconnectDelay · 2ⁿ). */
  reconnectDelay?: number;
  /** How many events `sync.events` holds. Default 100. */
  eventHistoryLimit?: number;
  /** Keep the cursor, and what it describes, for the next visit of this user. Default true. */
  enablePersistence?: boolean;
  /** Tell the gateway how long streams took to begin, and why polling did (section 8). Default true. */
  telemetry?: boolean;
  /** One connection per browser, for each user and selection, and not per tab. Default true. */
  shared?: boolean;
  /** In place of the browser's own, for tests. */
  fetch?: typeof fetch;
  clock?: Clock;
  storage?: Pick<Storage, "getItem" | "setItem" | "removeItem"> & Partial<Pick<Storage, "key" | "length">> | null;
}

export interface Clock {
  /** Monotonic milliseconds. */
  now(): number;
  /** Milliseconds since 1970. Default: `now`. */
  wall?(): number;
  setTimeout?(run: () => void, ms: number): any;
  clearTimeout?(id: any): void;
}

export interface Metrics {
  readonly totalEvents: number;
  readonly eventCounts: Readonly<Record<string, number>>;
  readonly lastEvent: SyncEvent | null;
  /** Milliseconds since it is connected; 0 where it is not. */
  readonly uptime: number;
  readonly totalReconnects: number;
  /** How long the last event took, by the two clocks' word; null before the first. */
  readonly lagMs: number | null;
  readonly transport: Transport;
  readonly duplicatesDropped: number;
  /** Data that was no JSON object. */
  readonly malformed: number;
  /** How often polling began. */
  readonly fallbacks: number;
}

/** The same object until something changes, as React's useSyncExternalStore needs. */
export interface Snapshot {
  readonly state: SyncState;
  readonly transport: Transport;
  readonly health: Health;
  readonly error: SyncError | null;
  readonly modes: Readonly<Record<string, Mode>>;
  readonly cursor: string | null;
  readonly lastEvent: SyncEvent | null;
  readonly events: readonly SyncEvent[];
  readonly metrics: Metrics;
}

export interface Status {
  readonly state: SyncState;
  readonly transport: Transport;
  readonly error: SyncError | null;
  readonly modes: Readonly<Record<string, Mode>>;
  /** As `connected` gave it. */
  readonly clientId: string | null;
  readonly heartbeatMs: number | null;
  /** Why it polls, ended or failed; null where it does not. */
  readonly reason: string | null;
}

export interface AutoRefreshOptions {
  /** Only events of these types count. Default: all. */
  eventTypes?: readonly string[];
  /** How long it has to be quiet, 500 by default, and the longest that a refetch is held back, 2000. */
  debounceMs?: number;
  maxWaitMs?: number;
}

/** JSON, as what is kept has to be. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json | undefined };

/** An object is merged over the entity (top level), null takes it away, a function gives what it becomes. */
export type Change<Data = Record<string, any>> = Partial<Data> | null | ((data: Data | undefined) => Data | null | undefined);

/** How to tell that somebody else changed the entity meanwhile: by the server's word, never by this device's clock. */
export interface ConflictOptions<Data = Record<string, any>> {
  /**
   * The member that grows with each change, such as `version` or `modifiedAt`. Numbers, digits and RFC 3339 are compared by
   * their order; of anything else another value is a later one.
   */
  conflict?: keyof Data & string;
  /** The entity as it was when the user began. Default: as it is now. */
  base?: Data;
  /**
   * The server's state is later than the base, and the write was not answered yet: the change does not show any more. A request
   * of the outbox goes out all the same: let it carry `If-Match`, so that the server refuses it.
   */
  onConflict?: (server: Data, mine: Data | null | undefined) => void;
}

export interface OptimisticOptions<Data, Answer> extends ConflictOptions<Data> {
  /**
   * Does the write: gives its Response, or anything with a `cursor`. A Response that is not `ok` is a failure. `Sync-Cursor` or
   * `cursor` says when the change goes: once the stream is there. Without one it goes with the next event of the entity, or after 10 s.
   */
  write: () => Promise<Answer>;
}

/** A write. It is kept until it is answered, over reloads too, and sent in order, one at a time, by one tab. */
export interface OutboxRequest<Data = Record<string, any>> extends ConflictOptions<Data> {
  /** Default POST. */
  method?: "POST" | "PUT" | "PATCH" | "DELETE";
  /** Appended to `baseUrl`, with the token of `getToken`; begins with one slash. Either this or `url`. */
  path?: string;
  /** Anywhere else: without the token. It is sent with `Idempotency-Key`, which a server of another origin has to allow. */
  url?: string;
  /** `Authorization` is refused, for it would be kept. An `Idempotency-Key` of the page's own is used in place of a random one. */
  headers?: Readonly<Record<string, string>>;
  /** A text goes as it is, anything else as JSON. Blobs, forms and bytes are refused. */
  body?: Json;
  /** What it changes, `order:O-1`; needed for `optimistic`. */
  entity?: string;
  /** Shown at once by `sync.entities`, and rolled back where the request is refused. Over a reload only an object or null is kept. */
  optimistic?: Change<Data>;
}

/** An answer that counts: neither 5xx nor 408, 425 or 429, which are tried again. */
export interface OutboxAnswer {
  readonly ok: boolean;
  readonly status: number;
  /** `Sync-Cursor` of the answer, or `cursor` of its body. */
  readonly cursor?: string;
  /** Its JSON; null where it has none. */
  readonly body: any;
}

export interface OutboxRefusal {
  /** As it is kept: with its idempotency key, without functions. */
  readonly request: OutboxRequest & { readonly key?: string };
  readonly status: number;
  /** The answer's JSON, RFC 9457 where the server keeps to it. */
  readonly problem: Readonly<Record<string, any>>;
}

/** What `enqueue` rejects with where the request was refused. Where it was not sent at all there is no `status`. */
export interface OutboxError extends Error, Partial<OutboxRefusal> {}

export interface Presence<Meta = Record<string, any>> {
  /** Who is there, by id, with what they set. The same object until that changes. */
  readonly users: Readonly<Record<string, Meta>>;
  readonly isConnected: boolean;
  /** Sets what others see of this user: at most 1,024 bytes as JSON. Rejects with the gateway's word. */
  update(meta: Meta): Promise<void>;
  leave(): void;
  onChange(run: () => void): Off;
}

export interface Channel {
  /** To all who are in the channel, oneself too; never stored. At most 8,192 bytes as JSON. Rejects with the gateway's word. */
  send(event: string, payload?: Record<string, any>): Promise<void>;
  on(event: string, run: (payload: any, from: string) => void): Off;
  leave(): void;
}

export interface Sync extends AsyncIterable<SyncEvent> {
  readonly state: SyncState;
  readonly transport: Transport;
  readonly health: Health;
  readonly error: SyncError | null;
  readonly status: Status;
  readonly clientId: string;
  /** Up to where everything is here; null before anything is known. */
  readonly cursor: string | null;
  /** Whether `entities` is the whole state at `cursor`. */
  readonly complete: boolean;
  /** The newest `eventHistoryLimit` events, the newest last. The same array until one comes. */
  readonly events: readonly SyncEvent[];
  readonly lastEvent: SyncEvent | null;
  readonly modes: Readonly<Record<string, Mode>>;
  readonly metrics: Metrics;

  /** Every event of a type, every control event, or (`"*"`) all of them. A handler that throws is reported, and stops no other. */
  on<Name extends keyof ControlEvents>(type: Name, run: (data: ControlEvents[Name], id?: string) => void): Off;
  on<Name extends keyof OwnEvents>(type: Name, run: (data: OwnEvents[Name]) => void): Off;
  on(type: "*", run: (data: any, type: string, id?: string) => void): Off;
  on<Data = Record<string, any>>(type: string, run: (event: SyncEvent<Data>, id: string) => void): Off;

  /** The events that match. One that was inside a filter and is not any more comes with the action `leave`. */
  subscribe<Data = Record<string, any>>(filter: Selection, run: (event: SyncEvent<Data>, id: string) => void): Off;
  subscribe<Data = Record<string, any>>(run: (event: SyncEvent<Data>, id: string) => void): Off;

  /** After anything of `getSnapshot` or `entities` changed, once for all that one task brings. */
  onChange(run: () => void): Off;
  getSnapshot(): Snapshot;

  /** What is known of a type: entityId → data, with what is being written laid over it. The same Map until it changes. */
  entities<Data = Record<string, any>>(type: string): ReadonlyMap<string, Data>;

  /** At once, also from `disconnected` and `failed`. */
  reconnect(): void;
  /** Ends it. With `forget` what is kept of this user goes as well, in all tabs. */
  close(options?: { forget?: boolean }): void;
  /** `close({forget: true})`: the cursor, the state and the outbox of this user are gone. */
  signOut(): void;

  /**
   * Calls `refetch` where something of an entity changed: once for a burst, one at a time, on the gateway's hints where the stream brings
   * them, and after a `reset`. One that fails is reported, and made again when the next change comes. Null: all that this client selects.
   */
  autoRefresh(entity: string | readonly string[] | null, refetch: () => unknown, options?: AutoRefreshOptions): Off;

  /** Shows a change while `write` is under way, and until the stream has come to it. Gives write's answer; rejects where it failed, and is rolled back. */
  optimistic<Data = Record<string, any>, Answer = unknown>(
    entity: string,
    change: Change<Data>,
    options: OptimisticOptions<Data, Answer>,
  ): Promise<Answer>;

  /**
   * Keeps a request until it is answered. 5xx, 408, 425, 429 (`Retry-After`) and a network that is away are tried again, however long that takes.
   * Rejects with an OutboxError where it was refused, signed out of, closed, or where 1,000 requests or 1 MB wait already;
   * with a TypeError where it could never be sent.
   */
  enqueue<Data = Record<string, any>>(request: OutboxRequest<Data>): Promise<OutboxAnswer>;

  /** Several as one: in order, shown in one step, settled together. A refused one stops no other: look at each answer's `ok`. */
  batch(requests: readonly OutboxRequest[]): Promise<readonly OutboxAnswer[]>;

  /** Joins a channel (section 10). Without a token `userId` becomes the client id, else it is ignored. */
  presence<Meta = Record<string, any>>(channel: string, options?: { userId?: string; meta?: Meta }): Presence<Meta>;
  channel(name: string): Channel;
}

/** Makes a client. It connects in a microtask, so handlers that are set at once miss nothing. */
export function createSync(options?: SyncOptions): Sync;
