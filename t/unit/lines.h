
/*
 * Copyright (C) the nginx gray module authors
 */


/* all good lines of a journal, in order, as the module reads them */


typedef struct {
    ngx_uint_t      nlines;
    ngx_str_t       line[2048];
    uint64_t        revision[2048];
    ngx_uint_t      damaged;        /* of all that line feeds end */
} lines_t;


static void free_lines(lines_t *lines);


static ngx_int_t
add_line(void *data, u_char *line, size_t len, uint64_t revision)
{
    lines_t *lines = data;

    ngx_str_t  *copy;

    copy = &lines->line[lines->nlines];
    copy->len = len;
    copy->data = malloc(len + 1);

    if (copy->data == NULL || lines->nlines == 2047) {
        return NGX_ERROR;
    }

    memcpy(copy->data, line, len);
    lines->revision[lines->nlines++] = revision;

    return NGX_OK;
}


static ngx_int_t
read_lines(const char *path, lines_t *lines)
{
    int         c;
    FILE       *file;
    uint64_t    revision;
    ngx_int_t   rc;
    ngx_str_t   line;
    ngx_uint_t  i, n;

    lines->nlines = 0;
    lines->damaged = 0;

    rc = ngx_http_gray_lines_read(path, add_line, lines);

    if (rc != NGX_OK) {
        free_lines(lines);
        return rc;
    }

    n = lines->nlines;
    file = fopen(path, "r");

    if (file == NULL) {
        return NGX_ERROR;
    }

    while ((c = getc_unlocked(file)) != EOF) {
        lines->damaged += (c == LF);
    }

    lines->damaged -= n;
    (void) fclose(file);

    for (i = 0; i < n / 2; i++) {
        line = lines->line[i];
        lines->line[i] = lines->line[n - 1 - i];
        lines->line[n - 1 - i] = line;

        revision = lines->revision[i];
        lines->revision[i] = lines->revision[n - 1 - i];
        lines->revision[n - 1 - i] = revision;
    }

    return NGX_OK;
}


static void
free_lines(lines_t *lines)
{
    while (lines->nlines) {
        free(lines->line[--lines->nlines].data);
    }
}
