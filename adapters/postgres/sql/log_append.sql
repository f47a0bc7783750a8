-- Ids are drawn after the sort, so those of a batch are in its order. One row comes back, whatever their number: a
-- client that stopped reading must not hold the transaction up. Under a key only where this transaction has it: see
-- once_claim.sql.
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
    where %(key)s::text is null
        or exists (
            select from sync_events_keys k where k.key = %(key)s and k.xid = pg_current_xact_id_if_assigned()
        )
    order by i.place
    returning e.xid, e.id
)
select (select b.history::text from sync_events_bounds b), min(a.xid::text), array_agg(a.id)
from added a;
