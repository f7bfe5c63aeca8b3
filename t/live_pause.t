#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# No request waits for a change: under a light load, the longest one takes
# about as long while a release of 200 rules is changed as otherwise.

use strict;
use warnings;

use FindBin;
use IO::Select;
use List::Util  qw(max);
use Test::More;
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

plan(skip_all => 'time is not that of nginx')
    if $ENV{TEST_NGINX_WRAPPER} || $ENV{TEST_SANITIZER_LOG};

# by which requests may be longer, in ms: more than what other processes do to
# one of them, in one round at least, and less than a pause to be noticed

my $bound = 60;
my $rounds = 3;
my $changes = 50;

my $t = Test::Gray->new->config(<<'END')->start;
worker_processes 4;

http {
    gray_zone gray 1m;
    keepalive_requests 1000000;

    gray_release app {
        zone gray;
        hash $arg_uid;
        variant stable;
        variant canary weight=10%;
    }

    server {
        listen 127.0.0.1:%%PORT%% reuseport;
        location /      { return 200 "$gray_app $gray_app_revision"; }
        location = /pid { return 200 $pid; }
        location /gray/ { gray_admin; }
    }
}
END

# every tenth with a pattern: to compile one takes longer than all the rest

my @rules = map {
    { when => { any => [ { '$arg_a' => [ "one-$_", "two-$_" ] },
                         { '$remote_addr' => { cidr => "10.$_.0.0/16" } },
                         $_ % 10 ? () :
                         { '$http_user_agent' =>
                               { regex => "^Robot/$_\\.[0-9]+ \\(a|b\\)" } } ]
              },
      variant => 'canary' }
} 1 .. 200;

my $response = $t->api('PATCH', '/gray/releases/app', { rules => \@rules });

is($response->{status}, 200, '200 rules') or diag($response->{body});

my $connections = $t->each_worker('/pid');
my @connections = values %$connections;
my %pid = map { fileno($connections->{$_}{socket}) => $_ } keys %$connections;
my $select = IO::Select->new(map { $_->{socket} } @connections);
my $request = Test::Gray::HTTP::request_text('GET', '/?uid=1', []);
my $last = 2;


# asks all workers at the same time until the code is true; returns how long
# the longest request took, in ms, how many there were, and how many were not
# answered

sub load {
    my ($over) = @_;

    my ($longest, $count, $failed) = (0, 0, 0);

    until ($over->()) {
        my %asked = map { fileno($_->{socket}) => $_ } @connections;
        my %kept = map { $_ => kept_waiting($_) } $$, values %pid;
        my $began = time;

        $_->send($request) for @connections;

        while (%asked) {
            for my $socket ($select->can_read(10)) {
                my $connection = delete $asked{fileno $socket} or next;

                $failed++ if $connection->receive->{body}
                             !~ /^(?:stable|canary) \d+$/;

                my $took = time - $began;
                my $kept = max(map { kept_waiting($_) - $kept{$_} }
                               $$, $pid{fileno $socket});

                $longest = max($longest, $took - $kept);
                $count++;
            }
        }

        select undef, undef, undef, 0.001;
    }

    return (1000 * $longest, $count, $failed);
}


sub change {
    for my $n (1 .. $changes) {
        my $patched = $t->request('PATCH', '/gray/releases/app',
            [ 'Content-Type' => 'application/json' ],
            qq({"variants":{"canary":{"weight":$n}}}));

        warn "change: $patched->{status} $patched->{body}\n"
            if $patched->{status} != 200;

        select undef, undef, undef, 0.01;
    }

    POSIX::_exit(0);
}


my ($good, $failed, $seen) = (0, 0, 1);

for my $round (1 .. $rounds) {
    my $began = time;
    my $changing = $t->child(\&change);
    my ($with, $many, $lost) = load(sub { !alive($changing) });
    my $took = time - $began;

    $t->reap($changing);
    $last += $changes;

    # so that nothing is left for the time without

    $seen &&= !grep { $_->get('/')->{body} !~ / $last$/ } @connections;

    my $end = time + $took;
    my ($without, $more, $missed) = load(sub { time > $end });

    $failed += $lost + $missed;

    note(sprintf 'round %d: %d requests, the longest %.1f ms; with changes, '
                 . '%d and %.1f ms', $round, $more, $without, $many, $with);

    $good = $with - $without < $bound and last;
}

is($failed, 0, 'all requests were answered');
ok($seen, 'each worker has followed');
ok($good, "no request takes $bound ms longer because of a change");

$t->done;
