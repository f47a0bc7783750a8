-- Gives the history another name, where it still has this one and lacks the event that a node had seen in it. Without
-- `major` whether anything is lacking is not looked at.
update sync_events_bounds b
set history = gen_random_uuid()
where b.history = %(history)s::uuid
    and (
        %(major)s::xid8 is null
        or (
            (b.pruned_xid, b.pruned_id) < (%(major)s::xid8, %(minor)s)
            and not exists (select from sync_events e where e.xid = %(major)s::xid8 and e.id = %(minor)s)
        )
    )
returning b.history::text
