#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What is counted where clients give up, and the bytes of requests that share a
# connection.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Acting;
use Test::Gray::Counted;
use Test::Gray::Process;

my $t = Test::Gray->new;

my $timeout = 200 * $Test::Gray::Process::scale;

$t->daemon($_ => acting($_)) for qw(v1 v2);

my $counted = Test::Gray::Counted->new($t, qw(app second));

$t->config(<<"END")->start;
http {
    gray_zone gray 2m document=1k;

${\$counted->metrics}
    upstream up_stable { server 127.0.0.1:%%PORT_v1%%; }
    upstream up_app    { server 127.0.0.1:%%PORT_v2%%; }
    upstream up_second {
        server 127.0.0.1:%%PORT_dead%% max_fails=0;
        server 127.0.0.1:%%PORT_v2%% backup;
    }

    gray_release app {
        zone gray;
        hash \$remote_addr;
        variant stable up_stable;
        variant canary up_app weight=100%;
    }

    gray_release second {
        zone gray;
        hash \$remote_addr;
        variant stable up_stable;
        variant canary up_second weight=100%;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        ${\$counted->log}

        location /app        { proxy_pass http://app; }
        location /unbuffered { proxy_pass http://app; proxy_buffering off; }
        location /second     { proxy_pass http://second; }

        location /ignored {
            proxy_pass http://app;
            proxy_ignore_client_abort on;
            proxy_read_timeout ${timeout}ms;
        }

        location /slow {
            proxy_pass http://app;
            proxy_max_temp_file_size 0;
            send_timeout ${timeout}ms;
        }

        location /slow/unbuffered {
            proxy_pass http://app;
            proxy_buffering off;
            send_timeout ${timeout}ms;
        }

        location /checked {
            set \$used \$gray_app;
            auth_request /check;
            proxy_pass http://app;
        }

        location = /check {
            proxy_pass http://127.0.0.1:%%PORT_v1%%/;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }

        location /used {
            set \$used \$gray_app;
            proxy_pass http://app;
        }

        location /small { proxy_pass http://app; client_max_body_size 10; }
    }

    # the variable is asked for before there is a location

    server {
        listen 127.0.0.1:%%PORT_early%%;
        ${\$counted->log}

        set \$used \$gray_app;

        location / { proxy_pass http://app; client_max_body_size 10; }
    }
}
END

sub text { return Test::Gray::HTTP::request_text('GET', @_) }


# -- clients that leave

# once the backend waits: before there is a header, or within the body

sub leaves {
    my ($path, $do, @expected) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $counted->case("$path $do, the client leaves", sub {
        my $connection = $t->http->connect;

        $connection->send(text("/$path", [ 'X-Do' => $do ]));
        acted($t, $do);

        is($counted->live, $path =~ /checked/ ? ''
                           : ($path =~ /second/ ? 'second' : 'app')
                             . ' canary: live', "$path $do: live");

        # what has come of the body has come to the client

        $connection->more if $do =~ /stall/ && $path =~ /unbuffered/;
    }, @expected);
}


my $app = 'app canary: split';

leaves('app', 'v2 silent', "$app 499, duration");
leaves('app', 'v2 begun', "$app 499, duration");
leaves('second', 'v2 silent', 'second canary: split 499, connect, duration');

for my $path (qw(app unbuffered)) {
    leaves($path, "v2 $_", "$app 2xx, header, duration")
        for qw(stall cut_stall);
}

leaves('ignored', 'v2 silent', "$app 5xx, timeout, duration");
leaves('checked', 'v1 silent', 'app canary: closed');

$counted->case('the client leaves with a part of its body', sub {
    $t->http->connect->send("POST /used HTTP/1.1\r\nHost: localhost\r\n"
                            . "Content-Length: 100\r\n\r\nx");
    return;
}, 'app canary: closed');

# it stays, and reads nothing

for my $path (qw(slow slow/unbuffered)) {
    my $connection = $t->http->connect;

    $counted->case("$path: the client does not read", sub {
        $connection->send(text("/$path", [ 'X-Do' => 'v2 flood' ]));
    }, "$app 2xx, header, duration");
}


# -- requests that are not as they should be

$counted->case('an invalid request', sub {
    like($t->raw("GET /used HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
         qr{^HTTP/1\.1 400 }, 'an invalid request: status');
});

for (
    [ '', 'small', 'x' x 11 ],
    [ '', 'small', [ 'x' x 11 ] ],
    [ 'early', '', 'x' x 11, 'app canary: local' ],
    [ 'early', '', [ 'x' x 11 ], 'app canary: local' ],
) {
    my ($port, $path, $body, @expected) = @$_;

    $counted->case("too large a body, $port, " . (ref $body || 'plain'), sub {
        is($t->http($port)->request('POST', "/$path", [], $body)->{status},
           413, 'too large a body: status');
    }, @expected);
}


# -- bytes

# on one connection, each after the answer to the one before; returns what was
# sent, and what came

sub exchange {
    my (@requests) = @_;

    my $connection = $t->http->connect;
    my ($sent, $got) = (0, 0);

    for my $request (@requests) {
        $connection->send($request);
        $sent += length $request;

        until ($connection->{buffer} =~ m{^(?:HTTP/1.1\ 100\ .*\r\n\r\n)?
                                          HTTP/1.1\ 200\ (?:.*\r\n)+
                                          Content-Length:\ (\d+)\r\n(?:.*\r\n)+
                                          \r\n(.*)\z}x
               && length $2 == $1)
        {
            $connection->more or die "closed\n";
        }

        $got += length $connection->{buffer};
        $connection->{buffer} = '';
    }

    return ($sent, $got);
}


sub pipeline {
    my ($requests) = @_;

    return (length $requests, length $t->raw($requests));
}


sub bytes {
    my ($sample) = @_;

    my $of = 'bytes_total{release="app",variant="canary"}';

    return map { $sample->{"nginx_gray_${_}_$of"} } qw(received sent);
}


my $post = "POST /app HTTP/1.1\r\nHost: localhost\r\n";
my @posts = ("${post}Content-Length: 7\r\n\r\nchecked",
             "${post}Content-Length: 9\r\nExpect: 100-continue\r\n\r\n"
             . 'continued',
             "${post}Transfer-Encoding: chunked\r\n\r\n"
             . "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");

my $last = text('/app', [ Connection => 'close' ]);

for ([ 'three requests', sub { exchange(map { text("/app?$_", []) } 1 .. 3) } ],
     [ 'three bodies', sub { exchange(@posts) } ],
     [ 'a pipeline', sub { pipeline(text('/app', []) . $posts[0] . $last) } ])
{
    my ($name, $code) = @$_;

    my @before = bytes($counted->scrape);

    my @bytes = $counted->cases(3, $name, $code,
                                "$app 2xx x3, header x3, duration x3");

    my @after = bytes($counted->scrape);

    is_deeply([ map { $after[$_] - $before[$_] } 0, 1 ], \@bytes,
              "$name: bytes");
}

$t->done;
