select version from shared where key = ? and (expires_at_ms is null or expires_at_ms > ?);
