select digest, major, minor, count from once where key = ? and at_ms >= ?;
