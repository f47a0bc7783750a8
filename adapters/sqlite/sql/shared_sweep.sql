delete from shared where expires_at_ms <= ?;
