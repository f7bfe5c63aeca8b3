#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What releases/NAME/stats says begins anew, and counters for Prometheus go
# on; by a worker of an older configuration, with another process in the way,
# and where a worker is killed halfway.

use strict;
use warnings;

use FindBin;
use IO::Select;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Halt;
use Test::Gray::Process;
use Test::Gray::Running;

my $t = Test::Gray->new->config(text('2m'))->start;
my $stats = '/gray/releases/app/stats';


sub text {
    my ($size) = @_;

    return <<"END";
worker_processes 2;

http {
    gray_zone gray $size;

    gray_release app {
        zone     gray;
        hash     \$arg_uid;
        variant  stable;
        variant  canary weight=10%;
        match    canary \$arg_canary = 1;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_each%% reuseport;

        location / { return 200 \$gray_app; }
        location = /pid { return 200 \$pid; }
        location /gray/ { gray_admin; }
    }
}
END
}


sub reset_by {
    my ($by) = @_;

    return ($by || $t)->api('POST', "$stats/reset");
}


sub canary { return $t->api('GET', $stats)->{json}{variants}{canary} }


# of a kept connection, as api() has it

sub ask {
    my ($connection, $method, $path) = @_;

    $connection->send(Test::Gray::HTTP::request_text($method, $path, []));

    return answer($connection, $method);
}


sub answer {
    my ($connection, $method) = @_;

    my $response = $connection->receive($method);

    $response->{json} = eval { JSON::PP->new->decode($response->{body}) };

    return $response;
}


# a request but for its last byte, behind another one by whose answer it is
# known that the worker has it

sub begin {
    my ($method, $path) = @_;

    my $connection = $t->http->connect;
    my $text = Test::Gray::HTTP::request_text($method, $path, []);

    $connection->send(Test::Gray::HTTP::request_text('GET', '/pid', [])
                      . substr($text, 0, -1));
    $connection->receive('GET');

    return $connection;
}


sub end {
    my ($connection) = @_;

    $connection->send("\n");

    return answer($connection, 'GET');
}


# the counter of Prometheus

sub ever {
    my $text = $t->get('/gray/metrics')->{body};
    my $sum = 0;

    $sum += $1 while $text =~ /^nginx_gray_requests_total\{[^}]*
                               variant="canary"[^}]*\}\ (\d+)/mgx;

    return $sum;
}


sub send_some {
    my ($n, $expected) = @_;

    $t->get('/?canary=1') for 1 .. $n;

    ok(wait_until(sub { canary()->{requests} == $expected }),
       "$expected are counted");

    return;
}


send_some(10, 10);

is(ever(), 10, 'for Prometheus');
is(canary()->{share}, undef, 'none by weight');

my $response = reset_by();

is($response->{status}, 200, 'a reset');
is($response->{json}{window}, undef, 'without a window');
is($response->{json}{variants}{canary}{requests}, 0, 'answers what there is');
is($response->{json}{variants}{canary}{total}, undef, 'which is nothing');
is(canary()->{requests}, 0, 'others see the same');
is($t->api('GET', "$stats?window=1h")->{json}{variants}{canary}{requests}, 0,
   'in a window, too');
is(ever(), 10, 'Prometheus sees nothing of it');

my ($at) = $response->{json}{since} =~ /:(\d\d)Z$/;

ok((time - $at) % 60 < 5 || ($at - time) % 60 < 5, 'since now');

$t->expect(qr/statistics begin anew/);

send_some(3, 3);
is(ever(), 13, 'and goes on');
is($t->api('GET', "$stats?window=10s")->{json}{variants}{canary}{requests}, 3,
   'a window has what came after');


# -- workers of an older configuration share the counters

my $old = begin('POST', "$stats/reset");

$t->reload;

is(end($old)->{status}, 200, 'a reset by an old worker');
is(canary()->{requests}, 0, 'is one');

send_some(4, 4);

# but for those of a zone that was left

my %old = (GET => begin('GET', $stats), POST => begin('POST', "$stats/reset"));

$t->config(text('3m'));
$t->reload;

for (qw(GET POST)) {
    $response = end($old{$_});

    is($response->{status}, 503, "$_ by an old worker of another zone");
    like($response->{json}{detail}, qr/^nginx was reloaded with another zone/,
         'which says why');
    is($response->{headers}{'retry-after'}, 1, 'and when');
}

is(canary()->{requests}, 4, 'nothing was lost');


# -- with the lock in somebody's hands; killed before, halfway and behind

SKIP: {
    my ($worker) = $t->workers;

    skip('no worker can be halted here', 1)
        if $ENV{TEST_NGINX_WRAPPER}
           || !can_halt($worker, 'ngx_http_gray_shm_unlock');

    held('ngx_http_gray_turns_reset_locked', 0);
    held('ngx_http_gray_tally_pack', 0);
    held('ngx_http_gray_shm_unlock', 1);
}

$t->done;


sub held {
    my ($function, $done) = @_;

    is(reset_by()->{status}, 200, "$function: before");
    send_some(7, 7);

    my $sum = ever();
    my $left = $done ? 0 : 7;
    my ($worker, $other);

    # a tick, which is every second, may come there in the place of a reset

    for (1 .. 6) {
        ($worker, my $connection) =
            %{ $t->http('each')->each_worker(2, '/pid') };

        halt_at($worker, $function);
        $connection->send(Test::Gray::HTTP::request_text('POST',
                                                         "$stats/reset", []));

        ok(wait_halted($worker), "$function: a worker stands still there");

        $other = other($worker);
        last if requests($other) == $left;

        $t->kill_worker('KILL', $worker);
    }

    # the other one goes on: it reads, it counts, and waits for 100 ms

    is(requests($other), $left, "$function: all is as it was, or begins anew");
    is(ask($other, 'GET', '/?canary=1')->{body}, 'canary',
       "$function: requests are served");

    my $running = Test::Gray::Running->new($t);
    my ($began, $since) = (time, $running->now);

    $response = ask($other, 'POST', "$stats/reset");

    my ($took, $ran) = (time - $began, $running->now - $since);

    is($response->{status}, 503, "$function: another reset has to wait");
    is($response->{headers}{'retry-after'}, 1, "$function: and is told so");
    is($response->{json}{detail},
       'another process writes to the zone "gray" for 100 ms',
       "$function: and why");
    cmp_ok($took, '>', 0.08, "$function: it has waited");
    cmp_ok($ran, '<', $Test::Gray::Process::scale, "$function: not for long");

    is(requests($other), $left + 1, "$function: and is counted");

    $t->kill_worker('KILL', $worker);

    is(canary()->{requests}, $left + 1, "$function: whole, when it is dead");
    is(ever(), $sum + 1, "$function: Prometheus has it all");
    is(reset_by()->{status}, 200, "$function: the lock is free");
    is(canary()->{requests}, 0, "$function: that was a reset");

    return;
}


sub requests {
    my ($connection) = @_;

    return ask($connection, 'GET', $stats)->{json}{variants}{canary}{requests};
}


# a connection to the worker that is not halted

sub other {
    my ($halted) = @_;

    for (1 .. 200) {
        my $connection = $t->http('each')->connect;

        $connection->send(Test::Gray::HTTP::request_text('GET', '/pid', []));

        my $ready = IO::Select->new($connection->{socket});

        next unless $ready->can_read(0.2);

        my $response = $connection->receive('GET');

        return $connection if $response->{body} ne $halted;
    }

    die "no other worker answers\n";
}
