#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Somebody sets the clock, back or ahead, while requests are under way: their
# times are those by which they were there, all are counted, and windows go on.

use strict;
use warnings;

use FindBin;
use IO::Select;
use POSIX       ();
use Test::More;
use Time::HiRes ();

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Backend;
use Test::Gray::Clock;
use Test::Gray::Exposition;
use Test::Gray::Process;

plan(skip_all => no_clock()) if no_clock();

my $day = 86400;

# how long a request is under way, so that it has a time of its own; and what
# its time may be off by, as nginx has a clock of whole milliseconds, and takes
# it at the start of an event

my $held = 0.25;
my $grain = 0.02;

my $stats = '/gray/releases/app/stats';

my $t = Test::Gray->new;

# "slow" answers when the file "go" is there

$t->daemon(slow => http(sub {
    my ($head, $socket) = @_;

    my $gone = IO::Select->new($socket);

    wait_until(sub { -e 'go' || $gone->can_read(0) }, 100);
    return 'slow';
}));

$t->config(<<'END');
http {
    gray_zone gray 1m;

    upstream slow { server 127.0.0.1:%%PORT_slow%%; }
    upstream fast { server 127.0.0.1:%%PORT_fast%%; }

    gray_release app {
        zone     gray;
        hash     $arg_u;
        variant  stable slow;
        variant  canary fast weight=0%;
        match    canary $arg_v = 2;
    }

    server {
        listen 127.0.0.1:%%PORT_fast%%;
        return 200 fast;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        location /          { proxy_pass http://app; }
        location = /on      { return 200; }
        location = /metrics { gray_metrics; }
        location /gray/     { gray_admin; }
    }
}
END

my $clock = Test::Gray::Clock->new($t);

$clock->start($t);


sub now { return Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) }


# and nginx has seen it; it has one worker

sub set_clock {
    my ($seconds) = @_;

    $clock->set($seconds);

    wait_until(sub {
        my $date = $t->get('/on')->{headers}{date};
        my $is = POSIX::strftime('%a, %d %b %Y %H:',
                                 gmtime(time + $seconds));

        return index($date, $is) == 0;
    })
    or die "the clock is not set\n";

    return;
}


sub numbers {
    my $metrics = scrape($t, '/metrics');
    my %of = (variant => 'stable');

    return {
        requests => total($metrics, 'nginx_gray_requests_total', %of),
        streams  => total($metrics, 'nginx_gray_streams_total', %of),
        live     => total($metrics, 'nginx_gray_live_requests', %of),
        map { my $name = "nginx_gray_$_->[1]_seconds";
              ("$_->[0] count" => total($metrics, "${name}_count", %of),
               "$_->[0] sum"   => total($metrics, "${name}_sum", %of),
               "$_->[0] short" => total($metrics, "${name}_bucket", %of,
                                        le => '65.536')) }
            [ total => 'request_duration' ], [ header => 'response_header' ]
    };
}


# so many requests, from the code to an answer: what is wrong with their times

sub takes {
    my ($name, $n, $from, $code, %no) = @_;

    my $before = numbers();
    my $began = now();

    $code->();

    my ($took, $after);

    wait_until(sub {
        $after = numbers();
        return $after->{requests} >= $before->{requests} + $n;
    });

    $took = now() - $began;

    my %is = map { $_ => $after->{$_} - $before->{$_} } keys %$after;
    my @faults;

    push @faults, "$is{requests} are counted" if $is{requests} != $n;
    push @faults, "$is{streams} are streams" if $is{streams};
    push @faults, "$after->{live} are under way" if $after->{live};

    for my $of (grep { !$no{$_} } qw(total header)) {
        push @faults, "$is{\"$of count\"} have a time, $of"
            if $is{"$of count"} != $n;
        push @faults, "a huge one, $of"
            if $is{"$of short"} != $n;
        push @faults, sprintf '%s: %.3f s each, not %.3f to %.3f', $of,
                              $is{"$of sum"} / $n, $from, $took
            if $is{"$of sum"} < $n * ($from - $grain)
               || $is{"$of sum"} > $n * ($took + $grain);
    }

    push @faults, sprintf 'header %.3f s, total %.3f', @is{'header sum',
                                                           'total sum'}
        if !$no{header} && $is{'total sum'} < $is{'header sum'} - 0.0001;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_deeply(\@faults, [], $name);
}


