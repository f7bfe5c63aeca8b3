
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Linked to a unit test, in the place of ngx_http_gray_json_parse(): the texts
 * that are parsed go to the file that RECORD names, one a line.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <stdio.h>

#include "ngx_http_gray_json.h"


ngx_http_gray_json_t *__real_ngx_http_gray_json_parse(const u_char *text,
    size_t len, ngx_http_gray_json_error_t *err);
ngx_http_gray_json_t *__wrap_ngx_http_gray_json_parse(const u_char *text,
    size_t len, ngx_http_gray_json_error_t *err);


ngx_http_gray_json_t *
__wrap_ngx_http_gray_json_parse(const u_char *text, size_t len,
    ngx_http_gray_json_error_t *err)
{
    size_t  i;

    static FILE  *file;

    if (file == NULL) {
        file = fopen(getenv("RECORD"), "a");

        if (file == NULL) {
            perror("RECORD");
            exit(2);
        }

        (void) setvbuf(file, NULL, _IOLBF, BUFSIZ);
    }

    /* in what is JSON, the end of a line is nothing but white space */

    for (i = 0; i < len; i++) {
        (void) fputc(text[i] == '\n' ? ' ' : text[i], file);
    }

    (void) fputc('\n', file);

    return __real_ngx_http_gray_json_parse(text, len, err);
}
