-- Ids are drawn after the sort, so those of a batch are in its order. One row comes back, whatever their number: a
-- client that stopped reading must not hold the transaction up. Nothing is appended among rows of another server, and
-- under a key only where this transaction has it: see once_claim.sql.
with added as (
    insert into sync_events as e (
        event_type, entity_type, entity_id, action, data, previous, "timestamp", source, actor, metadata
    )
    select
        i.event_type, i.entity_type, i.entity_id, i.action, i.data::json, i.previous::json,
        i.moment::timestamptz, i.source, i.actor::json, i.metadata::json
    from unnest(
        %(event_type)s::text[], %(entity_type)s::text[], %(entity_id)s::text[], %(action)s::text[],
        %(data)s::text[], %(previous)s::text[], %(timestamp)s::text[], %(source)s::text[], %(actor)s::text[],
        %(metadata)s::text[]
    ) with ordinality as i (
        event_type, entity_type, entity_id, action, data, previous, moment, source, actor, metadata, place
    )
    where not coalesce(
        (
            select n.xid >= pg_snapshot_xmax(pg_current_snapshot())
            from sync_events n
            order by n.xid desc, n.id desc
            limit 1
        ),
        false
    )
    and (
        %(key)s::text is null
        or exists (
            select from sync_events_keys k where k.key = %(key)s and k.xid = pg_current_xact_id_if_assigned()
        )
    )
    order by i.place
    returning e.xid, e.id
)
select b.history::text, a.xid::text, a.ids
from (select * from sync_events_bounds limit 1) b
left join (select min(d.xid::text)::xid8 as xid, array_agg(d.id order by d.id) as ids from added d) a on true;
