# Copyright (C) the nginx gray module authors

"""Documents without a fault that have every member, operator and attribute
once, small ones, so that each of their nodes can be changed in many ways; and
words to change them by."""

VARIANTS = {"baseline": "s", "variants": {"s": {}, "c": {"weight": 5}}}


def rule(made):
    return {**VARIANTS, "rules": [made]}


ROUTED = {"baseline": "s", "variants": {
    "s": {"upstream": "app_v1"}, "c": {"upstream": "app_v2", "weight": 5},
    "d": {"upstream": "app_v3", "weight": 50}}}


def plan(made):
    return {**ROUTED, "rollout": {"variant": "c", "steps": [{"weight": 5}],
                                  **made}}


def guard(made):
    return plan({"guards": [{"name": "r", **made}]})


def conditions(made):
    return rule({"when": made, "variant": "c"})


MEMBERS = [
    VARIANTS,
    {**VARIANTS, "release": "checkout", "revision": 7, "enabled": False,
     "origin": "api", "declared_differs": True},
    {**VARIANTS, "hash": ["$cookie_uid", "$arg_uid"], "salt": "other"},
    {**VARIANTS, "cookie": {"name": "id", "expires": "30d", "domain": "a.b",
                            "path": "/x", "secure": True, "httponly": True,
                            "samesite": "none"}},
    {**VARIANTS, "cookie": {"name": "id", "samesite": "lax"}},
    {"baseline": "s", "variants": {"s": {"upstream": "app_v1"},
                                   "c": {"upstream": "app_v2",
                                         "weight": 33.3333},
                                   "d": {"upstream": "app_v3",
                                         "weight": 60}}},
    {"baseline": "s", "fallback": "baseline",
     "variants": {"s": {"upstream": "app_v1"},
                  "c": {"upstream": "app_v2", "weight": 5}}},
    {**VARIANTS, "fallback": "off"},
    {**VARIANTS, "allocation": {"c": [[0, 20000], [30000, 60000]]}},
    rule({"name": "r", "when": {"$x": "1"}, "variant": "c"}),
    rule({"name": "r", "when": {"$x": "1"}, "weights": {"c": 20},
          "allocation": {"c": [[0, 200000]]}}),
    {**VARIANTS, "rules": [
        {"name": "a", "when": {"$x": "1"}, "variant": "c"},
        {"name": "b", "when": {"$x": "1"}, "variant": "s"}]},
]

ROLLOUTS = [
    plan({}),
    {**VARIANTS, "rollout": {"variant": "c", "steps": [{"weight": 5}],
                             "guards": []}},
    {**plan({"unit": "key"}), "hash": ["$cookie_uid"]},
    {**plan({"unit": "key"}), "cookie": {"name": "id"}},
    plan({"unit": "request", "alpha": 0.05, "detect_ratio": 2.5,
          "info_nats": 8, "min_requests": 50}),
    plan({"steps": [{"weight": 5, "gate": "manual", "hold": "10m",
                     "max_hold": "1h", "warmup": "500ms",
                     "min_requests": 5}, {"weight": 50}]}),
    plan({"hold": "2m", "max_hold": "2h30m", "warmup": "0s",
          "cooldown": "1d2h3m4s5ms"}),
    plan({"on_inconclusive": "next", "on_success": "keep"}),
    plan({"on_inconclusive": "rollback", "on_success": "promote"}),
    guard({"bad": "5xx", "max_ratio": 1.25, "floor": 0.0005,
           "action": "rollback"}),
    guard({"bad": ["5xx", "499"], "max": 0.05, "if_baseline_bad": "pause"}),
    guard({"quantiles": [0.5, 0.99], "max_ratio": 1.1, "min_delta": "5ms"}),
    guard({"slower_than": "500ms", "max": 0.01, "action": "pause",
           "if_baseline_bad": "pause"}),
    guard({"sample_ratio": True, "action": "pause"}),
    plan({"guards": [{"name": "a", "max": 0.5}, {"name": "b", "max": 0.5},
                     {"name": "c", "quantiles": [0.2, 0.4, 0.6, 0.8]},
                     {"name": "d", "quantiles": [0.2, 0.4, 0.6, 0.8]},
                     {"name": "s", "max_ratio": 2}]}),
    plan({"guards": [{"name": n, "quantiles": [0.2, 0.4, 0.6]}
                     for n in "abcd"]}),
    plan({"windows": [{"days": ["mon"], "from": "09:00", "to": "17:00",
                       "utc_offset": "+08:00"},
                      {"after": "2026-03-01T00:00:00Z",
                       "before": "2026-03-02T00:00:00Z",
                       "days": ["sun"]}]}),
    plan({"notify": [{"url": "http://127.0.0.1:9000/hook",
                      "on": ["rollback", "gate"]},
                     {"url": "http://[::1]/"}]}),
]

