-- Appends all events, or none. Gives {'done', the first position, the number of the last event}, or
-- {why not}.
-- KEYS: state, stream, record.
-- ARGV: epoch, the call, the newest position that the caller knows, max_events, seconds for which the call is
-- remembered, then the events.
-- The call is a writer's number of it, and the record that writer's; or it is an idempotency key's digest, a
-- slash and who calls, and the record that key's. An answer may be lost on its way: the same call gets the same
-- one, and nothing is doubled. {'again', …} or {'conflict'}: the key's events were appended by another call, or
-- those of another request were.
local state = redis.call('HMGET', KEYS[1], 'epoch', 'last', 'number', 'relayed')
if state[1] ~= ARGV[1] then return {'epoch'} end
if state[4] then return {'relayed'} end

local before = redis.call('GET', KEYS[3])
if before then
  local call, first, number = string.match(before, '^(%S+) (%S+) (%d+)$')
  if call == ARGV[2] then return {'done', first, number} end
  local digest = string.match(call, '^(%x*)/')
  if digest then
    if digest ~= string.match(ARGV[2], '^(%x*)/') then return {'conflict'} end
    return {'again', first, number}
  end
  if tonumber(call) > tonumber(ARGV[2]) then return {'late'} end
end

local major, minor = parts(state[2])
local known_major, known_minor = parts(ARGV[3])
if major < known_major or (major == known_major and minor < known_minor) then return {'lost'} end

local now_ms = server_ms()
if now_ms > major then major, minor = now_ms, -1 end
local first = digits(major) .. '-' .. digits(minor + 1)
local number = tonumber(state[3])
local last = state[2]
for index = 6, #ARGV do
  minor = minor + 1
  number = number + 1
  last = digits(major) .. '-' .. digits(minor)
  add(KEYS[2], last, number, now_ms, ARGV[index])
end
redis.call('HSET', KEYS[1], 'last', last, 'number', digits(number))
redis.call('SET', KEYS[3], ARGV[2] .. ' ' .. first .. ' ' .. digits(number), 'EX', ARGV[5])
trim(KEYS[1], KEYS[2], tonumber(ARGV[4]), nil, 2 * (#ARGV - 5))
return {'done', first, digits(number)}
