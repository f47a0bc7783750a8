-- A captured table may have a column of any name. Where this function's SQL looked at a row, a column with the
-- name of an alias or a variable of that SQL took its place: the change was a gap, or an event of another entity.

-- As before, but that `c.*` is the row whatever its columns are called: `c` would be a column of that name.
create or replace function tidegate_rows_query(relation text, columns text)
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
                        select to_jsonb(c.*) as item, row_number() over () as number
                        from (select %s from %s) as c
                    ) as r
                ) as i'
        end,
        columns, relation
    )
$$;

-- What follows `previous` and `new` in the members that tell of a change: words in snake case become one in camel
-- case, as in gateway/core/changes.py. Captures that an earlier release made hold names with their underscores.
create function tidegate_suffix(suffix text)
returns text
language sql immutable
as $$
    select string_agg(upper(left(w.word, 1)) || substr(w.word, 2), '' order by w.number)
        || substring(suffix from '[_-]*$')
    from regexp_split_to_table(suffix, '[_-]+') with ordinality as w (word, number)
$$;

-- A capture's options as a trigger has them, with suffixes as they are made now.
create function tidegate_options(given jsonb)
returns jsonb
language sql immutable
as $$
    select given || jsonb_build_object('changes', coalesce(
        jsonb_agg(c.rule || jsonb_build_object('suffix', tidegate_suffix(c.rule ->> 'suffix')) order by c.number),
        '[]'
    ))
    from jsonb_array_elements(given -> 'changes') with ordinality as c (rule, number)
$$;

-- As before, with the options above, and its variables are never columns of the table.
create or replace function tidegate_capture()
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

insert into tidegate_schema (version, name) values (6, 'names');
