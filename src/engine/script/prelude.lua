-- What a script finds when it begins: the libraries, globals that nobody can change, and errors as Redis forms them.
--
-- The tables of the stock interpreter can be written to, so scripts are shown empty tables instead, through which they
-- read the real ones (see `readonly`), and those few functions that could write past such a table are replaced. What a
-- function of the server fails with travels as a userdata; wherever it could be seen, it becomes what Redis would have
-- raised: a table with the text of an error reply, or a message.

local server, deprecated = ...
local error, pcall, xpcall, type, tostring, next, pairs, ipairs = error, pcall, xpcall, type, tostring, next, pairs, ipairs
local rawget, rawset, getmetatable, setmetatable = rawget, rawset, getmetatable, setmetatable
local loadstring, setfenv, getfenv, collectgarbage = loadstring, setfenv, getfenv, collectgarbage
local insert, remove, sort, setn, concat = table.insert, table.remove, table.sort, table.setn, table.concat
local find, match, gmatch, gsub, byte = string.find, string.match, string.gmatch, string.gsub, string.byte
local rep = string.rep
local unpack, floor, max = unpack, math.floor, math.max

local READONLY = "Attempt to modify a readonly table"

-- The real table behind each one that is shown.
local behind = setmetatable({}, { __mode = "k" })

local function refuse()
  error(READONLY, 2)
end

-- A table that shows `real` and cannot be changed.
local function readonly(real)
  local shown = setmetatable({}, { __index = real, __newindex = refuse })
  behind[shown] = real
  return shown
end

-- What an error calls a function of this file that failed. One that was not called by Lua code, but by pcall, has no name.
-- To be asked by what the function has called.
local function name_of(name)
  return server.what(4) == "C" and "?" or name
end

-- The errors that Lua's own functions raise for an argument.
local function refuse_argument(number, name, why)
  error(("bad argument #%d to '%s' (%s)"):format(number, name_of(name), why), 3)
end

-- Of what is wanted so nobody says what came instead.
local WANTED_ONLY = { value = true, coroutine = true, ["nil or table"] = true }

local function expect(ok, number, name, wanted, ...)
  if not ok then
    local got = select("#", ...) == 0 and "no value" or type((...))
    got = WANTED_ONLY[wanted] and "" or ", got " .. got
    error(("bad argument #%d to '%s' (%s expected%s)"):format(number, name_of(name), wanted, got), 3)
  end
end

-- How messages begin to which Lua's own functions add the line of their caller.
local LOCATED = {
  "bad argument #", "malformed pattern", "missing '['", "unfinished capture", "invalid pattern capture",
  "invalid capture index", "invalid replacement value", "invalid order function", "invalid value (", "too many ",
  "string slice too long", "wrong number of arguments to",
}

