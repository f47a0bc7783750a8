select major, minor, body from event where number > ? order by number limit ?;
