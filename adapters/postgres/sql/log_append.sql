-- Identity values are drawn after the sort, so the ids of a batch are in its order.
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
order by i.place
returning e.xid::text, e.id, (select b.history::text from sync_events_bounds b)
