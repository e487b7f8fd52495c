-- ARGV: numbers.
local sum = lapse()
for _, number in ipairs(ARGV) do
  if redis.call('ZSCORE', grants, number) then sum = sum - drop(number) end
end
if redis.call('EXISTS', session) == 1 then redis.call('HSET', session, 'sum', text(sum)) end
return 0
