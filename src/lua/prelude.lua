-- What a script finds when it begins: the libraries, globals that nobody can change, and errors as Redis forms them.
--
-- The tables of the stock interpreter can be written to, so scripts are shown empty tables instead, through which they
-- read the real ones (see `readonly`), and those few functions that could write past such a table are guarded. What a
-- function of the server fails with travels as a userdata; wherever it could be seen, it becomes what Redis would have
-- raised: a table with the text of an error reply, or a message.
--
-- What scripts call is always a function of C, never one of this file: its errors name it and the line of its caller,
-- also where it is called in the last act of a function. So a function of this file stands behind a face (see `guarded`).

local server, deprecated = ...
local error, pcall, type, tostring, next, ipairs = error, pcall, type, tostring, next, ipairs
local rawget, rawset, getmetatable, setmetatable = rawget, rawset, getmetatable, setmetatable
local loadstring, setfenv, getfenv, collectgarbage = loadstring, setfenv, getfenv, collectgarbage
local insert, remove, sort, concat = table.insert, table.remove, table.sort, table.concat
local match, gsub, byte, rep = string.match, string.gsub, string.byte, string.rep
local floor, max = math.floor, math.max

-- A function as scripts see it: a function of C. It gives what `before` gives behind a true, or else what the stock
-- function gives in its place, and that through `after`, where there is one. An error of the stock function is then that
-- of the stock interpreter to the letter; `before` raises one with level 3.
local guarded = server.guarded

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

-- What the metatable of an array looks like that cjson has marked.
local shown_array_metatable = readonly(server.array_metatable)

globals.getmetatable = guarded(function(value)
  if value == shown_globals then
    return true, globals_metatable
  end
  if value ~= nil and behind[value] then
    return true, nil
  end
  if getmetatable(value) == server.array_metatable then
    return true, shown_array_metatable
  end
end, getmetatable)

-- Whether the first argument is a table that cannot be changed, and would be.
local function check_lock(value)
  if value ~= nil and behind[value] then
    error(READONLY, 0)
  end
end

globals.setmetatable = guarded(function(...)
  local value, meta = ...
  if type(meta) == "table" or meta == nil and select("#", ...) > 1 then
    check_lock(value)
  end
end, setmetatable)

globals.rawset = guarded(function(...)
  if select("#", ...) > 2 then
    check_lock((...))
  end
end, rawset)

globals.rawget = guarded(function(...)
  local value, key = ...
  if select("#", ...) > 1 and value ~= nil and behind[value] then
    return true, (rawget(behind[value], key))
  end
end, rawget)

globals.next = guarded(function(value, key)
  if value ~= nil and behind[value] then
    return true, next(behind[value], key)
  end
end, next)

globals.pairs = guarded(function(value)
  if type(value) == "table" then
    -- The real table must not be among what is returned: whoever has it can write to it.
    return true, behind[value] and globals.next or next, value, nil
  end
end, pairs)

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

table_functions.insert = guarded(function(...)
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
      return true
    end
  end
end, insert)

table_functions.remove = guarded(function(value, first)
  check_lock(value)
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
      return true, removed
    end
  end
end, remove)

local function less(one, other)
  return one < other
end

table_functions.sort = guarded(function(value, order)
  check_lock(value)
  if order == nil and type(value) == "table" and #value > WORK_MAX then
    return true, sort(value, less)
  end
end, sort)