sub text { return Test::Gray::HTTP::request_text('GET', @_) }


# requests that are under way when the code is called, and end after it

sub under_way {
    my ($code, @connections) = @_;

    my $live = numbers()->{live};

    # one is of gRPC: long ones are streams

    for my $i (0 .. $#connections) {
        $connections[$i]->send(text('/?u=1', $i ? [] :
            [ 'Content-Type' => 'application/grpc' ]));
    }

    wait_until(sub { numbers()->{live} == $live + @connections })
        or die "no requests are under way\n";

    my $since = now();

    $code->();
    wait_until(sub { now() - $since > $held });
    $t->write_file('go', '');

    for (@connections) {
        my $response = $_->receive('GET');

        die "no answer\n" if !$response || $response->{body} ne 'slow';
    }

    unlink $t->dir . '/go';

    return;
}


my $kept = $t->http->connect;

for ([ -$day, 'a day back' ], [ $day, 'a day ahead' ],
     [ -4000 * $day, 'ten years back' ], [ 4000 * $day, 'ten years ahead' ],
     [ -3600, 'an hour back' ], [ 3600, 'an hour ahead' ])
{
    my ($by, $name) = @$_;

    takes("$name: requests are under way", 3, $held, sub {
        under_way(sub { set_clock($by) }, $kept,
                  map { $t->http->connect } 1, 2);
    });

    takes("$name: with that clock", 2, $held, sub {
        under_way(sub { }, $kept, $t->http->connect);
    });

    takes("$name: set right", 2, $held, sub {
        under_way(sub { set_clock(0) }, $kept, $t->http->connect);
    });

    takes("$name: there and back", 2, $held, sub {
        under_way(sub { set_clock($by); set_clock(0) }, $kept,
                  $t->http->connect);
    });

    # before the request is decided, as its header is not complete

    takes("$name: in a header", 1, 0, sub {
        my $connection = $t->http->connect;
        my ($first, $second) = text('/?u=1', []) =~ /\A(.{8})(.*)\z/s;

        $connection->send($first);
        set_clock($by);
        $t->write_file('go', '');
        $connection->send($second);
        $connection->receive('GET') or die "no answer\n";
        unlink $t->dir . '/go';
    });

    set_clock(0);

    # the client goes, and there is no header

    takes("$name: no answer", 1, $held, sub {
        my $connection = $t->http->connect;

        $connection->send(text('/?u=1', []));
        wait_until(sub { numbers()->{live} == 1 });

        my $since = now();

        set_clock($by);
        wait_until(sub { now() - $since > $held });
    }, header => 1);

    set_clock(0);
}


# -- windows

sub stats {
    my ($query) = @_;

    my $json = $t->api('GET', $stats . ($query || ''))->{json};

    return ($json->{variants}{canary}{requests}, $json);
}

my $began = now();

is($t->api('POST', "$stats/reset")->{status}, 200, 'statistics begin anew');

my $sent = 0;

for ([ -$day, 'a day back' ], [ $day, 'a day ahead' ]) {
    my ($by, $name) = @$_;

    set_clock($by);

    for (1 .. 5) {
        $t->get('/?v=2');
        $sent++;
    }

    ok(wait_until(sub { (stats())[0] == $sent }), "$name: all are counted");
    is((stats('?window=60s'))[0], $sent, '... in a window, too');

    my $seconds = (stats('?window=60s'))[1]{window}{seconds};

    cmp_ok($seconds, '<', now() - $began + $grain, '... that is as long as it');
    cmp_ok($seconds, '>=', 0, '... was');
}

# by the clock of the day no interval has come to an end in the first one

set_clock(-$day);

ok(wait_until(sub { (stats('?window=10s'))[0] == 0 }, 40),
   'they are too old for a window');
is((stats('?window=60s'))[0], $sent, '... and not for another one');
is((stats())[0], $sent, '... and counted');

$t->get('/?v=2');
ok(wait_until(sub { (stats('?window=10s'))[0] == 1 }), 'one that comes now');

my $since = $t->api('POST', "$stats/reset")->{json}{since};

is(substr($since, 0, 10), POSIX::strftime('%Y-%m-%d', gmtime(time - $day)),
   'since when is by the clock');

$t->done;
