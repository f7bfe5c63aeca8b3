
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * What reads single values: versions, dates, windows of time, numbers,
 * addresses, networks, devices.  The input is up to three texts, with a zero
 * byte between them.
 */


#include "fuzz.h"
#include "ngx_http_gray_device.h"
#include "ngx_http_gray_network.h"
#include "ngx_http_gray_version.h"
#include "ngx_http_gray_window.h"


/* an order: of two, and of what compares as equal */

static void
versions(ngx_str_t *text)
{
    ngx_int_t   rc, one, two;
    ngx_uint_t  i, k;

    for (i = 0; i < 3; i++) {
        k = (i + 1) % 3;

        rc = ngx_http_gray_version_compare(&text[i], &text[k], &one);

        must((rc == NGX_OK)
             == (ngx_http_gray_version_check(&text[i]) == NGX_OK
                 && ngx_http_gray_version_check(&text[k]) == NGX_OK));

        if (rc != NGX_OK) {
            continue;
        }

        rc = ngx_http_gray_version_compare(&text[k], &text[i], &two);

        must(rc == NGX_OK);
        must((one < 0) == (two > 0) && (one > 0) == (two < 0));

        rc = ngx_http_gray_version_compare(&text[i], &text[i], &one);

        must(rc == NGX_OK && one == 0);
    }

    if (ngx_http_gray_version_compare(&text[0], &text[1], &one) == NGX_OK
        && ngx_http_gray_version_compare(&text[1], &text[2], &two) == NGX_OK
        && one <= 0 && two <= 0)
    {
        must(ngx_http_gray_version_compare(&text[0], &text[2], &one)
             == NGX_OK);
        must(one <= 0);
    }
}


static void
windows(ngx_str_t *text)
{
    int64_t                      now;
    ngx_int_t                    rc;
    ngx_uint_t                   i;
    ngx_http_gray_path_t         path;
    ngx_http_gray_json_t        *json;
    ngx_http_gray_window_t       window;
    ngx_http_gray_faults_t       faults;
    ngx_http_gray_json_error_t   err;

    json = ngx_http_gray_json_parse(text->data, text->len, &err);

    if (json == NULL) {
        return;
    }

    ngx_memzero(&path, sizeof(ngx_http_gray_path_t));
    path.key = "time";
    faults.n = 0;

    rc = ngx_http_gray_window_read(&window, &path, json, &faults);

    must(rc == NGX_OK || (rc == NGX_DECLINED && faults.n));
    must(ngx_http_gray_window_read(&window, &path, json, NULL) == rc);

    if (rc == NGX_OK) {
        now = 1709164800;

        for (i = 0; i < 500; i++) {
            must(ngx_http_gray_window_open(&window, now + i * 1801) <= 1);
        }

        must(window.before == INT64_MAX
             || !ngx_http_gray_window_open(&window, window.before));
        must(window.after == INT64_MIN
             || !ngx_http_gray_window_open(&window, window.after - 1));
    }

    ngx_http_gray_json_free(json);
}


static void
values(ngx_str_t *text)
{
    char                    why[128];
    double                  number;
    int64_t                 seconds;
    ngx_int_t               family;
    ngx_http_gray_range_t   range;
    ngx_http_gray_value_t   value;

    ngx_memzero(&value, sizeof(ngx_http_gray_value_t));
    value.text = *text;

    must((ngx_http_gray_value_number(&value) == NGX_OK)
         == (ngx_http_gray_value_decimal(text, &number) == NGX_OK));
    must(ngx_http_gray_value_string(&value));

    (void) ngx_http_gray_value_hash(&value);
    (void) ngx_http_gray_window_date(text, &seconds);

    family = ngx_http_gray_network_parse(text, &range, why, sizeof(why));

    must(family == NGX_ERROR || range.first <= range.last);

    /* each address is a network */

    if (ngx_http_gray_value_address(&value) == NGX_OK) {
        must(family == value.family);
        must(range.first == value.addr && range.last == value.addr);
    }
}


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_init();

    return 0;
}


int
LLVMFuzzerTestOneInput(const u_char *data, size_t size)
{
    ngx_str_t   text[3];
    ngx_uint_t  i;

    for (i = 0; i < 3; i++) {
        if (!fuzz_next(&data, &size, &text[i])) {
            text[i] = fuzz_copy(data, 0);
        }
    }

    versions(text);

    for (i = 0; i < 3; i++) {
        windows(&text[i]);
        values(&text[i]);
    }

    (void) ngx_http_gray_device(&text[0], &text[1], &text[2]);

    for (i = 0; i < 3; i++) {
        free(text[i].data);
    }

    return 0;
}
