select day from preference where key = ?;
