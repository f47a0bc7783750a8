-- For any version that is there; with `only_new`, only where none is, or one that has expired.
insert into tidegate_shared as s (key, value, version, expires_at)
values (
    %(key)s, %(value)s, nextval('tidegate_shared_version'),
    clock_timestamp() + %(ttl_seconds)s * interval '1 second'
)
on conflict (key) do update
set value = excluded.value, version = excluded.version, expires_at = excluded.expires_at
where not %(only_new)s or s.expires_at <= clock_timestamp()
returning s.version
