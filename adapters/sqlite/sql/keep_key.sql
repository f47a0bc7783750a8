insert into once (key, digest, major, minor, count, at_ms) values (?, ?, ?, ?, ?, ?);
