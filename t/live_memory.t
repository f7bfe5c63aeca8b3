#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The memory of a worker stays what it is: over many requests of one
# connection, and over many revisions, each of which is compiled and freed.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

plan(skip_all => 'memory is not that of nginx')
    if $ENV{TEST_NGINX_WRAPPER} || $ENV{TEST_SANITIZER_LOG};

my $t = Test::Gray->new(level => 'notice')->config(<<'END')->start;
http {
    gray_zone gray 1m;
    keepalive_requests 1000000;

    upstream v1 { server 127.0.0.1:%%PORT_v1%%; keepalive 4; }
    upstream v2 { server 127.0.0.1:%%PORT_v2%%; keepalive 4; }

    proxy_http_version 1.1;
    proxy_set_header Connection "";

    gray_release app {
        zone gray;
        hash $arg_uid;
        cookie gray_uid;
        variant stable v1;
        variant canary v2 weight=20%;
    }

    gray_release feature {
        zone gray;
        cookie gray_uid;
        variant off;
        variant on weight=50%;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        location / {
            add_header X-D "$gray_decisions $gray_app_rule $gray_app_bucket";
            proxy_pass http://app;
        }
        location /gray/ { gray_admin; }
    }

    server { listen 127.0.0.1:%%PORT_v1%%; return 200 v1; }
    server { listen 127.0.0.1:%%PORT_v2%%; return 200 v2; }
}
END


sub rss {
    my ($pid) = $t->workers;
    return slurp("/proc/$pid/status") =~ /^VmRSS:\s+(\d+) kB/m ? $1 : 0;
}


# with and without a key; returns how many were not answered

sub ask {
    my ($count) = @_;

    return scalar grep { $_->{status} != 200 }
        $t->many($count, sub { $_[0] % 2 ? "/?uid=$_[0]" : '/' },
                 per_connection => $count);
}


# a document with everything that a rule set holds memory for

sub change {
    my ($n) = @_;

    my @rules = map {
        { name => "r$_",
          when => { any => [ { '$http_user_agent' =>
                                   { regex => [ "bot$n/$_", 'x+y' ],
                                     ignore_case => JSON::PP::true() } },
                             { '$remote_addr' =>
                                   { cidr => [ "10.$_.0.0/16", '::1' ] } },
                             { '$arg_a' => [ map { "value-$_" } 1 .. 20 ] },
                             { not => { '$arg_b' => { exists =>
                                                      JSON::PP::true() } } }
                           ] },
          weights => { canary => $n % 50 } }
    } 1 .. 2;

    return $t->api('PATCH', '/gray/releases/app', { rules => \@rules })
           ->{status} != 200;
}


# requests of one connection

is(ask(5000), 0, 'some requests');

my $before = rss();

is(ask(20_000), 0, '20,000 requests of one connection');

my $after = rss();

note("memory of the worker: $before kB, then $after kB");
cmp_ok($after - $before, '<', 256, 'memory over requests');

# revisions, with requests between them

my $failed = 0;

$failed += change($_) + ($_ % 20 ? 0 : ask(10)) for 1 .. 300;

$before = rss();

$failed += change($_) + ($_ % 20 ? 0 : ask(10)) for 301 .. 2300;

$after = rss();

is($failed, 0, '2,000 revisions');
is($t->api('GET', '/gray/releases/app')->{json}{revision}, 2301,
   'each was one');
note("memory of the worker: $before kB, then $after kB");
cmp_ok($after - $before, '<', 256, 'memory over revisions');

$t->done;
