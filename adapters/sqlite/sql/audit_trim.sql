-- The oldest of a kind, so many at most: those that are too old, and those past the newest `max_entries`.
delete from audit
where id in (
    select id
    from audit
    where
        kind = :kind
        and (
            id < :oldest
            or id <= (select id from audit where kind = :kind order by id desc limit 1 offset :max_entries)
        )
    order by id
    limit :batch
)
