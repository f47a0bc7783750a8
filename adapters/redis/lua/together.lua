-- Carries out commands that only read, between which nothing else happens. Gives their answers.
-- A transaction (MULTI) would do the same, but a server whose memory is full refuses any command within one.
-- ARGV: for each command how many words it has, then these.
local answers = {}
local index = 1
while index <= #ARGV do
  local last = index + tonumber(ARGV[index])
  answers[#answers + 1] = redis.call(unpack(ARGV, index + 1, last))
  index = last + 1
end
return answers
