-- Names the history anew, where it is still the one that lost its tail: what it holds stays.
-- KEYS: state, its stream, the new epoch's stream. ARGV: the epoch that lost its tail, the new epoch.
if redis.call('HGET', KEYS[1], 'epoch') == ARGV[1] then
  if redis.call('EXISTS', KEYS[2]) == 1 then
    redis.call('RENAME', KEYS[2], KEYS[3])
  end
  redis.call('HSET', KEYS[1], 'epoch', ARGV[2])
end
return 1
