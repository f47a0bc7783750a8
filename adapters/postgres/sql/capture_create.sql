-- The statements that put the capture's triggers on a table and all of its partitions. A statement fires those
-- of the table that it names and no others, so what is written through a partition's own name needs its own.
-- Truncating fires those of every partition, so only what holds rows has one.
select format('create trigger %%I %%s on %%I.%%I%%s for each statement execute function %%I.%%I(%%L)',
    k.name, k.event, n.nspname, c.relname, k.tables, current_schema(), %(function)s, %(options)s)
from (
    select %(oid)s::oid as relid
    union
    select p.relid from pg_partition_tree(%(oid)s::oid::regclass) as p
) as r
join pg_class as c on c.oid = r.relid
join pg_namespace as n on n.oid = c.relnamespace
cross join (
    values
        (1, 'tidegate_insert', 'after insert', ' referencing new table as tidegate_new'),
        (2, 'tidegate_update', 'after update', ' referencing old table as tidegate_old new table as tidegate_new'),
        (3, 'tidegate_delete', 'after delete', ' referencing old table as tidegate_old'),
        (4, 'tidegate_truncate', 'before truncate', '')
) as k (number, name, event, tables)
where k.name <> 'tidegate_truncate' or c.relkind = 'r'
order by n.nspname, c.relname, k.number
