-- For wrk: asks for every file of /www in turn and compares every body that comes with the file of its
-- length; no two files have the same.
local files, threads = {}, {}
right, wrong = 0, 0

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

function response(status, _, body)
    if status == 200 and body == files[#body] then
        right = right + 1
    else
        wrong = wrong + 1
    end
end

function done()
    local all_right, all_wrong = 0, 0
    for _, thread in ipairs(threads) do
        all_right = all_right + thread:get("right")
        all_wrong = all_wrong + thread:get("wrong")
    end
    io.write(string.format("bodies: %d right, %d wrong\n", all_right, all_wrong))
end
