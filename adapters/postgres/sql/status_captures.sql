-- What is captured: one row for each table that has triggers of ours, a partition after the table that it is a
-- part of. The triggers' one argument ends with a zero byte. Last the log's owner, and whether it may read the table.
select c.oid, format('%s.%s', n.nspname, c.relname), format('%s.%s', rn.nspname, rc.relname),
    c.relkind = 'p', array_agg(t.tgname::text), bool_and(t.tgenabled in ('O', 'A')), count(distinct t.tgargs) = 1,
    (array_agg(convert_from(substring(t.tgargs for length(t.tgargs) - 1), 'UTF8') order by t.tgname))[1],
    f.proowner::regrole::text,
    has_schema_privilege(f.proowner, n.oid, 'usage') and has_any_column_privilege(f.proowner, c.oid, 'select')
from pg_trigger as t
join pg_proc as f on f.oid = t.tgfoid
join pg_class as c on c.oid = t.tgrelid
join pg_namespace as n on n.oid = c.relnamespace
join pg_class as rc on rc.oid = coalesce(pg_partition_root(c.oid::regclass), c.oid)
join pg_namespace as rn on rn.oid = rc.relnamespace
where t.tgfoid in (to_regproc('tidegate_capture'), to_regproc('tidegate_capture_as'))
group by c.oid, n.oid, n.nspname, c.relname, rn.nspname, rc.relname, c.relkind, rc.oid, f.proowner
order by 3, c.oid <> rc.oid, 2
