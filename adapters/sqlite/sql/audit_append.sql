insert or ignore into audit (id, kind, who, body) values (?, ?, ?, ?)