-- Pieces of a long table, or nothing if an element is no text: the stock function says so.
local function joined(value, separator, from, to)
  local pieces = {}
  for index = from, to, WORK_MAX do
    local stop = index + WORK_MAX - 1
    pieces[#pieces + 1] = concat(value, separator, index, stop < to and stop or to)
  end
  return concat(pieces, separator)
end

table_functions.concat = guarded(function(value, separator, first, last)
  local from, to = tonumber(first) or 1, tonumber(last)
  if type(value) == "table" and (to or #value) - from >= WORK_MAX then
    return pcall(joined, value, separator, int(from), int(to or #value))
  end
end, concat)

table_functions.maxn = guarded(function(value)
  if type(value) == "table" then
    local greatest = 0
    for key in next, value do
      if type(key) == "number" and key > greatest then
        greatest = key
      end
    end
    return true, greatest
  end
end, table.maxn)

table_functions.setn = guarded(check_lock, table.setn)

-- How many results fit on the stack. The stock function counts them in an int, which overflows.
local RESULTS_MAX = 8000

globals.unpack = guarded(function(value, first, last)
  local from, to = tonumber(first), tonumber(last)
  if type(value) == "table" and (from or first == nil) and (to or last == nil) then
    if (to or #value) - (from or 1) >= RESULTS_MAX then
      error("too many results to unpack", 3)
    end
  end
end, unpack)

-- A text so often, by halves.
local function repeated(text, count)
  if #text * count <= WORK_MAX then
    return rep(text, count)
  end
  local half = repeated(text, floor(count / 2))
  return count % 2 == 0 and half .. half or half .. half .. text
end

string.rep = guarded(function(text, count)
  local number = tonumber(count)
  if number and (type(text) == "string" or type(text) == "number") then
    number, text = int(number), tostring(text)
    if text == "" then
      return true, ""
    end
    if #text * number > WORK_MAX then
      return true, repeated(text, number)
    end
  end
end, rep)

-- Before a function that will work for long: ends a script that has to end.
local look = server.look

local function weigh(text)
  if type(text) == "string" and #text > WORK_MAX then
    look()
  end
end

for _, name in ipairs({ "upper", "lower", "reverse" }) do
  string[name] = guarded(weigh, string[name])
end

string.format = guarded(nil, string.format, function(made)
  weigh(made)
  return made
end)

for name, matcher in pairs(server.matchers(look)) do
  string[name] = matcher
end
string.gfind = string.gmatch

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

globals.pcall = server.pcall(seen)
globals.xpcall = server.xpcall(seen)

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

globals.loadstring = guarded(function(text, name)
  if type(text) == "string" or type(text) == "number" then
    return true, compile(tostring(text), name)
  end
end, loadstring)

globals.load = guarded(function(reader, name)
  if type(reader) ~= "function" then
    return
  end
  local pieces = {}
  while true do
    local piece = reader()
    if piece == nil or piece == "" then
      break
    end
    if type(piece) ~= "string" then
      return true, nil, "reader function must return a string"
    end
    pieces[#pieces + 1] = piece
  end
  return true, compile(concat(pieces), name or "=(load)")
end, load)

-- What would change the collector for all later scripts does nothing.
globals.collectgarbage = guarded(function(option, argument)
  if option == nil or option == "collect" or option == "count" or option == "step" then
    look()
    return true, collectgarbage(option or "collect", argument)
  end
  if option == "stop" or option == "restart" or option == "setpause" or option == "setstepmul" then
    return true, 0
  end
end, collectgarbage)

if deprecated then
  -- What is not a script's own: the environment of this file and of the interpreter's functions.
  local own = getfenv(1)

  globals.getfenv = guarded(nil, getfenv, function(found)
    return (found == own or found == globals) and shown_globals or found
  end)

  globals.setfenv = guarded(function(target, new)
    local level = tonumber(target)
    if type(new) ~= "table" or not level and type(target) ~= "function" then
      return
    end
    -- Levels of the stack count from the caller of the face: pcall, this function and the face are three more.
    local is_known, found = pcall(getfenv, level and level > 0 and level + 3 or level or target)
    if is_known and found == own then
      error("'setfenv' cannot change environment of given object", 3)
    end
  end, setfenv)

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
math_functions.randomseed = guarded(function(seed)
  if tonumber(seed) then
    server.seed(floor(tonumber(seed)))
    return true
  end
end, math.randomseed)

-- A number without its fraction.
local function whole(number)
  number = tonumber(number)
  return number and (number < 0 and -floor(-number) or floor(number))
end

-- Of arguments that make no sense the stock function tells.
math_functions.random = guarded(function(...)
  local drawn, count = server.draw(), select("#", ...)
  if count == 0 then
    return true, drawn
  end
  local low, high = whole((...)), whole((select(2, ...)))
  if count == 1 and low and low >= 1 then
    return true, floor(drawn * low) + 1
  end
  if count == 2 and low and high and low <= high then
    return true, floor(drawn * (high - low + 1)) + low
  end
end, math.random)

local coroutine_functions = {}
for key, value in pairs(coroutine) do
  coroutine_functions[key] = value
end
coroutine_functions.resume = guarded(nil, coroutine.resume, resumed)

local create, resume = coroutine.create, coroutine.resume
coroutine_functions.wrap = guarded(function(inner)
  local is_made, made = pcall(create, inner)
  if is_made then
    return true, server.wrapped(made, resume, seen)
  end
end, coroutine.wrap)

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
  failure = seen(failure)
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
