select key, delivery, change from preference where change > ? order by change;
