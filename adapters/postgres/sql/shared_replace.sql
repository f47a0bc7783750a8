update tidegate_shared s
set
    value = %(value)s,
    version = nextval('tidegate_shared_version'),
    expires_at = clock_timestamp() + %(ttl_seconds)s * interval '1 second'
where
    s.key = %(key)s and s.version = %(expected)s
    and (s.expires_at is null or s.expires_at > clock_timestamp())
returning s.version
