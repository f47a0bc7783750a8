insert or replace into shared (key, value, version, expires_at_ms) values (?, ?, ?, ?);