WHEN = [
    {"$x": "a", "$y": 1, "$z": True},
    {"$x": ["a", 1, False]},
    {"all": [{"$x": "a"}], "any": [{"$x": "a"}, {"$y": 2}],
     "not": {"$x": "a"}},
    {"not": {"any": [{"all": [{"not": {"time": {"from": "09:00"}}}]}]}},
    {"$x": {"eq": "a", "ignore_case": True}},
    {"$x": {"ne": 5, "in": ["a", 1], "not_in": ["b", True]}},
    {"$x": {"prefix": "a", "suffix": ["b", "c"], "contains": "d",
            "regex": "^e", "ignore_case": False}},
    {"$x": {"regex": ["^(a|b)$", "c+"]}},
    {"$remote_addr": {"cidr": ["10.0.0.0/8", "2001:db8::/32"]}},
    {"$remote_addr": {"cidr": "::ffff:10.0.0.0/104"}},
    {"$x": {"lt": 5, "lte": 5.5, "gt": -1, "gte": 0}},
    {"$x": {"lt": 5, "ignore_case": False}},
    {"$x": {"version_lt": "2.10", "version_lte": "v1.0.0-rc.1+5",
            "version_gt": "1", "version_gte": "1.2.3"}},
    {"$x": {"in_list": "vip", "exists": False}},
    {"$remote_addr": {"cidr_list": "office"}},
    {"$arg_x": {"eq": "a", "values": "first", "decode": True}},
    {"$cookie_x": {"eq": "a", "values": "last"}},
    {"$http_x": {"exists": True, "values": "any"}},
    {"geo.country.iso_code": ["CN", "HK"], "device": "mobile"},
    {"geo.location.latitude": {"lt": 5, "of": "$http_x_real_ip"}},
    {"device": {"in": ["bot", "tablet"], "of": "$http_user_agent"}},
    {"time": {"after": "2026-03-01T00:00:00Z",
              "before": "2026-04-01T08:00:00.5+08:00"}},
    {"time": {"days": ["mon", "fri"], "from": "22:00", "to": "06:00",
              "utc_offset": "-03:30"}},
    {"time": {"to": "06:00"}},
    {"percent": 10},
    {"percent": {"gte": 10, "lt": 20.5, "salt": "night", "of": "$arg_x"}},
    {"percent": {"lte": 50, "gt": 0}},
]

GOOD = MEMBERS + ROLLOUTS + [conditions(w) for w in WHEN]

# what any node may become

VALUES = [None, True, False, 0, 1, -1, 0.5, 0.9999, 1.01, 1000, 1000.5,
          1000000000, 1000000001, ["5xx"], [0.5], ["mon"], ["rollback"],
          {"weight": 60}, [{"weight": 1}] * 32, [{"weight": 1}] * 33,
          {"name": "s", "max": 0.5}, {"days": ["tue"]},
          5.0, 5.00001, 99.9999, 100, 100.5,
          101, 999999, 1000000, 1000001, 2 ** 53, 2 ** 53 + 2, -2 ** 53,
          -2 ** 53 - 2, 1e300, 1e-310, "", "x", "s", "c", "$x", "$",
          [], [[]], [None], ["x"], [""], [1], [1, 2], [2, 1], [0.5, 2],
          [True], [{}], [{"$x": 1}], [[0, 50000]], {}, {"": 1}, {"x": 1},
          {"$x": 1}, {"c": 5}, {"s": 5}, {"weight": 5}, {"name": "x"},
          {"eq": "x"}, {"lt": 5}, {"ignore_case": True}, {"of": "$x"},
          {"salt": "x"}, {"utc_offset": "Z"}, {"utc_offset": "Z",
          "to": "00:00"}]

# what a text or a member's name may become; of the words of its own kind, each

