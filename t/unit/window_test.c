
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Windows of time: what is refused, and when a window is open, held against
 * what gmtime_r() says of the time.
 */


#include "unit.h"

#include <time.h>

#include "ngx_http_gray_window.h"


#define DATE                                                                  \
    " must be a date as \"2026-03-01T00:00:00Z\" or "                         \
    "\"2026-03-01T08:00:00+08:00\""
#define FROM                                                                  \
    " must be a time of the day as \"09:00\", from \"00:00\" to \"23:59\""
#define TO                                                                    \
    " must be a time of the day as \"17:00\", from \"00:00\" to \"23:59\""
#define ZONE                                                                  \
    " must be an offset from UTC as \"+08:00\" or \"-03:30\", or \"Z\""
#define DAYS                                                                  \
    " must be an array of days, not empty; there are mon, tue, wed, thu, "    \
    "fri, sat, sun"
#define DAY  " must be one of mon, tue, wed, thu, fri, sat, sun"
#define LIMITS  " must have at least one of after, before, days, from, to"
#define OBJECT                                                                \
    " must be an object with at least one of after, before, days, from, to"
#define UNKNOWN                                                               \
    " unknown member; there are after, before, days, from, to, utc_offset"


static uint64_t  seed;


static const char *days[] = { "mon", "tue", "wed", "thu", "fri", "sat",
                              "sun" };


static ngx_int_t
read_window(ngx_http_gray_window_t *window, const char *text,
    ngx_http_gray_faults_t *faults)
{
    ngx_int_t              rc;
    ngx_http_gray_path_t   path;
    ngx_http_gray_json_t  *json;

    path.parent = NULL;
    path.key = "time";
    path.index = 0;

    json = parse(text);
    rc = ngx_http_gray_window_read(window, &path, json, faults);
    ngx_http_gray_json_free(json);

    return rc;
}


static const struct {
    const char  *text;
    const char  *faults;
} refused[] = {
    { "null", "/time" OBJECT },
    { "\"09:00\"", "/time" OBJECT },
    { "[]", "/time" OBJECT },
    { "{}", "/time" LIMITS },
    { "{\"utc_offset\": \"Z\"}", "/time" LIMITS },
    { "{\"After\": \"2026-03-01T00:00:00Z\"}", "/time/After" UNKNOWN },
    { "{\"day\": [\"mon\"]}", "/time/day" UNKNOWN },

    { "{\"after\": 5}", "/time/after" DATE },
    { "{\"before\": null}", "/time/before" DATE },
    { "{\"after\": \"2026-03-01\"}", "/time/after" DATE },
    { "{\"after\": \"2026-03-01T00:00:00\"}", "/time/after" DATE },
    { "{\"after\": \"2026-02-29T00:00:00Z\"}", "/time/after" DATE },
    { "{\"after\": \"2026-03-02T00:00:00Z\", "
      "\"before\": \"2026-03-01T00:00:00Z\"}",
      "/time/before must be later than \"after\"" },
    { "{\"after\": \"2026-03-01T08:00:00+08:00\", "
      "\"before\": \"2026-03-01T00:00:00Z\"}",
      "/time/before must be later than \"after\"" },

    { "{\"days\": \"mon\"}", "/time/days" DAYS },
    { "{\"days\": []}", "/time/days" DAYS },
    { "{\"days\": {\"mon\": 1}}", "/time/days" DAYS },
    { "{\"days\": [\"mon\", \"Tue\", 3, \"wed\", \"\", \"monday\"]}",
      "/time/days/1" DAY "\n/time/days/2" DAY "\n/time/days/4" DAY "\n"
      "/time/days/5" DAY },

    { "{\"from\": \"9:00\"}", "/time/from" FROM },
    { "{\"from\": \"09:00:00\"}", "/time/from" FROM },
    { "{\"from\": \"24:00\"}", "/time/from" FROM },
    { "{\"from\": \"09:60\"}", "/time/from" FROM },
    { "{\"from\": \"09.00\"}", "/time/from" FROM },
    { "{\"from\": \"-1:00\"}", "/time/from" FROM },
    { "{\"from\": \"0a:00\"}", "/time/from" FROM },
    { "{\"from\": \"\"}", "/time/from" FROM },
    { "{\"from\": 9}", "/time/from" FROM },
    { "{\"to\": \"24:00\"}", "/time/to" TO },
    { "{\"to\": \"5pm\"}", "/time/to" TO },
    { "{\"to\": \"00:00\"}",
      "/time/to must be later than \"00:00\" without \"from\"" },
    { "{\"from\": \"09:00\", \"to\": \"09:00\"}",
      "/time/to must not be the same as \"from\"" },
    { "{\"from\": \"00:00\", \"to\": \"00:00\"}",
      "/time/to must not be the same as \"from\"" },

    { "{\"from\": \"09:00\", \"utc_offset\": 8}", "/time/utc_offset" ZONE },
    { "{\"from\": \"09:00\", \"utc_offset\": \"08:00\"}",
      "/time/utc_offset" ZONE },
    { "{\"from\": \"09:00\", \"utc_offset\": \"+8:00\"}",
      "/time/utc_offset" ZONE },
    { "{\"from\": \"09:00\", \"utc_offset\": \"+0800\"}",
      "/time/utc_offset" ZONE },
    { "{\"from\": \"09:00\", \"utc_offset\": \"+24:00\"}",
      "/time/utc_offset" ZONE },
    { "{\"from\": \"09:00\", \"utc_offset\": \"+08:60\"}",
      "/time/utc_offset" ZONE },
    { "{\"from\": \"09:00\", \"utc_offset\": \"UTC\"}",
      "/time/utc_offset" ZONE },
    { "{\"from\": \"09:00\", \"utc_offset\": \"\"}",
      "/time/utc_offset" ZONE },

    { "{\"after\": \"x\", \"days\": [1], \"from\": \"x\", \"zone\": \"Z\", "
      "\"to\": 5, \"utc_offset\": \"x\"}",
      "/time/after" DATE "\n/time/days/0" DAY "\n/time/from" FROM "\n"
      "/time/zone" UNKNOWN "\n/time/to" TO "\n/time/utc_offset" ZONE }
};


