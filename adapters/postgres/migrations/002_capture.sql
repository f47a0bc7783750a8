-- Table capture: rows that statements changed become events, in the transaction that changed them.

-- What one changed row gives, before the log numbers it. `part` orders the events of one row.
create type tidegate_captured as (
    part integer,
    event_type text,
    action text,
    entity_id text,
    data jsonb,
    previous jsonb,
    metadata jsonb
);

-- An event within the size limit: as it is, else without `previous`, else without `data` too. What was left
-- out is named in metadata.omitted (docs/protocol.md, section 7).
--
-- The size is that of Postgres' own spelling, which the gateway's is rarely longer than. JSON that the
-- gateway can't read back (a number beyond a double, over 200 levels) would stop every reader of the log at
-- this event, so it is left out too.
create function tidegate_fitted(event tidegate_captured, max_event_bytes integer)
returns tidegate_captured
language plpgsql immutable
as $$
declare
    room constant integer := max_event_bytes - 512 - octet_length(event.entity_id);
    data_bytes constant integer := coalesce(octet_length(event.data::text), 0);
    previous_bytes constant integer := coalesce(octet_length(event.previous::text), 0);
    unreadable constant jsonpath :=
        'strict $.** ? (@.type() == "number" && (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308))';
    too_deep constant jsonpath := 'strict $.**{200}';
    data_fits boolean;
    previous_fits boolean;
begin
    data_fits := data_bytes <= room
        and not jsonb_path_exists(event.data, unreadable) and not jsonb_path_exists(event.data, too_deep);
    if event.previous is null then
        if not data_fits then
            event.data := null;
            event.metadata := '{"omitted": ["data"]}';
        end if;
        return event;
    end if;
    previous_fits := data_bytes + previous_bytes <= room
        and not jsonb_path_exists(event.previous, unreadable)
        and not jsonb_path_exists(event.previous, too_deep);
    if data_fits and previous_fits then
        return event;
    end if;
    event.previous := null;
    event.metadata := '{"omitted": ["previous"]}';
    if not data_fits then
        event.data := null;
        event.metadata := '{"omitted": ["data", "previous"]}';
    end if;
    return event;
end;
$$;

-- The events that lead from one state of a row to the next; null is no row. The same ones, in the same
-- order, as the comparison of two polls gives for these items (docs/protocol.md, section 7).
create function tidegate_changes(id text, before jsonb, after jsonb, options jsonb)
returns setof tidegate_captured
language plpgsql immutable
as $$
declare
    entity constant text := options ->> 'entity';
    max_event_bytes constant integer := options ->> 'maxEventBytes';
    event tidegate_captured;
    rule record;
    others_before jsonb := before;
    others_after jsonb := after;
begin
    event.part := 0;
    event.entity_id := id;
    if before is null then
        event.event_type := entity || '_created';
        event.action := 'insert';
        event.data := after;
        return next tidegate_fitted(event, max_event_bytes);
        return;
    end if;
    event.previous := before;
    if after is null then
        event.event_type := entity || '_deleted';
        event.action := 'delete';
        event.data := before;
        return next tidegate_fitted(event, max_event_bytes);
        return;
    end if;
    if before = after then
        return;
    end if;
    event.action := 'update';
    for rule in
        select r.number, r.rule ->> 'member' as member, r.rule ->> 'eventType' as event_type,
            'previous' || (r.rule ->> 'suffix') as old_name, 'new' || (r.rule ->> 'suffix') as new_name
        from jsonb_array_elements(options -> 'changes') with ordinality as r (rule, number)
    loop
        others_before := others_before - rule.member;
        others_after := others_after - rule.member;
        continue when before -> rule.member is not distinct from after -> rule.member;
        event.part := rule.number;
        event.event_type := rule.event_type;
        -- A member that is absent gives none of the two: absent is not null.
        event.data := after - rule.old_name - rule.new_name
            || case when before ? rule.member
                then jsonb_build_object(rule.old_name, before -> rule.member) else '{}' end
            || case when after ? rule.member
                then jsonb_build_object(rule.new_name, after -> rule.member) else '{}' end;
        return next tidegate_fitted(event, max_event_bytes);
    end loop;
    if others_before <> others_after then
        event.part := jsonb_array_length(options -> 'changes') + 1;
        event.event_type := entity || '_updated';
        event.data := after;
        return next tidegate_fitted(event, max_event_bytes);
    end if;
end;
$$;

