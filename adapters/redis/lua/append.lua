-- Appends all events, or none. Gives {'done', the first position, the number of the last event}, or
-- {why not}. What is appended is of the epoch that the caller named.
-- KEYS: state, stream, record.
-- ARGV: epoch, the call, the newest event that the caller knows (its position and its number), max_events,
-- seconds for which the call is remembered, a number that no other caller gives, then the events.
-- The call is a writer's number of it, and the record that writer's; or it is an idempotency key's digest, a
-- slash and who calls, and the record that key's. An answer may be lost on its way: the same call gets the same
-- one, and nothing is doubled. {'again', …} or {'conflict'}: the key's events were appended by another call, or
-- those of another request were.
local state = redis.call('HMGET', KEYS[1],
  'epoch', 'last', 'number', 'relayed', 'server', 'floor', 'floor_number')
if state[1] ~= ARGV[1] then return {'epoch'} end
if state[4] then return {'relayed'} end
local server, is_heir = replication()
if state[5] and state[5] ~= server and is_heir then return {'inherited'} end

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

local is_newest = state[2] == ARGV[3] and state[3] == ARGV[4]
if not is_newest and not holds(KEYS[2], state[6], state[7], ARGV[3], ARGV[4]) then return {'lost'} end

-- Two servers that both hold this epoch may append in the same millisecond. The caller's number keeps them from
-- giving one position to two events; it is below 2^24, so that a double counts on for long.
local major, minor = parts(state[2])
local now_ms = server_ms()
if now_ms > major then
  major, minor = now_ms, 0
elseif minor > 2 ^ 52 then
  major, minor = major + 1, 0
end
minor = minor + 1 + tonumber(ARGV[7])
local first = digits(major) .. '-' .. digits(minor)
local number = tonumber(state[3])
local last
for index = 8, #ARGV do
  number = number + 1
  last = digits(major) .. '-' .. digits(minor)
  add(KEYS[2], last, number, now_ms, ARGV[index])
  minor = minor + 1
end
redis.call('HSET', KEYS[1], 'last', last, 'number', digits(number))
if state[5] ~= server then redis.call('HSET', KEYS[1], 'server', server) end
redis.call('SET', KEYS[3], ARGV[2] .. ' ' .. first .. ' ' .. digits(number), 'EX', ARGV[6])
trim(KEYS[1], KEYS[2], tonumber(ARGV[5]), nil, 2 * (#ARGV - 7))
return {'done', first, digits(number)}
