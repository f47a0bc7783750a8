delete from sync_events_keys k
where k.at < clock_timestamp() - %(seconds)s * interval '1 second'
