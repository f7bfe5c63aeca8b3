
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * A client of HTTP/1.1 for little: the request is one buffer, the answer is
 * read up to its status, and some of what follows is thrown away, so that who
 * sends it sees no reset where he has little to say.
 *
 * The log of the connection takes only alerts: nginx would write a line for
 * each attempt at a server that is down.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>

#include "ngx_http_gray_post.h"


#define NGX_HTTP_GRAY_POST_CONNECT  1000     /* ms */
#define NGX_HTTP_GRAY_POST_TIMEOUT  5000     /* ms, for all of it */
#define NGX_HTTP_GRAY_POST_LINGER   1000     /* ms, from the status on */
#define NGX_HTTP_GRAY_POST_ANSWER   65536    /* bytes */
#define NGX_HTTP_GRAY_POST_POOL     4096

/* "HTTP/1.1 200", which is followed by a blank or the end of the line */

#define NGX_HTTP_GRAY_POST_LINE     13


struct ngx_http_gray_post_s {
    ngx_pool_t               *pool;
    ngx_cycle_t              *cycle;
    ngx_log_t                 log;
    ngx_peer_connection_t     peer;
    ngx_buf_t                *request;

    ngx_http_gray_post_pt     done;
    void                     *data;

    /* of the answer: the line that is being read, as far as it matters */

    u_char                    line[NGX_HTTP_GRAY_POST_LINE];
    size_t                    len;
    size_t                    bytes;      /* of all of it */
    ngx_uint_t                header;     /* unsigned  header:1; of an interim
                                             answer, behind its status */
    ngx_uint_t                status;     /* 0: not yet known */
};


static ngx_int_t ngx_http_gray_post_request(ngx_http_gray_post_t *post,
    const ngx_str_t *url, const ngx_str_t *header, const ngx_str_t *body,
    char *why);
static ngx_int_t ngx_http_gray_post_parse(ngx_http_gray_post_t *post,
    const ngx_str_t *url, ngx_url_t *u, char *why);
static ngx_int_t ngx_http_gray_post_address(ngx_http_gray_post_t *post,
    ngx_url_t *u, char *why);
static ngx_int_t ngx_http_gray_post_connect(ngx_http_gray_post_t *post,
    char *why);
static void ngx_http_gray_post_write_handler(ngx_event_t *wev);
static void ngx_http_gray_post_sent_handler(ngx_event_t *wev);
static ngx_err_t ngx_http_gray_post_refused(ngx_connection_t *c);
static void ngx_http_gray_post_read_handler(ngx_event_t *rev);
static ngx_int_t ngx_http_gray_post_take(ngx_http_gray_post_t *post,
    u_char *p, size_t n);
static ngx_int_t ngx_http_gray_post_line(ngx_http_gray_post_t *post);
static void ngx_http_gray_post_linger(ngx_http_gray_post_t *post);
static ngx_uint_t ngx_http_gray_post_left(ngx_http_gray_post_t *post);
static void ngx_http_gray_post_failed(ngx_http_gray_post_t *post,
    const char *what, ngx_err_t err);
static void ngx_http_gray_post_finish(ngx_http_gray_post_t *post,
    ngx_int_t rc, const char *why);
static void ngx_http_gray_post_why(char *why, const char *what,
    ngx_err_t err);


