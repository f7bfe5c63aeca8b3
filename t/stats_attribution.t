#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What is counted of a request that is passed to the servers of a variant: by
# what they answer, and by how attempts fail before there is a header.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Acting;
use Test::Gray::Counted;
use Test::Gray::Full;
use Test::Gray::Process;

my $t = Test::Gray->new;

# for those that have to come: others answer long before

my $timeout = 500 * $Test::Gray::Process::scale;

$t->daemon($_ => acting($_)) for qw(v1 v2);

# servers that do not answer a SYN, as the queue of their connections is full

my ($full, $closing) = map { Test::Gray::Full->new } 1, 2;

my $v1 = 'server 127.0.0.1:%%PORT_v1%%';
my $v2 = 'server 127.0.0.1:%%PORT_v2%%';
my $dead = 'server 127.0.0.1:%%PORT_dead%%';

my %canary = (
    app     => "$v2;",
    dead    => "$dead;",
    second  => "$dead max_fails=0; $v1 backup;",
    other   => "$v2 max_fails=0; $v1 backup;",
    marked  => "$dead; server 127.0.0.1:%%PORT_dead2%%;",
    down    => "$v2 down;",
    full    => 'server 127.0.0.1:' . $full->port . ';',
    closing => 'server 127.0.0.1:' . $closing->port . ';',
    plain   => 'server 127.0.0.1:%%PORT_metrics%%;',
);

my $counted = Test::Gray::Counted->new($t, %canary);
my $locations = join '', map { <<"END" } sort keys %canary;
        location /$_ { proxy_pass http://$_; }
END

# the server is asked for TLS, and has none

my $tls = Test::Gray->has('--with-http_ssl_module')
    ? 'location /plain/tls { proxy_pass https://plain; }' : '';

$t->config(<<"END")->start;
http {
${\$counted->http}
    server {
        listen 127.0.0.1:%%PORT%%;
        ${\$counted->log}

$locations
        location /app/error    { proxy_pass http://app;
                                 proxy_http_version 1.1;
                                 proxy_intercept_errors on;
                                 error_page 500 =200 /error; }
        location = /error      { proxy_pass http://up_stable; }
        $tls

        location /app/timeout  { proxy_pass http://app;
                                 proxy_read_timeout ${timeout}ms; }
        location /full/timeout { proxy_pass http://full;
                                 proxy_connect_timeout ${timeout}ms; }
        location /other/500    { proxy_pass http://other;
                                 proxy_next_upstream error http_500; }
        location /other/504    { proxy_pass http://other;
                                 proxy_read_timeout ${timeout}ms; }
        location /other/bad    { proxy_pass http://other;
                                 proxy_next_upstream invalid_header; }
    }
}
END


# of a GET: what the backend v2 is to do, the status that the client gets, and
# what is counted

sub get {
    my ($path, $do, @expected) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return $counted->get($path, length $do ? "v2 $do" : '', @expected);
}


# what the servers answer

for ([ 200 => '2xx' ], [ 204 => '2xx' ], [ 301 => '3xx' ], [ 304 => '3xx' ],
     [ 404 => '4xx' ], [ 429 => '4xx' ], [ 499 => '4xx' ], [ 500 => '5xx' ],
     [ 502 => '5xx' ], [ 503 => '5xx' ], [ 504 => '5xx' ])
{
    my ($status, $class) = @$_;

    get('app', $status, $status,
        "app canary: split $class, header, duration");
}

# what has come before that does not count

if ($t->version_at_least('1.29.0')) {
    for ([ app => 200, '2xx' ], [ app => 404, '4xx' ], [ app => 500, '5xx' ],
         [ 'app/error' => 500, '5xx' ])
    {
        my ($path, $status, $class) = @$_;

        get($path, "hints_$status", $path eq 'app' ? $status : 200,
            "app canary: split $class, header, duration");
    }

    get('other/500', 'hints_500', 200,
        'other canary: split 2xx, status, header, duration');
}

$counted->case('If-None-Match', sub {
    is($t->get('/app', 'If-None-Match' => '"a"', 'X-Do' => 'v2 304')
         ->{status}, 304, 'If-None-Match: status');
}, 'app canary: split 3xx, header, duration');

$counted->case('HEAD', sub { $t->request('HEAD', '/app') },
               'app canary: split 2xx, header, duration');

for my $size (10, 100_000) {
    $counted->case("POST of $size bytes", sub {
        is($t->request('POST', '/app', [], 'x' x $size)->{body},
           "v2 POST $size 1", "POST of $size bytes: the answer");
    }, 'app canary: split 2xx, header, duration');
}

# no header comes

my $failed = 'app canary: split 5xx';

get('app', 'close', 502, "$failed, reset, duration");
get('app', 'reset', 502, "$failed, reset, duration");
get('app', 'part', 502, "$failed, invalid, duration");
get('app', 'invalid', 502, "$failed, invalid, duration");
get('app', 'big', 502, "$failed, invalid, duration");
get('app/timeout', 'silent', 504, "$failed, timeout, duration");
get('app/timeout', 'begun', 504, "$failed, timeout, duration");

get('dead', '', 502, 'dead canary: split 5xx, connect, duration');
get('full/timeout', '', 504, 'full canary: split 5xx, timeout, duration');

SKIP: {
    skip 'nginx without TLS', 2 unless $tls;

    get('plain/tls', '', 502, 'plain canary: split 5xx, connect, duration');
}

# a connection is refused later on, as by another machine: the SYN is sent
# again, to nobody

$counted->case('refused later', sub {
    my $connection = $t->http->connect;

    $connection->send(Test::Gray::HTTP::request_text('GET', '/closing', []));
    $closing->await_one;
    $closing->close;

    is($connection->receive->{status}, 502, 'refused later: status');
}, 'closing canary: split 5xx, connect, duration');

# others are tried

get('second', '', 200, 'second canary: split 2xx, connect, header, duration');

get('other', '', 200, 'other canary: split 2xx, header, duration');
get('other', 500, 500, 'other canary: split 5xx, header, duration');
get('other/500', 500, 200,
    'other canary: split 2xx, status, header, duration');
get('other', 'close', 200,
    'other canary: split 2xx, reset, header, duration');
get('other/504', 'silent', 200,
    'other canary: split 2xx, timeout, header, duration');
get('other', 'invalid', 502, 'other canary: split 5xx, invalid, duration');
get('other/bad', 'invalid', 200,
    'other canary: split 2xx, invalid, header, duration');

get('marked', '', 502, 'marked canary: split 5xx, connect x2, duration');
get('marked', '', 502, 'marked canary: split 5xx, no_live, duration');
get('down', '', 502, 'down canary: split 5xx, no_live, duration');

$t->done;
