
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Windows of time: from one date to another, on some days of the week, for
 * some hours of the day.
 *
 * Days and hours are those of a clock with a fixed offset from UTC: there is
 * no daylight saving, so each local day has 86400 seconds, and both follow
 * from a division.  Where "from" is later than "to", the window goes over
 * midnight, and belongs to the day on which it opened.
 *
 * A leap second, "23:59:60", is no second of the epoch and is refused.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_window.h"


#define NGX_HTTP_GRAY_WINDOW_DAY  86400

#define NGX_HTTP_GRAY_WINDOW_DATE                                             \
    "must be a date as \"2026-03-01T00:00:00Z\" or "                          \
    "\"2026-03-01T08:00:00+08:00\""


typedef struct {
    ngx_http_gray_window_t      *window;
    ngx_http_gray_faults_t      *faults;
    const ngx_http_gray_path_t  *path;
    ngx_uint_t                   limits;     /* what says when it is open */
    ngx_uint_t                   bad;        /* unsigned  bad:1; */
} ngx_http_gray_window_reader_t;


typedef struct {
    const char                  *name;
    ngx_int_t                  (*read)(ngx_http_gray_window_t *window,
                                     ngx_str_t *text, size_t offset);
    size_t                       offset;     /* of what is set */
    ngx_uint_t                   limits;     /* unsigned  limits:1; */
    const char                  *accepted;
} ngx_http_gray_window_member_t;


static void ngx_http_gray_window_member(
    ngx_http_gray_window_reader_t *reader, const ngx_http_gray_json_t *json);
static void ngx_http_gray_window_days(ngx_http_gray_window_reader_t *reader,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *json);
static void ngx_http_gray_window_day(ngx_http_gray_window_reader_t *reader,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *json);
static void ngx_http_gray_window_order(ngx_http_gray_window_reader_t *reader,
    const ngx_http_gray_json_t *json);
static void ngx_http_gray_window_fault(ngx_http_gray_window_reader_t *reader,
    const ngx_http_gray_path_t *path, const char *text);
static ngx_int_t ngx_http_gray_window_instant(ngx_http_gray_window_t *window,
    ngx_str_t *text, size_t offset);
static ngx_int_t ngx_http_gray_window_clock(ngx_http_gray_window_t *window,
    ngx_str_t *text, size_t offset);
static ngx_int_t ngx_http_gray_window_zone(ngx_http_gray_window_t *window,
    ngx_str_t *text, size_t offset);
static ngx_int_t ngx_http_gray_window_offset(u_char *p, u_char *last,
    ngx_int_t *seconds);
static ngx_int_t ngx_http_gray_window_epoch(ngx_int_t year, ngx_int_t month,
    ngx_int_t day, int64_t *days);
static ngx_int_t ngx_http_gray_window_digits(u_char *p, size_t n);


static const ngx_http_gray_window_member_t  ngx_http_gray_window_members[] = {

    { "after", ngx_http_gray_window_instant,
      offsetof(ngx_http_gray_window_t, after), 1,
      NGX_HTTP_GRAY_WINDOW_DATE },

    { "before", ngx_http_gray_window_instant,
      offsetof(ngx_http_gray_window_t, before), 1,
      NGX_HTTP_GRAY_WINDOW_DATE },

    { "from", ngx_http_gray_window_clock,
      offsetof(ngx_http_gray_window_t, from), 1,
      "must be a time of the day as \"09:00\", from \"00:00\" to \"23:59\"" },

    { "to", ngx_http_gray_window_clock,
      offsetof(ngx_http_gray_window_t, to), 1,
      "must be a time of the day as \"17:00\", from \"00:00\" to \"23:59\"" },

    { "utc_offset", ngx_http_gray_window_zone,
      offsetof(ngx_http_gray_window_t, offset), 0,
      "must be an offset from UTC as \"+08:00\" or \"-03:30\", or \"Z\"" },

    { NULL, NULL, 0, 0, NULL }
};


static const char  *ngx_http_gray_window_names[] = {
    "mon", "tue", "wed", "thu", "fri", "sat", "sun", NULL
};


