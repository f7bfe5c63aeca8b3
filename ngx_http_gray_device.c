
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_device.h"


/*
 * What kind of device a request comes from.
 *
 * A browser may send hints: Sec-CH-UA-Mobile, which says whether it prefers
 * pages for small screens, and Sec-CH-UA-Platform.  They are few words with a
 * meaning that is written down (https://wicg.github.io/ua-client-hints/), and
 * go before the User-Agent, but for programs: those that drive a browser send
 * its hints, and name themselves in the User-Agent only.
 *
 * The User-Agent is read once, whatever the number of rows in the table of
 * words: by the automaton of Aho and Corasick
 * (https://doi.org/10.1145/360825.360855).  A state is the longest end of
 * what was read that is the beginning of some row's words.  "next" leads from
 * a state with a byte to the next one.  Bytes are put in classes, one for
 * each that the words have, in either case, and class 0 for all others.
 * "hit" is the state itself, if words end there, or else the longest end of
 * it where some do, or 0; the next shorter one is "hit" of "fail" of it.
 *
 * A byte costs about ten instructions, and nothing is read behind the first
 * 1024.  The table is a constant; it is worked out when the program runs only
 * as C cannot do it before.
 */


#define NGX_HTTP_GRAY_DEVICE_STATES   1536
#define NGX_HTTP_GRAY_DEVICE_CLASSES  48
#define NGX_HTTP_GRAY_DEVICE_MAX      1024

#define ANYWHERE  0x00
#define HEAD      0x01
#define TAIL      0x02
#define WORD      0x03
#define FIRST     0x05
#define ALONE     0x0f


typedef enum {
    BOT = 0,
    TABLET,
    MOBILE,
    DESKTOP,
    LARGE,                          /* Android, that does not say "mobile" */
    NOTHING
} ngx_http_gray_device_e;


typedef struct {
    const char                   *words;
    unsigned                      place;
    ngx_http_gray_device_e        device;
} ngx_http_gray_device_row_t;


typedef struct {
    const char                   *name;
    ngx_http_gray_device_e        still;         /* where it is not mobile */
    ngx_http_gray_device_e        alone;
} ngx_http_gray_device_platform_t;


#include "ngx_http_gray_device_table.h"


#define NGX_HTTP_GRAY_DEVICE_ROWS                                             \
    (sizeof(ngx_http_gray_device_rows) / sizeof(ngx_http_gray_device_row_t))

#define NGX_HTTP_GRAY_DEVICE_PLATFORMS                                        \
    (sizeof(ngx_http_gray_device_platforms)                                   \
     / sizeof(ngx_http_gray_device_platform_t))


/* rows are counted from 1; 0 is none */

typedef struct {
    uint16_t      next[NGX_HTTP_GRAY_DEVICE_STATES]
                      [NGX_HTTP_GRAY_DEVICE_CLASSES];
    uint16_t      hit[NGX_HTTP_GRAY_DEVICE_STATES];
    uint16_t      fail[NGX_HTTP_GRAY_DEVICE_STATES];
    uint16_t      row[NGX_HTTP_GRAY_DEVICE_STATES];
    uint16_t      also[NGX_HTTP_GRAY_DEVICE_ROWS + 1]; /* the same words */
    uint16_t      len[NGX_HTTP_GRAY_DEVICE_ROWS + 1];
    uint8_t       class[256];
    uint16_t      states;
    uint16_t      classes;
} ngx_http_gray_device_automaton_t;


static void ngx_http_gray_device_add(ngx_http_gray_device_automaton_t *a,
    ngx_uint_t row);
static void ngx_http_gray_device_link(ngx_http_gray_device_automaton_t *a);
static ngx_http_gray_device_e ngx_http_gray_device_agent(
    const ngx_str_t *agent);
static ngx_uint_t ngx_http_gray_device_row(
    const ngx_http_gray_device_automaton_t *a, ngx_uint_t state,
    const ngx_str_t *agent, const u_char *end, ngx_uint_t best);
