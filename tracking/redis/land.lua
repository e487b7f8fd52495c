-- ARGV: expiry, and of each part its number, bytes, "road checksum" for a part without a line, and what landed as JSON.
local at, sum = ARGV[1], lapse()
for i = 2, #ARGV, 4 do
  local number, bytes, rest, landed = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3]
  local line = redis.call('HGET', session, number)
  if line then
    local before
    before, rest = string.match(line, '^(%S+) %S+ (.*)$')
    before = tonumber(before)
    sum = sum - counted(before)
    bytes = math.max(bytes, before)
  end
  sum = sum + counted(bytes)
  write(number, bytes, 0, rest)
  redis.call('HSET', session, 'landed:' .. number, landed)
end
redis.call('HSETNX', session, 'state', 'open')
redis.call('HSET', session, 'sum', text(sum))
expire(at)
return 0
