#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A request that nginx refuses before it is read whole is decided, too, where
# an error page or a header asks for it, and once.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

my $t = Test::Gray->new->config(<<'END')->start;
http {
    gray_zone gray 1m;

    log_format decision '$gray_app';

    gray_release app {
        zone gray;
        hash $cookie_uid $arg_uid;
        cookie gray_uid;
        variant a;
        variant b weight=50%;
        match b $uri ~ x and $request_body exists;
        match b $http_user_agent = x and $host = y;
        match b $args exists;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        client_max_body_size 10;
        large_client_header_buffers 2 1k;

        access_log %%DIR%%/access.log decision;
        add_header X-D "$gray_app $gray_app_reason" always;
        error_page 400 413 414 494 505 /error;

        location /error { return 400 "$gray_app"; }
        location /      { return 200 "$gray_app"; }
    }
}
END

my $long = 'x' x 3000;

my @cases = (
    [ 'no method',        "BAD\r\n\r\n" ],
    [ 'version',          "GET / HTTP/9.9\r\n\r\n" ],
    [ 'long line',        "GET /$long HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ 'long header',      "GET / HTTP/1.1\r\nHost: a\r\nX: $long\r\n\r\n" ],
    [ 'no host',          "GET / HTTP/1.1\r\n\r\n" ],
    [ 'invalid host',     "GET / HTTP/1.1\r\nHost: a b\r\n\r\n" ],
    [ 'NUL in the URI',   "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ 'above the root',   "GET /.. HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ 'long body',        "POST / HTTP/1.1\r\nHost: a\r\n"
                          . "Content-Length: 100\r\n\r\n" . 'x' x 100 ],
    [ 'TLS',              "\x16\x03\x01\x00\x05\r\n\r\n" ],
    [ 'HTTP/1.0',         "GET / HTTP/1.0\r\n\r\n" ],
    [ 'one cookie',       "GET / HTTP/1.0\r\nCookie: uid\r\n\r\n" ],
    [ 'odd cookies',      "GET / HTTP/1.0\r\nCookie: ;;=;uid;=uid=;\r\n\r\n" ],
);

for my $case (@cases) {
    my ($name, $request) = @$case;

    my $logged = length $t->read_file('access.log');
    my $response = $t->raw($request);

    my ($variant) = $response =~ /^X-D: ([ab]) split\r$/m;
    my @cookies = $response =~ /^Set-Cookie: gray_uid=/mg;
    my ($body) = $response =~ /\r\n\r\n(?:<.*|([ab]))\z/s;

    wait_until(sub { length $t->read_file('access.log') > $logged });

    my ($log) = substr($t->read_file('access.log'), $logged) =~ /^(.*)\n\z/;

    ok($variant, "$name: decided") or diag($response);
    is(scalar @cookies, 1, "$name: a cookie");
    is($body, $variant, "$name: one decision") if defined $body;
    is($log, $variant, "$name: the log");
}

$t->done;
