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

-- How a table is captured, as its triggers say it; null where it is not. Whoever may use tidegate_capture() writes a
-- trigger's argument as they like, and a trigger on a view too: so what may run as somebody else counts in none of them.
create function tidegate_captured_as(relation oid)
returns jsonb
language sql stable
as $$
    select convert_from(substring(t.tgargs for length(t.tgargs) - 1), 'UTF8')::jsonb
        - case when t.tgfoid = to_regproc('tidegate_capture') then 'as' else '' end
    from pg_trigger as t
    join pg_class as c on c.oid = t.tgrelid
    where t.tgrelid = relation and c.relkind in ('r', 'p')
        and t.tgfoid in (to_regproc('tidegate_capture'), to_regproc('tidegate_capture_as'))
    order by t.tgname
    limit 1
$$;

-- The types of which a value may not be cast: a cast of it, or of what it is made of, is a function of somebody who is
-- neither a superuser nor us, and would run with our rights.
create function tidegate_uncast_types()
returns oid[]
-- In this language its plan is kept: each statement asks.
language plpgsql stable
as $$
begin
    return array(
        with recursive uncast (type) as (
            select k.castsource
            from pg_cast as k
            join pg_proc as f on f.oid = k.castfunc
            join pg_roles as r on r.oid = f.proowner
            where not r.rolsuper and r.rolname <> current_user
            union
            select t.oid
            from uncast as u
            join pg_type as t on u.type in (t.typbasetype, t.typelem)
                or exists (
                    select
                    from pg_attribute as a
                    where a.attrelid = t.typrelid and a.atttypid = u.type and not a.attisdropped
                )
        )
        select u.type from uncast as u
    );
end;
$$;

-- As before. A value of a type that may not be cast is the text that it is written as.
create or replace function tidegate_columns(relation oid, options jsonb)
returns text
language sql stable
as $$
    select case when bool_or(a.attname = options ->> 'key')
        then string_agg(
            format(
                case when a.atttypid = any(u.types)
                    then $column$case when %1$I is not null then format('%%s', %1$I) end as %1$I$column$
                    else '%1$I'
                end,
                a.attname
            ),
            ', ' order by a.attnum
        )
    end
    from (select tidegate_uncast_types() as types) as u
    join pg_attribute as a on a.attrelid = relation and a.attnum > 0 and not a.attisdropped
    where options -> 'columns' ? a.attname::text
$$;

-- The type by which a key is looked up: that of its domain, whose checks are functions of the table's owner. Null where
-- no text is turned into one without anything else that somebody has made.
create function tidegate_key_type(type oid)
returns text
language sql stable
as $$
    with recursive base (oid, kind, next) as (
        select t.oid, t.typtype, t.typbasetype from pg_type as t where t.oid = type
        union all
        select t.oid, t.typtype, t.typbasetype from base as b join pg_type as t on t.oid = b.next
    )
    select format_type(b.oid, -1)
    from base as b
    join pg_type as t on t.oid = b.oid
    where b.kind in ('b', 'e') and t.typelem = 0
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
            -- A literal is read by its type alone; a text would be cast, by whatever cast there is.
            execute format('select %L::%s', id, type);
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
        select tidegate_key_type(a.atttypid)
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
            case when key_type is not null and ids is not null
                then format('where c.%I = any(%L::%s[])', options ->> 'key', tidegate_ids_of_type(ids, key_type), key_type)
            end
        )
        from pg_class as c
        join pg_namespace as n on n.oid = c.relnamespace
        where c.oid = relation
    ) using ids;
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
