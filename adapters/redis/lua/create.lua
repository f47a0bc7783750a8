-- Begins an epoch where there is none. Gives the epoch that there is now.
-- KEYS: state. ARGV: the new epoch.
-- The floor is the present, so that a position of an epoch before is below it: trimmed, whoever asks.
if redis.call('EXISTS', KEYS[1]) == 0 then
  local now = digits(server_ms())
  local floor = now .. '-0'
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'last', floor, 'number', 0, 'floor', floor, 'floor_number', 0,
    'origin', ARGV[1], 'server', (replication()), 'began_ms', now)
end
return redis.call('HGET', KEYS[1], 'epoch')