-- The same where the values can't be had: what happened to the row, and its key alone. An update counts as
-- one of the whole row, since nobody can tell what changed.
create function tidegate_bare_changes(id text, before jsonb, after jsonb, options jsonb)
returns setof tidegate_captured
language sql immutable
as $$
    select 0, (options ->> 'entity') || named.ending, named.action, id, null::jsonb, null::jsonb,
        '{"omitted": ["data"]}'::jsonb
    from (
        select '_created' as ending, 'insert' as action where before is null
        union all
        select '_deleted', 'delete' where after is null
        union all
        select '_updated', 'update' where before is not null and after is not null
    ) as named
$$;

-- The rows of a relation as (id, nth row of this id, number in the relation's order, item): the text of a
-- query. A null relation has none. `columns` is a list for SQL; $1 stands for the capture's options.
create function tidegate_rows_query(relation text, columns text)
returns text
language sql immutable
as $$
    select format(
        case when relation is null
            then 'select null::text as id, 0::bigint as nth, 0::bigint as number, null::jsonb as item where false'
            else '
                select i.id, row_number() over (partition by i.id order by i.number) as nth, i.number, i.item
                from (
                    select r.item ->> ($1 ->> ''key'') collate "C" as id, r.number, r.item
                    from (
                        select to_jsonb(c) as item, row_number() over () as number
                        from (select %s from %s) as c
                    ) as r
                ) as i'
        end,
        columns, relation
    )
$$;

-- Whether a row's key can name an entity: 1 to 256 characters without control characters.
create function tidegate_is_entity_id(id text)
returns boolean
language sql immutable
as $$
    select coalesce(length(id) between 1 and 256 and id !~ '[\u0001-\u001f\u007f-\u009f]', false)
$$;

-- The events of one statement, in the log's order: the text of a query for tidegate_captured's columns.
-- First the rows that are gone, so that what took a key's place comes after them. Rows pair by their key, so
-- a changed key is one row gone and another come. Rows whose key can't be an entity's id are one event
-- together, which says how many there were. `changes` names the function that turns a pair into events;
-- $1 stands for the capture's options, $2 for what a gap's data begins with.
create function tidegate_events_query(old_rows text, new_rows text, columns text, changes text)
returns text
language sql immutable
as $$
    select format(
        $query$
            with pairs as materialized (
                select coalesce(o.id, n.id) as id, o.item as before, n.item as after,
                    n.number is not null as is_new, coalesce(n.number, o.number) as number,
                    tidegate_is_entity_id(coalesce(o.id, n.id)) as is_usable
                from (%s) as o full join (%s) as n on o.id = n.id and o.nth = n.nth
            )
            (
                select e.part, e.event_type, e.action, e.entity_id, e.data, e.previous, e.metadata
                from pairs as p cross join lateral %I(p.id, p.before, p.after, $1) as e
                where p.is_usable
                order by p.is_new, p.number, e.part
            )
            union all
            select 0, 'capture_gap', 'signal', null, $2 || jsonb_build_object('reason', 'bad_key', 'rows', g.rows),
                null, null
            from (select count(*) as rows from pairs as p where not p.is_usable) as g
            where g.rows > 0
        $query$,
        tidegate_rows_query(old_rows, columns), tidegate_rows_query(new_rows, columns), changes
    )
$$;

-- The events of such a query in arrays of at most $3, in order: the text of a query.
create function tidegate_chunks_query(query text)
returns text
language sql immutable
as $$
    select format(
        'select array_agg(row(n.part, n.event_type, n.action, n.entity_id, n.data, n.previous, n.metadata)
                ::tidegate_captured order by n.number)
        from (select e.*, row_number() over () as number from (%s) as e) as n
        group by (n.number - 1) / $3
        order by (n.number - 1) / $3',
        query
    )
$$;

-- Puts the events into the log, in their order, and wakes its readers. A transaction that has notified can't be
-- prepared for a two-phase commit, so where the server allows those, only who asked for it is woken so.
create function tidegate_append(events tidegate_captured[], options jsonb)
returns void
language plpgsql
as $$
begin
    if cardinality(events) > 0 then
        insert into sync_events (
            event_type, entity_type, entity_id, action, data, previous, "timestamp", source, metadata
        )
        select e.event_type, case when e.entity_id is not null then options ->> 'entity' end, e.entity_id,
            e.action, e.data, e.previous, clock_timestamp(), options ->> 'source', e.metadata
        from unnest(events) with ordinality as e
        order by e.ordinality;
        if options ->> 'notify' = 'always'
            or (options ->> 'notify' = 'auto' and current_setting('max_prepared_transactions') = '0')
        then
            notify sync_events;
        end if;
    end if;
end;
$$;

-- The columns of a table that a capture takes and the table still has, as a list for SQL; null where the key
-- is not among them.
create function tidegate_columns(relation oid, options jsonb)
returns text
language sql stable
as $$
    select case when bool_or(a.attname = options ->> 'key')
        then string_agg(format('%I', a.attname), ', ' order by a.attnum) end
    from pg_attribute as a
    where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
        and options -> 'columns' ? a.attname::text
