-- What is captured: one row for each table that has triggers of ours, a partition after the table that it is a
-- part of. The triggers' one argument ends with a zero byte.
select c.oid, format('%s.%s', n.nspname, c.relname), format('%s.%s', rn.nspname, rc.relname),
    c.relkind = 'p', array_agg(t.tgname::text), bool_and(t.tgenabled in ('O', 'A')), count(distinct t.tgargs) = 1,
    (array_agg(convert_from(substring(t.tgargs for length(t.tgargs) - 1), 'UTF8') order by t.tgname))[1]
from pg_trigger as t
join pg_class as c on c.oid = t.tgrelid
join pg_namespace as n on n.oid = c.relnamespace
join pg_class as rc on rc.oid = coalesce(pg_partition_root(c.oid::regclass), c.oid)
join pg_namespace as rn on rn.oid = rc.relnamespace
where t.tgfoid = to_regproc('tidegate_capture')
group by c.oid, n.nspname, c.relname, rn.nspname, rc.relname, c.relkind, rc.oid
order by 3, c.oid <> rc.oid, 2
