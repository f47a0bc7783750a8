-- The log's table. A row's position is (xid, id): see docs/architecture.md, "Postgres as the log".
create table sync_events (
    xid xid8 not null default pg_current_xact_id(),
    id bigint not null generated always as identity,
    event_type text not null,
    entity_type text,
    entity_id text,
    action text not null,
    -- json, not jsonb: what was published is what is delivered. jsonb changes the spelling of numbers and the
    -- order of members, and refuses a NUL character, which JSON allows.
    data json,
    previous json,
    "timestamp" timestamptz not null default clock_timestamp(),
    source text,
    actor json,
    metadata json,
    -- When the log got the row. Retention goes by it: "timestamp" is whatever the publisher says.
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (xid, id),
    -- Any application may insert here, and a row that is no event would be in every reader's way.
    constraint event_type_is_a_name check (event_type ~ '^[A-Za-z0-9_.-]{1,64}$'),
    constraint event_type_is_not_reserved check (
        event_type not in (
            'connected', 'reset', 'heartbeat', 'refresh', 'fetch-mode', 'token-expiring', 'presence', 'broadcast',
            'bye'
        )
    ),
    constraint entity_is_whole check ((entity_type is null) = (entity_id is null)),
    constraint entity_type_is_a_name check (entity_type ~ '^[A-Za-z0-9_.-]{1,64}$'),
    constraint entity_id_is_printable check (
        length(entity_id) between 1 and 256 and entity_id !~ U&'[\0001-\001F\007F-\009F]'
    ),
    constraint action_is_known check (action in ('insert', 'update', 'delete', 'signal')),
    constraint source_is_printable check (
        length(source) between 1 and 256 and source !~ U&'[\0001-\001F\007F-\009F]'
    ),
    constraint data_is_an_object check (json_typeof(data) = 'object'),
    constraint previous_is_an_object check (json_typeof(previous) = 'object'),
    constraint actor_is_an_object check (json_typeof(actor) = 'object'),
    constraint metadata_is_an_object check (json_typeof(metadata) = 'object'),
    constraint timestamp_has_four_digits check (
        "timestamp" >= '0001-01-01T00:00:00Z' and "timestamp" < '10000-01-01T00:00:00Z'
    )
);

-- One row: the highest key that is no longer held, and the name of this history. Whoever deletes from the log,
-- whatever the reason, moves the floor in the same transaction, so a reader that was passed always learns it.
create table sync_events_bounds (
    is_only boolean primary key default true check (is_only),
    pruned_xid xid8 not null default '0',
    pruned_id bigint not null default 0,
    history uuid not null default gen_random_uuid()
);

insert into sync_events_bounds default values;

create function sync_events_deleted() returns trigger language plpgsql security definer
set search_path from current
as $$
begin
    update sync_events_bounds b
    set pruned_xid = g.xid, pruned_id = g.id
    from (select d.xid, d.id from deleted d order by d.xid desc, d.id desc limit 1) g
    where (g.xid, g.id) > (b.pruned_xid, b.pruned_id);
    return null;
end
$$;

create trigger sync_events_deleted after delete on sync_events
referencing old table as deleted
for each statement execute function sync_events_deleted();

-- An emptied log starts over: a new name, hence a new epoch, and every cursor into the old one gets a reset.
create function sync_events_truncated() returns trigger language plpgsql security definer
set search_path from current
as $$
begin
    update sync_events_bounds set pruned_xid = '0', pruned_id = 0, history = gen_random_uuid();
    return null;
end
$$;

create trigger sync_events_truncated after truncate on sync_events
for each statement execute function sync_events_truncated();

insert into tidegate_schema (version, name) values (1, 'sync_events');
