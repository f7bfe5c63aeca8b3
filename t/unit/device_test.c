
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Hints and User-Agents, as they are met; that every row of the table can be
 * the one that counts, or stands behind one that says the same; and the
 * automaton against a search for one row after another.
 */


#include "unit.h"
#include "ngx_http_gray_device.h"


/* the table, as ngx_http_gray_device.c reads it */

#define ANYWHERE  0x00
#define HEAD      0x01
#define TAIL      0x02
#define WORD      0x03
#define FIRST     0x05
#define ALONE     0x0f

#define BOT       "bot"
#define TABLET    "tablet"
#define MOBILE    "mobile"
#define DESKTOP   "desktop"
#define LARGE     "tablet"

typedef struct {
    const char  *words;
    unsigned     place;
    const char  *device;
} ngx_http_gray_device_row_t;

typedef struct {
    const char  *name;
    const char  *still;
    const char  *alone;
} ngx_http_gray_device_platform_t;

#include "ngx_http_gray_device_table.h"

#define rows       ngx_http_gray_device_rows
#define platforms  ngx_http_gray_device_platforms


static const char *
device(const char *mobile, const char *platform, const char *agent)
{
    ngx_str_t  m, p, a, *answer;

    m = string(mobile);
    p = string(platform);
    a = string(agent);

    answer = ngx_http_gray_device(&m, &p, &a);

    return answer ? (char *) answer->data : "-";
}


static void
judge(const char *mobile, const char *platform, const char *agent,
    const char *expected)
{
    const char  *found;

    found = device(mobile, platform, agent);

    if (strcmp(found, expected) != 0) {
        fail_msg("%s %s %s: expected %s, found %s", mobile, platform, agent,
                 expected, found);
    }
}


#define WEBKIT   " AppleWebKit/537.36 (KHTML, like Gecko) "
#define ANDROID  "Mozilla/5.0 (Linux; Android 10; K)" WEBKIT
#define IPHONE   "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X)" WEBKIT
#define WINDOWS  "Mozilla/5.0 (Windows NT 10.0; Win64; x64)" WEBKIT
#define MAC      "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)" WEBKIT
#define CHROME   "Chrome/124.0.0.0 Safari/537.36"
#define PHONE    "Chrome/124.0.0.0 Mobile Safari/537.36"


