-- For wrk: another DID with every question, and one line of what came of them.

local dids = tonumber(os.getenv("DIDS"))
local path, asked = nil, 0

function init()
  path = wrk.path .. "?called=%2B"
end

function request()
  asked = asked + 1
  -- A step that meets every row before it meets one again, and not in their order. The
  -- products stay below 2^53 for three million rows.
  local row = (asked * 7919) % dids
  local number = (row * 2654435761) % 1000000000
  return wrk.format("GET", string.format("%s44%09d", path, number))
end

function done(summary, latency)
  local failed = summary.errors.status + summary.errors.read + summary.errors.write
      + summary.errors.connect + summary.errors.timeout
  io.write(string.format("bench %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(99), failed))
end
