-- What the view tidegate_shape says of a capture's query: its members in their order; the volatile functions that it
-- calls (a rule's tree names each by its oid); whether it reads the captured table, itself or through views; what it
-- reads that the log's owner, as whom it will run, may not; and who that is.
with recursive reads (oid, is_direct) as (
    select d.refobjid, true
    from pg_rewrite as w
    join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
    where w.ev_class = 'pg_temp.tidegate_shape'::regclass and d.refclassid = 'pg_class'::regclass
        and d.refobjid <> w.ev_class
    union
    select d.refobjid, false
    from reads as r
    join pg_rewrite as w on w.ev_class = r.oid
    join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
    where d.refclassid = 'pg_class'::regclass and d.refobjid <> w.ev_class
),
called (oid) as (
    select distinct m.found[1]::oid
    from pg_rewrite as w
    cross join lateral regexp_matches(
        w.ev_action::text, ':(?:funcid|opfuncid|aggfnoid|winfnoid) ([0-9]+)', 'g'
    ) as m (found)
    where w.ev_class = 'pg_temp.tidegate_shape'::regclass
)
select
    array(
        select a.attname::text
        from pg_attribute as a
        where a.attrelid = 'pg_temp.tidegate_shape'::regclass and a.attnum > 0
        order by a.attnum
    ),
    array(
        select distinct p.proname::text
        from called as c
        join pg_proc as p on p.oid = c.oid
        where p.provolatile = 'v'
        order by 1
    ),
    exists (
        select
        from reads as r
        where r.oid = %(oid)s or r.oid in (select p.relid from pg_partition_tree(%(oid)s::oid::regclass) as p)
    ),
    array(
        select distinct format('%%I.%%I', n.nspname, c.relname)
        from reads as r
        join pg_class as c on c.oid = r.oid
        join pg_namespace as n on n.oid = c.relnamespace
        where r.is_direct and not (
            has_schema_privilege(f.proowner, n.oid, 'usage') and has_any_column_privilege(f.proowner, c.oid, 'select')
        )
        order by 1
    ),
    f.proowner::regrole::text
from pg_proc as f
where f.oid = to_regprocedure('tidegate_capture_as()')
