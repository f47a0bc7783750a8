-- The columns of a table in their order. One that is unique is so by itself, over every row, always.
select a.attname, a.attnotnull, format_type(a.atttypid, a.atttypmod) as type,
    t.typcategory not in ('A', 'C') and t.typname not in ('json', 'jsonb', 'bytea') as is_scalar,
    exists (
        select
        from pg_index as i
        where i.indrelid = a.attrelid and i.indisunique and i.indisvalid and i.indpred is null
            and i.indnkeyatts = 1 and i.indkey[0] = a.attnum
    ) as is_unique
from pg_attribute as a
join pg_type as t on t.oid = a.atttypid
where a.attrelid = %(oid)s and a.attnum > 0 and not a.attisdropped
order by a.attnum