static void
test_refused(void **state)
{
    ngx_uint_t               i;
    ngx_http_gray_faults_t   faults;
    ngx_http_gray_window_t   window;

    (void) state;

    for (i = 0; i < ITEMS(refused); i++) {
        faults.n = 0;

        assert_int_equal(read_window(&window, refused[i].text, &faults),
                         NGX_DECLINED);
        assert_faults(refused[i].text, &faults, refused[i].faults);

        assert_int_equal(read_window(&window, refused[i].text, NULL),
                         NGX_DECLINED);
    }
}


static void
test_dates(void **state)
{
    u_char      *copy;
    int64_t      seconds;
    ngx_str_t    s;
    ngx_uint_t   i;

    static const struct {
        const char  *text;
        int64_t      seconds;
    } tests[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "1970-01-01t00:00:01z", 1 },
        { "1970-01-01T08:00:00+08:00", 0 },
        { "1969-12-31T20:30:00-03:30", 0 },
        { "1969-12-31T23:59:59Z", -1 },
        { "1970-01-01T00:00:00-00:00", 0 },
        { "1970-01-01T23:59:00+23:59", 0 },
        { "2000-02-29T00:00:00Z", 951782400 },
        { "2000-03-01T00:00:00Z", 951868800 },
        { "2026-03-01T12:34:56Z", 1772368496 },
        { "2026-03-01T12:34:56.999999999999Z", 1772368496 },
        { "2038-01-19T03:14:08Z", 2147483648LL },
        { "2100-02-28T23:59:59Z", 4107542399LL },
        { "2100-03-01T00:00:00Z", 4107542400LL },
        { "9999-12-31T23:59:59Z", 253402300799LL },
        { "0001-01-01T00:00:00Z", -62135596800LL },
        { "0000-03-01T00:00:00Z", -62162035200LL },
        { "0000-02-29T00:00:00Z", -62162121600LL },
        { "0000-01-01T00:00:00Z", -62167219200LL }
    };

    static const char *bad[] = {
        "", "Z", "2026-03-01", "2026-03-01T00:00Z", "2026-03-01 00:00:00Z",
        "2026-03-01T00:00:00", "2026-3-1T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z", "2026-03-00T00:00:00Z",
        "2026-03-32T00:00:00Z", "2026-04-31T00:00:00Z",
        "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
        "2026-03-01T24:00:00Z", "2026-03-01T00:60:00Z",
        "2016-12-31T23:59:60Z", "2026-03-01T00:00:61Z",
        "2026-03-01T00:00:00.Z", "2026-03-01T00:00:00,5Z",
        "2026-03-01T00:00:00.5", "2026-03-01T00:00:00ZZ",
        "2026-03-01T00:00:00+8:00", "2026-03-01T00:00:00+0800",
        "2026-03-01T00:00:00+24:00", "2026-03-01T00:00:00+08:60",
        "2026-03-01T00:00:00+08:00Z", "2026/03/01T00:00:00Z",
        "-026-03-01T00:00:00Z", "+2026-03-01T00:00:00Z",
        "12026-03-01T00:00:00Z", "2026-03-01T00:00:00.5.5Z",
        "2026-03-01T-1:00:00Z", "2026-03-01T00.00.00Z", "20260301T000000Z    "
    };

    (void) state;

    for (i = 0; i < ITEMS(tests); i++) {
        s = string(tests[i].text);

        assert_int_equal(ngx_http_gray_window_date(&s, &seconds), NGX_OK);

        if (seconds != tests[i].seconds) {
            fail_msg("%s: %lld", tests[i].text, (long long) seconds);
        }
    }

    for (i = 0; i < ITEMS(bad); i++) {

        /* of the exact size, so that a read behind the end is seen */

        s.len = strlen(bad[i]);
        copy = malloc(s.len ? s.len : 1);
        assert_non_null(copy);
        memcpy(copy, bad[i], s.len);
        s.data = copy;

        if (ngx_http_gray_window_date(&s, &seconds) != NGX_DECLINED) {
            fail_msg("\"%s\" is a date", bad[i]);
        }

        free(copy);
    }
}


