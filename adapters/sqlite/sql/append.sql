insert into event (number, major, minor, body) values (?, ?, ?, ?);