ngx_uint_t
ngx_http_gray_window_open(const ngx_http_gray_window_t *window, int64_t now)
{
    int64_t    local, day;
    ngx_int_t  second;

    if (now < window->after || now >= window->before) {
        return 0;
    }

    local = now + window->offset;
    day = local / NGX_HTTP_GRAY_WINDOW_DAY;
    second = (ngx_int_t) (local % NGX_HTTP_GRAY_WINDOW_DAY);

    if (second < 0) {
        second += NGX_HTTP_GRAY_WINDOW_DAY;
        day--;
    }

    if (window->from < 0) {
        /* all the day */

    } else if (window->from < window->to) {

        if (second < window->from || second >= window->to) {
            return 0;
        }

    } else if (second < window->to) {
        day--;

    } else if (second < window->from) {
        return 0;
    }

    if (window->days == 0) {
        return 1;
    }

    /* day 0 was a Thursday */

    day = (day + 3) % 7;

    if (day < 0) {
        day += 7;
    }

    return window->days >> day & 1;
}


/*
 * Of a week and a day, each day of the week is there with all of its hours.
 * In less, the window opens with its first second, or with a day of its own.
 */

ngx_uint_t
ngx_http_gray_window_opens(const ngx_http_gray_window_t *window)
{
    int64_t  day, start;

    if (window->after == INT64_MIN || window->before == INT64_MAX
        || window->before - window->after > 9 * NGX_HTTP_GRAY_WINDOW_DAY
        || ngx_http_gray_window_open(window, window->after))
    {
        return 1;
    }

    day = window->after - (window->after + window->offset)
                          % NGX_HTTP_GRAY_WINDOW_DAY;

    for (day -= NGX_HTTP_GRAY_WINDOW_DAY;
         day < window->before;
         day += NGX_HTTP_GRAY_WINDOW_DAY)
    {
        start = day + ngx_max(window->from, 0);

        if (ngx_http_gray_window_open(window, start)) {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_gray_window_read(ngx_http_gray_window_t *window,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *json,
    ngx_http_gray_faults_t *faults)
{
    ngx_http_gray_json_t           *member;
    ngx_http_gray_window_reader_t   reader;

    window->after = INT64_MIN;
    window->before = INT64_MAX;
    window->days = 0;
    window->from = -1;
    window->to = -1;
    window->offset = 0;

    ngx_memzero(&reader, sizeof(ngx_http_gray_window_reader_t));
    reader.window = window;
    reader.faults = faults;
    reader.path = path;

    if (ngx_http_gray_json_type(json) != NGX_HTTP_GRAY_JSON_OBJECT) {
        ngx_http_gray_window_fault(&reader, path,
                                   "must be an object with at least one of "
                                   "after, before, days, from, to");
        return NGX_DECLINED;
    }

    for (member = ngx_http_gray_json_first(json);
         member;
         member = ngx_http_gray_json_next(member))
    {
        ngx_http_gray_window_member(&reader, member);
    }

    if (reader.bad) {
        return NGX_DECLINED;
    }

    if (reader.limits == 0) {
        ngx_http_gray_window_fault(&reader, path,
                                   "must have at least one of after, before, "
                                   "days, from, to");
        return NGX_DECLINED;
    }

    ngx_http_gray_window_order(&reader, json);

    return reader.bad ? NGX_DECLINED : NGX_OK;
}


static void
ngx_http_gray_window_member(ngx_http_gray_window_reader_t *reader,
    const ngx_http_gray_json_t *json)
{
    ngx_str_t                             text;
    ngx_http_gray_path_t                  frame;
    const ngx_http_gray_window_member_t  *member;

    frame.parent = reader->path;
    frame.key = ngx_http_gray_json_key(json);
    frame.index = 0;

    if (ngx_strcmp(frame.key, "days") == 0) {
        ngx_http_gray_window_days(reader, &frame, json);
        return;
    }

    for (member = ngx_http_gray_window_members; member->name; member++) {
        if (ngx_strcmp(frame.key, member->name) == 0) {
            break;
        }
    }

    if (member->name == NULL) {
        ngx_http_gray_window_fault(reader, &frame,
                                   "unknown member; there are after, before, "
                                   "days, from, to, utc_offset");
        return;
    }

    reader->limits |= member->limits;
    text = ngx_http_gray_json_text(json);

    if (ngx_http_gray_json_type(json) != NGX_HTTP_GRAY_JSON_STRING
        || member->read(reader->window, &text, member->offset) != NGX_OK)
    {
        ngx_http_gray_window_fault(reader, &frame, member->accepted);
    }
}


static void
ngx_http_gray_window_days(ngx_http_gray_window_reader_t *reader,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *json)
{
    ngx_http_gray_json_t  *item;
    ngx_http_gray_path_t   frame;

    reader->limits = 1;

    item = ngx_http_gray_json_first(json);

    if (ngx_http_gray_json_type(json) != NGX_HTTP_GRAY_JSON_ARRAY
        || item == NULL)
    {
        ngx_http_gray_window_fault(reader, path,
                                   "must be an array of days, not empty; "
                                   "there are mon, tue, wed, thu, fri, sat, "
                                   "sun");
        return;
    }

    frame.parent = path;
    frame.key = NULL;
    frame.index = 0;

    for ( /* void */ ; item; item = ngx_http_gray_json_next(item)) {
        ngx_http_gray_window_day(reader, &frame, item);
        frame.index++;
    }
}


static void
ngx_http_gray_window_day(ngx_http_gray_window_reader_t *reader,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *json)
{
    ngx_str_t   text;
    ngx_uint_t  i;

    if (ngx_http_gray_json_type(json) == NGX_HTTP_GRAY_JSON_STRING) {

        text = ngx_http_gray_json_text(json);

        for (i = 0; ngx_http_gray_window_names[i]; i++) {
            if (ngx_strcmp(text.data, ngx_http_gray_window_names[i]) == 0) {
                reader->window->days |= (ngx_uint_t) 1 << i;
                return;
            }
        }
    }

    ngx_http_gray_window_fault(reader, path,
                               "must be one of mon, tue, wed, thu, fri, sat, "
                               "sun");
}


/* what is one without the other, and whether there is anything in between */

static void
ngx_http_gray_window_order(ngx_http_gray_window_reader_t *reader,
    const ngx_http_gray_json_t *json)
{
    ngx_http_gray_path_t     frame;
    ngx_http_gray_window_t  *window;

    window = reader->window;

    frame.parent = reader->path;
    frame.index = 0;

    if (window->after >= window->before) {
        frame.key = "before";
        ngx_http_gray_window_fault(reader, &frame,
                                   "must be later than \"after\"");
    }

    if (window->from < 0 && window->to < 0) {
        return;
    }

    frame.key = "to";

    if (window->from < 0) {
        window->from = 0;

    } else if (window->to < 0) {
        window->to = NGX_HTTP_GRAY_WINDOW_DAY;
    }

    if (window->from == window->to) {
        ngx_http_gray_window_fault(reader, &frame,
                       ngx_http_gray_json_get(json, "from")
                       ? "must not be the same as \"from\""
                       : "must be later than \"00:00\" without \"from\"");
    }
}


static void
ngx_http_gray_window_fault(ngx_http_gray_window_reader_t *reader,
    const ngx_http_gray_path_t *path, const char *text)
{
    reader->bad = 1;

    ngx_http_gray_json_fault(reader->faults, path, "%s", text);
}


static ngx_int_t
ngx_http_gray_window_instant(ngx_http_gray_window_t *window, ngx_str_t *text,
    size_t offset)
{
    return ngx_http_gray_window_date(text,
                                     (int64_t *) ((char *) window + offset));
}


/* "HH:MM" */

static ngx_int_t
ngx_http_gray_window_clock(ngx_http_gray_window_t *window, ngx_str_t *text,
    size_t offset)
{
    ngx_int_t  hour, minute;

    if (text->len != sizeof("00:00") - 1 || text->data[2] != ':') {
        return NGX_DECLINED;
    }

    hour = ngx_http_gray_window_digits(text->data, 2);
    minute = ngx_http_gray_window_digits(text->data + 3, 2);

    if (hour < 0 || hour > 23 || minute < 0 || minute > 59) {
        return NGX_DECLINED;
    }

    *(ngx_int_t *) ((char *) window + offset) = hour * 3600 + minute * 60;

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_window_zone(ngx_http_gray_window_t *window, ngx_str_t *text,
    size_t offset)
{
    return ngx_http_gray_window_offset(text->data, text->data + text->len,
                                   (ngx_int_t *) ((char *) window + offset));
}


/* "Z", or "+HH:MM", or "-HH:MM" */

static ngx_int_t
ngx_http_gray_window_offset(u_char *p, u_char *last, ngx_int_t *seconds)
{
    ngx_int_t  hour, minute;

    if (last - p == 1 && (*p == 'Z' || *p == 'z')) {
        *seconds = 0;
        return NGX_OK;
    }

    if (last - p != sizeof("+00:00") - 1
        || (*p != '+' && *p != '-')
        || p[3] != ':')
    {
        return NGX_DECLINED;
    }

    hour = ngx_http_gray_window_digits(p + 1, 2);
    minute = ngx_http_gray_window_digits(p + 4, 2);

    if (hour < 0 || hour > 23 || minute < 0 || minute > 59) {
        return NGX_DECLINED;
    }

    *seconds = hour * 3600 + minute * 60;

    if (*p == '-') {
        *seconds = - *seconds;
    }

    return NGX_OK;
}


/* a part of a second is cut off */

ngx_int_t
ngx_http_gray_window_date(const ngx_str_t *text, int64_t *seconds)
{
    u_char     *p, *last, *start;
    int64_t     days;
    ngx_int_t   hour, minute, second, offset;

    p = text->data;

    if (text->len < sizeof("2026-03-01T00:00:00Z") - 1
        || p[4] != '-' || p[7] != '-'
        || (p[10] != 'T' && p[10] != 't')
        || p[13] != ':' || p[16] != ':'
        || ngx_http_gray_window_epoch(ngx_http_gray_window_digits(p, 4),
                                      ngx_http_gray_window_digits(p + 5, 2),
                                      ngx_http_gray_window_digits(p + 8, 2),
                                      &days)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    hour = ngx_http_gray_window_digits(p + 11, 2);
    minute = ngx_http_gray_window_digits(p + 14, 2);
    second = ngx_http_gray_window_digits(p + 17, 2);

    if (hour < 0 || hour > 23 || minute < 0 || minute > 59
        || second < 0 || second > 59)
    {
        return NGX_DECLINED;
    }

    last = p + text->len;
    p += sizeof("2026-03-01T00:00:00") - 1;

    if (*p == '.') {
        start = ++p;

        while (p < last && *p >= '0' && *p <= '9') {
            p++;
        }

        if (p == start) {
            return NGX_DECLINED;
        }
    }

    if (ngx_http_gray_window_offset(p, last, &offset) != NGX_OK) {
        return NGX_DECLINED;
    }

    *seconds = days * NGX_HTTP_GRAY_WINDOW_DAY + hour * 3600 + minute * 60
               + second - offset;

    return NGX_OK;
}


/* days since the first of January 1970 in the Gregorian calendar */

static ngx_int_t
ngx_http_gray_window_epoch(ngx_int_t year, ngx_int_t month, ngx_int_t day,
    int64_t *days)
{
    ngx_int_t         leap, before;

    static const u_char    length[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31,
                                        30, 31 };
    static const uint16_t  passed[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243,
                                        273, 304, 334 };

    if (year < 0 || month < 1 || month > 12) {
        return NGX_DECLINED;
    }

    leap = (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));

    if (day < 1 || day > length[month - 1] + (leap && month == 2)) {
        return NGX_DECLINED;
    }

    /* leap days of the years before, from year 0 on, which had one */

    before = (year == 0) ? 0
             : (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + 1;

    *days = (int64_t) year * 365 + before + passed[month - 1]
            + (leap && month > 2) + day - 1 - 719528;

    return NGX_OK;
}


/* a number of "n" digits, or -1 */

static ngx_int_t
ngx_http_gray_window_digits(u_char *p, size_t n)
{
    ngx_int_t  value;

    for (value = 0; n; n--, p++) {

        if (*p < '0' || *p > '9') {
            return -1;
        }

        value = value * 10 + (*p - '0');
    }

    return value;
}
