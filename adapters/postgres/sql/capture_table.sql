-- The table that a name stands for, along the search_path; no row where there is none.
select c.oid, n.nspname, c.relname, c.relkind::text, c.relispartition, c.relpersistence = 't' as is_temporary,
    n.nspname like 'pg\_%%' or n.nspname = 'information_schema' as is_system,
    c.oid in (
        to_regclass('sync_events'), to_regclass('sync_events_bounds'), to_regclass('sync_bookkeeping'),
        to_regclass('system_metrics'), to_regclass('tidegate_schema')
    ) as is_ours
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where c.oid = to_regclass(%(table)s)
