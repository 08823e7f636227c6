-- The debugger of SCRIPT DEBUG: where a script stops, and what its client may look at while it stands.
--
-- It runs within the hook that the interpreter calls at every line of the script. `frames` are the two functions of Lua's
-- debug library that it needs, `client` is the connection at the other end, `source` the lines of the script. Scripts see
-- of all this only `redis.breakpoint` and `redis.debug`.

local frames, client, source, apis = ...
local getinfo, getlocal = frames.getinfo, frames.getlocal
local type, tostring, tonumber, rawget, ipairs = type, tostring, tonumber, rawget, ipairs
local select, unpack, loadstring, setfenv = select, unpack, loadstring, setfenv
local min, max = math.min, math.max
local create, resume = coroutine.create, coroutine.resume
local format, match, sub, lower, concat = string.format, string.match, string.sub, string.lower, table.concat

-- Scripts are named so.
local SCRIPT = "@user_script"
-- Tables within tables that are shown.
local DEPTH_MAX = 10
-- Lines that `list` shows before and after a line.
local CONTEXT = 5
-- Bytes to which values and replies are trimmed at least.
local MAXLEN_MIN = 60
-- Bytes of a value that are shown where nothing is trimmed.
local SHOWN_BYTES_MAX = 16 * 1024 * 1024

-- What scripts are shown: their globals, errors as they see them, and the key behind one of a table.
local globals, seen, next_of

-- Where the script stands; no line before it has begun.
local line
-- The client is asked for commands; what they run does not stop.
local is_talking = false
local stops_at_next_line = false
local breakpoints, breakpoint_count = {}, 0
local steps, maxlen = true, 256

local function set_steps(on)
  steps = on
  client.steps(on)
end

-- ---- values

local function is_list(value)
  local count = 0
  for key in next_of, value do
    count = count + 1
    if key ~= count then
      return false
    end
  end
  return true
end

-- Bytes that may still be shown. Tables that hold each other many times would be shown for ever.
local left