local function is_located(failure)
  if type(failure) == "string" then
    for _, beginning in ipairs(LOCATED) do
      if failure:sub(1, #beginning) == beginning then
        return true
      end
    end
  end
  return false
end

-- What a function of Lua gave that was called through pcall. It has to be returned as it is: an error then names the
-- function and the line of its caller, as if there had been nothing in between.
local function passed(name, ok, ...)
  if ok then
    return ...
  end
  local failure = (...)
  if is_located(failure) then
    error((gsub(failure, "^(bad argument #%d+ to )'%?'", "%1'" .. name_of(name) .. "'")), 3)
  end
  error(failure, 0)
end

local globals = {
  _VERSION = _VERSION, assert = assert, error = error, gcinfo = gcinfo, rawequal = rawequal,
  select = select, tonumber = tonumber, tostring = tostring, type = type, ipairs = ipairs,
}
local shown_globals = {}
setmetatable(shown_globals, { __index = globals, __newindex = refuse })
behind[shown_globals] = globals
globals._G = shown_globals
local function refuse_missing(_, name)
  error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
end
setmetatable(globals, { __index = refuse_missing })
-- What the metatable of the globals looks like; the real one leads to the real table.
local globals_metatable = readonly({ __index = refuse_missing })

-- ---- functions that must not reach behind what is shown

function globals.getmetatable(...)
  expect(select("#", ...) > 0, 1, "getmetatable", "value", ...)
  local value = ...
  if value == shown_globals then
    return globals_metatable
  end
  if value ~= nil and behind[value] then
    return nil
  end
  return (getmetatable(value))
end

function globals.setmetatable(...)
  local value, meta = ...
  expect(type(value) == "table", 1, "setmetatable", "table", ...)
  expect(type(meta) == "table" or meta == nil and select("#", ...) > 1, 2, "setmetatable", "nil or table")
  if behind[value] then
    error(READONLY, 0)
  end
  local old = getmetatable(value)
  if old ~= nil and type(old) ~= "table" or type(old) == "table" and rawget(old, "__metatable") ~= nil then
    error("cannot change a protected metatable", 2)
  end
  return setmetatable(value, meta)
end

function globals.rawset(...)
  local value, key, new = ...
  expect(type(value) == "table", 1, "rawset", "table", ...)
  expect(select("#", ...) > 1, 2, "rawset", "value")
  expect(select("#", ...) > 2, 3, "rawset", "value")
  if behind[value] then
    error(READONLY, 0)
  end
  return rawset(value, key, new)
end

function globals.rawget(...)
  local value, key = ...
  expect(type(value) == "table", 1, "rawget", "table", ...)
  expect(select("#", ...) > 1, 2, "rawget", "value")
  return (rawget(behind[value] or value, key))
end

function globals.next(...)
  local value, key = ...
  expect(type(value) == "table", 1, "next", "table", ...)
  return next(behind[value] or value, key)
end

function globals.pairs(...)
  local value = ...
  expect(type(value) == "table", 1, "pairs", "table", ...)
  -- The real table must not be among what is returned: whoever has it can write to it.
  return behind[value] and globals.next or next, value, nil
end

local function check_lock(value)
  if behind[value] then
    error(READONLY, 0)
  end
end

local table_functions = {}
for key, value in pairs(table) do
  table_functions[key] = value
end

-- A script can be ended between two instructions, not in a function of the stock interpreter. So many elements are moved
-- by one, or so many bytes made, in a fraction of a millisecond; what is more is done here, step by step.
local WORK_MAX = 50000

-- A number as the C type int that stock functions make of it.
local function int(number)
  number = number < 0 and -floor(-number) or floor(number)
  if not (number > -2 ^ 63 and number < 2 ^ 63) then
    return 0
  end
  number = number % 2 ^ 32
  return number < 2 ^ 31 and number or number - 2 ^ 32
end

-- Moves what lies from `position` up to 0 by one. That may be two thousand million places with nothing in most.
local function move_what_there_is(value, position)
  local keys = {}
  for key in next, value do
    if type(key) == "number" and key >= position and key <= 0 and key == floor(key) then
      keys[#keys + 1] = key
    end
  end
  sort(keys, function(a, b) return a > b end)
  rawset(value, 1, nil)
  for _, key in ipairs(keys) do
    rawset(value, key + 1, rawget(value, key))
    rawset(value, key, nil)
  end
end

function table_functions.insert(...)
  check_lock((...))
  local value, first = ...
  local position = tonumber(first)
  if position and type(value) == "table" and select("#", ...) == 3 then
    local free = #value + 1
    position = int(position)
    if free - position > WORK_MAX then
      for index = free, max(position, 1) + 1, -1 do
        rawset(value, index, rawget(value, index - 1))
      end
      if position < 1 then
        move_what_there_is(value, position)
      end
      rawset(value, position, (select(3, ...)))
      return
    end
  end
  return passed("insert", pcall(insert, ...))
end

function table_functions.remove(...)
  check_lock((...))
  local value, first = ...
  local position = tonumber(first)
  if position and type(value) == "table" then
    local last = #value
    position = int(position)
    if position >= 1 and last - position > WORK_MAX then
      local removed = rawget(value, position)
      for index = position, last - 1 do
        rawset(value, index, rawget(value, index + 1))
      end
      rawset(value, last, nil)
      return removed
    end
  end
  return passed("remove", pcall(remove, ...))
end

local function less(one, other)
  return one < other
end

function table_functions.sort(...)
  check_lock((...))
  local value, order = ...
  if order == nil and type(value) == "table" and #value > WORK_MAX then
    return passed("sort", pcall(sort, value, less))
  end
  return passed("sort", pcall(sort, ...))
end

function table_functions.concat(...)
  local value, separator, first, last = ...
  local from, to = tonumber(first) or 1, tonumber(last)
  if type(value) == "table" and (to or #value) - from >= WORK_MAX then
    from, to = int(from), int(to or #value)
    local pieces = {}
    for index = from, to, WORK_MAX do
      local stop = index + WORK_MAX - 1
      pieces[#pieces + 1] = concat(value, separator, index, stop < to and stop or to)
    end
    return concat(pieces, separator)
  end
  return passed("concat", pcall(concat, ...))
end

function table_functions.maxn(...)
  local value = ...
  expect(type(value) == "table", 1, "maxn", "table", ...)
  local greatest = 0
  for key in next, value do
    if type(key) == "number" and key > greatest then
      greatest = key
    end
  end
  return greatest
end

function table_functions.setn(...)
  check_lock((...))
  return passed("setn", pcall(setn, ...))
end

-- How many results fit on the stack. The stock function counts them in an int, which overflows.
local RESULTS_MAX = 8000

function globals.unpack(...)
  local value, first, last = ...
  expect(type(value) == "table", 1, "unpack", "table", ...)
  local from, to = tonumber(first) or 1, tonumber(last)
  expect(first == nil or tonumber(first), 2, "unpack", "number", first)
  expect(last == nil or to, 3, "unpack", "number", last)
  if (to or #value) - from >= RESULTS_MAX then
    error("too many results to unpack", 2)
  end
  return unpack(...)
end

-- A text so often, by halves.
local function repeated(text, count)
  if #text * count <= WORK_MAX then
    return rep(text, count)
  end
  local half = repeated(text, floor(count / 2))
  return count % 2 == 0 and half .. half or half .. half .. text
end

function string.rep(...)
  local text, count = ...
  local number = tonumber(count)
  if number and (type(text) == "string" or type(text) == "number") then
    number, text = int(number), tostring(text)
    if text == "" then
      return ""
    end
    if #text * number > WORK_MAX then
      return repeated(text, number)
    end
  end
  return passed("rep", pcall(rep, ...))
end

-- The stock matcher calls itself for each item of a pattern, and the stack of the process ends somewhere.
local PATTERN_BYTES_MAX = 8000

local function check_pattern(_, pattern)
  if type(pattern) == "string" and #pattern > PATTERN_BYTES_MAX then
    error("pattern too complex", 3)
  end
end

-- Before a function that will work for long: ends a script that has to end.
local look = server.look

local function weigh(text)
  if type(text) == "string" and #text > WORK_MAX then
    look()
  end
end

for _, name in ipairs({ "upper", "lower", "reverse" }) do
  local stock = string[name]
  string[name] = function(...)
    weigh((...))
    return passed(name, pcall(stock, ...))
  end
end

local format = string.format
function string.format(...)
  local ok, made = pcall(format, ...)
  if not ok then
    return passed("format", ok, made)
  end
  weigh(made)
  return made
end

function string.find(...)
  weigh((...))
  if not select(4, ...) then
    check_pattern(...)
  end
  return passed("find", pcall(find, ...))
end

function string.match(...)
  weigh((...))
  check_pattern(...)
  return passed("match", pcall(match, ...))
end

function string.gmatch(...)
  check_pattern(...)
  return passed("gmatch", pcall(gmatch, ...))
end

string.gfind = string.gmatch

function string.gsub(...)
  weigh((...))
  check_pattern(...)
  return passed("gsub", pcall(gsub, ...))
end

-- ---- protected calls and loading

-- What was raised, as scripts see it. That it came through this file is nobody's business.
local function seen(failure)
  if type(failure) == "userdata" then
    return server.raised(failure)
  end
  if type(failure) == "string" then
    return (gsub(failure, "^%(server%):%d+: ", ""))
  end
  return failure
end

local function caught(ok, ...)
  if ok then
    return true, ...
  end
  local failure = seen((...))
  if type(failure) == "table" then
    local text = failure.err
    if type(text) == "string" or type(text) == "number" then
      return false, text
    end
    -- What is no text follows as a result of its own.
    return false, failure, text
  end
  return false, failure
end

-- An error of a command is caught as its text.
function globals.pcall(...)
  return caught(pcall(...))
end

-- The handler runs when the stack is unwound: within the error itself nothing could end a handler that loops for ever.
-- Scripts cannot look at the stack, so they see no difference.
local function handled(handle, ok, ...)
  if ok then
    return true, ...
  end
  local _, result = pcall(handle, seen((...)))
  return false, seen(result)
end

function globals.xpcall(...)
  local called, handle = ...
  expect(select("#", ...) > 1, 2, "xpcall", "value", select(2, ...))
  return handled(handle, pcall(called))
end

local function resumed(ok, ...)
  if ok then
    return true, ...
  end
  return false, seen((...))
end

local function compile(text, name)
  -- The parser keeps its own copy of the name, up to a NUL, which this reference keeps from being collected.
  name = match(name or text, "^[^%z]*")
  weigh(text)
  if byte(text, 1) == 27 then
    local _, failure = loadstring("\1", name)
    return nil, (gsub(failure, "char%(1%)", "char(27)"))
  end
  local compiled, failure = loadstring(text, name)
  if not compiled then
    return nil, failure
  end
  return setfenv(compiled, shown_globals)
end

function globals.loadstring(...)
  local text, name = ...
  expect(type(text) == "string" or type(text) == "number", 1, "loadstring", "string", ...)
  return compile(tostring(text), name)
end

function globals.load(...)
  local reader, name = ...
  expect(type(reader) == "function", 1, "load", "function", ...)
  local pieces = {}
  while true do
    local piece = reader()
    if piece == nil or piece == "" then
      break
    end
    if type(piece) ~= "string" then
      return nil, "reader function must return a string"
    end
    pieces[#pieces + 1] = piece
  end
  return compile(concat(pieces), name or "=(load)")
end

-- What would change the collector for all later scripts does nothing.
function globals.collectgarbage(option, argument)
  if option == nil or option == "collect" or option == "count" or option == "step" then
    look()
    return collectgarbage(option or "collect", argument)
  end
  if option == "stop" or option == "restart" or option == "setpause" or option == "setstepmul" then
    return 0
  end
  refuse_argument(1, "collectgarbage", "invalid option '" .. tostring(option) .. "'")
end

if deprecated then
  -- What is not a script's own: the environment of this file and of the interpreter's functions.
  local own = getfenv(1)

  -- Levels of the stack count from the caller; this function is one more.
  local function environment(target)
    if type(target) == "function" then
      return getfenv(target)
    end
    local level = tonumber(target == nil and 1 or target)
    expect(level, 1, "getfenv", "number", target)
    return level == 0 and own or getfenv(level + 2)
  end

  function globals.getfenv(target)
    local found = environment(target)
    return (found == own or found == globals) and shown_globals or found
  end

  function globals.setfenv(...)
    local target, new = ...
    expect(type(new) == "table", 2, "setfenv", "table", select(2, ...))
    if environment(target) == own then
      error("'setfenv' cannot change environment of given object", 2)
    end
    if type(target) == "function" then
      return setfenv(target, new)
    end
    local changed = setfenv(tonumber(target) + 1, new)
    return changed
  end

  -- Finalizers would run at any time, also when no script does, so there are none: a script sees the metatable of its
  -- proxies through a table that lets everything through but `__gc`.
  local proxy_metatables = setmetatable({}, { __mode = "k" })
  function globals.newproxy(...)
    local proxy = newproxy(...)
    local real = getmetatable(proxy)
    if real and not proxy_metatables[real] then
      local shown = setmetatable({}, {
        __index = real,
        __newindex = function(_, key, value)
          if key ~= "__gc" then
            rawset(real, key, value)
          end
        end,
        __metatable = false,
      })
      proxy_metatables[shown] = true
      rawset(real, "__metatable", shown)
    end
    return proxy
  end
end

-- ---- functions of the server

local math_functions = {}
for key, value in pairs(math) do
  math_functions[key] = value
end

-- The generator of all Redis servers, so that a seed gives the same numbers everywhere.
function math_functions.randomseed(...)
  local seed = ...
  expect(type(seed) == "number" or tonumber(seed), 1, "randomseed", "number", ...)
  server.seed(floor(tonumber(seed)))
end

function math_functions.random(...)
  local low, high = ...
  local drawn = server.draw()
  local count = select("#", ...)
  if count == 0 then
    return drawn
  end
  expect(tonumber(low), 1, "random", "number", ...)
  low = tonumber(low)
  low = low < 0 and -floor(-low) or floor(low)
  if count == 1 then
    if low < 1 then
      refuse_argument(1, "random", "interval is empty")
    end
    return floor(drawn * low) + 1
  end
  if count > 2 then
    error("wrong number of arguments", 2)
  end
  expect(tonumber(high), 2, "random", "number", select(2, ...))
  high = tonumber(high)
  high = high < 0 and -floor(-high) or floor(high)
  if low > high then
    refuse_argument(2, "random", "interval is empty")
  end
  return floor(drawn * (high - low + 1)) + low
end

local coroutine_functions = {}
for key, value in pairs(coroutine) do
  coroutine_functions[key] = value
end
local resume = coroutine.resume
function coroutine_functions.resume(...)
  expect(type((...)) == "thread", 1, "resume", "coroutine")
  return resumed(resume(...))
end

-- A message that leaves a coroutine gets the line before it once more.
local function unwrapped(ok, ...)
  if not ok then
    error(seen((...)), 3)
  end
  return ...
end

local wrap = coroutine.wrap
function coroutine_functions.wrap(...)
  local ok, inner = pcall(wrap, ...)
  if not ok then
    return passed("wrap", ok, inner)
  end
  return function(...)
    return unwrapped(pcall(inner, ...))
  end
end

globals.coroutine = readonly(coroutine_functions)
globals.string = readonly(string)
globals.table = readonly(table_functions)
globals.math = readonly(math_functions)
globals.os = readonly({ clock = os.clock })
for name, members in pairs(server.libraries) do
  globals[name] = readonly(members)
end
getmetatable("").__metatable = readonly({ __index = globals.string })

local shown_redis, shown_server = readonly(server.redis), readonly(server.server)

-- While a library is loaded it has only what registers functions.
local missing = getmetatable(globals)
local shown_loading = readonly(setmetatable(server.loading, missing))
local loading_globals = setmetatable({ redis = shown_loading, server = shown_loading }, missing)
globals.redis, globals.server = shown_redis, shown_server

local function show_loading(is_loading)
  getmetatable(shown_globals).__index = is_loading and loading_globals or globals
end

-- ---- errors of scripts

local where = server.where

-- Gives an error the form {err = text, source = file, line = number}.
local function handler(failure)
  local source, line = where()
  local clean = seen(failure)
  if source and type(failure) == "string" and clean ~= failure then
    clean = source:sub(2) .. ":" .. line .. ": " .. clean
  end
  failure = clean
  if type(failure) ~= "table" or behind[failure] then
    failure = { err = "ERR " .. tostring(failure) }
  end
  if source then
    rawset(failure, "source", source)
    rawset(failure, "line", line)
  end
  return failure
end

globals.__redis__err__handler = handler

return {
  handler = handler, show_loading = show_loading, globals = shown_globals, real_globals = globals, seen = seen,
}