WORDS = [
    ["nowhere", "$nowhere", "gone", "nowhere_", "$NOWHERE", "checkout",
     "search",
     "a" * 63, "a" * 64, "a" * 255, "a" * 256, "\u00e9" * 63, "\u00e9" * 200,
     "1a", "a1", "A.b-c_d", "_a", "-a", "a b", " a", "a ", "a\n", "\na",
     "a\tb",
     "a/b", "a~b", "a=b", "a;b", "a,b", "a\u007fb", "\u00e9", "\ud83d\ude00",
     "\u0000", "a\u0000b", "$a\u0000", "(", "a(b", "a{2", "[", "\\", "^$",
     "(a+)+$", "((((((((((a))))))))))", "(?<n>a)", "a" * 40000,
     "s", "c", "d", "r", "id", "b", "other", "vip", "office", "name"],

    ["$x_y", "$X", "$a-b", "$a b", "$cookie_a-b", "$COOKIE_a.b", "$cookie_",
     "$cookie_a\n", "$arg_", "$arg_a-b", "$ARG_x", "$http_x-y", "$HTTP_x",
     "$x\n", "$\u00e9", "$cookie_\u00e9", "$$x", "x$y", "${x}", "$1",
     "$cookie_uid", "$arg_uid", "$x", "$y", "$remote_addr", "$arg_x",
     "$cookie_x", "$http_x", "$http_x_real_ip", "$http_user_agent"],

    ["geo", "geo.", "geo.a", "geo..a", "geo.a.", "geo.a.b", "Geo.a",
     "geo.\u00e9",
     "geo.a b", "geo" + ".a" * 16, "geo" + ".a" * 17, "geo.a\n",
     "geo.country.iso_code", "geo.location.latitude", "device", "time",
     "percent"],

    ["30d", "12h", "0", "0d", "1", " 1", "1 ", "1d 12h", "12h1d",
     "1y2M3w4d5h6m7s",
     "1y 2M 3w", "1M1y", "5ms", "d5", "5 6", "5 6 7", "1s 5", "1s5", "1s ",
     "y",
     "1d1d", "1y1y", "-1d", "1.5d", "00000001d", "99999999999999999999y",
     "9223372036854775807", "9223372036854775808", "999999999999y", "1D"],

    ["1.2", "1.2.3.4.5", "v1", "V1", "vv1", "1.", ".1", "1..2", "1.a", "1-",
     "1-a",
     "1-a.b.1", "1-a..b", "1-.a", "1+b", "1+", "1-a+b.c", "1+b-a", "1+a+b",
     "1-+",
     "01.002", "1.2.3-rc.1+build.5", "1.2\n", "1 ", "1-\u00e9", "1-a_b",
     "9" * 100 + ".1",
     "2.10", "v1.0.0-rc.1+5", "1"],

    ["10.0.0.0/8", "10.0.0.1", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/-1",
     "10.0.0.0/", "10.0.0.0/008", "10.0.0.0/8 ", "10.0.0.0/8\n", "10.0.0",
     "10.0.0.256", "010.0.0.0/8", "0.0.0.0/0", "128.0.0.0/0", "1.2.3.4:80",
     "::", "::/0", "::1", "::1/0", "::1/128", "::1/129", "::1/0128", "[::1]",
     "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::",
     "::2:3:4:5:6:7:8",
     "1::2:3:4:5:6:7", "1::2:3:4:5:6:7:8", "1:2::3::4", "12345::",
     "2001:DB8::/32",
     "2001:db8::1/64", "::ffff:10.0.0.0/104", "::ffff:10.0.0.0/8",
     "::ffff:a00:0/96", "::ffff:0:0/95", "::ffff:0.0.0.0/96", "::1.2.3.4",
     "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "fe80::1%eth0", ":",
     ":::",
     "1:2:3:4:5:6:7", "::01.2.3.4", "localhost",
     "0000:0000:0000:0000:0000:0000:255.255.255.255/128",
     "0000:0000:0000:0000:0000:ffff:255.255.255.255/128",
     "2001:db8::/32"],

    ["2026-03-01T00:00:00Z", "2026-03-01t00:00:00z", "2026-03-01 00:00:00Z",
     "2026-03-01T00:00:00", "2026-03-01T00:00:00.5Z", "2026-03-01T00:00:00.Z",
     "2026-03-01T00:00:00+08:00", "2026-03-01T00:00:00-23:59",
     "2026-03-01T00:00:00+24:00", "2026-03-01T00:00:00+0800",
     "2026-03-01T24:00:00Z", "2026-03-01T23:60:00Z", "2026-03-01T23:59:60Z",
     "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z",
     "2024-02-29T00:00:00Z", "2024-02-30T00:00:00Z", "2000-02-29T00:00:00Z",
     "1900-02-29T00:00:00Z",
     "2026-04-31T00:00:00Z", "2026-04-30T00:00:00Z", "2026-03-32T00:00:00Z",
     "2026-03-00T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
     "2026-03-01", "26-03-01T00:00:00Z", "2026-03-01T00:00:00Z\n",
     "2026-04-01T08:00:00.5+08:00"],

    ["00:00", "09:00", "23:59", "24:00", "09:60", "9:00", "09:00:00", "0900",
     "22:00", "09:00\n", "Z", "z", "+00:00", "-00:00", "+08:00", "+8:00",
     "+24:00",
     "+23:59", "08:00", "+08:60", "UTC",
     "06:00", "-03:30"],

    ["5m", "10s", "500ms", "2h30m", "60m", "1h", "0s", "0ms", "1ms", "999ms",
     "2h", "1h1ms", "365d", "366d", "365d1ms", "30m1h", "1h1h", "5mss", "5 m",
     "5m ", "5m\n", "5M", "m", "1.5h", "-5m", "1w", "007m", "999999999d",
     "1234567890s", "1d2h3m4s5ms", "5ms3s"],

    ["http://127.0.0.1:9000/hook", "http://127.0.0.1/", "http://[::1]/",
     "http://localhost/x", "http://localhost:8080/x?y=z&a=%20",
     "https://127.0.0.1/", "HTTP://127.0.0.1/", "http://127.0.0.1",
     "http://127.0.0.1:9000", "http://127.0.0.1:/", "http://127.0.0.1:0/",
     "http://127.0.0.1:00080/", "http://127.0.0.1:65535/",
     "http://127.0.0.1:65536/", "http://127.0.0.1:99999/",
     "http://127.0.0.1:x/", "http://127.0.0.1:-1/", "http://127.0.0.1:8 0/",
     "http://127.0.0.256/", "http://127.0.0.01/", "http://127.0.1/",
     "http://127..0.1/", "http://0.0.0.0/", "http://255.255.255.255/",
     "http://a.example/", "http://user@127.0.0.1/", "http://Localhost/",
     "http://localhost.x/", "http://::1/", "http://[::1/", "http://[]/",
     "http://[::]/", "http://[::1]x/", "http://[::1]:80/", "http://[::1]:/",
     "http://[127.0.0.1]/", "http://[localhost]/", "http://[fe80::1%25eth0]/",
     "http://[1:2:3:4:5:6:7:8]/", "http://[1:2:3:4:5:6:7:8:9]/",
     "http://[1:2:3:4:5:6:7::]/", "http://[::2:3:4:5:6:7:8]/",
     "http://[1::2:3:4:5:6:7]/", "http://[1::2:3:4:5:6:7:8]/",
     "http://[1:2::3::4]/", "http://[12345::]/", "http://[::1.2.3.4]/",
     "http://[1:2:3:4:5:6:1.2.3.4]/", "http://[1:2:3:4:5::1.2.3.4]/",
     "http://[1:2:3:4:5:6::1.2.3.4]/", "http://[::1:2:3:4:5:1.2.3.4]/",
     "http://[::1:2:3:4:5:6:1.2.3.4]/", "http://[1:2::3:4:1.2.3.4]/",
     "http://[1:2::3:4:5:1.2.3.4]/", "http://[::1:]/", "http://[:]/",
     "http://[:::]/", "http://[1:2:3:4:5:6:7]/", "http://[1::1.2.3.4]/",
     "http://[2001:DB8::a:b]:1/", "http://[::ffff:1.2.3.4]/",
     "http://127.0.0.1/a b", "http://127.0.0.1/a#b", "http://127.0.0.1/\r",
     "http://127.0.0.1/\u00e9", "http://127.0.0.1/\u007f",
     "http://127.0.0.1/" + "a" * 238, "http://127.0.0.1/" + "a" * 239,
     "http:///", "http://", "//127.0.0.1/", " http://127.0.0.1/",
     "http://127.0.0.1/\n", "http://127.0.0.1\\/"],

    ["key", "request", "user", "pause", "next", "rollback", "promote", "keep",
     "manual", "auto", "Pause", "1xx", "2xx", "3xx", "4xx", "5xx", "499",
     "500", "6xx", "5XX", "started", "step", "gate", "resumed", "aborted",
     "promoted", "rolled_back", "s", "c"],

    ["mon", "Mon", "monday", "sun", "lax", "Lax", "strict", "none", "first",
     "last", "any", "First", "mobile", "true"],
]
