-- How a capture's query is checked, as two statements: a view of it, over a row of nulls that has the captured columns
-- of the table; and a trial on some rows, which counts those of whose items no member has the key's value. Whether
-- this user may read those rows.
select
    format(
        'create temp view tidegate_shape as select shape.* from (select %%s) as row cross join lateral'
        ' (with row as (select row.*) select tidegate_item.* from (%%s%%s) as tidegate_item) as shape',
        string_agg(format('null::%%s as %%I', format_type(a.atttypid, a.atttypmod), a.attname), ', ' order by a.attnum),
        %(query)s, E'\n'
    ),
    format(
        'select count(i.item) filter (where not exists ('
        '    select from jsonb_path_query(i.item, ''$.**'') as v (value) where v.value #>> ''{}'' = i.id'
        ')) from ('
        '    select to_jsonb(row.%%I) #>> ''{}'' as id, %%s as item'
        '    from (select %%s from %%I.%%I limit %%s) as row offset 0'
        ') as i',
        %(key)s, tidegate_item(jsonb_build_object('as', %(query)s::text)),
        string_agg(format('%%I', a.attname), ', ' order by a.attnum), n.nspname, c.relname, %(rows)s::int
    ),
    bool_and(has_column_privilege(c.oid, a.attnum, 'select')) and has_schema_privilege(n.oid, 'usage')
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
join pg_attribute as a on a.attrelid = c.oid
where c.oid = %(oid)s and a.attname = any(%(columns)s)
group by c.oid, n.oid, n.nspname, c.relname
