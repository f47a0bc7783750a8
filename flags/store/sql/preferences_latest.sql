select key, delivery from preference where delivery <> 'auto' order by change desc limit ?;
