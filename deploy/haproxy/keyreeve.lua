-- SPDX-License-Identifier: Apache-2.0
-- HAProxy asks Keyreeve about a request: the action "keyreeve".
--
-- global:    lua-load-per-thread /etc/haproxy/keyreeve.lua
-- frontend:  http-request lua.keyreeve closed bucket=production&scopes=orders:read
--
-- The first word says what becomes of a request that no node has judged ("closed": it is refused,
-- "open": it is let in), the second what is asked of the key.
--
-- A request that may pass has the variable txn.keyreeve_allowed. The frontend must refuse all that
-- lack it: they were not judged, or the action has failed, behind which HAProxy goes on.

-- Where Keyreeve is asked: an address of HAProxy's own, see haproxy.cfg.
local ADDRESS = os.getenv("KEYREEVE_ADDRESS") or "abns@keyreeve"
-- Where a key may stand.
local CREDENTIALS = os.getenv("KEYREEVE_HEADERS") or "authorization,x-api-key"

local TIMEOUT_MS = 10000 -- the listener's own are shorter, and end a question in order
local IDENTITY = {
    "x-consumer-id", "x-consumer-name", "x-consumer-metadata", "x-key-id", "x-key-scopes",
    "x-key-expires", "x-environment",
}
local DENIAL = { "content-type", "www-authenticate", "retry-after", "cache-control" }

local is_identity, is_credential = {}, {}
for _, name in ipairs(IDENTITY) do
    is_identity[name] = true
end
for name in CREDENTIALS:gmatch("[^,]+") do
    is_credential[name:lower()] = true
end

-- HAProxy counts a header's values from 0.
local function first(headers, name)
    return headers[name] and headers[name][0]
end

local function values_of(header)
    local values = {}
    for i = 0, #header do
        values[i + 1] = header[i]
    end
    return values
end

-- What the client says of itself goes, in the spelling too that many applications take for the same.
local function remove_forged(txn, headers)
    for name in pairs(headers) do
        if is_identity[name:gsub("_", "-")] then
            txn.http:req_del_header(name)
        end
    end
end

local function question_headers(txn, headers)
    local asked = {
        ["x-forwarded-for"] = { txn.sf:src() },
        ["x-forwarded-method"] = { txn.sf:method() },
        ["x-forwarded-uri"] = { txn.sf:pathq() },
    }
    for name, header in pairs(headers) do
        if is_credential[name] then
            asked[name] = values_of(header)
        end
    end
    return asked
end

local function allow(txn, answer)
    for _, name in ipairs(IDENTITY) do
        local value = first(answer.headers, name)
        if value and value ~= "" then
            txn.http:req_set_header(name, value)
        end
    end
    txn:set_var("txn.keyreeve_key_id", first(answer.headers, "x-key-id"))
    txn:set_var("txn.keyreeve_allowed", true)
end

-- Keyreeve's own answer is for the client, but for the reason.
local function deny(txn, answer)
    local reply = txn:reply({ status = answer.status, body = answer.body })
    for _, name in ipairs(DENIAL) do
        local value = first(answer.headers, name)
        if value then
            reply:add_header(name, value)
        end
    end
    txn:done(reply)
end

-- Who is neither allowed nor denied here is refused by the frontend, with 503.
local function judge(txn, answer, on_silence)
    local headers = answer and answer.headers or {}
    local status = answer and answer.status or 0
    local key_id, reason = first(headers, "x-key-id"), first(headers, "x-auth-reason")
    if status == 200 and key_id and key_id ~= "" then
        txn:set_var("txn.keyreeve_reason", "VALID")
        allow(txn, answer)
    elseif reason then
        txn:set_var("txn.keyreeve_reason", reason)
        deny(txn, answer)
    elseif status == 0 or status >= 500 then -- no node, says the listener
        txn:set_var("txn.keyreeve_reason", "SILENT")
        txn:set_var("txn.keyreeve_allowed", on_silence == "open")
    else
        txn:set_var("txn.keyreeve_reason", "NOT_KEYREEVE")
    end
end

core.register_action("keyreeve", { "http-req" }, function(txn, on_silence, question)
    assert(on_silence == "closed" or on_silence == "open", 'keyreeve: say "closed" or "open"')
    local headers = txn.http:req_get_headers()
    remove_forged(txn, headers)
    local answer = core.httpclient():get({
        url = "http://keyreeve/authz/haproxy?" .. question,
        dst = ADDRESS,
        headers = question_headers(txn, headers),
        timeout = TIMEOUT_MS,
    })
    judge(txn, answer, on_silence)
end, 2)
