#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What was counted, and its windows, through reloads, a worker that is killed,
# and a zone of another size; until it is too old for the shortest window.

use strict;
use warnings;

use FindBin;
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;
use Test::Gray::Running;

# a window of 10 s may cover an interval more, and turns are late by a second

my $longest = 10 + 10 + 2 * $Test::Gray::Process::scale;

my $starts = time;
my $t = Test::Gray->new->config(text('2m', 2))->start;
my $began = time;
my $running = Test::Gray::Running->new($t);
my $stats = '/gray/releases/app/stats';


sub text {
    my ($size, $workers) = @_;

    return <<"END";
worker_processes $workers;

http {
    gray_zone gray $size;

    upstream v1 { server 127.0.0.1:%%PORT_backend%%; }

    gray_release app {
        zone     gray;
        hash     \$arg_uid;
        variant  stable v1;
        variant  canary v1 weight=10%;
        match    canary \$arg_canary = 1;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        location / { proxy_pass http://app; }
        location /gray/ { gray_admin; }
        location = /hold { proxy_pass http://app; limit_rate 1; }
    }

    server {
        listen 127.0.0.1:%%PORT_backend%%;
        location / { return 200 "hello"; }
        location = /hold { return 200 "@{[ 'x' x 1000 ]}"; }
    }
}
END
}


# requests of a variant, and how long a time that is of

sub seen {
    my ($window, $variant) = @_;

    my $json = $t->api('GET', $stats . ($window ? "?window=$window" : ''))
                 ->{json};

    return ($json->{variants}{$variant || 'canary'}{requests},
            $window ? $json->{window}{seconds} : undef, $json->{since});
}


sub send_some {
    my ($n, $expected) = @_;

    $t->get('/?canary=1') for 1 .. $n;

    ok(wait_until(sub { (seen())[0] == $expected }), "$expected are counted");

    return;
}


send_some(30, 30);

my $sent = time;
my $since = (seen())[2];

is((seen($_))[0], 30, "in a window of $_") for qw(10s 60s 1h);

# a worker that is killed, with a request of its own under way

my ($worker) = $t->workers;

$t->kill_worker('KILL', $worker);
send_some(3, 33);
is((seen('60s'))[0], 33, 'after a worker was killed');

# a reload

ok($t->reload(gone => 1), 'a reload');
is_deeply([ (seen())[0, 2] ], [ 33, $since ], 'all is there');
send_some(2, 35);

# another size is another memory; and there are more workers

$t->config(text('3m', 3));
ok($t->reload(gone => 1), 'a reload with a larger zone');
is_deeply([ (seen())[0, 2] ], [ 35, $since ], 'all has come along');
send_some(5, 40);
is((seen('60s'))[0], 40, 'windows, too');

# what was sent moves out of the shortest window

my ($least, $most, $seconds) = (0, 0);

ok(wait_until(sub {
    (my $n, $seconds) = seen('10s');

    $most = $seconds if $seconds > $most;

    return $n == 0;
}, 3 * $longest), 'it has left the shortest window');

my $past = time - $sent;

$longest += $running->stood;

cmp_ok($past, '>=', 10 - 1, "which was not too early: $past seconds");
cmp_ok($past, '<=', $longest + 5, 'or too late');
cmp_ok($seconds, '>=', 10, "it covers $seconds seconds");
cmp_ok($most, '<=', $longest, "and at most $most");

my $seen = time;
my ($n, $covered) = seen('5m');

is($n, 40, 'and is in a longer one');
cmp_ok($covered, '>', $seen - $began - 2 - $running->stood,
       'that covers all since the beginning');
cmp_ok($covered, '<', time - $starts + 2, 'and no more');

send_some(1, 41);
is((seen('10s'))[0], 1, 'the shortest one has what came after');
is((seen('60s', 'stable'))[0], 0, 'and nothing of others');

# the gauge: a request under way, and none when its worker is killed


sub live { return $t->api('GET', $stats)->{json}{variants}{canary}{live} }


my $connection = $t->http->connect;

$connection->send(Test::Gray::HTTP::request_text('GET', '/hold?canary=1', []));

ok(wait_until(sub { live() == 1 }), 'a request is under way');

my %pid = map { $_ => 1 } $t->workers;

$t->kill_worker('KILL', $_) for keys %pid;

is(live(), 0, 'not when its worker is gone');
is((seen())[0], 41, 'it was not counted');

$t->done;
