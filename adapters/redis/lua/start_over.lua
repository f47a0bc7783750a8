-- Names the history anew, where it is still the one that somebody found wanting: what it holds stays.
-- KEYS: state, its stream, the new epoch's stream. ARGV: that epoch, the new epoch. Gives 1 where it did.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('RENAME', KEYS[2], KEYS[3])
end
redis.call('HSETNX', KEYS[1], 'origin', ARGV[1])
redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'server', (replication()), 'began_ms', digits(server_ms()))
return 1
