select delivery from preference where key = ?;
