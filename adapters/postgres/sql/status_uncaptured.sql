-- Partitions of captured tables that have no trigger of ours: those attached or made since.
select format('%s.%s', rn.nspname, rc.relname), format('%s.%s', n.nspname, c.relname)
from (
    select distinct t.tgrelid
    from pg_trigger as t
    where t.tgfoid in (to_regproc('tidegate_capture'), to_regproc('tidegate_capture_as'))
) as r
cross join lateral pg_partition_tree(r.tgrelid::regclass) as p
join pg_class as rc on rc.oid = r.tgrelid
join pg_namespace as rn on rn.oid = rc.relnamespace
join pg_class as c on c.oid = p.relid
join pg_namespace as n on n.oid = c.relnamespace
where not rc.relispartition
    and not exists (
        select
        from pg_trigger as t
        where t.tgrelid = p.relid
            and t.tgfoid in (to_regproc('tidegate_capture'), to_regproc('tidegate_capture_as'))
    )
order by 1, 2