/* every date of 10000 years, drawn by its number */

static void
test_dates_random(void **state)
{
    char        text[64];
    time_t      t;
    int64_t     seconds;
    struct tm   tm;
    ngx_str_t   s;
    ngx_uint_t  i;

    (void) state;

    seed = 5;

    for (i = 0; i < 200000; i++) {
        t = (time_t) (draw(&seed) % 315569520000ULL) - 62167219200LL;

        assert_non_null(gmtime_r(&t, &tm));

        sprintf(text, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
                tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);

        s = string(text);
        assert_int_equal(ngx_http_gray_window_date(&s, &seconds), NGX_OK);

        if (seconds != t) {
            fail_msg("%s: %lld, must be %lld", text, (long long) seconds,
                     (long long) t);
        }
    }
}


static void
test_open(void **state)
{
    int64_t                  now;
    ngx_str_t                s;
    ngx_uint_t               i;
    ngx_http_gray_faults_t   faults;
    ngx_http_gray_window_t   window;

    /* the 6th of March 2026 is a Friday */

    static const struct {
        const char  *window;
        const char  *now;
        ngx_uint_t   open;
    } tests[] = {
        { "{\"after\": \"2026-03-01T00:00:00Z\"}", "2026-02-28T23:59:59Z", 0 },
        { "{\"after\": \"2026-03-01T00:00:00Z\"}", "2026-03-01T00:00:00Z", 1 },
        { "{\"before\": \"2026-03-01T00:00:00Z\"}",
          "2026-02-28T23:59:59Z", 1 },
        { "{\"before\": \"2026-03-01T00:00:00Z\"}",
          "2026-03-01T00:00:00Z", 0 },
        { "{\"after\": \"2026-03-01T00:00:00+08:00\", "
          "\"before\": \"2026-03-01T00:00:01+08:00\"}",
          "2026-02-28T16:00:00Z", 1 },

        { "{\"days\": [\"fri\"]}", "2026-03-06T00:00:00Z", 1 },
        { "{\"days\": [\"fri\"]}", "2026-03-06T23:59:59Z", 1 },
        { "{\"days\": [\"fri\"]}", "2026-03-05T23:59:59Z", 0 },
        { "{\"days\": [\"fri\"]}", "2026-03-07T00:00:00Z", 0 },
        { "{\"days\": [\"fri\", \"fri\", \"sat\"]}",
          "2026-03-07T00:00:00Z", 1 },
        { "{\"days\": [\"fri\"], \"utc_offset\": \"+08:00\"}",
          "2026-03-05T16:00:00Z", 1 },
        { "{\"days\": [\"fri\"], \"utc_offset\": \"+08:00\"}",
          "2026-03-06T16:00:00Z", 0 },
        { "{\"days\": [\"fri\"], \"utc_offset\": \"-03:30\"}",
          "2026-03-07T03:29:59Z", 1 },

        { "{\"from\": \"09:00\", \"to\": \"17:00\"}",
          "2026-03-06T09:00:00Z", 1 },
        { "{\"from\": \"09:00\", \"to\": \"17:00\"}",
          "2026-03-06T08:59:59Z", 0 },
        { "{\"from\": \"09:00\", \"to\": \"17:00\"}",
          "2026-03-06T17:00:00Z", 0 },
        { "{\"from\": \"09:00\"}", "2026-03-06T08:59:59Z", 0 },
        { "{\"from\": \"09:00\"}", "2026-03-06T23:59:59Z", 1 },
        { "{\"to\": \"09:00\"}", "2026-03-06T00:00:00Z", 1 },
        { "{\"to\": \"09:00\"}", "2026-03-06T09:00:00Z", 0 },
        { "{\"from\": \"00:00\"}", "2026-03-06T00:00:00Z", 1 },

        /* over midnight: the day is that on which it opened */

        { "{\"from\": \"22:00\", \"to\": \"06:00\"}",
          "2026-03-06T22:00:00Z", 1 },
        { "{\"from\": \"22:00\", \"to\": \"06:00\"}",
          "2026-03-06T05:59:59Z", 1 },
        { "{\"from\": \"22:00\", \"to\": \"06:00\"}",
          "2026-03-06T06:00:00Z", 0 },
        { "{\"from\": \"22:00\", \"to\": \"06:00\"}",
          "2026-03-06T21:59:59Z", 0 },
        { "{\"from\": \"22:00\", \"to\": \"00:00\"}",
          "2026-03-06T23:59:59Z", 1 },
        { "{\"from\": \"22:00\", \"to\": \"00:00\"}",
          "2026-03-06T00:00:00Z", 0 },
        { "{\"days\": [\"fri\"], \"from\": \"22:00\", \"to\": \"06:00\"}",
          "2026-03-06T05:00:00Z", 0 },
        { "{\"days\": [\"fri\"], \"from\": \"22:00\", \"to\": \"06:00\"}",
          "2026-03-06T23:00:00Z", 1 },
        { "{\"days\": [\"fri\"], \"from\": \"22:00\", \"to\": \"06:00\"}",
          "2026-03-07T05:59:59Z", 1 },
        { "{\"days\": [\"fri\"], \"from\": \"22:00\", \"to\": \"06:00\"}",
          "2026-03-07T22:00:00Z", 0 },
        { "{\"days\": [\"sun\"], \"from\": \"22:00\", \"to\": \"06:00\"}",
          "2026-03-09T05:00:00Z", 1 },

        /* before there was an epoch: the 31st of December was a Wednesday */

        { "{\"days\": [\"wed\"]}", "1969-12-31T23:59:59Z", 1 },
        { "{\"days\": [\"wed\"], \"from\": \"23:00\"}",
          "1969-12-31T23:00:00Z", 1 },
        { "{\"days\": [\"wed\"], \"from\": \"23:00\"}",
          "1969-12-31T22:59:59Z", 0 }
    };

    (void) state;

    for (i = 0; i < ITEMS(tests); i++) {
        faults.n = 0;

        assert_int_equal(read_window(&window, tests[i].window, &faults),
                         NGX_OK);
        assert_faults(tests[i].window, &faults, "");

        s = string(tests[i].now);
        assert_int_equal(ngx_http_gray_window_date(&s, &now), NGX_OK);

        if (ngx_http_gray_window_open(&window, now) != tests[i].open) {
            fail_msg("%s, %s: must be %lu", tests[i].window, tests[i].now,
                     (unsigned long) tests[i].open);
        }
    }
}