static ngx_uint_t ngx_http_gray_device_stands(ngx_uint_t place,
    const ngx_str_t *agent, const u_char *from, const u_char *to);
static const ngx_http_gray_device_platform_t *ngx_http_gray_device_platform(
    const ngx_str_t *platform);
static ngx_http_gray_device_e ngx_http_gray_device_still(
    const ngx_http_gray_device_platform_t *platform,
    ngx_http_gray_device_e device);


static ngx_http_gray_device_automaton_t  ngx_http_gray_device_automaton;


/* by ngx_http_gray_device_e */

static ngx_str_t  ngx_http_gray_device_names[] = {
    ngx_string("bot"),
    ngx_string("tablet"),
    ngx_string("mobile"),
    ngx_string("desktop"),
    ngx_string("tablet"),
    ngx_string("bot")
};


void
ngx_http_gray_device_init(void)
{
    ngx_uint_t                         i;
    ngx_http_gray_device_automaton_t  *a;

    a = &ngx_http_gray_device_automaton;

    if (a->states) {
        return;
    }

    a->states = 1;
    a->classes = 1;

    for (i = 1; i <= NGX_HTTP_GRAY_DEVICE_ROWS; i++) {
        ngx_http_gray_device_add(a, i);
    }

    ngx_http_gray_device_link(a);
}


/* a tree of all the words; a unit test sees that it has room for them */

static void
ngx_http_gray_device_add(ngx_http_gray_device_automaton_t *a, ngx_uint_t row)
{
    u_char            ch;
    uint16_t         *next;
    ngx_uint_t        state;
    const char       *p;

    state = 0;

    for (p = ngx_http_gray_device_rows[row - 1].words; *p; p++) {
        ch = (u_char) *p;

        if (a->class[ch] == 0) {
            if (a->classes == NGX_HTTP_GRAY_DEVICE_CLASSES) {
                return;
            }

            a->class[ch] = (uint8_t) a->classes;
            a->class[ngx_toupper(ch)] = (uint8_t) a->classes++;
        }

        next = &a->next[state][a->class[ch]];

        if (*next == 0) {
            if (a->states == NGX_HTTP_GRAY_DEVICE_STATES) {
                return;
            }

            *next = a->states++;
        }

        state = *next;
    }

    a->len[row] = (uint16_t) (p - ngx_http_gray_device_rows[row - 1].words);
    a->also[row] = a->row[state];
    a->row[state] = (uint16_t) row;
}


/* breadth first, so that what a state falls back to is complete */

static void
ngx_http_gray_device_link(ngx_http_gray_device_automaton_t *a)
{
    uint16_t    queue[NGX_HTTP_GRAY_DEVICE_STATES];
    uint16_t    back;
    ngx_uint_t  state, next, class, head, tail;

    head = 0;
    tail = 0;
    queue[tail++] = 0;

    while (head < tail) {
        state = queue[head++];

        a->hit[state] = a->row[state] ? (uint16_t) state
                                      : a->hit[a->fail[state]];

        for (class = 0; class < a->classes; class++) {
            next = a->next[state][class];
            back = state ? a->next[a->fail[state]][class] : 0;

            if (next == 0) {
                a->next[state][class] = back;
                continue;
            }

            a->fail[next] = back;
            queue[tail++] = (uint16_t) next;
        }
    }
}


ngx_str_t *
ngx_http_gray_device(const ngx_str_t *mobile, const ngx_str_t *platform,
    const ngx_str_t *agent)
{
    ngx_http_gray_device_e                  device;
    const ngx_http_gray_device_platform_t  *row;

    device = ngx_http_gray_device_agent(agent);

    if (device == BOT) {
        return &ngx_http_gray_device_names[BOT];
    }

    row = ngx_http_gray_device_platform(platform);

    if (mobile->len >= 2 && mobile->data[0] == '?') {

        if (mobile->data[1] == '1') {
            device = (device == TABLET) ? TABLET : MOBILE;

        } else if (mobile->data[1] == '0') {
            device = ngx_http_gray_device_still(row, device);
        }
    }

    if (device == NOTHING) {
        if (row) {
            device = row->alone;

        } else if (agent->len == 0) {
            return NULL;
        }
    }

    return &ngx_http_gray_device_names[device];
}


