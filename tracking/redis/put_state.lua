local state, at = ARGV[1], ARGV[2]
redis.call('HSET', session, 'state', state)
expire(at)
return 0