static void
test_agents(void **state)
{
    ngx_uint_t  i;

    static const struct {
        const char  *agent;
        const char  *device;
    } agents[] = {
        { WINDOWS CHROME, "desktop" },
        { WINDOWS CHROME " Edg/124.0.0.0", "desktop" },
        { MAC CHROME, "desktop" },
        { MAC "Version/17.4 Safari/605.1.15", "desktop" },
        { "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 "
          "Firefox/125.0", "desktop" },
        { "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0)" WEBKIT CHROME,
          "desktop" },
        { "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; Touch; "
          "Tablet PC 2.0; rv:11.0) like Gecko", "desktop" },
        { "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Media Center "
          "PC 6.0)", "desktop" },
        { "Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12.388 Version/12.18",
          "desktop" },
        { "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0)" WEBKIT "Version/6.0 "
          "TV Safari/537.36", "desktop" },
        { "Mozilla/5.0 (Linux; Android 9; AFTMM Build/PS7285)" WEBKIT CHROME,
          "desktop" },
        { "Mozilla/5.0 (Linux; Android 12; BRAVIA 4K UR3)" WEBKIT CHROME,
          "desktop" },
        { "Mozilla/5.0 (Web0S; Linux/SmartTV)" WEBKIT CHROME, "desktop" },
        { "Mozilla/5.0 (PlayStation; PlayStation 5/2.26)" WEBKIT
          "Version/13.0 Safari/605.1.15", "desktop" },

        { ANDROID PHONE, "mobile" },
        { "Mozilla/5.0 (Linux; Android 13; SM-S918B; wv)" WEBKIT "Version/4.0 "
          PHONE " [FB_IAB/FB4A;FBAV/450.0.0.0;]", "mobile" },
        { "Mozilla/5.0 (Android 14; Mobile; rv:125.0) Gecko/125.0 "
          "Firefox/125.0", "mobile" },
        { IPHONE "Version/17.4 Mobile/15E148 Safari/604.1", "mobile" },
        { IPHONE "Mobile/15E148 Instagram 320.0.0", "mobile" },
        { IPHONE "Mobile/15E148 MicroMessenger/8.0.47 NetType/WIFI "
          "Language/zh_CN", "mobile" },
        { IPHONE "Version/14 Mobile/15E148 NAVER(inapp; search; 1000; 12.4)",
          "mobile" },
        { IPHONE "Mobile/15E148 YaApp_iOS/2404 YaSearchBrowser/2404",
          "mobile" },
        { ANDROID PHONE " (Ecosia android@124.0.6367.113)", "mobile" },
        { "Mozilla/5.0 (Linux; Android 11; CUBOT NOTE 20)" WEBKIT PHONE,
          "mobile" },
        { "Mozilla/5.0 (Linux; U; Android 9; en-us; CUBOT_X19) U3/0.8.0 "
          "Mobile Safari/534.30", "mobile" },
        { "Mozilla/5.0 (Linux; Android 12; TP-Link Neffos)" WEBKIT PHONE,
          "mobile" },
        { "Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7 Build/TQ3A)",
          "mobile" },
        { "MyBank/1204 CFNetwork/1492.0.1 Darwin/23.3.0", "mobile" },
        { "Shop/5.2 (com.example.shop; build:7; iOS 17.4.0) Alamofire/5.8",
          "mobile" },
        { "Opera/9.80 (J2ME/MIDP; Opera Mini/9.80/191.308; U; en) "
          "Presto/2.5.25 Version/10.54", "mobile" },
        { "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia "
          "950)" WEBKIT PHONE " Edge/15.15254", "mobile" },
        { "Mozilla/5.0 (BB10; Touch) AppleWebKit/537.10+ (KHTML, like Gecko) "
          "Version/10.0.9.2372 Mobile Safari/537.10+", "mobile" },
        { "Mozilla/5.0 (Mobile; Nokia_8110_4G; rv:48.0) Gecko/48.0 "
          "Firefox/48.0 KAIOS/2.5", "mobile" },

        { "Mozilla/5.0 (iPad; CPU OS 12_5_7 like Mac OS X)" WEBKIT
          "Version/12.1.2 Mobile/15E148 Safari/604.1", "tablet" },
        { ANDROID CHROME, "tablet" },
        { "Mozilla/5.0 (Android 13; Tablet; rv:125.0) Gecko/125.0 "
          "Firefox/125.0", "tablet" },
        { "Mozilla/5.0 (Linux; Android 13; SM-X900)" WEBKIT CHROME,
          "tablet" },
        { "Mozilla/5.0 (Linux; Android 7.0; SM-T827R4 Build/NRD90M)" WEBKIT
          PHONE, "tablet" },
        { "Mozilla/5.0 (Linux; Android 9; KFMAWI)" WEBKIT "Silk/112.5.1 like "
          CHROME, "tablet" },
        { "Mozilla/5.0 (PlayBook; U; RIM Tablet OS 2.1.0; en-US) "
          "AppleWebKit/536.2+ (KHTML, like Gecko) Version/7.2.1.0",
          "tablet" },

        { "Mozilla/5.0 (compatible; Googlebot/2.1; "
          "+http://www.google.com/bot.html)", "bot" },
        { "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P)" WEBKIT
          PHONE " (compatible; Googlebot/2.1)", "bot" },
        { "curl/8.5.0", "bot" },
        { "python-requests/2.31.0", "bot" },
        { "Go-http-client/2.0", "bot" },
        { "Wget/1.21.4 (linux-gnu)", "bot" },
        { "Mozilla/5.0 (X11; Linux x86_64)" WEBKIT "HeadlessChrome/124.0.0.0 "
          "Safari/537.36", "bot" },
        { "facebookexternalhit/1.1", "bot" },
        { "WhatsApp/2.23.20.0", "bot" },
        { "kube-probe/1.29", "bot" },
        { "Mozilla/5.0", "bot" },
        { "-", "bot" },
        { "something/1.0", "bot" }
    };

    (void) state;

    for (i = 0; i < ITEMS(agents); i++) {
        judge("", "", agents[i].agent, agents[i].device);
    }
}


static void
test_hints(void **state)
{
    ngx_uint_t  i;

    static const struct {
        const char  *mobile;
        const char  *platform;
        const char  *agent;
        const char  *device;
    } hints[] = {
        { "", "", "", "-" },
        { "", "\"\"", "", "-" },
        { "", "\"Unknown\"", "", "-" },
        { "?", "", "", "-" },
        { "1", "", "", "-" },
        { "?2", "", "", "-" },

        { "?1", "", "", "mobile" },
        { "?0", "", "", "desktop" },
        { "?0", "\"Android\"", "", "tablet" },
        { "?0", "\"Windows\"", "", "desktop" },
        { "?0", "\"Somewhere\"", "", "desktop" },
        { "", "\"Android\"", "", "mobile" },
        { "", "Android", "", "mobile" },
        { "", "\"iOS\"", "", "mobile" },
        { "", "\"macOS\"", "", "desktop" },
        { "", "\"Chrome OS\"", "", "desktop" },
        { "", "\"windows\"", "", "desktop" },
        { "", "\"Windows\"", "something/1.0", "desktop" },

        { "?1", "\"Android\"", ANDROID PHONE, "mobile" },
        { "?0", "\"Android\"", ANDROID CHROME, "tablet" },
        { "?0", "", ANDROID CHROME, "tablet" },
        { "?0", "", ANDROID PHONE, "tablet" },
        { "?1", "", ANDROID CHROME, "mobile" },
        { "?1", "\"Android\"",
          "Mozilla/5.0 (Linux; Android 13; SM-X900)" WEBKIT CHROME,
          "tablet" },
        { "?0", "\"Windows\"", WINDOWS CHROME, "desktop" },
        { "?0", "\"Linux\"", "Mozilla/5.0 (X11; Linux x86_64)" WEBKIT CHROME,
          "desktop" },

        /* hints go before the User-Agent, but for programs */

        { "?1", "\"Windows\"", WINDOWS CHROME, "mobile" },
        { "?0", "\"Android\"", WINDOWS CHROME, "tablet" },
        { "?0", "\"Linux\"", ANDROID PHONE, "desktop" },
        { "?1", "\"Android\"", ANDROID PHONE " Googlebot/2.1", "bot" },
        { "?0", "\"Linux\"", "HeadlessChrome/124.0.0.0", "bot" },
        { "?0", "\"Linux\"", "something/1.0", "desktop" }
    };

    (void) state;

    for (i = 0; i < ITEMS(hints); i++) {
        judge(hints[i].mobile, hints[i].platform, hints[i].agent,
              hints[i].device);
    }
}


