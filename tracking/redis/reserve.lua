-- ARGV: limit, expiry, and of each part its number, bytes, until and "road checksum". Returns the new sum, -1 if the upload is not open, -2 if
-- the sum would pass the limit.
local limit, at = tonumber(ARGV[1]), ARGV[2]
if limit == 0 then limit = 2^53 end -- past it a sum is not exact any more

local state = redis.call('HGET', session, 'state')
if state and state ~= 'open' then return -1 end

local sum, lines = lapse(), {}
for i = 3, #ARGV, 4 do
  local number, bytes, til, rest = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), ARGV[i + 3]
  local before, before_til = read(number)
  if before then
    sum = sum - counted(before)
    bytes = math.max(bytes, before)
    if before_til == 0 or til == 0 then til = 0 else til = math.max(til, before_til) end
  end
  sum = sum + counted(bytes)
  if sum > limit then return -2 end
  lines[#lines + 1] = {number, bytes, til, rest}
end

redis.call('HSET', session, 'state', 'open', 'sum', text(sum))
for _, line in ipairs(lines) do
  write(line[1], line[2], line[3], line[4])
  redis.call('HDEL', session, 'landed:' .. line[1])
end
expire(at)
return sum
