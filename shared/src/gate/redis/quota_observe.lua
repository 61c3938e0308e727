-- What the ledger says of a quota.
--
-- KEYS  the quota
-- ARGV  now in µs (negative: the server's), slot in µs, µs in flight, first and last day of the period, units used,
--       units that the ledger saw and that are in flight no more.

local slot, life = tonumber(ARGV[2]), tonumber(ARGV[3])
local book = open(KEYS[1], present(ARGV[1]), tonumber(ARGV[4]), tonumber(ARGV[5]), slot, life)
if not book then return 0 end
book.used = tonumber(ARGV[6])
local early = land(book, tonumber(ARGV[7]), 1, #book.flight, 1)
book.ahead = math.min(book.ahead + early, in_hands(book))
close(book)
return 1
