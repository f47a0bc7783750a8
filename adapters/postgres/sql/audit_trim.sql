-- The oldest of a kind, so many at most: those that are too old, and those past the newest `max_entries`. What
-- another node is deleting is left to it. As with appending, the commit waits for nothing.
with quick as materialized (select set_config('synchronous_commit', 'off', true)),
excess as materialized (
    select a.id
    from tidegate_audit a
    where
        a.kind = %(kind)s
        and (
            a.id < %(oldest)s
            or a.id <= (
                select o.id
                from tidegate_audit o
                where o.kind = %(kind)s
                order by o.id desc
                offset %(max_entries)s
                limit 1
            )
        )
    order by a.id
    limit %(batch)s
    for update of a skip locked
),
gone as (
    delete from tidegate_audit a
    using quick, excess e
    where a.id = e.id
    returning 1
)
select count(*) from gone
