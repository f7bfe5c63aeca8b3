#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A change is in force when it is answered: 200 times the release is switched
# off and on under load, and each time 200 requests that begin after the
# answer, 50 to each worker, are decided by the new revision.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

plan(skip_all => 'no wrk') if (capture('wrk', '-v'))[1] !~ /^wrk /;

# fewer where nginx is slow

my $rounds = $ENV{TEST_NGINX_WRAPPER} ? 10
             : $ENV{TEST_SANITIZER_LOG} ? 50 : 200;

my $t = Test::Gray->new->config(<<'END')->start;
worker_processes 4;
worker_rlimit_nofile 8192;
events { worker_connections 2048; }

http {
    gray_zone gray 1m;
    keepalive_requests 1000000;

    upstream v1 { server 127.0.0.1:%%PORT_v1%%; keepalive 16; }
    upstream v2 { server 127.0.0.1:%%PORT_v2%%; keepalive 16; }

    proxy_http_version 1.1;
    proxy_set_header Connection "";

    gray_release app {
        zone gray;
        hash $arg_uid;
        variant v1 v1;
        variant v2 v2 weight=100%;
    }

    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        add_header X-D "$pid $gray_app_revision";

        location /routed { proxy_pass http://app; }
        location /       { return 200 $gray_app; }
        location = /pid  { return 200 $pid; }
        location /gray/  { gray_admin; }
    }

    server { listen 127.0.0.1:%%PORT_v1%%; return 200 v1; }
    server { listen 127.0.0.1:%%PORT_v2%%; return 200 v2; }
}
END

my $port = $t->port;
my $load = $t->spawn('wrk', '-t1', '-c8', '-d600', '--timeout', '20s',
                     "http://127.0.0.1:$port/routed?uid=load");

my @workers = $t->workers;
my $connections = $t->each_worker('/pid');

is_deeply([ sort { $a <=> $b } keys %$connections ], \@workers,
          'a connection to each of four workers');

my ($refused, $wrong, $failed, $silent) = (0, 0, 0, 0);

for my $round (1 .. $rounds) {
    my $enabled = $round % 2 == 0;
    my $expected = $enabled ? 'v2' : 'v1';

    my $response = $t->insist('PATCH', '/gray/releases/app',
        { enabled => $enabled ? JSON::PP::true : JSON::PP::false });

    if ($response->{status} != 200
        || $response->{json}{revision} != $round + 1)
    {
        diag("round $round: $response->{status} $response->{body}");
        $refused++;
    }

    my $path = $round % 3 ? '/?uid=1' : '/routed?uid=1';
    my %pids;

    for my $answer (map { $_->pipeline(($path) x 50) } values %$connections) {
        my ($pid, $revision) = split ' ', $answer->{headers}{'x-d'} || '0 0';

        $pids{$pid}++;
        $failed++ if $answer->{status} != 200;
        $wrong++ if $answer->{body} ne $expected || $revision != $round + 1;
    }

    $silent++ if grep { ($pids{$_} || 0) != 50 } @workers;
}

is($refused, 0, "$rounds changes are answered");
is($failed, 0, 200 * $rounds . ' requests are answered');
is($wrong, 0, '... and none is decided wrong');
is($silent, 0, '... a quarter by each worker, each time');

# the load has not noticed any of it

ok(alive($load), 'the load was there all the time');
$t->reap($load, 'INT');

my $said = $t->read_file("stderr.$load");

like($said, qr/^\s*\d{4,} requests in/m, 'the load was one');
unlike($said, qr/Socket errors|Non-2xx/, 'no request of the load has failed');

$t->done;
