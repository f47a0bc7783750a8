-- The statements that take the capture's triggers off a table and all of its partitions.
select format('drop trigger %%I on %%I.%%I', t.tgname, n.nspname, c.relname)
from pg_trigger as t
join pg_class as c on c.oid = t.tgrelid
join pg_namespace as n on n.oid = c.relnamespace
where t.tgfoid in (to_regproc('tidegate_capture'), to_regproc('tidegate_capture_as'))
    and (
        t.tgrelid = %(oid)s
        or t.tgrelid in (select p.relid from pg_partition_tree(%(oid)s::oid::regclass) as p)
    )
order by n.nspname, c.relname, t.tgname
