-- For wrk: asks for every file of /www in turn and compares every body that comes with the file of its
-- length; no two files have the same.
local files, threads = {}, {}
right, wrong, first_wrong = 0, 0, ""

function setup(thread)
    threads[#threads + 1] = thread
end

function init()
    paths = {}
    for path in io.popen("cd /www && ls *.bin"):lines() do
        local file = io.open("/www/" .. path, "rb")
        local body = file:read("*a")
        file:close()
        files[#body] = body
        paths[#paths + 1] = "/" .. path
    end
    at = 0
end

function request()
    at = at % #paths + 1
    return wrk.format("GET", paths[at])
end

function response(status, headers, body)
    if status == 200 and body == files[#body] then
        right = right + 1
    else
        wrong = wrong + 1
        if wrong <= 5 then
            first_wrong = first_wrong .. tell(status, headers, body)
        end
    end
end

-- What was wrong: where the right body ends or differs.
function tell(status, headers, body)
    local length = tonumber(headers["Content-Length"] or headers["content-length"])
    local file = files[length] or ""
    local same = 0
    while same < #body and same < #file and body:byte(same + 1) == file:byte(same + 1) do
        same = same + 1
    end
    local said = "status %d, %s bytes announced, %d came, the first %d right\n"
    return said:format(status, tostring(length), #body, same)
end

function done()
    local all_right, all_wrong = 0, 0
    for _, thread in ipairs(threads) do
        all_right = all_right + thread:get("right")
        all_wrong = all_wrong + thread:get("wrong")
        io.write(thread:get("first_wrong"))
    end
    io.write(string.format("bodies: %d right, %d wrong\n", all_right, all_wrong))
end