/* minute by minute over the days, as a clock on the wall shows it */

static void
test_open_random(void **state)
{
    char                     text[128];
    time_t                   local;
    int64_t                  now;
    struct tm                tm;
    ngx_int_t                from, to, clock, zone, day;
    ngx_uint_t               i, k, expected, open, shut;
    ngx_http_gray_window_t   window;

    (void) state;

    seed = 6;
    open = 0;
    shut = 0;

    for (i = 0; i < 3000; i++) {
        from = draw(&seed) % 1440;
        to = (from + 1 + draw(&seed) % 1439) % 1440;
        zone = (ngx_int_t) (draw(&seed) % 57) * 30 - 14 * 60;

        sprintf(text, "{\"from\": \"%02ld:%02ld\", \"to\": \"%02ld:%02ld\", "
                      "\"days\": [\"%s\", \"%s\", \"%s\"], "
                      "\"utc_offset\": \"%c%02ld:%02ld\"}",
                (long) from / 60, (long) from % 60, (long) to / 60,
                (long) to % 60, days[i % 7], days[i / 7 % 7],
                days[i / 49 % 7], zone < 0 ? '-' : '+',
                (long) labs(zone) / 60, (long) labs(zone) % 60);

        assert_int_equal(read_window(&window, text, NULL), NGX_OK);

        for (k = 0; k < 100; k++) {
            now = 1772000000 + (int64_t) (draw(&seed) % (14 * 86400));
            local = (time_t) (now + zone * 60);

            assert_non_null(gmtime_r(&local, &tm));

            clock = tm.tm_hour * 60 + tm.tm_min;
            day = (tm.tm_wday + 6) % 7;

            if (from < to) {
                expected = (clock >= from && clock < to);

            } else {
                expected = (clock >= from || clock < to);

                if (clock < to) {
                    day = (day + 6) % 7;
                }
            }

            expected = expected
                       && (day == (ngx_int_t) (i % 7)
                           || day == (ngx_int_t) (i / 7 % 7)
                           || day == (ngx_int_t) (i / 49 % 7));

            if (ngx_http_gray_window_open(&window, now) != expected) {
                fail_msg("%s, %lld: must be %lu", text, (long long) now,
                         (unsigned long) expected);
            }

            open += expected;
            shut += !expected;
        }
    }

    assert_true(open > 30000);
    assert_true(shut > 30000);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_dates_random),
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_open_random)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
