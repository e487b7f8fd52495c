-- ARGV: numbers.
lapse()
for _, number in ipairs(ARGV) do
  if redis.call('ZSCORE', grants, number) then
    local line = redis.call('HGET', session, number)
    redis.call('HSET', session, number, (string.gsub(line, '^(%S+ %S+) %S*', '%1 none', 1)))
  end
end
return 0
