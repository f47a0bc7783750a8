select number from event where (major, minor) <= (?, ?) order by major desc, minor desc limit 1;
