select major, minor from event where number = ?;
