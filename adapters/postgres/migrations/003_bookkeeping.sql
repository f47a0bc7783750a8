-- Bookkeeping, for dashboards that read the database: adapters/postgres/bookkeeping.py writes it where a gateway
-- has it switched on, and nobody else does.

-- When a gateway had the event and pushed it. Null: not yet, or the bookkeeping was off.
alter table sync_events add column processed_at timestamptz;

create table system_metrics (
    id uuid primary key default gen_random_uuid(),
    metric_type text not null,
    metric_name text not null,
    metric_value numeric not null,
    unit text not null,
    status text not null check (status in ('normal', 'warning', 'critical')),
    metadata jsonb not null default '{}',
    recorded_at timestamptz not null default clock_timestamp()
);

create index system_metrics_recorded_at on system_metrics (recorded_at);

-- One row: up to where events are marked as processed, in which history, and when that was last done.
create table sync_bookkeeping (
    is_only boolean primary key default true check (is_only),
    history uuid,
    processed_xid xid8 not null default '0',
    processed_id bigint not null default 0,
    recorded_at timestamptz
);

insert into sync_bookkeeping default values;

insert into tidegate_schema (version, name) values (3, 'bookkeeping');
