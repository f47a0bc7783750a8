-- Makes the log one that a relay fills: of that epoch, with nothing up to the floor.
-- KEYS: state, its stream. ARGV: the epoch found there or '', the last position found there or '', the
-- source's epoch, the floor.
-- Gives {'done'}, {'moved'} where another relay was quicker, {'own'} where the log has events of its own.
local state = redis.call('HMGET', KEYS[1], 'epoch', 'last', 'number', 'relayed')
if (state[1] or '') ~= ARGV[1] or (state[2] or '') ~= ARGV[2] then return {'moved'} end
local number = tonumber(state[3] or '0')
if not state[4] and number > 0 then return {'own'} end
redis.call('UNLINK', KEYS[2])
redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'last', ARGV[4], 'number', digits(number),
  'floor', ARGV[4], 'floor_number', digits(number), 'relayed', 1)
return {'done'}