/* the rule, in the plain way */

static const char *
plain(const char *agent)
{
    size_t       len, n, from;
    unsigned     place;
    ngx_uint_t   i;

    n = strlen(agent);

    for (i = 0; i < ITEMS(rows); i++) {
        len = strlen(rows[i].words);
        place = rows[i].place;

        for (from = 0; from + len <= n; from++) {

            if (strncasecmp(agent + from, rows[i].words, len) != 0
                || ((place & HEAD) && from && isalnum((u_char) agent[from - 1]))
                || ((place & TAIL) && isalnum((u_char) agent[from + len]))
                || ((place & FIRST) == FIRST && from)
                || ((place & ALONE) == ALONE && from + len < n))
            {
                continue;
            }

            return rows[i].device;
        }
    }

    return n ? "bot" : "-";
}


static void
test_rows(void **state)
{
    char        agent[256];
    ngx_uint_t  i, j;

    (void) state;

    for (i = 0; i < ITEMS(rows); i++) {

        for (j = 0; rows[i].words[j]; j++) {
            assert_true(ngx_tolower(rows[i].words[j]) == rows[i].words[j]);
        }

        /* found; and hidden by none that says another thing */

        judge("", "", rows[i].words, rows[i].device);

        for (j = 0; j < i; j++) {
            if (rows[j].place == rows[i].place) {
                assert_string_not_equal(rows[j].words, rows[i].words);
            }
        }

        /* where it has to stand */

        (void) snprintf(agent, sizeof(agent), "x%s", rows[i].words);
        judge("", "", agent, plain(agent));
        (void) snprintf(agent, sizeof(agent), "Windows; %sX", rows[i].words);
        judge("", "", agent, plain(agent));
        (void) snprintf(agent, sizeof(agent), "Windows;%s ", rows[i].words);
        judge("", "", agent, plain(agent));
    }
}


/* rows one after another, cut and put together */

static void
test_automaton(void **state)
{
    char         agent[1024], *p;
    size_t       len, skip;
    uint64_t     seed;
    ngx_uint_t   i, n;
    const char  *words;

    static const char  glue[] = " ;/().-x0A";

    (void) state;

    seed = 4;

    for (i = 0; i < 20000; i++) {
        p = agent;

        for (n = draw(&seed) % 6; n; n--) {
            words = rows[draw(&seed) % ITEMS(rows)].words;
            len = strlen(words);

            skip = (draw(&seed) % 4) ? 0 : draw(&seed) % len;
            len = (draw(&seed) % 4) ? len : skip + draw(&seed) % (len - skip);

            while (skip < len) {
                *p++ = (draw(&seed) % 8) ? words[skip]
                                         : (char) ngx_toupper(words[skip]);
                skip++;
            }

            if (draw(&seed) % 2) {
                *p++ = glue[draw(&seed) % (sizeof(glue) - 1)];
            }
        }

        *p = '\0';

        judge("", "", agent, plain(agent));
    }
}


static void
test_limits(void **state)
{
    u_char       byte;
    ngx_str_t    none, agent, *device;
    ngx_uint_t   i;

    static char  text[70000];

    (void) state;

    memset(text, ' ', sizeof(text) - 1);

    /* what is behind 1024 bytes is not read */

    memcpy(text + 1024 - 6, "iPhone", 6);
    judge("", "", text, "mobile");
    memcpy(text + 1024 - 6, " iPhone", 7);
    judge("", "", text, "bot");
    memcpy(text, "Windows", 7);
    judge("", "", text, "desktop");

    /* all bytes */

    none = string("");
    agent.data = &byte;
    agent.len = 1;

    for (i = 0; i < 256; i++) {
        byte = (u_char) i;
        device = ngx_http_gray_device(&none, &none, &agent);

        assert_non_null(device);
        assert_string_equal((char *) device->data, "bot");
    }

    agent.data = NULL;
    agent.len = 0;
    assert_null(ngx_http_gray_device(&agent, &agent, &agent));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_agents),
        cmocka_unit_test(test_hints),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_automaton),
        cmocka_unit_test(test_limits)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
