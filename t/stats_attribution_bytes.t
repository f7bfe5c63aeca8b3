#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The bytes of requests that share a connection, and requests that are not as
# they should be.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Acting;
use Test::Gray::Counted;

my $t = Test::Gray->new;

$t->daemon(v2 => acting('v2'));

my $counted = Test::Gray::Counted->new($t,
    app => 'server 127.0.0.1:%%PORT_v2%%;');

$t->config(<<"END")->start;
http {
${\$counted->http}
    server {
        listen 127.0.0.1:%%PORT%%;
        ${\$counted->log}

        location /app   { proxy_pass http://app; }
        location /used  { set \$used \$gray_app; proxy_pass http://app; }
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

my $app = 'app canary: split';


sub text {
    my ($path, @headers) = @_;

    return Test::Gray::HTTP::request_text('GET', $path, \@headers);
}


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

my $last = text('/app', Connection => 'close');

for ([ 'three requests', sub { exchange(map { text("/app?$_") } 1 .. 3) } ],
     [ 'three bodies', sub { exchange(@posts) } ],
     [ 'a pipeline', sub { pipeline(text('/app') . $posts[0] . $last) } ])
{
    my ($name, $code) = @$_;

    my @before = bytes($counted->scrape);

    my @bytes = $counted->cases(3, $name, $code,
                                "$app 2xx x3, header x3, duration x3");

    my @after = bytes($counted->scrape);

    is_deeply([ map { $after[$_] - $before[$_] } 0, 1 ], \@bytes,
              "$name: bytes");
}

# requests that are not as they should be

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

$t->done;