$$;

-- The trigger function. Its one argument is the capture's options as JSON (adapters/postgres/capture.py):
-- {"entity", "key", "columns": [names], "changes": [{"member", "eventType", "suffix"}], "source",
-- "maxEventBytes", "notify"}.
--
-- `columns` names those to take, and they are looked up at every statement: a column that was dropped or
-- renamed is missing from the events, and one that was added or renamed never enters the log before somebody
-- captures the table again. Names survive a dump and restore; column numbers would not.
--
-- The application's statement must not fail because of us. What can fail on a row's values (a cast to JSON,
-- a size beyond what Postgres builds) runs in a block of its own. Up to 1,000 rows that block writes
-- nothing: one that writes costs a subtransaction id, and a transaction of many such statements slows the
-- whole server's snapshots down. Where a block failed, the rows become events with their key alone; where
-- that failed too, one event says so.
create function tidegate_capture()
returns trigger
language plpgsql security definer
set standard_conforming_strings = on
set timezone = 'UTC'
set datestyle = 'ISO, YMD'
set intervalstyle = 'iso_8601'
set bytea_output = 'hex'
set extra_float_digits = 1
set lc_monetary = 'C'
set jit = off
-- A policy that hid rows of a truncated table from us would hide their deletion: then it is an error, and told.
set row_security = off
as $$
declare
    max_rows_at_once constant integer := 1000;
    max_rows_truncated constant integer := 10000;
    options constant jsonb := tg_argv[0];
    gap constant jsonb := jsonb_build_object(
        'table', format('%s.%s', tg_table_schema, tg_table_name), 'entity', options ->> 'entity',
        'operation', lower(tg_op)
    );
    old_rows constant text := case tg_op
        when 'TRUNCATE' then format('only %I.%I', tg_table_schema, tg_table_name)
        when 'INSERT' then null
        else 'tidegate_old' end;
    new_rows constant text := case when tg_op in ('INSERT', 'UPDATE') then 'tidegate_new' end;
    columns constant text := tidegate_columns(tg_relid, options);
    row_count integer;
    changes text;
    query text;
    events tidegate_captured[];
    failure text;
begin
    if to_regclass('sync_events') is null then
        raise warning 'tidegate: there is no table sync_events, so changes of %.% make no events',
            tg_table_schema, tg_table_name;
        return null;
    end if;
    foreach changes in array array['tidegate_changes', 'tidegate_bare_changes'] loop
        begin
            failure := null;
            if tg_op = 'INSERT' then
                select count(*) into row_count from (select from tidegate_new limit max_rows_at_once + 1) as some_rows;
            elsif tg_op = 'TRUNCATE' then
                execute format('select count(*) from (select from %s limit $1) as some_rows', old_rows)
                into row_count using max_rows_truncated + 1;
            else
                select count(*) into row_count from (select from tidegate_old limit max_rows_at_once + 1) as some_rows;
            end if;
            if row_count = 0 then
                return null;
            elsif columns is null then
                failure := 'no_key';
                exit;
            elsif tg_op = 'TRUNCATE' and row_count > max_rows_truncated then
                failure := 'truncated';
                exit;
            end if;
            query := tidegate_events_query(
                old_rows, new_rows,
                case changes when 'tidegate_changes' then columns else format('%I', options ->> 'key') end,
                changes
            );
            if row_count <= max_rows_at_once then
                execute format('select array(select row(e.*)::tidegate_captured from (%s) as e)', query)
                into events using options, gap;
            else
                for events in execute tidegate_chunks_query(query) using options, gap, max_rows_at_once loop
                    perform tidegate_append(events, options);
                end loop;
                events := null;
            end if;
            exit;
        exception when others then
            events := null;
            failure := sqlstate;
        end;
    end loop;
    if failure is not null then
        events := array[row(
            0, 'capture_gap', 'signal', null, gap || jsonb_build_object('reason', failure), null, null
        )::tidegate_captured];
    end if;
    perform tidegate_append(events, options);
    return null;
end;
$$;

-- A security definer's names must not be found in a schema that others write to, nor among temporary tables.
do $$
begin
    execute format('alter function tidegate_capture() set search_path = pg_catalog, %I, pg_temp', current_schema());
end;
$$;

-- The right to use the function in a trigger is the right to make up events.
revoke execute on function tidegate_capture() from public;

-- `tidegate postgres status` counts them. They should be few, and so is what the index holds.
create index sync_events_capture_gap on sync_events (recorded_at) where event_type = 'capture_gap';

insert into tidegate_schema (version, name) values (2, 'capture');