ngx_http_gray_post_t *
ngx_http_gray_post_start(const ngx_str_t *url, const ngx_str_t *header,
    const ngx_str_t *body, ngx_http_gray_post_pt done, void *data, char *why)
{
    ngx_pool_t            *pool;
    ngx_http_gray_post_t  *post;

    ngx_http_gray_post_why(why, "memory is short", 0);

    pool = ngx_create_pool(NGX_HTTP_GRAY_POST_POOL, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    post = ngx_pcalloc(pool, sizeof(ngx_http_gray_post_t));

    if (post) {
        post->pool = pool;
        post->cycle = (ngx_cycle_t *) ngx_cycle;
        post->done = done;
        post->data = data;

        post->log = *ngx_cycle->log;
        post->log.log_level = NGX_LOG_ALERT;

        if (ngx_http_gray_post_request(post, url, header, body, why)
            == NGX_OK
            && ngx_http_gray_post_connect(post, why) == NGX_OK)
        {
            return post;
        }
    }

    ngx_destroy_pool(pool);

    return NULL;
}


static ngx_int_t
ngx_http_gray_post_request(ngx_http_gray_post_t *post, const ngx_str_t *url,
    const ngx_str_t *header, const ngx_str_t *body, char *why)
{
    size_t      size;
    ngx_buf_t  *b;
    ngx_url_t   u;
    ngx_str_t   host;

    if (ngx_http_gray_post_parse(post, url, &u, why) != NGX_OK) {
        return NGX_ERROR;
    }

    /* as it stands in the URL, with the port */

    host.data = u.url.data;
    host.len = (u.uri.len ? u.uri.data : u.url.data + u.url.len) - host.data;

    if (u.family == AF_UNIX) {
        ngx_str_set(&host, "localhost");
    }

    size = sizeof("POST / HTTP/1.1" CRLF
                  "Host: " CRLF
                  "User-Agent: nginx-gray" CRLF
                  "Connection: close" CRLF
                  "Content-Type: application/json" CRLF
                  "Content-Length: " CRLF CRLF)
           + NGX_SIZE_T_LEN + u.uri.len + host.len + header->len + body->len;

    b = ngx_create_temp_buf(post->pool, size);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->last = ngx_sprintf(b->last, "POST %s%V HTTP/1.1" CRLF
                          "Host: %V" CRLF
                          "User-Agent: nginx-gray" CRLF
                          "Connection: close" CRLF
                          "Content-Type: application/json" CRLF
                          "Content-Length: %uz" CRLF
                          "%V" CRLF "%V",
                          (u.uri.len && u.uri.data[0] == '/') ? "" : "/",
                          &u.uri, &host, body->len, header, body);

    post->request = b;

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_post_parse(ngx_http_gray_post_t *post, const ngx_str_t *url,
    ngx_url_t *u, char *why)
{
    size_t      i;
    ngx_uint_t  n;

    n = sizeof("http://") - 1;

    if (url->len <= n
        || ngx_strncasecmp(url->data, (u_char *) "http://", n) != 0)
    {
        ngx_http_gray_post_why(why, "the URL is none of http://", 0);
        return NGX_ERROR;
    }

    /* nothing that would end the line of the request */

    for (i = 0; i < url->len; i++) {
        if (url->data[i] <= ' ' || url->data[i] == 0x7f) {
            ngx_http_gray_post_why(why, "a character in the URL", 0);
            return NGX_ERROR;
        }
    }

    ngx_memzero(u, sizeof(ngx_url_t));

    u->url.len = url->len - n;
    u->url.data = ngx_pnalloc(post->pool, u->url.len);

    if (u->url.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(u->url.data, url->data + n, u->url.len);

    u->default_port = 80;
    u->uri_part = 1;
    u->no_resolve = 1;

    if (ngx_parse_url(post->pool, u) != NGX_OK) {
        ngx_http_gray_post_why(why, u->err ? u->err : "memory is short", 0);
        return NGX_ERROR;
    }

    return ngx_http_gray_post_address(post, u, why);
}


/* no name is resolved: that of this machine needs no resolver */

static ngx_int_t
ngx_http_gray_post_address(ngx_http_gray_post_t *post, ngx_url_t *u,
    char *why)
{
    ngx_str_t           *name;
    struct sockaddr     *sockaddr;
    struct sockaddr_in  *sin;

    if (u->naddrs == 0
        && (u->host.len != sizeof("localhost") - 1
            || ngx_strncasecmp(u->host.data, (u_char *) "localhost",
                               u->host.len)
               != 0))
    {
        ngx_http_gray_post_why(why, "the host is not an address", 0);
        return NGX_ERROR;
    }

    if (u->naddrs == 0) {
        sin = (struct sockaddr_in *) &u->sockaddr;
        sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }

    sockaddr = ngx_pcalloc(post->pool, u->socklen);
    name = ngx_palloc(post->pool, sizeof(ngx_str_t));

    if (sockaddr == NULL || name == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(sockaddr, &u->sockaddr, u->socklen);
    *name = u->host;

    post->peer.sockaddr = sockaddr;
    post->peer.socklen = u->socklen;
    post->peer.name = name;

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_post_connect(ngx_http_gray_post_t *post, char *why)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_peer_connection_t  *peer;

    peer = &post->peer;

    peer->get = ngx_event_get_peer;
    peer->log = &post->log;
    peer->log_error = NGX_ERROR_ERR;

    ngx_set_errno(0);

    rc = ngx_event_connect_peer(peer);

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        ngx_http_gray_post_why(why, "connect() failed", ngx_errno);
        return NGX_ERROR;
    }

    c = peer->connection;

    c->data = post;
    c->pool = post->pool;

    /* so that nginx tells when it shuts down, and does not wait */

    c->idle = 1;
    c->read->cancelable = 1;
    c->write->cancelable = 1;

    c->read->handler = ngx_http_gray_post_read_handler;
    c->write->handler = ngx_http_gray_post_write_handler;

    ngx_add_timer(c->read, NGX_HTTP_GRAY_POST_TIMEOUT);
    ngx_add_timer(c->write, NGX_HTTP_GRAY_POST_CONNECT);

    if (rc == NGX_OK) {
        ngx_post_event(c->write, &ngx_posted_events);
    }

    return NGX_OK;
}


static void
ngx_http_gray_post_write_handler(ngx_event_t *wev)
{
    ssize_t                n;
    ngx_err_t              err;
    ngx_buf_t             *b;
    ngx_connection_t      *c;
    ngx_http_gray_post_t  *post;

    c = wev->data;
    post = c->data;
    b = post->request;

    if (ngx_http_gray_post_left(post)) {
        return;
    }

    if (wev->timedout) {
        ngx_http_gray_post_failed(post, "connect() timed out", 0);
        return;
    }

    err = ngx_http_gray_post_refused(c);

    if (err) {
        ngx_http_gray_post_failed(post, "connect() failed", err);
        return;
    }

    if (wev->timer_set) {
        ngx_del_timer(wev);
    }

    while (b->pos < b->last) {
        n = ngx_send(c, b->pos, b->last - b->pos);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR) {
            ngx_http_gray_post_failed(post, "send() failed", ngx_socket_errno);
            return;
        }

        b->pos += n;
    }

    if (b->pos == b->last) {
        wev->handler = ngx_http_gray_post_sent_handler;
    }

    if (ngx_handle_write_event(wev, 0) != NGX_OK) {
        ngx_http_gray_post_failed(post, "the event loop failed", 0);
    }
}


static void
ngx_http_gray_post_sent_handler(ngx_event_t *wev)
{
}


static ngx_err_t
ngx_http_gray_post_refused(ngx_connection_t *c)
{
    int        err;
    socklen_t  len;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    return err;
}


static void
ngx_http_gray_post_read_handler(ngx_event_t *rev)
{
    u_char                 buf[4096];
    ssize_t                n;
    ngx_connection_t      *c;
    ngx_http_gray_post_t  *post;

    c = rev->data;
    post = c->data;

    if (ngx_http_gray_post_left(post)) {
        return;
    }

    if (rev->timedout) {
        ngx_http_gray_post_failed(post, "it timed out", 0);
        return;
    }

    for ( ;; ) {
        n = ngx_recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR) {
            ngx_http_gray_post_failed(post, "recv() failed", ngx_socket_errno);
            return;
        }

        if (n == 0) {
            ngx_http_gray_post_failed(post, "closed without an answer", 0);
            return;
        }

        if (ngx_http_gray_post_take(post, buf, n) != NGX_OK) {
            ngx_http_gray_post_failed(post, "the answer is not HTTP", 0);
            return;
        }
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_gray_post_failed(post, "the event loop failed", 0);
    }
}


/* NGX_ERROR where no more is to be read */

static ngx_int_t
ngx_http_gray_post_take(ngx_http_gray_post_t *post, u_char *p, size_t n)
{
    u_char  *last;

    post->bytes += n;

    for (last = p + n; p < last && post->status == 0; p++) {

        if (*p != LF) {
            if (post->len < NGX_HTTP_GRAY_POST_LINE) {
                post->line[post->len++] = *p;
            }

            continue;
        }

        if (ngx_http_gray_post_line(post) != NGX_OK) {
            return NGX_ERROR;
        }

        post->len = 0;
    }

    return post->bytes < NGX_HTTP_GRAY_POST_ANSWER ? NGX_OK : NGX_ERROR;
}


/* an interim answer ends with an empty line, and another one follows */

static ngx_int_t
ngx_http_gray_post_line(ngx_http_gray_post_t *post)
{
    u_char     *line;
    ngx_int_t   status;

    line = post->line;

    if (post->header) {
        post->header = !(post->len == 0 || (post->len == 1 && line[0] == CR));
        return NGX_OK;
    }

    if (post->len < NGX_HTTP_GRAY_POST_LINE - 1
        || ngx_strncmp(line, "HTTP/1.", sizeof("HTTP/1.") - 1) != 0
        || line[8] != ' '
        || (post->len == NGX_HTTP_GRAY_POST_LINE
            && line[12] != ' ' && line[12] != CR))
    {
        return NGX_ERROR;
    }

    status = ngx_atoi(line + 9, 3);

    if (status < 100) {
        return NGX_ERROR;
    }

    if (status < 200) {
        post->header = 1;
        return NGX_OK;
    }

    post->status = status;
    ngx_http_gray_post_linger(post);

    return NGX_OK;
}


/* what is known already comes to who waits for it when the rest has come */

static void
ngx_http_gray_post_linger(ngx_http_gray_post_t *post)
{
    ngx_msec_t    limit;
    ngx_event_t  *rev;

    rev = post->peer.connection->read;
    limit = ngx_current_msec + NGX_HTTP_GRAY_POST_LINGER;

    if (rev->timer_set && (ngx_msec_int_t) (rev->timer.key - limit) > 0) {
        ngx_del_timer(rev);
        ngx_add_timer(rev, NGX_HTTP_GRAY_POST_LINGER);
    }
}


/*
 * A worker that shuts down must not be held up, and who has another
 * configuration must not touch what was of this one.
 */

static ngx_uint_t
ngx_http_gray_post_left(ngx_http_gray_post_t *post)
{
    if (post->cycle != ngx_cycle) {
        ngx_http_gray_post_finish(post, NGX_ABORT, "");
        return 1;
    }

    if (!post->peer.connection->close && !ngx_exiting) {
        return 0;
    }

    if (post->status) {
        ngx_http_gray_post_failed(post, "", 0);

    } else {
        ngx_http_gray_post_finish(post, NGX_ABORT, "");
    }

    return 1;
}


/* once there is a status, it is what counts */

static void
ngx_http_gray_post_failed(ngx_http_gray_post_t *post, const char *what,
    ngx_err_t err)
{
    ngx_int_t  rc;
    char       why[NGX_HTTP_GRAY_POST_WHY];

    if (post->status) {
        rc = (post->status < 300) ? NGX_OK : NGX_ERROR;

        (void) ngx_snprintf((u_char *) why, sizeof(why),
                            "it was answered by %ui%Z", post->status);

    } else {
        rc = NGX_ERROR;
        ngx_http_gray_post_why(why, what, err);
    }

    ngx_http_gray_post_finish(post, rc, why);
}


static void
ngx_http_gray_post_finish(ngx_http_gray_post_t *post, ngx_int_t rc,
    const char *why)
{
    void                   *data;
    ngx_http_gray_post_pt   done;

    done = post->done;
    data = post->data;

    ngx_http_gray_post_cancel(post);

    done(data, rc, why);
}


void
ngx_http_gray_post_cancel(ngx_http_gray_post_t *post)
{
    ngx_close_connection(post->peer.connection);
    ngx_destroy_pool(post->pool);
}


static void
ngx_http_gray_post_why(char *why, const char *what, ngx_err_t err)
{
    u_char  *p, *last;

    p = (u_char *) why;
    last = p + NGX_HTTP_GRAY_POST_WHY - 1;

    p = ngx_snprintf(p, last - p, "%s", what);

    if (err) {
        p = ngx_snprintf(p, last - p, " (%d: ", err);
        p = ngx_strerror(err, p, last - p);
        p = ngx_snprintf(p, last - p, ")");
    }

    *p = '\0';
}