/* BOT: it says so; NOTHING: none of the words is there */

static ngx_http_gray_device_e
ngx_http_gray_device_agent(const ngx_str_t *agent)
{
    u_char                                  *p, *last;
    ngx_uint_t                               state, best;
    const ngx_http_gray_device_automaton_t  *a;

    a = &ngx_http_gray_device_automaton;

    if (a->states == 0) {
        ngx_http_gray_device_init();
    }

    best = NGX_HTTP_GRAY_DEVICE_ROWS + 1;
    state = 0;

    last = agent->data + ngx_min(agent->len, NGX_HTTP_GRAY_DEVICE_MAX);

    for (p = agent->data; p < last; p++) {
        state = a->next[state][a->class[*p]];

        if (a->hit[state]) {
            best = ngx_http_gray_device_row(a, state, agent, p + 1, best);
        }
    }

    if (best > NGX_HTTP_GRAY_DEVICE_ROWS) {
        return NOTHING;
    }

    return ngx_http_gray_device_rows[best - 1].device;
}


/* the first of the rows whose words end at "end", if it is before "best" */

static ngx_uint_t
ngx_http_gray_device_row(const ngx_http_gray_device_automaton_t *a,
    ngx_uint_t state, const ngx_str_t *agent, const u_char *end,
    ngx_uint_t best)
{
    ngx_uint_t  row, place;

    for (state = a->hit[state]; state; state = a->hit[a->fail[state]]) {

        for (row = a->row[state]; row; row = a->also[row]) {

            if (row >= best) {
                continue;
            }

            place = ngx_http_gray_device_rows[row - 1].place;

            if (ngx_http_gray_device_stands(place, agent, end - a->len[row],
                                            end))
            {
                best = row;
            }
        }
    }

    return best;
}


static ngx_uint_t
ngx_http_gray_device_stands(ngx_uint_t place, const ngx_str_t *agent,
    const u_char *from, const u_char *to)
{
    const u_char  *last;

    last = agent->data + agent->len;

    if ((place & HEAD) && from > agent->data && isalnum(from[-1])) {
        return 0;
    }

    if ((place & TAIL) && to < last && isalnum(*to)) {
        return 0;
    }

    if ((place & FIRST) == FIRST && from > agent->data) {
        return 0;
    }

    return (place & ALONE) != ALONE || to == last;
}


/* the header has a string of RFC 8941: "Android", with its quotes */

static const ngx_http_gray_device_platform_t *
ngx_http_gray_device_platform(const ngx_str_t *platform)
{
    size_t       len;
    u_char      *name;
    ngx_uint_t   i;

    name = platform->data;
    len = platform->len;

    if (len > 2 && name[0] == '"' && name[len - 1] == '"') {
        name++;
        len -= 2;
    }

    if (len == 0) {
        return NULL;
    }

    for (i = 0; i < NGX_HTTP_GRAY_DEVICE_PLATFORMS; i++) {

        if (ngx_strlen(ngx_http_gray_device_platforms[i].name) == len
            && strncasecmp((char *) name,
                           ngx_http_gray_device_platforms[i].name, len)
               == 0)
        {
            return &ngx_http_gray_device_platforms[i];
        }
    }

    return NULL;
}


/* a device that says of itself that it is not mobile */

static ngx_http_gray_device_e
ngx_http_gray_device_still(const ngx_http_gray_device_platform_t *platform,
    ngx_http_gray_device_e device)
{
    if (device == TABLET) {
        return TABLET;
    }

    if (platform) {
        return platform->still;
    }

    switch (device) {

    case MOBILE:
    case LARGE:
        return TABLET;

    default:
        return DESKTOP;
    }
}
