-- Table capture with a query of the row: events, and the state, have the members that the query gives.

-- As before, of two queries for rows: (id, nth row of this id, number in the relation's order, item).
create function tidegate_events_query(old_query text, new_query text, changes text)
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
        old_query, new_query, changes
    )
$$;

create or replace function tidegate_events_query(old_rows text, new_rows text, columns text, changes text)
returns text
language sql immutable
as $$
    select tidegate_events_query(
        tidegate_rows_query(old_rows, columns), tidegate_rows_query(new_rows, columns), changes
    )
$$;

-- As tidegate_rows_query, with the items of the capture's query. A row for which that gives none has none.
create function tidegate_shaped_rows_query(relation text, columns text, item text, options jsonb)
returns text
language sql immutable
as $$
    select case when relation is null then tidegate_rows_query(null, null) else format(
        $query$
            select i.id, row_number() over (partition by i.id order by i.number) as nth, i.number, i.item
            from (
                select to_jsonb(row.%I) #>> '{}' collate "C" as id, row_number() over () as number, %s as item
                from (select %s from %s) as row
                offset 0
            ) as i
            where i.item is not null
        $query$,
        options ->> 'key', item, columns, relation
    ) end
$$;

-- The events of a row whose query reads the captured table itself, as a view of it does. It shows what is, and no
-- longer what was: so `before` is the row, `after` is {"row", "item"}, and no event has a `previous`.
create function tidegate_seen_changes(id text, before jsonb, after jsonb, options jsonb)
returns setof tidegate_captured
language plpgsql immutable
as $$
declare
    entity constant text := options ->> 'entity';
    event tidegate_captured;
begin
    if before = after -> 'row' then
        return;
    end if;
    event.part := 0;
    event.entity_id := id;
    event.data := nullif(after -> 'item', 'null');
    if event.data is null then
        if before is null then
            return;
        end if;
        event.event_type := entity || '_deleted';
        event.action := 'delete';
        event.metadata := '{"omitted": ["data", "previous"]}';
        return next event;
        return;
    end if;
    if before is null then
        event.event_type := entity || '_created';
        event.action := 'insert';
    else
        event.event_type := entity || '_updated';
        event.action := 'update';
        event.metadata := '{"omitted": ["previous"]}';
    end if;
    return next tidegate_fitted(event, (options ->> 'maxEventBytes')::integer);
end;
$$;

-- The events of one statement whose rows go out as the capture's query gives them; of a query that reads the captured
-- table itself where `options` say so.
create function tidegate_shaped_events_query(old_rows text, new_rows text, columns text, options jsonb)
returns text
language sql immutable
as $$
    select case when (options ->> 'readsTable')::boolean
        then tidegate_events_query(
            tidegate_rows_query(old_rows, columns),
            tidegate_shaped_rows_query(
                new_rows, columns,
                format('jsonb_build_object(''row'', to_jsonb(row.*), ''item'', %s)', tidegate_item(options)), options
            ),
            'tidegate_seen_changes'
        )
        else tidegate_events_query(
            tidegate_shaped_rows_query(old_rows, columns, tidegate_item(options), options),
            tidegate_shaped_rows_query(new_rows, columns, tidegate_item(options), options),
            'tidegate_changes'
        )
    end
$$;

-- As tidegate_capture, for captures with a query (`options` have "as", and "readsTable"). It is a function of its own,
-- since the right to use it is the right to run any query as the log's owner.
--
-- What the query raises is no failure of the application's statement: its rows are then events with their key alone.
create function tidegate_capture_as()
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
set row_security = off
as $$
#variable_conflict use_variable
declare
    max_rows_at_once constant integer := 1000;
    max_rows_truncated constant integer := 10000;
    options constant jsonb := tidegate_options(tg_argv[0]::jsonb);
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
    is_shaped boolean;
    query text;
    events tidegate_captured[];
    failure text;
begin
    if to_regclass('sync_events') is null then
        raise warning 'tidegate: there is no table sync_events, so changes of %.% make no events',
            tg_table_schema, tg_table_name;
        return null;
    end if;
    foreach is_shaped in array array[true, false] loop
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
            query := case when is_shaped
                then tidegate_shaped_events_query(old_rows, new_rows, columns, options)
                else tidegate_events_query(
                    old_rows, new_rows, format('%I', options ->> 'key'), 'tidegate_bare_changes'
                )
            end;
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
    execute format('alter function tidegate_capture_as() set search_path = pg_catalog, %I, pg_temp', current_schema());
end;
$$;

revoke execute on function tidegate_capture_as() from public;

insert into tidegate_schema (version, name) values (11, 'shapes');
