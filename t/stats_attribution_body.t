#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What is counted where a response breaks off within its body: one of a length,
# a chunked one, and one that the connection ends, with buffering and without.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Acting;
use Test::Gray::Backend;
use Test::Gray::Counted;
use Test::Gray::Process;
use Test::Gray::Running;

my $t = Test::Gray->new;

my $timeout = 600 * $Test::Gray::Process::scale;

$t->daemon(v2 => acting('v2'));
$t->daemon(slow => slow());

my $counted = Test::Gray::Counted->new($t,
    app  => 'server 127.0.0.1:%%PORT_v2%%;',
    slow => 'server 127.0.0.1:%%PORT_slow%%;');

$t->config(<<"END")->start;
http {
${\$counted->http}
    proxy_http_version 1.1;

    server {
        listen 127.0.0.1:%%PORT%%;
        ${\$counted->log}

        location /buffered           { proxy_pass http://app; }
        location /buffered/timeout   { proxy_pass http://app;
                                       proxy_read_timeout ${timeout}ms; }
        location /buffered/slow      { proxy_pass http://slow;
                                       proxy_read_timeout ${timeout}ms; }
        location /unbuffered         { proxy_pass http://app;
                                       proxy_buffering off; }
        location /unbuffered/timeout { proxy_pass http://app;
                                       proxy_buffering off;
                                       proxy_read_timeout ${timeout}ms; }
        location /unbuffered/slow    { proxy_pass http://slow;
                                       proxy_buffering off;
                                       proxy_read_timeout ${timeout}ms; }
    }
}
END


my $running = Test::Gray::Running->new($t);


# of a GET whose response may be cut: what the backend is to do, and what is
# counted besides

sub get {
    my ($path, $do, @failures) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($release) = $path =~ /slow/ ? 'slow' : 'app';

    my $ask = sub {
        return $t->raw("GET /$path HTTP/1.1\r\nHost: localhost\r\n"
                       . "Connection: close\r\nX-Do: v2 $do\r\n\r\n");
    };

    # not so late that there is a timeout where none is meant

    my $asked = $release eq 'slow'
        ? $running->in_time($timeout / 2000, $ask,
                            sub { $counted->forget(1) })
        : undef;

    my $bytes = $counted->case("$path $do", sub {
        return defined $asked ? $asked : $ask->();
    }, join ', ', "$release canary: split 2xx", @failures, 'header',
                  'duration');

    # what is broken comes in one piece with the header, which nginx keeps then

    like($bytes, $do eq 'broken' ? qr/^$/ : qr{^HTTP/1\.1 200 },
         "$path $do: status");
}


for my $path (qw(buffered unbuffered)) {
    get($path, $_, 'reset') for qw(short short_reset cut cut_reset);
    get("$path/timeout", $_, 'timeout') for qw(stall cut_stall);
    get($path, 'broken', 'invalid');

    get($path, $_) for qw(200 end);
    get($path, 'end_reset', 'reset');

    # it has come for longer than it may take to come

    get("$path/slow", $_, 'reset') for qw(close reset);
    get("$path/slow", 'end');

    $counted->case("$path HEAD", sub { $t->request('HEAD', "/$path") },
                   'app canary: split 2xx, header, duration');
    $counted->case("$path 204", sub {
        $t->get("/$path", 'X-Do' => 'v2 204')
    }, 'app canary: split 2xx, header, duration');
}

$t->done;


# sends a chunk and waits for less than the timeout, until that is over twice

sub slow {
    return Test::Gray::Backend::serve(sub {
        my ($socket) = @_;

        my $head = Test::Gray::Acting::head($socket);
        my ($do) = $head =~ /^X-Do: v2 (\S+)/mi;

        Test::Gray::Acting::text($socket, "HTTP/1.1 200 OK\r\n"
                                 . "Transfer-Encoding: chunked\r\n\r\n");

        for (1 .. 8) {
            Test::Gray::Acting::text($socket, "4\r\nslow\r\n");
            select undef, undef, undef, $timeout / 4000;
        }

        Test::Gray::Acting::text($socket, "0\r\n\r\n") if $do eq 'end';
        Test::Gray::Acting::abort($socket) if $do eq 'reset';
    });
}
