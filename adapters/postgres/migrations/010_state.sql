-- The state of captured tables: their rows as the events have them, for whoever begins with them.

-- The item that a row is in events: the text of an expression over the row, which is called `row`. Null is none.
create function tidegate_item(options jsonb)
returns text
language sql immutable
as $$
    select coalesce(
        '(with row as (select row.*) select to_jsonb(tidegate_item.*) from (' || (options ->> 'as') || E'\n) as tidegate_item)',
        'to_jsonb(row.*)'
    )
$$;

-- Whether the gateway can read such JSON back: see tidegate_fitted.
create function tidegate_is_readable(item jsonb)
returns boolean
language sql immutable
as $$
    select not jsonb_path_exists(
            item,
            'strict $.** ? (@.type() == "number" && (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308))'
        )
        and not jsonb_path_exists(item, 'strict $.**{200}')
$$;

-- How a table is captured, as its triggers say it; null where it is not.
create function tidegate_captured_as(relation oid)
returns jsonb
language sql stable
as $$
    select convert_from(substring(t.tgargs for length(t.tgargs) - 1), 'UTF8')::jsonb
    from pg_trigger as t
    where t.tgrelid = relation
        and t.tgfoid in (to_regproc('tidegate_capture'), to_regproc('tidegate_capture_as'))
    order by t.tgname
    limit 1
$$;

-- Those of the ids that a key of that type may be. Of the others there is no row. None of none.
create function tidegate_ids_of_type(ids text[], type text)
returns text[]
language plpgsql stable strict
as $$
declare
    id text;
    found text[] := '{}';
begin
    foreach id in array ids loop
        begin
            execute format('select $1::%s', type) using id;
            found := found || id;
        exception when data_exception or integrity_constraint_violation then
            continue;
        end;
    end loop;
    return found;
end;
$$;

-- Opens the cursor `tidegate_state` over the rows (id, data) of a captured table, those of `ids` alone where that is
-- not null. What the gateway can't read back is left out of an item, all but its key. It is read with the rights of
-- the log's owner, as a TRUNCATE is, and gives what events give anyway; of a table that is not captured nothing.
--
-- The cursor's expressions run with the settings of who fetches: sql/state_begin.sql sets what the triggers set.
create function tidegate_state(relation oid, ids text[])
returns void
language plpgsql security definer
-- A policy that hid rows from us would make them look gone: then it is an error.
set row_security = off
as $$
declare
    options constant jsonb := tidegate_captured_as(relation);
    columns constant text := tidegate_columns(relation, options);
    key_type constant text := (
        select format_type(a.atttypid, a.atttypmod)
        from pg_attribute as a
        where a.attrelid = relation and a.attname = options ->> 'key' and not a.attisdropped
    );
    state constant refcursor := 'tidegate_state';
begin
    if columns is null then
        raise exception 'this table is not captured, or has lost its key';
    end if;
    open state no scroll for execute (
        select format(
            $query$
                select i.id, case when tidegate_is_readable(i.item) then i.item else i.bare end::text as data
                from (
                    select to_jsonb(row.%1$I) #>> '{}' as id, jsonb_build_object(%1$L, row.%1$I) as bare, %2$s as item
                    from (select %3$s from %4$I.%5$I as c %6$s) as row
                    offset 0
                ) as i
                where i.item is not null and tidegate_is_entity_id(i.id) and ($1 is null or i.id = any($1))
            $query$,
            options ->> 'key', tidegate_item(options), columns, n.nspname, c.relname,
            case when ids is not null
                then format('where c.%I = any($2::%s[])', options ->> 'key', key_type) else 'where $2 is null' end
        )
        from pg_class as c
        join pg_namespace as n on n.oid = c.relnamespace
        where c.oid = relation
    ) using ids, tidegate_ids_of_type(ids, key_type);
end;
$$;

-- A security definer's names must not be found in a schema that others write to, nor among temporary tables.
do $$
begin
    execute format('alter function tidegate_state(oid, text[]) set search_path = pg_catalog, %I, pg_temp', current_schema());
end;
$$;

revoke execute on function tidegate_state(oid, text[]) from public;

-- The parts of a state come under a name that is the gateway's. An event of before stays as it is.
alter table sync_events drop constraint event_type_is_not_reserved;

alter table sync_events add constraint event_type_is_not_reserved check (
    event_type not in (
        'connected', 'reset', 'state', 'heartbeat', 'refresh', 'fetch-mode', 'token-expiring', 'presence',
        'broadcast', 'bye', 'error', 'open'
    )
) not valid;

insert into tidegate_schema (version, name) values (10, 'state');