local function shown_at(depth, value)
  local kind, text = type(value), nil
  if depth == DEPTH_MAX then
    text = "<max recursion level reached! Nested table?>"
  elseif kind == "string" then
    text = client.quote(sub(value, 1, left + 1))
  elseif kind == "number" then
    text = format("%g", value)
  elseif kind == "nil" or kind == "boolean" then
    text = tostring(value)
  elseif kind ~= "table" then
    kind = value == globals.cjson.null and "light-userdata" or kind
    text = '"' .. kind .. "@" .. (match(tostring(value), ": *(.*)$") or "") .. '"'
  end
  if text then
    left = left - #text
    return text
  end
  local items, as_list = {}, is_list(value)
  for key, member in next_of, value do
    if left <= 0 then
      break
    end
    -- The brackets and the separator count as well.
    left = left - 2
    local name = as_list and "" or "[" .. shown_at(depth + 1, key) .. "]="
    items[#items + 1] = name .. shown_at(depth + 1, member)
  end
  return "{" .. concat(items, "; ") .. "}"
end

local function shown(value, bytes_max)
  left = bytes_max
  return shown_at(0, value)
end

local function log_value(before, value)
  client.log(before .. shown(value, maxlen > 0 and maxlen or SHOWN_BYTES_MAX), true)
end

-- ---- the source

local function log_line(number)
  local arrow = number == line and "->" or "  "
  local mark = breakpoints[number] and "#" or " "
  client.log(format("%s%s%-3d ", arrow, mark, number) .. (source[number] or "<out of range source code line>"))
end

local function list(around, context)
  for number = max(1, around - context), min(#source, around + context) do
    log_line(number)
  end
end

-- A number as C's atoi reads it.
local function leading_number(word)
  return tonumber(match(word or "", "^%s*([+-]?%d+)")) or 0
end

-- ---- the stack

-- The levels of the stack at which the script itself runs, innermost first, as seen from this function.
local function next_level(_, level)
  repeat
    level = level + 1
    local info = getinfo(level, "S")
    if not info then
      return nil
    end
  until info.source == SCRIPT
  return level
end

-- A variable of such a level, for the function that calls the iterator as well.
local function local_at(level, index)
  local name, value = getlocal(level, index)
  return name, value
end

local function print_all()
  local level = next_level(nil, 1)
  local index, count = 1, 0
  while level do
    local name, value = local_at(level, index)
    if not name then
      break
    end
    if name ~= "(*temporary)" then
      log_value("<value> " .. name .. " = ", value)
      count = count + 1
    end
    index = index + 1
  end
  if count == 0 then
    client.log("No local variables in the current context.")
  end
end

local function print_one(wanted)
  for level in next_level, nil, 1 do
    local index = 1
    repeat
      local name, value = local_at(level, index)
      if name == wanted then
        return log_value("<value> ", value)
      end
      index = index + 1
    until not name
  end
  if wanted == "KEYS" or wanted == "ARGV" then
    return log_value("<value> ", globals[wanted])
  end
  client.log("No such variable.")
end

local function trace()
  local before = "In"
  for level in next_level, nil, 1 do
    local info = getinfo(level - 1, "nl")
    client.log(before .. " " .. (info.name or "top level") .. ":")
    log_line(info.currentline)
    before = "From"
  end
end

-- ---- commands

local HELP = {
  "Redis Lua debugger help:",
  "[h]elp               Show this help.",
  "[s]tep               Run current line and stop again.",
  "[n]ext               Alias for step.",
  "[c]ontinue           Run till next breakpoint.",
  "[l]ist               List source code around current line.",
  "[l]ist [line]        List source code around [line].",
  "                     line = 0 means: current position.",
  "[l]ist [line] [ctx]  In this form [ctx] specifies how many lines",
  "                     to show before/after [line].",
  "[w]hole              List all source code. Alias for 'list 1 1000000'.",
  "[p]rint              Show all the local variables.",
  "[p]rint <var>        Show the value of the specified variable.",
  "                     Can also show global vars KEYS and ARGV.",
  "[b]reak              Show all breakpoints.",
  "[b]reak <line>       Add a breakpoint to the specified line.",
  "[b]reak -<line>      Remove breakpoint from the specified line.",
  "[b]reak 0            Remove all breakpoints.",
  "[t]race              Show a backtrace.",
  "[e]val <code>        Execute some Lua code (in a different callframe).",
  "[r]edis <cmd>        Execute a Redis command.",
  "[m]axlen [len]       Trim logged Redis replies and Lua var dumps to len.",
  "                     Specifying zero as <len> means unlimited.",
  "[a]bort              Stop the execution of the script. In sync",
  "                     mode dataset changes will be retained.",
  "",
  "Debugger functions you can call from Lua scripts:",
  "redis.debug()        Produce logs in the debugger console.",
  "redis.breakpoint()   Stop execution like if there was a breakpoint in the",
  "                     next line of code.",
}

local function help()
  for _, text in ipairs(HELP) do
    client.log(text)
  end
end

local function show_breakpoints()
  if breakpoint_count == 0 then
    return client.log("No breakpoints set. Use 'b <line>' to add one.")
  end
  client.log(breakpoint_count .. " breakpoints set:")
  for number = 1, #source do
    if breakpoints[number] then
      log_line(number)
    end
  end
end

local function change_breakpoint(word)
  -- The number as it would be written.
  local number = match(word, "^-?[1-9]%d*$") and tonumber(word) or word == "0" and 0
  if not number then
    client.log("Invalid argument:'" .. word .. "'")
  elseif number == 0 then
    breakpoints, breakpoint_count = {}, 0
    client.log("All breakpoints removed.")
  elseif number < 0 then
    if not breakpoints[-number] then
      return client.log("No breakpoint in the specified line.")
    end
    breakpoints[-number] = nil
    breakpoint_count = breakpoint_count - 1
    client.log("Breakpoint removed.")
  elseif number > #source or breakpoints[number] then
    client.log("Wrong line number.")
  else
    breakpoints[number] = true
    breakpoint_count = breakpoint_count + 1
    list(number, 1)
  end
end

local function change_maxlen(word)
  if word then
    maxlen = leading_number(word)
    if maxlen ~= 0 and maxlen < MAXLEN_MIN then
      maxlen = MAXLEN_MIN
    end
    client.maxlen(maxlen)
  end
  if maxlen == 0 then
    client.log("<value> replies are unlimited.")
  else
    client.log("<value> replies are truncated at " .. format("%.0f", maxlen) .. " bytes.")
  end
end

-- The code runs in a coroutine: within the hook itself nothing could end it.
local function evaluate(words)
  local code = concat(words, " ", 2)
  local compiled, failure = loadstring("return " .. code, "@ldb_eval")
  if not compiled then
    compiled, failure = loadstring(code, "@ldb_eval")
  end
  if not compiled then
    return client.log("<error> " .. failure)
  end
  client.steps(false)
  local ok, value = resume(create(setfenv(compiled, globals)))
  client.steps(steps)
  if ok then
    return log_value("<retval> ", value)
  end
  value = seen(value)
  if type(value) == "table" then
    value = rawget(value, "err") or shown(value, SHOWN_BYTES_MAX)
  end
  client.log("<error> " .. tostring(value))
end

local function run_command(words)
  client.steps(true)
  client.call(unpack(words, 2))
  client.steps(steps)
end

-- ---- the session

-- Takes commands while the script stands.
local function converse()
  while true do
    local words = client.next()
    if not words then
      -- The client is gone, and the script runs to its end; or it has to end.
      breakpoints, breakpoint_count = {}, 0
      return set_steps(false)
    end
    local count, verb = #words, lower(words[1])
    if verb == "h" or verb == "help" then
      help()
    elseif verb == "s" or verb == "step" or verb == "n" or verb == "next" then
      return set_steps(true)
    elseif verb == "c" or verb == "continue" then
      return set_steps(false)
    elseif verb == "t" or verb == "trace" then
      trace()
    elseif verb == "m" or verb == "maxlen" then
      change_maxlen(count == 2 and words[2] or nil)
    elseif verb == "b" or verb == "break" then
      if count == 1 then
        show_breakpoints()
      end
      for index = 2, count do
        change_breakpoint(words[index])
      end
    elseif verb == "e" or verb == "eval" then
      evaluate(words)
    elseif verb == "a" or verb == "abort" then
      client.abort()
      return set_steps(false)
    elseif (verb == "r" or verb == "redis") and count > 1 then
      run_command(words)
    elseif verb == "p" or verb == "print" then
      if count == 2 then
        print_one(words[2])
      else
        print_all()
      end
    elseif verb == "l" or verb == "list" then
      local around = leading_number(words[2])
      list(around > 0 and around or line, words[3] and leading_number(words[3]) or CONTEXT)
    elseif verb == "w" or verb == "whole" then
      list(1, #source)
    else
      client.log("<error> Unknown Redis Lua debugger command or wrong number of arguments.")
    end
  end
end

-- The script comes to a line, or has run for long.
local function reach(number, is_late)
  local reason
  if is_talking then
    return
  elseif stops_at_next_line then
    reason = "redis.breakpoint() called"
  elseif is_late then
    reason = "timeout reached, infinite loop?"
  elseif breakpoints[number] then
    reason = "break point"
  elseif steps then
    reason = "step over"
  else
    return
  end
  line, stops_at_next_line = number, false
  client.log("* Stopped at " .. number .. ", stop reason = " .. reason)
  log_line(number)
  is_talking = true
  converse()
  is_talking = false
end

-- ---- what scripts call

local function breakpoint()
  stops_at_next_line = true
  return true
end

local function debug(...)
  local texts = {}
  for index = 1, select("#", ...) do
    texts[index] = shown((select(index, ...)), SHOWN_BYTES_MAX)
  end
  local level = next_level(nil, 1)
  local number = level and getinfo(level - 1, "l").currentline or line
  client.log("<debug> line " .. number .. ": " .. concat(texts, ", "))
end

for _, api in ipairs(apis) do
  local error_reply = api.error_reply
  api.breakpoint, api.debug = breakpoint, debug
  api.error_reply = function(...)
    local text = ...
    if not steps then
      return error_reply(...)
    elseif select("#", ...) ~= 1 or type(text) ~= "string" then
      client.log("<error> wrong number or type of arguments")
    else
      client.log("<error> " .. (sub(text, 1, 1) == "-" and text or "-" .. text))
    end
    return error_reply(...)
  end
end

-- Called when the globals of scripts are made.
local function begin(shown_globals, seen_by_scripts)
  globals, seen, next_of = shown_globals, seen_by_scripts, shown_globals.next
end

return { reach = reach, begin = begin }
