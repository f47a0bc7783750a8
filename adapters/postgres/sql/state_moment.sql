-- Of the same moment: what it is called (two of one name show the same), the server's clock, and the captured tables.
-- Of a partitioned table that is the table itself. A table can be read where this user may ask for it, its key is
-- there, and the log's owner, with whose rights it is read, may read it.
select
    pg_current_snapshot()::text, floor(extract(epoch from clock_timestamp()) * 1000)::float8 as as_of_ms,
    coalesce(
        (
            select json_agg(json_build_array(t.oid::bigint, t.options ->> 'entity') order by t.oid)
            from (
                select distinct on (c.oid) c.oid, c.relnamespace, tidegate_captured_as(c.oid) as options, f.oid as reader, f.proowner
                from pg_trigger as t
                join pg_class as c on c.oid = t.tgrelid
                join pg_proc as f on f.oid = to_regprocedure('tidegate_state(oid, text[])')
                where t.tgfoid in (to_regproc('tidegate_capture'), to_regproc('tidegate_capture_as'))
                    and not c.relispartition
            ) as t
            where has_function_privilege(t.reader, 'execute')
                and has_schema_privilege(t.proowner, t.relnamespace, 'usage')
                and has_any_column_privilege(t.proowner, t.oid, 'select')
                and tidegate_columns(t.oid, t.options) is not null
        ),
        '[]'
    )::text
